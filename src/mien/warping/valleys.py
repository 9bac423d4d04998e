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
from numpy.typing import NDArray

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import ramp
from mien.warping.mesh import IndexArray

# Sigmas of blurs along a fold, px of the folds' texture: of what goes; of what makes it a fold.
ALONG = (1.0, 3.5)
THIN = 0.4  # the same across it
GOES_ON = 0.4, 0.7  # of its depth, that a fold keeps under the longer blur; moles and hair do not
FAINT = 0.01  # log-luminance: of noise
# log-luminance of what fades of a fold, from which its finest line goes, and the step to all of it; px of that filter
CORE, MEDIAN = (0.02, 0.1), 5
HAIRY = 0.035, 0.05  # mean of what that takes, against the skin: from the first on it is hair, and no line


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
        tuple(np.radians(np.arange(60, 161, 20)).tolist()), 6.0,
    ),
    Region(  # beside the eye's corner and below it
        ((37, 58), (32, 54), (27, 57), (25, 64), (27, 72), (33, 79), (42, 81), (46, 76), (40, 71), (37, 65)),
        tuple(np.radians(np.arange(-45, 31, 25)).tolist()), 3.0,
    ),
)  # fmt: skip
SOFT = 2.0  # px: of its edge
MARGIN = 12  # px around it


def valleys(log: FloatArray, region: Region, zoom: int) -> FloatArray:
    """How deep below the skin on both sides of it each place of `log` [h, w] lies, where a valley runs along one of the
    region's tangents. zoom: texels a px."""
    height, width = log.shape
    side = int(np.hypot(height, width)) + 1
    across = np.ones((2 * round(region.across * zoom) + 1, 1), np.uint8)
    deepest = np.zeros_like(log)
    for tangent in region.tangents:  # which runs from left to right once the picture is turned
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(tangent)), 1.0)
        turned[:, 2] += [(side - width) / 2, (side - height) / 2]
        there = np.asarray(
            cv2.warpAffine(log, turned, (side, side), borderMode=cv2.BORDER_REPLICATE), np.float32
        )
        depth, long = (_filled(there, sigma * zoom, THIN * zoom, across) for sigma in ALONG)
        depth *= ramp(long / (depth + FAINT), *GOES_ON)
        here = cv2.warpAffine(depth, turned, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        np.maximum(deepest, here, out=deepest)
    return deepest


def _filled(log: FloatArray, along: float, thin: float, across: NDArray[np.uint8]) -> FloatArray:
    blurred = cv2.GaussianBlur(log, (0, 0), sigmaX=along, sigmaY=thin, borderType=cv2.BORDER_REPLICATE)
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


def without_core(pixels: ByteImage, log: FloatArray, core: int) -> ByteImage:
    """`pixels` [h, w, 3] without what is finer than the texture of the folds that went, by `log` [h, w], except among
    hair; in place. `core`: px of its largest width, odd."""
    x, y, width, height = cv2.boundingRect((log > CORE[0]).astype(np.uint8))
    if width == 0:
        return pixels
    part = np.s_[y : y + height, x : x + width]
    fine, zoom = pixels[part], min(MEDIAN / core, 1.0)  # larger ones take six times as long
    few = [max(round(zoom * side), 1) for side in (width, height)]
    even = cv2.medianBlur(cv2.resize(fine, few, interpolation=cv2.INTER_AREA), min(core, MEDIAN))
    even = np.asarray(cv2.resize(even, (width, height)), np.uint8)
    green = even[..., 1].astype(np.float32)
    rough = cv2.blur(np.abs(fine[..., 1] - green) / (green + 8), (2 * core + 1, 2 * core + 1))
    share = np.clip((log[part] - CORE[0]) / CORE[1], 0, 1)
    share *= np.clip((HAIRY[1] - rough) / (HAIRY[1] - HAIRY[0]), 0, 1)
    pixels[part] = cv2.blendLinear(even, fine, share, 1 - share)
    return pixels
