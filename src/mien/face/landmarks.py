"""Which of the 478 landmarks is what, and what is measured between them.

Indices are MediaPipe's face mesh (0 to 467) and its irises (468 to 477). "Left" and "right" below are as the LMS
equations write them, which is the picture's side: ``leye`` is the eye on the picture's left (the person's right).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

LEFT_IRIS, RIGHT_IRIS = 468, 473  # centres

# Outer corner, inner corner of the eye on the picture's right, then on its left; then the base of the nose:
# dlib's order of five points.
FIVE_POINTS = (263, 362, 33, 133, 2)

# EmojiDiff Eqs. 2-3: name, the two ends of the numerator, the two ends of the denominator.
LMS_RATIOS: tuple[tuple[str, tuple[int, int], tuple[int, int]], ...] = (
    ("leye", (145, 159), (133, 33)),
    ("lpupil", (133, 468), (133, 33)),
    ("reye", (374, 386), (263, 362)),
    ("rpupil", (263, 473), (263, 362)),
    ("mouth", (17, 0), (291, 61)),
)
LMS_NAMES = tuple(name for name, _, _ in LMS_RATIOS)
SMALLEST_LENGTH = 1e-5  # px; the equations' guard against dividing by nothing

_TOP = np.array([above for _, above, _ in LMS_RATIOS])  # [5, 2]
_BOTTOM = np.array([below for _, _, below in LMS_RATIOS])  # [5, 2]


def lms_ratios(landmarks: FloatArray) -> FloatArray:
    """The five ratios of EmojiDiff Eqs. 2-3, in the order of `LMS_NAMES`.

    Args:
        landmarks: [..., 478, 2 or 3] px. Only x and y are used: the equations speak of points in pixels.

    Returns:
        [..., 5] float64, each 0 or more: how open each eye is, where each iris is (0.5 looks straight ahead),
        how open the mouth is.
    """
    points = np.asarray(landmarks, np.float64)[..., :2]
    above = np.linalg.norm(points[..., _TOP[:, 0], :] - points[..., _TOP[:, 1], :], axis=-1)
    below = np.linalg.norm(points[..., _BOTTOM[:, 0], :] - points[..., _BOTTOM[:, 1], :], axis=-1)
    return above / np.maximum(SMALLEST_LENGTH, below)


def lms_ratios_torch(landmarks: Tensor) -> Tensor:
    """`lms_ratios` for torch: [b, 478, 2 or 3] px → [b, 5], differentiable, also where points coincide."""
    import torch

    points = landmarks[..., :2]
    above = torch.linalg.vector_norm(points[..., _TOP[:, 0], :] - points[..., _TOP[:, 1], :], dim=-1)
    below = torch.linalg.vector_norm(points[..., _BOTTOM[:, 0], :] - points[..., _BOTTOM[:, 1], :], dim=-1)
    return above / below.clamp_min(SMALLEST_LENGTH)


def eye_distance(landmarks: FloatArray) -> FloatArray:
    """Distance in px between the centres of the irises: [..., 478, 2 or 3] → [...]."""
    points = np.asarray(landmarks, np.float64)[..., :2]
    return np.linalg.norm(points[..., LEFT_IRIS, :] - points[..., RIGHT_IRIS, :], axis=-1)


def bounding_box(landmarks: FloatArray) -> FloatArray:
    """The upright box [..., 4] (x0, y0, x1, y1 px) around landmarks [..., 478, 2 or 3]."""
    points = np.asarray(landmarks, np.float64)[..., :2]
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)
