"""How far lips part for blendshapes: the weights of `PARTING` in `warping/lips.py`.

    python -m factory.lips LABELS.npz     # of factory.shapes

The lips' gap over photographs, as a share of the distance between the outer corners of the eyes (9 cm), by ridge
regression on MediaPipe's readings beyond rest; left and right are pooled, and lips that are shut count as 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mien.face.blendshapes import NAMES

FACING = 1.5  # tens of degrees
ACROSS = 9.0  # cm between the outer corners of the eyes
RIDGE = 3.0


def main() -> None:
    """Print the weights, cm per blendshape at 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    with np.load(parser.parse_args().labels, allow_pickle=False) as file:
        facing = np.abs(file["pose"]).max(1) < FACING
        shapes, points = file["shapes"][facing].astype(float), file["landmarks"][facing].astype(float)
    down = points[:, 152] - points[:, 168]
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    eyes = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    gap = np.maximum(((points[:, 14] - points[:, 13]) * down).sum(1) / eyes * ACROSS, 0)
    still = shapes[(shapes[:, [NAMES.index("mouthSmileLeft"), NAMES.index("jawOpen")]] < 0.05).all(1)]
    moves = np.clip(shapes - np.median(still, 0), 0, 1)
    stems: dict[str, list[int]] = {}
    for index, name in enumerate(NAMES):
        if name.startswith(("mouth", "jaw")):
            stem = name.removesuffix("Left").removesuffix("Right") or name
            stems.setdefault(stem if len(stem) > len("mouth") else name, []).append(index)
    x = np.stack([*(moves[:, both].sum(1) for both in stems.values()), np.ones(len(moves))], 1)
    parted = np.ones(len(gap), bool)
    for _ in range(12):  # what is foretold to be shut and is shut has no say
        some = x[parted]
        weight = np.linalg.solve(some.T @ some + RIDGE * np.eye(x.shape[1]), some.T @ gap[parted])
        parted = (x @ weight > 0) | (gap > 0.1)
    left = gap - np.maximum(x @ weight, 0)
    print(f"{len(gap)} photographs, R2 {1 - left.var() / gap.var():.2f}")
    for stem, value in sorted(zip(stems, weight, strict=False), key=lambda one: -abs(one[1])):
        print(f"{stem:18s} {value:5.2f}")


if __name__ == "__main__":
    main()
