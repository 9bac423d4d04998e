"""The one hue of a grey or toned photo, which everything that is laid into it gets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray

ONE_HUE = 5.0  # grey levels (95th percentile) away from the hue of a toned photo


@dataclass(frozen=True)
class Tint:
    """The hue of a photo that has only one: RGB [256, 3] float32 of each grey value."""

    table: FloatArray

    def apply(self, grey: FloatArray) -> FloatArray:
        """Grey values [h, w] 0 to 255 → RGB [h, w, 3]."""
        low = np.clip(grey, 0, 254.999)
        index = low.astype(np.int32)
        share = (low - index)[..., None]
        return self.table[index] * (1 - share) + self.table[index + 1] * share


def tint(image: ByteImage) -> Tint | None:
    """The one hue of a grey or toned photo [H, W, 3]; None for a photo in colours."""
    step = max(1, max(image.shape[:2]) // 256)
    sample = np.ascontiguousarray(image[::step, ::step])
    flat = sample.reshape(-1, 3).astype(np.float32)
    grey = cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY).ravel()
    count = np.bincount(grey, minlength=256).astype(np.float32)
    if (np.ptp(flat, axis=1) == 0).all():
        return Tint(np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, 1))
    away = flat - grey[:, None]
    total = np.stack([np.bincount(grey, away[:, k], 256) for k in range(3)], 1)
    # normalised convolution over grey values, with black and white at the ends
    both = cv2.GaussianBlur(np.c_[total, count].astype(np.float32), (1, 0), 0, sigmaY=6.0)
    table = both[:, :3] / (both[:, 3:] + 1e-3)
    if float(np.quantile(np.abs(away - table[grey]), 0.95)) > ONE_HUE:
        return None
    return Tint(np.clip(table + np.arange(256, dtype=np.float32)[:, None], 0, 255))
