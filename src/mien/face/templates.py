"""How recognisers and generators frame a face: ArcFace's 112 x 112 template and FFHQ's alignment.

Both are given as a similarity [2, 3] from pixels of the photo to pixels of the crop, for ``align.warp``.
"""

from __future__ import annotations

import numpy as np

from mien.face.align import similarity
from mien.types import FloatArray

ARCFACE_SIZE = 112
FFHQ_SIZE = 1024

# insightface's `arcface_dst` (Deng et al. 2019): eyes, nose tip and mouth corners, from the picture's left
# to its right, in pixels of the 112 x 112 crop.
ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float64,
)

# MediaPipe's points around each eye (on the picture's left, then right), the nose's tip, and the mouth's
# corners.
LEFT_EYE = (33, 160, 158, 133, 153, 144)
RIGHT_EYE = (362, 385, 387, 263, 373, 380)
NOSE_TIP = 1
MOUTH_CORNERS = (61, 291)


def five_points(landmarks: FloatArray) -> FloatArray:
    """ArcFace's five points [5, 2] px of landmarks [478, 2 or 3]: centres of the eyes, nose tip, mouth corners. An
    eye's centre is the mean of six points of its outline, so that it does not follow the gaze."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    eyes = [points[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, points[NOSE_TIP], *points[list(MOUTH_CORNERS)]])


def arcface_matrix(landmarks: FloatArray, size: int = ARCFACE_SIZE) -> FloatArray:
    """[2, 3]: photo px → px of ArcFace's crop of `size`, from landmarks [478, 2 or 3] or five points [5, 2]."""
    points = np.asarray(landmarks, np.float64)
    five = points[:, :2] if len(points) == len(ARCFACE) else five_points(points)
    return similarity(five, ARCFACE * (size / ARCFACE_SIZE))


def ffhq_matrix(landmarks: FloatArray, size: int = FFHQ_SIZE) -> FloatArray:
    """[2, 3]: photo px → px of an FFHQ-style crop of `size`, from landmarks [478, 2 or 3].

    The square of `align_faces` in NVlabs/ffhq-dataset (Karras et al. 2019, appendix A): its direction is the mean of
    the line between the eyes and the perpendicular to eyes-mouth, its half side max(2 · eyes, 1.8 · eyes-mouth), its
    centre a tenth of the way from the eyes to the mouth.
    """
    left, right, _, mouth_left, mouth_right = five_points(landmarks)
    between_eyes = right - left
    eyes = (left + right) / 2
    eyes_to_mouth = (mouth_left + mouth_right) / 2 - eyes
    x = between_eyes - np.array([-eyes_to_mouth[1], eyes_to_mouth[0]])
    x *= max(np.hypot(*between_eyes) * 2.0, np.hypot(*eyes_to_mouth) * 1.8) / np.hypot(*x)
    y = np.array([-x[1], x[0]])
    centre = eyes + eyes_to_mouth * 0.1
    corners = np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])
    return similarity(corners, np.array([[0, 0], [0, size], [size, size], [size, 0]], np.float64))
