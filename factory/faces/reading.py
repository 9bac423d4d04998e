"""Writes ``expressions/reading.json``, how numbers of faces go together, and says how well it foretells held-out faces.

    python -m factory.faces.reading

See `mien.expressions.reading`. The prepared sets must be there (`factory.faces.prepare`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from factory.faces.dataset import load_faces, split_rows
from factory.faces.statistics import expression_numbers
from mien.encoders.expression import WIDTH
from mien.encoders.standardise import restore, standardise
from mien.expressions import reading
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.face.landmarks import LMS_NAMES
from mien.files import write_text
from mien.types import FloatArray


def main() -> None:
    """Compute and write ``reading.json``."""
    parts: dict[bool, list[FloatArray]] = {False: [], True: []}
    resting = []
    for source in ("utkface-adults", "lfw-gray", "renders-train"):
        faces = load_faces(source)
        for held_out in (False, True):
            rows = split_rows(faces, held_out=held_out)
            told = expression_numbers(faces.blendshapes[rows], faces.landmarks[rows])
            parts[held_out].append(standardise(torch.from_numpy(told), "expression").double().numpy())
            if not held_out and source != "renders-train":
                resting.append(told[_rests(told), :52])
    x = np.concatenate(parts[False])
    still = np.median(np.concatenate(resting), axis=0)
    still = (still + still[list(FLIP)]) / 2
    content = {
        "rest": {name: round(float(v), 3) for name, v in zip(NAMES, still, strict=True) if v >= 0.005},
        "mean": x.mean(0).round(4).tolist(),
        "covariance": np.cov(x.T)[np.tril_indices(WIDTH)].round(4).tolist(),
    }
    write_text(Path(reading.__file__).with_suffix(".json"), json.dumps(content) + "\n")
    reading._fitted.cache_clear()
    x = np.concatenate(parts[True])[:2000]
    named = restore(torch.from_numpy(x), "expression").numpy()[:, :52]
    foretold = np.stack([reading.numbers(dict(zip(NAMES, row, strict=True))).numpy() for row in named])
    r2 = 1 - ((x - foretold) ** 2).mean(0)[52:] / x.var(0)[52:]
    print(f"{sum(map(len, resting))} faces at rest; held-out R² of the ratios, all 52 named:")
    print("  ".join(f"{name} {r:.2f}" for name, r in zip(LMS_NAMES, r2, strict=True)))


def _rests(b: FloatArray) -> FloatArray:
    """Which of [n, 52] do next to nothing: no smile, mouth shut, eyes open, brows down."""
    limits = {"mouthSmile": 0.1, "eyeBlink": 0.25, "jawOpen": 0.05, "mouthPucker": 0.3, "browInnerUp": 0.3}
    calm = np.ones(len(b), bool)
    for stem, limit in limits.items():
        for name in (stem,) if stem in INDEX else (f"{stem}Left", f"{stem}Right"):
            calm &= b[:, INDEX[name]] < limit
    return calm


if __name__ == "__main__":
    main()
