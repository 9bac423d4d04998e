"""Pictures of bytes as tensors, and back: what networks see, and what a person does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_pixels(crops: np.ndarray) -> Tensor:
    """[b, H, W, 3] uint8 → [b, 3, H, W] float32 in [-1, 1]."""
    return torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(x: Tensor) -> np.ndarray:
    """[b, 3, H, W] in [-1, 1] → [b, H, W, 3] uint8, rounded and clamped."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
