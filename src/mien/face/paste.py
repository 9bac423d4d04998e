"""Laying a crop back into the photo it came from, under a soft mask. Pixels outside of it stay as they are."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from mien.face.align import invert, transform_points
from mien.types import ByteImage, FloatArray


def feather(mask: FloatArray, radius: float) -> FloatArray:
    """Soften the edge of a mask [h, w] in [0, 1] inwards: it rises smoothly from 0 at the edge to its value `radius`
    pixels inside. The crop's own border counts as an edge, so that no straight seam is left where a face reaches it."""
    mask = np.asarray(mask, np.float32)
    if radius <= 0:
        return mask
    inside = np.pad(mask > 0, 1)
    depth = np.clip(distance_transform_edt(inside)[1:-1, 1:-1] / (radius + 1), 0, 1)
    return (mask * depth * depth * (3 - 2 * depth)).astype(np.float32)


def paste_back(photo: ByteImage, crop: ByteImage, matrix: FloatArray, mask: FloatArray) -> ByteImage:
    """The photo with the crop blended in. Raises `ValueError`: the mask is not of the crop's size.

    Args:
        photo: [H, W, 3] uint8 RGB; it is not changed.
        crop: [h, w, 3] uint8 RGB.
        matrix: [2, 3] photo px → crop px, as ``align.warp`` was given.
        mask: [h, w] in [0, 1], in the crop's pixels: how much of the crop shows. Feather it first.

    Returns:
        [H, W, 3] uint8; wherever the mask is 0, and outside the crop, bit-identical to `photo`.
    """
    if mask.shape != crop.shape[:2]:
        raise ValueError(f"the mask is {mask.shape}, but the crop is {crop.shape[:2]}")
    out = photo.copy()
    height, width = photo.shape[:2]
    h, w = mask.shape
    corners = transform_points(np.array([[0, 0], [w, 0], [0, h], [w, h]], np.float64), invert(matrix))
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int), 0, (width, height))
    if right <= left or bottom <= top:
        return out
    to_crop = np.array(matrix, np.float64)
    to_crop[:, 2] += to_crop[:, :2] @ np.array([left, top])
    layer, alpha = Image.fromarray(crop), Image.fromarray(np.asarray(mask, np.float32))
    shrink = int(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))
    if shrink > 1:
        layer, alpha = layer.reduce(shrink), alpha.reduce(shrink)
        to_crop /= shrink
    coefficients = tuple(float(v) for v in to_crop.ravel())
    box, method = (int(right - left), int(bottom - top)), Image.Transform.AFFINE
    over = np.asarray(layer.transform(box, method, coefficients, Image.Resampling.BICUBIC), np.float32)
    weight = np.asarray(alpha.transform(box, method, coefficients, Image.Resampling.BILINEAR))[..., None]
    weight = weight.clip(0, 1)
    under = photo[top:bottom, left:right]
    blended = np.round(under + weight * (over - under)).clip(0, 255).astype(np.uint8)
    out[top:bottom, left:right] = np.where(weight > 0, blended, under)
    return out
