"""The small autoencoder of the embedded default: a linear patch encoder and a convolutional decoder.

The encoder projects 16 x 16 patches on their principal components (Turk & Pentland 1991, by patch). Component k is
scaled to a standard deviation proportional to sqrt(its own): large structures are settled earlier in the noise
schedule, yet no channel vanishes. The decoder adds a residual network to the best linear decoder that sees the 3 x 3
neighbouring patches, which removes the grid that patches decoded alone leave.

Stock pipelines of diffusers run it after ``import mien.models.autoencoder``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, FrozenDict, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.nn import functional as F

from mien.models.grain import add_grain


class Encoded(NamedTuple):
    """latents: [b, c, H/16, W/16]."""

    latents: Tensor


class Decoded(NamedTuple):
    """sample: [b, 3, H, W], about [-1, 1] (not clamped)."""

    sample: Tensor


class ResidualBlock(nn.Module):
    """GroupNorm → SiLU → 3 x 3 convolution, twice, around a skip; starts as the identity. [b, c, h, w] → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(16, channels), nn.GroupNorm(16, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """x [b, 3, H, W] in [-1, 1] ↔ z [b, latent_channels, H/16, W/16]; H and W are multiples of 16.

    Args:
        latent_channels: components kept of each 16 x 16 patch (of 768).
        widths: decoder channels at 1/16, 1/8, 1/4 and 1/2 of the picture's size.
        blocks: residual blocks at each of those sizes.
        scaling_factor, shift_factor: as in diffusers' autoencoders; z is stored at the scale the UNet works on.
        grain: share of `models.grain.add_grain`, where `decode` is given a generator to draw it with.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        widths: tuple[int, ...] = (256, 192, 128, 48),
        blocks: tuple[int, ...] = (2, 2, 3, 1),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        grain: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch_encoder = nn.Conv2d(3, latent_channels, 16, stride=16)
        self.patch_decoder = nn.Conv2d(latent_channels, 768, 3, padding=1, padding_mode="replicate")
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, widths[0], 3, padding=1)]
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if level:
                wider = nn.Conv2d(widths[level - 1], width * 4, 3, padding=1)
                layers.append(nn.Sequential(wider, nn.PixelShuffle(2)))
            layers += [ResidualBlock(width) for _ in range(count)]
        layers += [nn.GroupNorm(16, widths[-1]), nn.SiLU()]
        self.refiner = nn.Sequential(*layers)
        self.refiner_out = nn.Conv2d(widths[-1], 12, 3, padding=1)
        nn.init.zeros_(self.refiner_out.weight)
        nn.init.zeros_(self.refiner_out.bias)  # type: ignore[arg-type]

    @property
    def config(self) -> FrozenDict:
        """Its arguments, and ``block_out_channels``: diffusers' pipelines take from how many they are how much an
        autoencoder shrinks a picture (5: by 2^4)."""
        widths = self._internal_dict["widths"]
        return FrozenDict({**self._internal_dict, "block_out_channels": (*widths[::-1], 3)})

    @apply_forward_hook  # so that offloading brings it to its device
    def encode(self, x: Tensor, return_dict: bool = True) -> Encoded:
        """x [b, 3, H, W] in [-1, 1] → z [b, c, H/16, W/16]; a named tuple is both what `return_dict` may ask for."""
        return Encoded(self.patch_encoder(x))

    @apply_forward_hook
    def decode(
        self,
        z: Tensor,
        return_dict: bool = True,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> Decoded:
        """z [b, c, h, w] → [b, 3, 16 h, 16 w]. Grain is drawn with `generator`, one or one a picture; None: none."""
        smooth = F.pixel_shuffle(self.patch_decoder(z), 16)
        sample = smooth + F.pixel_shuffle(self.refiner_out(self.refiner(z)), 2)
        if generator is None or not self.config.grain:
            return Decoded(sample)
        each = [generator] * len(z) if isinstance(generator, torch.Generator) else generator
        return Decoded(add_grain(sample, self.config.grain, each).to(sample.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x).latents).sample
