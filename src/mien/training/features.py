"""A perceptual distance with the embedded recogniser: how different a face looks to a network that knows faces."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.encoders.identity import Recogniser


class FeatureDistance(nn.Module):
    """Mean squared difference of feature maps, each place's features scaled to length 1 (LPIPS without its learned
    weights, Zhang et al. 2018, arXiv 1801.03924, Eq. 1), over the recogniser's maps at 1/4, 1/8 and 1/16."""

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        self.layers = recogniser.trunk.layers.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y: [b, 3, 128, 128] in [-1, 1] → a scalar."""
        total = x.new_zeros(())
        maps = torch.cat([x, y])
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d) and maps.shape[-1] <= x.shape[-1] // 4:
                total = total + _difference(maps)  # the last of a size
            maps = layer(maps)
        return total + _difference(maps)


def _difference(maps: Tensor) -> Tensor:
    unit = maps.float() / (maps.float().square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
    x, y = unit.chunk(2)
    return (x - y).square().sum(dim=1).mean()
