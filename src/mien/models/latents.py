"""Pixels and latents of any autoencoder in diffusers' manner, and what an inpainting UNet is given beside z_t.

An inpainting UNet (SD1.5-inpainting, the embedded default) takes [z_t (c), mask (1), background latent (c)] side by
side: 2c + 1 channels in, c out (DiffSFSR, section "background"; diffusers' order). Of a portrait the mask is 1
everywhere and the background the latent of a mid-grey picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mien.models.folder import place
from mien.types import Conditions, InputError


def encode(vae: Any, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Pixels x [b, 3, H, W] in [-1, 1] -> latents z [b, c, h, w] float32 at the UNet's scale. With a generator a
    variational autoencoder's latents are sampled, without it they are its mean."""
    encoded = vae.encode(x.to(place(vae), vae.dtype))
    if hasattr(encoded, "latent_dist"):
        distribution = encoded.latent_dist
        z = distribution.mode() if generator is None else distribution.sample(generator)
    else:
        z = encoded.latents
    return (z.float() - _shift(vae)) * vae.config.scaling_factor


def decode(vae: Any, z: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
    """Latents z [b, c, h, w] -> pixels x [b, 3, H, W] float32, about [-1, 1]. generators: one a picture, for
    autoencoders that draw what latents do not tell; None: nothing is drawn."""
    z = z.float() / vae.config.scaling_factor + _shift(vae)
    drawn = {"generator": generators} if generators is not None and getattr(vae.config, "grain", None) else {}
    return vae.decode(z.to(place(vae), vae.dtype), **drawn).sample.float()


@torch.no_grad()
def empty_background(vae: Any, b: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What an inpainting UNet is told when everything is to be generated.

    Args:
        b: batch. height, width: of the picture, in pixels.

    Returns:
        (background [b, c, h, w], mask [b, 1, h, w] of ones), float32 on the autoencoder's device.
    """
    grey = encode(vae, torch.zeros(1, 3, height, width)).expand(b, -1, -1, -1)
    return grey, torch.ones_like(grey[:, :1])


def takes_background(unet: Any) -> bool:
    """Whether this UNet is an inpainting one: 2c + 1 channels in, c out."""
    return unet.config.in_channels == 2 * unet.config.out_channels + 1


def unet_input(unet: Any, z_t: Tensor, conditions: Conditions) -> Tensor:
    """What the UNet takes: z_t itself [b, c, h, w], or [b, 2c + 1, h, w] where it takes a background. Raises
    `InputError`: a background for a UNet that takes none, a mask without a background, or sizes that do not fit.

    A missing mask is all ones, and then a missing background is zeros: give :func:`empty_background`'s, whose grey is
    not the zero of every autoencoder. A background or mask of batch 1 serves the whole batch.
    """
    background, mask = conditions.background, conditions.mask
    if not takes_background(unet):
        if background is not None or mask is not None:
            raise InputError("this UNet takes no background: leave background and mask out of the conditions")
        return z_t
    if background is None and mask is not None:
        raise InputError("the conditions hold a mask and no background: give the masked picture's latent too")
    b, c, h, w = z_t.shape
    ones, zeros = z_t.new_ones(1, 1, h, w), z_t.new_zeros(1, c, h, w)
    parts = [z_t]
    for name, part, channels in (
        ("mask", ones if mask is None else mask, 1),
        ("background", zeros if background is None else background, c),
    ):
        if part.ndim != 4 or part.shape[0] not in (1, b) or part.shape[1:] != (channels, h, w):
            raise InputError(
                f"a {name} of shape {tuple(part.shape)} does not fit latents of {tuple(z_t.shape)}: "
                f"it must be {(b, channels, h, w)}"
            )
        parts.append(part.to(z_t).expand(b, -1, -1, -1))
    return torch.cat(parts, dim=1)


def as_text_to_image(unet: Any, vae: Any) -> None:
    """Let an inpainting UNet be called with z_t alone, as stock text-to-image pipelines do, in place. Its inputs [b, c,
    h, w] get the empty background; its config says c channels, in memory. For ``StableDiffusionPipeline`` on the
    embedded default. Without effect on a UNet that takes no background."""
    if not takes_background(unet):
        return
    scale = pixels_per_cell(vae)

    def complete(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z_t, *rest = args
        b, _, h, w = z_t.shape
        background, mask = (part.to(z_t) for part in empty_background(vae, b, h * scale, w * scale))
        return (torch.cat([z_t, mask, background], dim=1), *rest)

    unet.register_forward_pre_hook(complete)
    unet.register_to_config(in_channels=unet.config.out_channels)


def pixels_per_cell(vae: Any) -> int:
    """How many pixels of a side a latent cell stands for: 8 of Stable Diffusion, 16 of the embedded default."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def _shift(vae: Any) -> float:
    return vae.config.get("shift_factor") or 0.0
