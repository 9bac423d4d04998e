"""Writes ``encoders/statistics.json``: mean and deviation of the conditions' numbers over the training faces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from factory.faces.dataset import load_faces, split_rows
from mien import encoders
from mien.face.landmarks import lms_ratios
from mien.types import FloatArray

SMALLEST_STD = 0.02  # a blendshape that hardly ever moves must not be blown up


def expression_numbers(blendshapes: FloatArray, landmarks: FloatArray) -> FloatArray:
    """[n, 57] float32: 52 blendshapes, then the five LMS ratios (EmojiDiff Eqs. 2-3)."""
    return np.concatenate([blendshapes, lms_ratios(landmarks)], axis=1).astype(np.float32)


def main() -> None:
    identity, expression = [], []
    for source in ("utkface-adults", "lfw-gray", "renders-train"):
        faces = load_faces(source)
        rows = split_rows(faces, held_out=False)
        expression.append(expression_numbers(faces.blendshapes[rows], faces.landmarks[rows]))
        if source != "renders-train":
            identity.append(faces.embedding[rows])
    content = {}
    for kind, parts in (("identity", identity), ("expression", expression)):
        values = np.concatenate(parts)
        std = values.std(0).clip(SMALLEST_STD)
        content[kind] = {"mean": values.mean(0).round(5).tolist(), "std": std.round(5).tolist()}
    (Path(encoders.__file__).parent / "statistics.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
