"""Coarse colours of a face and its surroundings: what a recogniser learns to ignore and a portrait needs.

A recognition embedding says little of skin tone, hair colour and background. A grid of mean colours says it, and is
too coarse to say what the mouth and the eyes do, so no expression leaks through it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FACE_CELLS = 4  # the whole crop in 4 x 4 cells
HAIR_ROWS, HAIR_CELLS = 2, 8  # its upper quarter in 2 x 8 finer cells
WIDTH = 3 * (FACE_CELLS**2 + HAIR_ROWS * HAIR_CELLS)


def colours(crops: Tensor) -> Tensor:
    """[b, 3, H, W] in [-1, 1] (canonical crops, H = W a multiple of 8) → [b, 96] mean colours in [-1, 1]."""
    coarse = F.adaptive_avg_pool2d(crops, FACE_CELLS)
    fine = F.adaptive_avg_pool2d(crops[..., : crops.shape[-2] // 4, :], (HAIR_ROWS, HAIR_CELLS))
    return torch.cat([coarse.flatten(1), fine.flatten(1)], dim=1)
