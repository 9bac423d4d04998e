"""The frame of an eye, in which lids are curves, and what is measured in it.

An eye's corners lie at (0, 0) and (1, 0), v grows downwards; one unit is the eye's width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_ABOVE,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_ABOVE,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

EYES = (
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_ABOVE, (46, 53, 52, 65, 55), RIGHT_IRIS),
    (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_ABOVE, (285, 295, 282, 283, 276), LEFT_IRIS),
)
STEPS = 128  # of the curves along an eye
_ALONG = np.linspace(0, 1, STEPS + 1)[:, None]
FREE = _ALONG ** [0, 1, 2]  # bases of curves [STEPS + 1, 3]
PINNED = _ALONG * (1 - _ALONG) * FREE


@dataclass(frozen=True)
class Frame:
    """The frame of an eye and its curves v(u) [STEPS + 1] for u from 0 to 1: lids, fold of the upper lid, brow."""

    origin: FloatArray
    across: FloatArray  # [2] px
    down: FloatArray  # [2] px
    upper: FloatArray
    lower: FloatArray
    fold: FloatArray
    brow: FloatArray
    outer: int  # u of the outer corner, 0 or 1

    @property
    def width(self) -> float:
        return math.hypot(*self.across)

    @property
    def lids(self) -> tuple[FloatArray, FloatArray]:
        return self.upper, self.lower

    def within(self, corner: FloatArray, zoom: float = 1.0) -> Frame:
        """The frame in a picture that begins at `corner` [2] px and is `zoom` times as large."""
        return replace(
            self, origin=zoom * (self.origin - corner), across=zoom * self.across, down=zoom * self.down
        )

    def to_eye(self, points: FloatArray) -> FloatArray:
        """Points [..., 2] px → (u, v)."""
        away = (points - self.origin) / self.width**2
        return np.stack([away @ self.across, away @ self.down], -1)

    def to_photo(self, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(u, v) → x, y px."""
        x, y = (
            origin + u * across + v * down  # of Python's floats: float32 stays that
            for origin, across, down in zip(
                self.origin.tolist(), self.across.tolist(), self.down.tolist(), strict=True
            )
        )
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    def grid(self, width: int, height: int) -> tuple[FloatArray, FloatArray]:
        """u and v [height, width] float32 of the pixels of a picture."""
        x, y = (np.arange(n) + 0.5 - first for n, first in zip((width, height), self.origin, strict=True))
        u, v = (
            np.float32(x * axis[0]) + np.float32(y * axis[1])[:, None]
            for axis in (self.across / self.width**2, self.down / self.width**2)
        )
        return u, v

    def box(
        self,
        u: tuple[float, float],
        v: tuple[float, float],
        corner: tuple[int, int],
        shape: tuple[int, ...],
    ) -> tuple[slice, slice] | None:
        """Rows and columns of what lies from u[0] to u[1] and from v[0] to v[1], in a picture of `shape` that begins at
        `corner` px; None for less than 4 px."""
        x, y = self.to_photo(np.repeat(u, 2), np.tile(v, 2))
        columns, rows = (
            slice(max(int(at.min()) - first, 0), min(int(at.max()) - first + 1, size))
            for at, first, size in zip((x, y), corner, shape[1::-1], strict=True)
        )
        few = min(side.stop - side.start for side in (rows, columns)) < 4
        return None if few else (rows, columns)


def frame(landmarks: FloatArray, eye: tuple[tuple[int, ...], ...]) -> Frame:
    upper, lower, above, brow, _ = eye
    outer = int(upper[0] == LEFT_UPPER_LID[0])
    first, last = landmarks[upper[0], :2], landmarks[upper[-1], :2]
    across = last - first
    down = np.array([-across[1], across[0]])
    width = float(across @ across)

    def curves(rows: list[tuple[int, ...]], pinned: list[bool]) -> FloatArray:
        """[n, STEPS + 1] through rows of landmarks that are as many: v = a + b u + c u^2; pinned, that times
        u (1 - u), through the corners."""
        away = (landmarks[rows, :2] - first) / width
        at = np.clip(away @ across, 0, 1)[..., None]
        which = np.array(pinned)[:, None, None]
        bases = np.where(which, at * (1 - at), 1) * at ** [0, 1, 2]
        fitted = np.linalg.pinv(bases, rcond=1e-3) @ (away @ down)[..., None]
        return np.asarray((np.where(which, PINNED, FREE) @ fitted)[..., 0])

    up, low, over = curves([upper[1:-1], lower[1:-1], above], [True, True, False])
    top = np.minimum(up, low)
    fold = np.minimum(over, top - 0.03)
    high = np.minimum(curves([brow], [False])[0], fold - 0.05)
    return Frame(first, across, down, top, low, fold, high, outer)


def ramp(x: FloatArray | float, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = (np.asarray(x) - low) / (high - low)
    t = np.minimum(np.maximum(t, 0), 1)  # on small arrays faster than `clip`
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def brightness(image: FloatArray) -> FloatArray:
    """The sum of the colours of `image` [h, w, 3]; ten times as fast as `image.sum(2)`."""
    return np.asarray(image[..., 0] + image[..., 1] + image[..., 2])


def sample(image: FloatArray | ByteImage, x: FloatArray, y: FloatArray) -> FloatArray:
    """`image` at pixels (x, y), float32 [h, w, 3]."""
    values = cv2.remap(
        image, x - np.float32(0.5), y - np.float32(0.5), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(values, np.float32)


def filled(image: FloatArray, known: FloatArray) -> FloatArray:
    """`image` [h, w, 3] where `known` [h, w] is 1, elsewhere a smooth continuation (normalised convolution, Knutsson
    and Westin 1993, from fine to coarse)."""
    both = np.dstack([known[..., None] * image, known])
    total = both.copy()  # of colours, and of how far they are known
    size = max(image.shape[:2])
    for sigma in (0.02 * size, 0.06 * size, 0.2 * size):
        share = np.clip(1 - total[..., 3:], 0, 1)
        total += share * blurred(both, max(sigma, 0.8))
    *colour, weight = cv2.mean(both)
    mean = np.asarray(colour, np.float32) / np.float32(max(weight, 1e-6))  # where all is far
    return np.asarray((total[..., :3] + 1e-3 * mean) / (total[..., 3:] + 1e-3))


def blurred(image: FloatArray, sigma: float) -> FloatArray:
    """`image` [h, w, ...] float32 blurred by `sigma` px; a wide blur is a smaller copy's, which is faster."""
    height, width = image.shape[:2]
    shrink = int(sigma / 2)
    if min(height, width) < 4 * shrink or shrink < 2:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    small = cv2.resize(image, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / shrink), (width, height)))
