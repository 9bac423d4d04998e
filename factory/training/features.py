"""How different two pictures look: to a network that knows faces, and in how sharp they are where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.face.network import Trunk

_LEAST = 1e-5  # of an energy: bounds the root's gradient


def feature_maps(trunk: Trunk, x: Tensor) -> list[Tensor]:
    """A trunk's maps of x [b, 3, 128, 128] in [-1, 1] at 1/4, 1/8 and 1/16: the last of each size, so that the last of
    all is what the trunk gives."""
    found, maps = [], x
    for layer in trunk.layers:
        if isinstance(layer, nn.Conv2d) and maps.shape[-1] <= x.shape[-1] // 4:
            found.append(maps)
        maps = layer(maps)
    return [*found, maps]


def feature_distance(maps: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of feature maps, each place's features scaled to length 1 (LPIPS without its learned
    weights, Zhang et al. 2018, arXiv 1801.03924, Eq. 1): a scalar.

    Args:
        maps: [2b, c, h, w] each, as of `feature_maps`; the first b are compared with the others.
    """
    return torch.stack([_difference(each) for each in maps]).sum()


def _difference(maps: Tensor) -> Tensor:
    unit = maps.float() / (maps.float().square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
    x, y = unit.chunk(2)
    return (x - y).square().sum(dim=1).mean()


def energy_distance(x: Tensor, y: Tensor, bands: int = 3, windows: tuple[int, ...] = (4, 16)) -> Tensor:
    """Mean absolute difference of local energies, band by band of Laplacian pyramids (Burt & Adelson 1983): how much
    detail is where, whatever the detail is (as statistics of texture are, Portilla & Simoncelli 2000).

    The mean over all pictures that one latent may stand for, which pixel losses ask for, is smooth; its energy is too
    small, and this is what sees it.

    Args:
        x, y: [b, c, H, W], sides divisible by 2^bands. windows: px of the finest band over which energy is averaged,
            each half as wide in the next, at least 2.

    Returns:
        A scalar, in the pictures' unit: the difference of root mean squares.
    """
    total = x.new_zeros(())
    for band in range(bands):
        (x, detail_x), (y, detail_y) = _split(x), _split(y)
        for window in windows:
            side = max(window >> band, 2)
            energies = [
                F.avg_pool2d(detail.square(), side, stride=side // 2).add(_LEAST).sqrt()
                for detail in (detail_x, detail_y)
            ]
            total = total + (energies[0] - energies[1]).abs().mean()
    return total / (bands * len(windows))


def periodic_error(x: Tensor, y: Tensor, period: int = 4) -> Tensor:
    """Mean square of what x - y repeats every `period` pixels, of each picture: the checkerboard that transposed
    convolutions and pixel shuffles can leave (Odena et al. 2016), and with which energy is cheaply bought.

    Args:
        x, y: [b, c, H, W], sides divisible by `period`.

    Returns:
        A scalar; of errors without a pattern about their variance * period² / (H W).
    """
    b, c, height, width = x.shape
    tiles = (x - y).view(b, c, height // period, period, width // period, period)
    pattern = tiles.mean(dim=(2, 4))  # [b, c, period, period]
    return (pattern - pattern.mean(dim=(2, 3), keepdim=True)).square().mean()


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """The picture at half its size, and what that loses."""
    half = F.avg_pool2d(x, 2)
    return half, x - F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
