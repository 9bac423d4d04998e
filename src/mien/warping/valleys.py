"""Valleys of shade on cheeks and beside eyes: the folds, dimples and crow's feet of a smile, which go with it.

A fold beside the nose has its place, but dimples and the folds round them lie anywhere on a cheek. What they have in
common is about which way they run, and that skin on both sides of them is brighter: a closing (Serra 1982) along a
line across them fills them to the darker side. What is dark on one side only, a beard or the shade of a face, stays;
so do moles, which are no longer along a fold than across it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from mien.types import FloatArray
from mien.warping.eye_frame import ramp
from mien.warping.mesh import IndexArray

ALONG = (
    1.0,
    3.5,
)  # sigmas of blurs along a fold, px of the folds' texture: of what goes; of what makes it a fold
THIN = 0.4  # the same across it
GOES_ON = 0.4, 0.7  # of its depth, that a fold keeps under the longer blur; moles and hair do not
FAINT = 0.01  # log-luminance: of noise


@dataclass(frozen=True)
class Region:
    """Where on the picture's left a smile folds skin; the other side is its mirror image.

    Attributes:
        outline: px of the folds' texture. tangents: of its folds, radians from right over down. across: px, half of the
        width of what is filled.
    """

    outline: tuple[tuple[int, int], ...]
    tangents: tuple[float, ...]
    across: float


REGIONS = (
    Region(  # from the nose's wing round the mouth's corner to the jaw
        (
            (79, 95), (73, 99), (71, 105), (73, 113), (74, 117), (70, 121), (65, 128), (64, 137), (66, 147),
            (62, 158), (55, 162), (48, 156), (42, 144), (40, 130), (40, 114), (46, 102), (58, 94), (70, 88),
        ),
        tuple(np.radians(np.arange(60, 166, 15)).tolist()), 6.0,
    ),
    Region(  # beside the eye's corner and below it
        ((37, 58), (32, 54), (27, 57), (25, 64), (27, 72), (33, 79), (42, 81), (46, 76), (40, 71), (37, 65)),
        tuple(np.radians(np.arange(-45, 31, 15)).tolist()), 3.0,
    ),
)  # fmt: skip
SOFT = 2.0  # px: of its edge
MARGIN = 12  # px around it


def valleys(log: FloatArray, region: Region, zoom: float) -> FloatArray:
    """How deep below the skin on both sides of it each place of `log` [h, w] lies, where a valley runs along one of the
    region's tangents. zoom: texels a px."""
    deepest = np.zeros_like(log)
    for tangent in region.tangents:
        across = _line(tangent + np.pi / 2, 2 * region.across * zoom)
        depth, long = (_filled(log, _along(tangent, sigma * zoom, THIN * zoom), across) for sigma in ALONG)
        np.maximum(deepest, depth * ramp(long / (depth + FAINT), *GOES_ON), out=deepest)
    return deepest


def _filled(log: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    blurred = cv2.filter2D(log, -1, along, borderType=cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(blurred, cv2.MORPH_CLOSE, across, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(closed - blurred, np.float32)


def of_smile(
    log: FloatArray, region: Region, mirrored: bool, zoom: int
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """The valleys of a smile in one region of a face's log-luminance `log` [h, w]: rows [p], columns [p], depths [p].
    mirrored: on the picture's right. zoom: texels for a px of the folds' texture."""
    share, (top, left) = _inside(region, zoom)
    height, width = share.shape
    around = np.s_[top : top + height, left : left + width]
    face = np.ascontiguousarray(log[:, ::-1][around] if mirrored else log[around])
    depth = share * valleys(face, region, zoom)
    rows, columns = (np.asarray(at, np.int32) for at in np.nonzero(share))
    across = log.shape[1] - 1 - left - columns if mirrored else left + columns
    return rows + np.int32(top), across, np.asarray(depth[rows, columns], np.float32)


@lru_cache(maxsize=4)
def _inside(region: Region, zoom: int) -> tuple[FloatArray, tuple[int, int]]:
    """How much of each texel around a region belongs to it [h, w], 0 to 1, and the row and column of the first."""
    outline = np.array(region.outline)
    left, top = outline.min(0) - MARGIN
    width, height = outline.max(0) + MARGIN - (left, top)
    mask = np.zeros((height * zoom, width * zoom), np.float32)
    cv2.fillPoly(mask, [((outline - (left, top)) * zoom).astype(np.int32)], 1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), SOFT * zoom), np.float32)
    soft[soft < 0.01] = 0
    return soft, (int(top) * zoom, int(left) * zoom)


@lru_cache(maxsize=32)
def _along(tangent: float, sigma: float, thin: float) -> FloatArray:
    """A blur [n, n] by `sigma` texels along a tangent and `thin` across it."""
    reach = int(2.5 * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(tangent) + y * np.sin(tangent), y * np.cos(tangent) - x * np.sin(tangent)
    kernel = np.exp(-((along / sigma) ** 2 + (across / thin) ** 2) / 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


@lru_cache(maxsize=32)
def _line(angle: float, length: float) -> FloatArray:
    """A line [n, n] of ones through the middle."""
    reach = round(length / 2)
    end = np.round(reach * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    line = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    first, last = ((reach + sign * end).tolist() for sign in (-1, 1))
    return np.asarray(cv2.line(line, first, last, 1))
