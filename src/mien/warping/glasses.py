"""Where the upper rims of glasses run: what lies in front of a lid must not be drawn over."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    IndexArray,
)

COLUMNS = 150  # of the strip between the outer corners of the eyes
BESIDE, ABOVE, BELOW = 0.12, 0.2, 0.1  # margins of the strip, of that distance
BRIDGE = slice(80, 106)  # its columns, above the nose
STEEPEST = 2  # rows per column that a rim rises or falls
DISTINCT = 0.14  # least contrast of a bridge, in log-luminance: skin has no such line there


@dataclass(frozen=True)
class Rim:
    """share: how surely each cell of the strip shows a rim, [rows, COLUMNS + margins] of 0 to 1. matrix: [2, 3], cells
    (column, row) → px of the photo."""

    share: FloatArray
    matrix: FloatArray

    def at(self, x0: int, y0: int, width: int, height: int) -> FloatArray:
        """`share` at the pixels of a box of the photo, [height, width]."""
        matrix = self.matrix - [[0, 0, x0], [0, 0, y0]]
        return np.asarray(cv2.warpAffine(self.share, matrix, (width, height), flags=cv2.INTER_LINEAR))


def upper_rim(image: ByteImage, landmarks: FloatArray) -> Rim | None:
    """The rim that runs from temple to temple across the bridge of the nose, or None without glasses.

    It is the path of most contrast from left to right of the strip in which the eyes lie, found by dynamic programming.

    Args:
        image: the photo [H, W, 3] uint8. landmarks: [478, 3] px.
    """
    first, last = landmarks[33, :2], landmarks[263, :2]
    across = (last - first) / COLUMNS
    down = np.array([-across[1], across[0]])
    columns, rows = round((1 + 2 * BESIDE) * COLUMNS), round((ABOVE + BELOW) * COLUMNS)
    corner = first - BESIDE * COLUMNS * across - ABOVE * COLUMNS * down
    matrix = np.column_stack([across, down, corner + (across + down) / 2 - 0.5])
    sigma = 0.4 * float(np.linalg.norm(across))
    left, top = (max(int(v), 0) for v in corner - 0.2 * COLUMNS * np.abs(down[0]) - 8)
    size = int(np.hypot(columns, rows) * np.linalg.norm(across)) + 16
    part = cv2.cvtColor(image[top : top + size, left : left + size], cv2.COLOR_RGB2GRAY)
    part = cv2.GaussianBlur(part, (0, 0), sigma) if sigma > 0.5 else part
    strip = cv2.warpAffine(
        part,
        matrix - [[0, 0, left], [0, 0, top]],
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    grey = np.log(strip.astype(np.float32) + 12)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    dark, bright = (cv2.morphologyEx(grey, how, kernel) for how in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
    line = np.minimum(np.maximum(dark, 0.7 * bright), 0.5)
    if np.percentile(line[:, BRIDGE].max(0), 20) < DISTINCT:
        return None
    to_strip = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        outline = landmarks[list(upper + lower[::-1]), :2] @ to_strip[:, :2].T + to_strip[:, 2]
        lashes = cv2.fillPoly(np.zeros(line.shape, np.uint8), [np.round(outline).astype(np.int32)], 1)
        line[cv2.dilate(lashes, np.ones((7, 7), np.uint8)) > 0] = 0
    path = _path(line)
    along = line[path, np.arange(columns)]
    if np.percentile(along[BRIDGE], 20) < DISTINCT:
        return None
    away = np.abs(np.arange(rows)[:, None] - path)
    near = cv2.dilate(line, np.ones((3, 3), np.uint8))
    share = np.clip((3.5 - away) / 1.5, 0, 1) * np.clip((near - 0.06) / 0.1, 0, 1)
    return Rim(np.asarray(share, np.float32), matrix)


def _path(line: FloatArray) -> IndexArray:
    """The row of most contrast in each column of `line` [rows, columns], as one path."""
    rows, columns = line.shape
    best, back = line[:, 0].copy(), np.zeros(line.shape, np.int64)
    steps = np.arange(-STEEPEST, STEEPEST + 1)
    cost = 0.04 * np.abs(steps)[:, None]
    at = np.arange(rows) + np.arange(2 * STEEPEST + 1)[:, None]
    for k in range(1, columns):
        choices = np.pad(best, STEEPEST, constant_values=-9)[at] - cost
        back[:, k] = choices.argmax(0) - STEEPEST
        best = choices.max(0) + line[:, k]
    path = np.empty(columns, np.int32)
    path[-1] = best.argmax()
    for k in range(columns - 1, 0, -1):
        path[k - 1] = path[k] + back[path[k], k]
    return path
