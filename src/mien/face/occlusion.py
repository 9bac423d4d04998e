"""What lies in front of a face: a small network that reads glasses, and everything else, off an upright crop.

It has learned from things drawn in front of photographs (`factory/occlusion.py`): frames of glasses projected in the
head's pose, hands, hair, microphones and patches of anything. Shapes drawn at random serve nearly as well as
photographed ones (Voo et al., "Delving into High-Quality Synthetic Face Occlusion Segmentation Datasets", 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien import weights
from mien.face.detector import convolution
from mien.face.network import fold, load_network
from mien.types import FloatArray

CHANNELS = 7  # colours against the skin's, and where lids, brows, lips and the face's oval are


class OcclusionNet(nn.Module):
    """[b, 7, 176, 160] → logits [b, 2, 176, 160] of glasses and of anything else in front.

    A U-Net (Ronneberger et al. 2015) that works at half the crop's size and below. widths: channels at each size.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 28, 40, 56)) -> None:
        super().__init__()
        self.config = {"widths": list(widths)}
        steps = list(zip(widths, widths[1:], strict=False))
        self.first = convolution(4 * CHANNELS, widths[0])
        self.down = nn.ModuleList(nn.Sequential(convolution(a, b, 2), convolution(b, b)) for a, b in steps)
        self.up = nn.ModuleList(convolution(b + a, a) for a, b in steps)
        self.last = nn.Conv2d(widths[0], 8, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.first(functional.pixel_unshuffle(pixels, 2))
        skips: list[Tensor] = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([x, skip], 1))
        return functional.pixel_shuffle(self.last(x), 2)


@lru_cache(maxsize=1)
def load_reader() -> Callable[[FloatArray], FloatArray]:
    """The shipped network, checked and loaded once: channels [7, 176, 160] → probabilities [2, 176, 160].

    Raises:
        InputError: its weights are missing or damaged.
    """
    network = fold(load_network(OcclusionNet, weights.path("occlusion")))

    def read(channels: FloatArray) -> FloatArray:
        with torch.inference_mode():
            return network(torch.from_numpy(channels)[None])[0].sigmoid().numpy()

    return read
