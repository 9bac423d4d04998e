"""An adversary: is each part of a picture's latents a photograph's?

PatchGAN (Isola et al. 2017, arXiv 1611.07004) with the hinge loss (Lim & Ye 2017), as in VQGAN (Esser et al. 2021,
arXiv 2012.09841), and with group instead of batch normalisation. Spectral normalisation was tried and shrank what tells
a soft picture from a sharp one to nothing. Of latents, and of what a frozen base sees in them, as in LADD (Sauer et al.
2024, arXiv 2403.12015): nothing has to be decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mien.backbones import Backbone
from mien.diffusion.schedule import Schedule
from mien.models.latents import pixels_per_cell, unet_input
from mien.types import Conditions

PACE = 5  # of an adversary beside a base, in the base's rates (two time-scales, Heusel et al. 2017, arXiv 1706.08500)


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


class LatentFeatures(nn.Module):
    """What a frozen base sees in noised latents (LADD, section 3): it knows faces before a contest begins, and noise
    keeps it from hanging on to single numbers.

    Args:
        base: without an adapter; its UNet is kept, and frozen.
    """

    background: Tensor | None
    mask: Tensor | None

    def __init__(self, base: Backbone) -> None:
        super().__init__()
        unet = base.unet
        self.unet: Any = unet.requires_grad_(False).eval()
        self.schedule, self.seen = Schedule.from_config(base.scheduler.config), list[Tensor]()
        given: Sequence[Tensor | None] = (None, None)
        if base.takes_background:
            side = unet.config.sample_size * pixels_per_cell(base.vae)
            given = base.empty_background(1, side, side)
        for name, value in zip(("background", "mask"), given, strict=True):
            self.register_buffer(name, value)
        self.text = nn.Buffer(base.prompts([""]).tokens)
        for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
            block.register_forward_hook(self._keep)
        c, cells = unet.config.out_channels, unet.config.sample_size
        noise = torch.randn(16, c, cells, cells, generator=torch.Generator().manual_seed(0))
        self.sizes = [1.0] * len(self.channels)
        with torch.no_grad():
            self.sizes = [float(x.square().mean().sqrt()) for x in self._see(noise, torch.full((16,), 500))]

    @property
    def channels(self) -> list[int]:
        """Of each of the features."""
        blocks = list(self.unet.config.block_out_channels)
        return [*blocks, blocks[-1], *reversed(blocks)]

    def forward(self, z: Tensor, own: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, ...]:
        """Latents [b, c, h, w], which of them are a picture's own, [b, 1, h, w] in [0, 1] (others are not looked at),
        times t [b] and noise [b, c, h, w] → features [b, c_i, h_i, w_i] of each block, about 1 in size."""
        return tuple(self._see(self.schedule.add_noise(z * own, eps, t), t))

    def _see(self, z_t: Tensor, t: Tensor) -> list[Tensor]:
        conditions = Conditions(text=self.text, background=self.background, mask=self.mask)
        self.seen = []
        self.unet(unet_input(self.unet, z_t, conditions), t, self.text.expand(len(z_t), -1, -1))
        seen, self.seen = self.seen, []
        return [x / size for x, size in zip(seen, self.sizes, strict=True)]

    def _keep(self, _block: nn.Module, _given: Any, result: Any) -> None:
        self.seen.append(result[0] if isinstance(result, tuple) else result)


class LatentDiscriminator(nn.Module):
    """Latents [b, c, h, w], which of them are a picture's own [b, 1, h, w] in [0, 1], and what `LatentFeatures` sees in
    them → [b, all cells]: above 0 where it takes what is around them for real. What is not a picture's own is not
    looked at.

    Args:
        channels: c. seen: channels of each feature; none: latents alone.
    """

    def __init__(self, channels: int, seen: Sequence[int] = (), width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Quick(channels + 1, width, 3), nn.LeakyReLU(0.2)]
        for _ in range(2):
            layers += [_Quick(width, width, 3), nn.GroupNorm(8, width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, _Quick(width, 1, 1))
        self.heads = nn.ModuleList(
            nn.Sequential(
                *(_Quick(c, width // 2, 1), nn.LeakyReLU(0.2)),
                *(_Quick(width // 2, width // 2, 3), nn.LeakyReLU(0.2)),
                _Quick(width // 2, 1, 1),
            )
            for c in seen
        )

    def forward(self, z: Tensor, own: Tensor, *features: Tensor) -> Tensor:
        judged = [self.layers(torch.cat([z * own, own.to(z)], dim=1))]
        judged += [head(x) for head, x in zip(self.heads, features, strict=True)]
        return torch.cat([x.flatten(1) for x in judged], dim=1)


class Contest(NamedTuple):
    """generator: what the network that draws minimises; adversary: what the discriminator does; scalars."""

    generator: Tensor
    adversary: Tensor


def contest(discriminator: nn.Module, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Contest:
    """Hinge losses of both sides, so that one backward pass of their sum trains both.

    No gradient of ``generator`` reaches the discriminator, none of ``adversary`` reaches `fake`.

    Args:
        real, fake: what the discriminator takes, [b, ...] each.
    """
    judged = discriminator(*(torch.cat([x, y.detach()]) for x, y in zip(real, fake, strict=True))).float()
    on_real, on_fake = judged.chunk(2)
    adversary = (F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()) / 2
    frozen = {name: value.detach() for name, value in discriminator.state_dict(keep_vars=True).items()}
    return Contest(-functional_call(discriminator, frozen, tuple(fake)).float().mean(), adversary)
