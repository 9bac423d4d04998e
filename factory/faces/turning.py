"""Writes ``expressions/turning.json``, how a head's pose shows in its numbers, and says how much of it they betray.

    python -m factory.faces.turning

See `mien.expressions.turning`. The prepared sets must be there (`factory.faces.prepare`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from factory.faces.dataset import load_faces, split_rows
from factory.faces.statistics import expression_numbers
from mien.encoders.standardise import standardise
from mien.expressions import turning
from mien.face.pose import angles
from mien.files import write_text
from mien.types import FloatArray


def fit(numbers: FloatArray, pose: FloatArray) -> dict[str, list[Any]]:
    """Both regressions by least squares: numbers [n, 57], and their heads' (yaw, pitch) [n, 2] in degrees."""

    def regress(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        slope, *_ = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)
        return slope, y.mean(0) - x.mean(0) @ slope

    (turn, _), (read, offset) = regress(pose, numbers), regress(numbers, pose)
    return {
        name: value.round(5).tolist()
        for name, value in (("turn", turn.T), ("read", read.T), ("offset", offset))
    }


def main() -> None:
    """Compute and write ``turning.json``; print how much of held-out heads' pose the numbers betray."""
    parts: dict[bool, list[tuple[FloatArray, FloatArray]]] = {False: [], True: []}
    for source in ("utkface-adults", "lfw-gray"):
        faces = load_faces(source)
        pose = angles(faces.matrix[:, :3, :3])[:, : turning.ANGLES]
        for held_out, part in parts.items():
            rows = split_rows(faces, held_out=held_out)
            told = torch.from_numpy(expression_numbers(faces.blendshapes[rows], faces.landmarks[rows]))
            part.append((standardise(told, "expression").double().numpy(), pose[rows]))
    numbers, pose = (np.concatenate(column) for column in zip(*parts[False], strict=True))
    write_text(turning.FILE, json.dumps(fit(numbers, pose)) + "\n")
    turning._fitted.cache_clear()
    numbers, pose = (np.concatenate(column) for column in zip(*parts[True], strict=True))
    left = pose - turning.predicted_pose(torch.from_numpy(numbers)).numpy()
    r2 = 1 - left.var(0) / pose.var(0)
    print(f"{len(pose)} held-out faces: R² of yaw {r2[0]:.2f}, of pitch {r2[1]:.2f}")


if __name__ == "__main__":
    main()
