"""Expression as pixels, for the embedded default: what EmojiDiff, section 3.1, has CLIP look at.

The canonical crop at half its size, and each eye with its brow and the mouth at twice theirs, as principal components
of 16 x 16 patches (`models.autoencoder`, whose weights they are); after them the 57 numbers of `encoders.expression`,
which the shipped branch hears, so that training can start from it. Unlike those, patches carry the person too; to learn
what of it is expression is what EmojiDiff's Refined stage is for.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien import weights
from mien.encoders.expression import WIDTH as NUMBERS
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import CropEncoder
from mien.models.folder import load_part

PATCH, COMPONENTS = 16, 16
# name → (left, top, right, bottom) px of the canonical crop, and the factor it is looked at with
PARTS = {
    "eye_left": ((64, 18, 112, 58), 2.0),
    "eye_right": ((16, 18, 64, 58), 2.0),
    "mouth": ((32, 70, 96, 118), 2.0),
    "whole": ((0, 0, 128, 128), 0.5),
}  # the person's left
WIDTHS = {
    name: round((x1 - x0) * zoom / PATCH) * round((y1 - y0) * zoom / PATCH) * COMPONENTS
    for name, ((x0, y0, x1, y1), zoom) in PARTS.items()
}


@cache
def _shipped(device: torch.device) -> nn.Module:
    vae = load_part(weights.SHIPPED_FOLDER / "mini", "vae", torch.float32, device)
    patches: nn.Module = vae.patch_encoder
    return patches


class PixelExpression(CropEncoder):
    """The expression input of adapters that look at the reference's pixels. width: of the embedding, the parts' one
    after the other and then the numbers."""

    name = "pixels"
    width = sum(WIDTHS.values()) + NUMBERS

    def __init__(self, device: str | torch.device = "cpu") -> None:
        super().__init__(device)
        self.patches = _shipped(self.device)
        self.numbers = EmbeddedExpression(device=self.device)

    def embed(self, crops: Tensor) -> Tensor:
        seen = []
        for (x0, y0, x1, y1), zoom in PARTS.values():
            part = crops[:, :, y0:y1, x0:x1]
            part = F.interpolate(part, scale_factor=zoom, mode="bicubic", antialias=True, align_corners=False)
            seen.append(self.patches(part).flatten(1))
        return torch.cat([*seen, self.numbers.embed(crops)], dim=1)
