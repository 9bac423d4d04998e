"""Blendshapes as the numbers that the embedded analyser would read of a photograph showing them.

The embedded expression encoder gives 52 blendshapes and the five LMS ratios of a face (EmojiDiff Eqs. 2-3).
Someone who asks for ``{"jawOpen": 0.8}`` names one of them. What is left out is as in a face at rest, and the
ratios follow from the blendshapes by a regression over photographs and renders:

    b_j = given_j, or rest_j;        r = W [b; b_blink^2, b_jaw^2; 1]

``reading.json`` holds rest and W. ``python -m mien.expressions.reading`` fits them on the training part of the
prepared faces, and prints how well the ratios are foretold on the held-out part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.encoders.standardise import standardise
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.face.landmarks import LMS_NAMES
from mien.types import FloatArray

RIDGE = 1.0  # on the sum of squares, with blendshapes in [0, 1]
_SQUARED = [INDEX[name] for name in ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen")]
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
def _fitted() -> tuple[FloatArray, FloatArray]:
    content = json.loads(Path(__file__).with_name("reading.json").read_text())
    rest = np.array([content["rest"].get(name, 0.0) for name in NAMES])
    return rest, np.array([content["ratios"][name] for name in LMS_NAMES])


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


def ratios(blendshapes: FloatArray) -> FloatArray:
    """The five LMS ratios [n, 5] that faces with blendshapes [n, 52] have on average."""
    return (_features(np.asarray(blendshapes, np.float64)) @ _fitted()[1].T).clip(0)


def numbers(blendshapes: FloatArray) -> Tensor:
    """Blendshapes [52] -> [57] float32, standardised: what the embedded default is conditioned on."""
    values = np.concatenate([blendshapes, ratios(blendshapes[None])[0]])
    return standardise(torch.from_numpy(values.astype(np.float32))[None], "expression")[0]


def _features(blendshapes: FloatArray) -> FloatArray:
    ones = np.ones((len(blendshapes), 1))
    return np.concatenate([blendshapes, blendshapes[:, _SQUARED] ** 2, ones], axis=1)


def main() -> None:
    """Fit and write ``reading.json``."""
    from mien.data.dataset import load_faces, split_rows
    from mien.face.landmarks import lms_ratios
    from mien.files import write_text

    parts: dict[bool, list[tuple[FloatArray, FloatArray]]] = {False: [], True: []}
    resting = []
    for source in ("utkface-adults", "lfw-gray", "renders-train"):
        faces = load_faces(source)
        for held_out in (False, True):
            rows = split_rows(faces, held_out=held_out)
            b = faces.blendshapes[rows].astype(np.float64)
            parts[held_out].append((b, lms_ratios(faces.landmarks[rows])))
            if not held_out and source != "renders-train":
                resting.append(b[_rests(b)])
    x, y = (np.concatenate(column) for column in zip(*parts[False], strict=True))
    features = _features(x)
    weights = np.linalg.solve(features.T @ features + RIDGE * np.eye(features.shape[1]), features.T @ y).T
    still = np.median(np.concatenate(resting), axis=0)
    still = (still + still[list(FLIP)]) / 2
    content = {
        "rest": {name: round(float(v), 3) for name, v in zip(NAMES, still, strict=True) if v >= 0.005},
        "ratios": {name: row.round(4).tolist() for name, row in zip(LMS_NAMES, weights, strict=True)},
    }
    write_text(Path(__file__).with_name("reading.json"), json.dumps(content) + "\n")
    x, y = (np.concatenate(column) for column in zip(*parts[True], strict=True))
    residual = ((y - _features(x) @ weights.T) ** 2).mean(0) / y.var(0)
    print(f"{sum(map(len, resting))} faces at rest; held-out R² of the ratios:")
    print("  ".join(f"{name} {1 - r:.2f}" for name, r in zip(LMS_NAMES, residual, strict=True)))


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
