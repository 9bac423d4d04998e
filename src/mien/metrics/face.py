"""How alike two faces are: expression, identity, pose, pixels, and what was copied. Pure functions of arrays.

Every function takes one pair or a batch of pairs (leading dimensions [...] that broadcast) and gives one
float64 a pair. Directions, ranges, units and sources are in `mien.metrics.registry`.

Glossary: b blendshapes [..., 52] in [0, 1]; r the five ratios [..., 5]; φ a recogniser's embedding [..., d].
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from mien.face.align import crop_matrix, warp
from mien.face.landmarks import lms_ratios
from mien.face.pose import difference
from mien.types import Face, FloatArray

# Below these distances between two inputs nothing tells which was copied, and `copy_paste` fades to 0.
SMALLEST_EXPRESSION = 0.02  # Exp
SMALLEST_POSE = 5.0  # degrees
SMALLEST_APPEARANCE = 0.02  # of the range from black to white
SMALLEST_IDENTITY = 0.1  # dlib's distance; pictures of two people are 0.6 or more apart

APPEARANCE_GRID = 8


def exp(reference: FloatArray, result: FloatArray) -> FloatArray:
    """Exp: mean over the 52 of |b_ref - b_gen|, in [0, 1] (EmojiDiff Eq. 1, in the scale of its tables)."""
    return _blendshape_differences(reference, result).mean(axis=-1)


def exp_sum(reference: FloatArray, result: FloatArray) -> FloatArray:
    """Sum over the 52 of |b_ref - b_gen|, in [0, 52] (EmojiDiff Eq. 1 as it is written)."""
    return _blendshape_differences(reference, result).sum(axis=-1)


def lms_differences(reference: FloatArray, result: FloatArray) -> FloatArray:
    """|r_ref - r_gen| [..., 5] of landmarks [..., 478, 2 or 3] px, in the order of `landmarks.LMS_NAMES`."""
    return np.abs(lms_ratios(reference) - lms_ratios(result))


def lms(reference: FloatArray, result: FloatArray) -> FloatArray:
    """LMS, 0 or more: the sum of the five |r_ref - r_gen| (EmojiDiff Eqs. 2-3) of [..., 478, 2+] px."""
    return lms_differences(reference, result).sum(axis=-1)


def id_similarity(a: FloatArray, b: FloatArray) -> FloatArray:
    """ID: cos(φ(a), φ(b)) of embeddings [..., d], in [-1, 1] (EmojiDiff supplement, Table 1). Raises `ValueError`: an
    embedding is all zeros, so it has no direction."""
    a, b = _vectors(a, b)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    if (lengths == 0).any():
        raise ValueError("an embedding of zeros has no direction to compare")
    return np.clip((a * b).sum(axis=-1) / lengths, -1.0, 1.0)


def id_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """‖φ(a) - φ(b)‖ of embeddings [..., d], 0 or more: what dlib compares with 0.6."""
    a, b = _vectors(a, b)
    return np.linalg.norm(a - b, axis=-1)


def expression_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """Euclidean distance of expression embeddings [..., d], 0 or more (DiffSFSR 4: Exp)."""
    a, b = _vectors(a, b)
    return np.linalg.norm(a - b, axis=-1)


def pose_error(a: FloatArray, b: FloatArray) -> FloatArray:
    """Distance of (yaw, pitch, roll) [..., 3] in degrees, each the short way round (DiffSFSR 4: Pose)."""
    return np.linalg.norm(difference(a, b), axis=-1)


def appearance(image: Image.Image, face: Face) -> FloatArray:
    """Coarse colours of the aligned face: [192] float64 in [0, 1], the means of 8 x 8 tiles of its crop. Pose in the
    plane, size and place are gone; skin, light, hair line and the ground behind remain."""
    crop = warp(np.asarray(image.convert("RGB")), crop_matrix(face.landmarks))
    side = crop.shape[0] // APPEARANCE_GRID
    tiles = crop.reshape(APPEARANCE_GRID, side, APPEARANCE_GRID, side, 3).mean(axis=(1, 3), dtype=np.float64)
    return tiles.ravel() / 255.0


def copy_paste(
    to_wanted: FloatArray, to_source: FloatArray, apart: FloatArray, smallest: float
) -> FloatArray:
    """How much was copied from a picture that should not have given it, in [-1, 1].

    With any distance d that keeps the triangle inequality::

        copy = (d(result, wanted) - d(result, source)) / max(d(wanted, source), smallest)

    1: the result equals the source (all was copied). -1: it equals the wanted one. 0: it is as far from both.
    Definition: ours. For inputs that are nearly alike (`apart` below `smallest`) it fades to 0, for nothing can be told
    then.

    Args:
        to_wanted: d(result, wanted) [...]. to_source: d(result, source). apart: d(wanted, source). smallest: above 0.
    """
    if smallest <= 0:
        raise ValueError("the smallest distance must be above 0")
    share = (np.asarray(to_wanted) - np.asarray(to_source)) / np.maximum(apart, smallest)
    return np.clip(share, -1.0, 1.0)  # the bound holds but for rounding


def _blendshape_differences(reference: FloatArray, result: FloatArray) -> FloatArray:
    reference, result = np.asarray(reference, np.float64), np.asarray(result, np.float64)
    if reference.shape[-1] != 52 or result.shape[-1] != 52:
        raise ValueError(f"blendshapes are [..., 52], got {reference.shape} and {result.shape}")
    return np.abs(reference - result)


def _vectors(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"embeddings must have one width, got {a.shape} and {b.shape}")
    return a, b
