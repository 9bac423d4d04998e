"""MediaPipe's face mesh: which of the 478 landmarks is what. The one place that knows.

Rows of landmarks run from the subject's right to their left (from the picture's left to its right).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.face.mask import OVAL as OVAL

IndexArray = NDArray[np.int32]

RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_LOWER_LID = (362, 382, 381, 380, 374, 373, 390, 249, 263)
# The skin just above the upper lid's landmarks and below the lower lid's, corners left out.
RIGHT_ABOVE, RIGHT_BELOW = (247, 30, 29, 27, 28, 56, 190), (25, 110, 24, 23, 22, 26, 112)
LEFT_ABOVE, LEFT_BELOW = (414, 286, 258, 257, 259, 260, 467), (341, 256, 252, 253, 254, 339, 255)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)  # centre first
UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # inner contours
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
# What an expression hardly moves: eye corners, bridge and base of the nose, temples, upper cheek edges.
STEADY = (33, 133, 362, 263, 168, 6, 197, 2, 98, 327, 127, 356, 234, 454)


@lru_cache(maxsize=1)
def triangles() -> IndexArray:
    """[852, 3] int32; the openings of the eyes and of the mouth are holes."""
    with np.load(Path(__file__).with_name("face_mesh.npz"), allow_pickle=False) as file:
        return np.asarray(file["triangles"], np.int32)


def strip(first: tuple[int, ...], second: tuple[int, ...]) -> IndexArray:
    """Triangles [m, 3] between two rows of as many landmarks that share their ends."""
    a, b = np.array(first), np.array(second)
    both = np.concatenate([np.stack([a[:-1], a[1:], b[:-1]], 1), np.stack([a[1:], b[1:], b[:-1]], 1)])
    distinct = (both[:, 0] != both[:, 1]) & (both[:, 1] != both[:, 2]) & (both[:, 0] != both[:, 2])
    return both[distinct].astype(np.int32)
