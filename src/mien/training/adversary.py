"""Adversaries: is each part of a picture, or of its latents, a photograph's? Training only.

PatchGAN (Isola et al. 2017, arXiv 1611.07004) with the hinge loss (Lim & Ye 2017), as in VQGAN (Esser et al. 2021,
arXiv 2012.09841), and with group instead of batch normalisation. Spectral normalisation was tried and shrank what tells
a soft picture from a sharp one to nothing. Of latents as in LADD (Sauer et al. 2024, arXiv 2403.12015): nothing has to
be decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

PACE = 5  # of an adversary beside a base, in the base's rates (two time-scales, Heusel et al. 2017, arXiv 1706.08500)


class Discriminator(nn.Module):
    """Pictures [b, 3, H, W] in [-1, 1] → [b, 1, H/8, W/8]: above 0 where it takes a part for real."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths), widths, strict=False):
            layers.append(nn.Conv2d(before, width, 4, stride=2, padding=1))
            if before != 3:
                layers.append(nn.GroupNorm(8, width))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Quick(nn.Conv2d):
    """A convolution that Adam moves `PACE` times as fast as its rate says: it is kept that many times smaller (Karras
    et al. 2019, arXiv 1812.04948, appendix C)."""

    def __init__(self, before: int, after: int, side: int) -> None:
        super().__init__(before, after, side, padding=side // 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.div_(PACE)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return self._conv_forward(x, PACE * self.weight, PACE * self.bias)


class LatentDiscriminator(nn.Module):
    """Latents [b, c, h, w] and which of them are a picture's own, [b, 1, h, w] in [0, 1] → [b, 1, h, w]: above 0 where
    it takes what is within 3 cells for real. What is not a picture's own is not looked at."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Quick(channels + 1, width, 3), nn.LeakyReLU(0.2)]
        for _ in range(2):
            layers += [_Quick(width, width, 3), nn.GroupNorm(8, width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, _Quick(width, 1, 1))

    def forward(self, z: Tensor, own: Tensor) -> Tensor:
        return self.layers(torch.cat([z * own, own.to(z)], dim=1))


class Contest(NamedTuple):
    """generator: what the network that draws minimises; adversary: what the discriminator does; scalars."""

    generator: Tensor
    adversary: Tensor


def contest(discriminator: nn.Module, real: Tensor, fake: Tensor, *given: Tensor) -> Contest:
    """Hinge losses of both sides, so that one backward pass of their sum trains both.

    No gradient of ``generator`` reaches the discriminator, none of ``adversary`` reaches `fake`.

    Args:
        real, fake: [b, c, H, W], of what the discriminator knows. given: [b, ...], what it is told of both.
    """
    told = [torch.cat([each, each]) for each in given]
    judged = discriminator(torch.cat([real, fake.detach()]), *told).float()
    on_real, on_fake = judged.chunk(2)
    adversary = (F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()) / 2
    frozen = {name: value.detach() for name, value in discriminator.state_dict(keep_vars=True).items()}
    return Contest(-functional_call(discriminator, frozen, (fake, *given)).float().mean(), adversary)
