"""Where the face is in a picture, as a mask [H, W] float32 in [0, 1], from its landmarks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.types import ByteImage, FloatArray, InputError

# MediaPipe's face oval, clockwise in the image from the top of the forehead.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Neither skin: an eye with its brow, on each side, and the lips; the convex hull of each is left out.
FEATURES = (
    (33, 133, 159, 145, 46, 53, 52, 65, 55, 107, 66, 105, 63, 70),
    (263, 362, 386, 374, 276, 283, 282, 295, 285, 336, 296, 334, 293, 300),
    (61, 291, 0, 17, 37, 267, 84, 314, 40, 270, 91, 321),
)
BLACK = 12  # grey levels: JPEG's ringing beside an edge
SUPERSAMPLING = 8  # halved for a polygon of over 512 px, and again over 2048 px


def face_mask(landmarks: FloatArray, width: int, height: int, grow: float = 0.0) -> FloatArray:
    """The face's oval, antialiased: [height, width] float32, 1 inside, 0 outside, the covered share on its edge.
    landmarks: [478, 2 or 3] px of the picture. width, height: of the picture, px. grow: moves the edge outwards (or,
    negative, inwards) by this share of the oval's radius at every point."""
    oval = np.asarray(landmarks, np.float64)[list(OVAL), :2]
    centre = oval.mean(0)
    return polygon_mask(centre + (oval - centre) * (1 + grow), width, height)


def skin_mask(landmarks: FloatArray, width: int, height: int) -> NDArray[np.bool_]:
    """Where a face's skin is for certain, [height, width]: the oval, a tenth smaller, without eyes, brows and lips.
    landmarks: [478, 2 or 3] px of the picture. width, height: of the picture, px."""
    mask = (face_mask(landmarks, width, height, grow=-0.1) > 0.5).astype(np.uint8)
    for part in FEATURES:
        hull = cv2.convexHull(np.asarray(landmarks)[list(part), :2].astype(np.float32))
        cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 0)
    return mask > 0


def shown_mask(picture: ByteImage) -> NDArray[np.bool_]:
    """Where a picture [H, W, 3] uint8 shows something: [H, W], False in the black corners that an alignment has left.
    They are what is black (at most `BLACK`) and hangs together with a corner of the picture."""
    black = (picture.max(2) <= BLACK).astype(np.uint8)
    _, parts = cv2.connectedComponents(black, connectivity=4)
    corners = np.unique(parts[[0, 0, -1, -1], [0, -1, 0, -1]])
    return ~np.isin(parts, corners[corners > 0])


def polygon_mask(polygon: FloatArray, width: int, height: int) -> FloatArray:
    """A polygon [n, 2] px as an antialiased mask [height, width] float32 (64 samples a pixel; fewer where it is large).
    Raises `InputError`: the polygon holds NaN or infinite numbers."""
    if not np.isfinite(polygon).all():
        raise InputError("A mask cannot be drawn: the landmarks hold NaN or infinite numbers.")
    mask = np.zeros((height, width), np.float32)
    left, top = np.clip(np.floor(polygon.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(polygon.max(0)).astype(int) + 1, 0, (width, height))
    if right <= left or bottom <= top:
        return mask
    longest = max(right - left, bottom - top)
    n = SUPERSAMPLING // (1 if longest <= 512 else 2 if longest <= 2048 else 4)
    patch = Image.new("L", ((right - left) * n, (bottom - top) * n), 0)
    # Pillow fills the samples whose centres, at whole numbers, lie inside.
    points = (polygon - (left, top)) * n - 0.5
    ImageDraw.Draw(patch).polygon([(float(x), float(y)) for x, y in points], fill=255)
    mask[top:bottom, left:right] = np.asarray(patch.reduce(n), np.float32) / 255
    return mask
