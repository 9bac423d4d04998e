"""Blendshapes as the numbers that the embedded analyser would read of a photograph showing them.

The embedded expression encoder gives 57 numbers x of a face: 52 blendshapes and the five LMS ratios (EmojiDiff
Eqs. 2-3). Someone who asks for ``{"jawOpen": 0.8}`` names one of them, and as a whole vector that is a face no camera
has seen: an open jaw moves other readings too. So what is asked is taken as an observation y = x_b + noise of the first
52, and the numbers are the mean of the Gaussian that faces make, given it (Bishop, Pattern Recognition and Machine
Learning, Eq. 2.96):

    x = mu + S_b (S_bb + diag(sigma^2))^-1 (y - mu_b)

y: what was named, and what a face at rest shows for the others; sigma: `SURE` for what was named, `LOOSE` for the
others. ``reading.json`` holds mu, S and rest; ``python -m mien.expressions.reading`` computes them from the training
part of the prepared faces, and prints how well it foretells held-out faces. Generated faces follow such numbers better
than the bare vector, or the reading of a rendered face: see docs/expressions.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.encoders.expression import WIDTH
from mien.encoders.standardise import LIMITS, restore, standardise
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.face.landmarks import LMS_NAMES
from mien.types import FloatArray

SURE, LOOSE = 0.05, 0.15  # standard deviations of what was named, and of what is taken to rest
# Moving one of these says that its opposites do not rest where they were.
_OPPOSITES = (
    ("eyeWide", ("eyeSquint", "eyeBlink")),
    ("eyeLookUp", ("eyeLookDown",)),
    ("eyeLookDown", ("eyeLookUp",)),
    ("browInnerUp", ("browDown",)),
    ("browOuterUp", ("browDown",)),
    ("browDown", ("browOuterUp", "browInnerUp")),
    ("jawOpen", ("mouthPress", "mouthRollUpper", "mouthRollLower")),
    ("mouthLowerDown", ("mouthPress",)),
    ("eyeLookOut", ("eyeLookIn",)),
    ("eyeLookIn", ("eyeLookOut",)),
)
MOVED = 0.15  # a blendshape from here on is a movement


@cache
def _fitted() -> tuple[FloatArray, FloatArray, FloatArray]:
    """rest [52], mu [57] and S [57, 57], the last two of standardised numbers."""
    content = json.loads(Path(__file__).with_name("reading.json").read_text())
    rest = np.array([content["rest"].get(name, 0.0) for name in NAMES])
    covariance = np.zeros((WIDTH, WIDTH))
    covariance[np.tril_indices(WIDTH)] = content["covariance"]
    return rest, np.array(content["mean"]), covariance + np.tril(covariance, -1).T


def at_rest() -> FloatArray:
    """[52] in [0, 1]: the median blendshapes of photographs of faces that do next to nothing."""
    return _fitted()[0].copy()


def complete(shapes: Mapping[str, float]) -> FloatArray:
    """Blendshapes [52] in [0, 1] from some of them by name; the others rest, or give way to their opposite."""
    vector = at_rest()
    given = {INDEX[name]: value for name, value in shapes.items()}
    for stem, opposites in _OPPOSITES:
        for side in ("Left", "Right"):
            name = stem if stem in INDEX else f"{stem}{side}"
            if given.get(INDEX[name], 0.0) >= MOVED:
                for opposite in opposites:
                    vector[INDEX[opposite if opposite in INDEX else f"{opposite}{side}"]] = 0.0
    for index, value in given.items():
        vector[index] = value
    return vector


def numbers(shapes: Mapping[str, float]) -> Tensor:
    """Some blendshapes by name, in [0, 1] -> [57] float32, standardised: what the embedded default is told."""
    _, mean, covariance = _fitted()
    zero, one = (
        restore(torch.full((1, WIDTH), v), "expression")[0, :52].double().numpy() for v in (0.0, 1.0)
    )
    unit = one - zero  # of a standardised number
    # What was asked is not clamped: noise is measured against it.
    y = (complete(shapes) - zero) / unit
    noise = np.array([SURE if name in shapes else LOOSE for name in NAMES]) / unit
    gain = covariance[:, :52] @ np.linalg.inv(covariance[:52, :52] + np.diag(noise**2))
    limit = LIMITS["expression"]
    return torch.from_numpy((mean + gain @ (y - mean[:52])).clip(-limit, limit).astype(np.float32))


def main() -> None:
    """Compute and write ``reading.json``."""
    from mien.data.dataset import load_faces, split_rows
    from mien.data.statistics import expression_numbers
    from mien.files import write_text

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
    write_text(Path(__file__).with_name("reading.json"), json.dumps(content) + "\n")
    _fitted.cache_clear()
    x = np.concatenate(parts[True])[:2000]
    named = restore(torch.from_numpy(x), "expression").numpy()[:, :52]
    foretold = np.stack([numbers(dict(zip(NAMES, row, strict=True))).numpy() for row in named])
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
