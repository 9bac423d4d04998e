"""The canonical crop of the embedded models, and similarity transforms between a photo and a crop.

The crop is 128 x 128 pixels: the eyes' corners and the base of the nose, which hardly move with an expression, are laid
on fixed places by the least-squares similarity (Umeyama 1991). Roll, scale and position are therefore removed; yaw,
pitch and the expression stay.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from mien.types import ByteImage, Face, FloatArray

CROP_SIZE = 128

# Outer and inner eye corners and the base of the nose: MediaPipe's indices, and their places as a share of the crop.
ANCHORS = (33, 133, 362, 263, 2)
ANCHOR_PLACES = np.array(
    [[0.245, 0.291], [0.401, 0.305], [0.602, 0.305], [0.758, 0.291], [0.500, 0.566]], dtype=np.float64
)


def similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """Least-squares similarity [2, 3] that maps points `source` [n, 2] onto `target` [n, 2] (Umeyama 1991). Raises
    `ValueError`: the source points coincide, so no scale can be found."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_source, mean_target = source.mean(0), target.mean(0)
    centred_source, centred_target = source - mean_source, target - mean_target
    variance = (centred_source**2).sum() / len(source)
    if variance < 1e-12:
        raise ValueError("cannot align: the points coincide")
    u, singular, vt = np.linalg.svd(centred_target.T @ centred_source / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (singular * sign).sum() / variance
    linear = scale * rotation
    return np.concatenate([linear, (mean_target - linear @ mean_source)[:, None]], axis=1)


def crop_matrix(landmarks: FloatArray, size: int = CROP_SIZE) -> FloatArray:
    """[2, 3] float64: pixels of the photo → pixels of its canonical crop. `landmarks` is [478, 2 or 3] px."""
    return similarity(landmarks[list(ANCHORS), :2], ANCHOR_PLACES * size)


def box_matrix(box: FloatArray, angle: float = 0.0, size: int = CROP_SIZE) -> FloatArray:
    """[2, 3]: photo → crop for a square around `box` (xyxy px), turned upright by `angle` degrees (clockwise tilt)."""
    x0, y0, x1, y1 = (float(v) for v in box)
    scale = size / max(x1 - x0, y1 - y0)
    radians = np.deg2rad(-angle)
    linear = scale * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return np.concatenate([linear, (size / 2 - linear @ centre)[:, None]], axis=1)


def cropped(image: Image.Image, face: Face, size: int = 256) -> Image.Image:
    """The canonical crop of one face, PIL RGB [size, size]: faces so shown can be compared at a glance."""
    return Image.fromarray(warp(np.asarray(image.convert("RGB")), crop_matrix(face.landmarks, size), size))


def invert(matrix: FloatArray) -> FloatArray:
    """The inverse [2, 3] of an affine [2, 3]."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -(linear @ matrix[:, 2])[:, None]], axis=1)


def transform_points(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Apply a similarity [2, 3] to [n, 2] or [n, 3] points; a third coordinate is scaled along, never turned."""
    points = np.asarray(points, np.float64)
    moved = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    if points.shape[1] == 2:
        return moved
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return np.concatenate([moved, points[:, 2:] * scale], axis=1)


def warp(image: ByteImage, matrix: FloatArray, size: int = CROP_SIZE) -> ByteImage:
    """Resample HWC uint8 RGB into a [size, size, 3] crop; `matrix` maps photo to crop pixels. Shrinking is antialiased
    (the part that is needed is first reduced by an area mean); places outside the photo repeat its nearest edge pixel.
    """
    height, width = image.shape[:2]
    corners = transform_points(np.array([[0, 0], [size, 0], [0, size], [size, size]], float), invert(matrix))
    margin = 4 + int(np.ceil(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))))
    left, top = np.floor(corners.min(0)).astype(int) - margin
    right, bottom = np.ceil(corners.max(0)).astype(int) + margin
    part = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if part.shape[:2] != (bottom - top, right - left):
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        part = image[rows][:, np.clip(np.arange(left, right), 0, width - 1)]
    patch = Image.fromarray(np.ascontiguousarray(part))
    to_photo = invert(matrix)
    shrink = int(np.sqrt(abs(np.linalg.det(to_photo[:, :2]))))
    if shrink > 1:
        patch = patch.reduce(shrink)
    else:
        shrink = 1
    inverse = to_photo / shrink
    inverse[:, 2] -= np.array([left, top]) / shrink
    coefficients = tuple(float(v) for v in inverse.ravel())
    out = patch.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(out)
