"""A photo whose face changes from one set of coefficients to another: motion, eyes, mouth, folds, in that order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eyes import draw_eyes
from mien.warping.motion import CELLS, carry, motion
from mien.warping.mouth import Mouth


@dataclass(frozen=True)
class Drawn:
    """A result: the photo with the change [H, W, 3] uint8, and the box x0, y0, x1, y1 px outside of which it kept every
    bit."""

    image: ByteImage
    box: tuple[int, int, int, int]


def draw(image: ByteImage, landmarks: FloatArray, target: FloatArray, mouth: Mouth, cells: int = CELLS) -> Drawn:
    """`image` [H, W, 3] uint8 with its face's `landmarks` [478, 3] px moved to `target` [478, 3] px."""
    moving = motion(landmarks, target, image.shape, cells)
    region, _ = carry(image, moving)
    x0, y0, x1, y1 = moving.box
    draw_eyes(region, image, landmarks, target, (x0, y0))
    result = np.array(image)
    result[y0:y1, x0:x1] = region
    inside = mouth.interior(target)
    if inside.alpha.size:
        result = inside.over(result)
    return Drawn(result, moving.box)
