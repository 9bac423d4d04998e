"""A made-up face for geometry: 478 points of which the anchors, the oval and the five points are in their
places.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mien.face import align, mask, templates


def flat_landmarks(size: int = align.CROP_SIZE) -> NDArray[np.float64]:
    """[478, 3] px of a canonical crop: a plain face, the oval a circle-like ring around it."""
    points = np.zeros((478, 3))
    points[:, :2] = 0.5
    turn = np.linspace(0, 2 * np.pi, len(mask.OVAL), endpoint=False)
    points[list(mask.OVAL), :2] = 0.5 + 0.42 * np.stack([np.sin(turn), -np.cos(turn)], axis=1)
    points[list(templates.LEFT_EYE), :2] = [0.323, 0.298]
    points[list(templates.RIGHT_EYE), :2] = [0.680, 0.298]
    points[list(align.ANCHORS), :2] = align.ANCHOR_PLACES
    points[templates.NOSE_TIP, :2] = [0.5, 0.5]
    points[list(templates.MOUTH_CORNERS), :2] = [[0.37, 0.70], [0.63, 0.70]]
    return points * size


def rng_landmarks(seed: int = 0) -> NDArray[np.float64]:
    """`flat_landmarks` turned, scaled, moved and shaken: [478, 3] px of a photo about 256 px wide."""
    rng = np.random.default_rng(seed)
    points = flat_landmarks() + rng.normal(0, 0.6, (478, 3))
    move = align.box_matrix(np.array([60, 50, 190, 180]), angle=float(rng.uniform(-30, 30)))
    return align.transform_points(points, align.invert(move))


def lms_ratios(points: NDArray[np.float64]) -> list[float]:
    """EmojiDiff Eqs. 2-3, transcribed point by point: an oracle."""

    def length(a: int, b: int) -> float:
        return math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1])

    return [
        length(145, 159) / max(1e-5, length(133, 33)),
        length(133, 468) / max(1e-5, length(133, 33)),
        length(374, 386) / max(1e-5, length(263, 362)),
        length(263, 473) / max(1e-5, length(263, 362)),
        length(17, 0) / max(1e-5, length(291, 61)),
    ]
