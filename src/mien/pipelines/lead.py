"""A reference that cannot leak: the person's own photo, given the expression that is wanted by the photo engine.

An image prompt takes over who its picture shows, and in which light and style; EmojiDiff trains that away. Where both
references show one person in one light there is nothing to take over. The same picture may also be what the latents
start from, as in SDEdit (Meng et al. 2021, arXiv 2108.01073):

    z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps,    t the first of the last (1 - lead) of all steps
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mien.backbones import Backbone
from mien.pipelines.arguments import number
from mien.pipelines.inputs import FaceChoice, Person
from mien.pixels import to_pixels
from mien.types import Face, InputError


def check_lead(lead: Any) -> float:
    """How much of the steps the photo stands for: 0 is off, near 1 it is hardly changed. Raises `InputError`: it is no
    number from 0, less than 1."""
    if not 0 <= number("lead", lead) < 1:
        raise InputError(f"lead must be from 0, which is off, to less than 1, not {lead}")
    return float(lead)


def lead_by_photo(
    analyze: Callable[[Image.Image], Sequence[Face]],
    identities: Sequence[Any],
    expressions: Sequence[Any],
    face: FaceChoice = "largest",
    expression_face: FaceChoice = "largest",
) -> list[Image.Image]:
    """Each person's photo, framed as a portrait, with their expression; of several pictures of a person the first.
    analyze: picture -> faces, largest first. identities, expressions: n of each, as of `PortraitPipeline`. Raises
    `InputError`: the photo engine cannot use a photo."""
    from mien.pipelines.photo import PhotoPipeline

    engine = PhotoPipeline(analyze)
    made: dict[tuple[int, int], Image.Image] = {}
    for who, how in zip(identities, expressions, strict=True):
        if (id(who), id(how)) in made:
            continue
        photo = who.pictures[0] if isinstance(who, Person) else who
        try:
            sitter = engine.sit(photo, face).framed()
            result = engine.express(sitter, how, expression_face=expression_face)
        except InputError as error:
            raise InputError(f"{error} (the lead needs it; lead=0, --lead 0, is without)") from error
        made[id(who), id(how)] = result.image()
    return [made[id(who), id(how)] for who, how in zip(identities, expressions, strict=True)]


def as_start(pictures: Sequence[Image.Image], height: int, width: int) -> Tensor:
    """n pictures -> [n, 3, H, W] float32 in [-1, 1], cut to the model's proportions around their middle."""
    fitted = [ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS) for picture in pictures]
    return to_pixels(np.stack([np.asarray(picture) for picture in fitted]))


def first_latents(
    backbone: Backbone,
    scheduler: Any,
    steps: int,
    shape: tuple[int, int, int],
    generators: Sequence[torch.Generator],
    start: Tensor | None = None,
    lead: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Where sampling starts, z [b, c, h, w], and the times it goes through; diffusers' img2img of strength 1 - lead.

    Args:
        scheduler: its times are set here; `InputError` if it cannot start from a picture. shape: (c, h, w).
        generators: b; each draws the latent of its picture, where the autoencoder is variational, and its noise.
        start: pixels [b, 3, H, W] in [-1, 1]; None: noise alone.
    """
    scheduler.set_timesteps(steps, device=backbone.device)
    times = scheduler.timesteps
    if start is None:
        return _noise(backbone, shape, generators) * scheduler.init_noise_sigma, times
    if not hasattr(scheduler, "add_noise"):
        raise InputError(f"{type(scheduler).__name__} cannot start from a picture: use another, or lead=0")
    first = (steps - max(1, int(round(steps * (1 - lead), 6)))) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    z_0 = torch.cat([backbone.encode(x[None], g) for x, g in zip(start, generators, strict=True)])
    noise = _noise(backbone, shape, generators)
    times = times[first:]
    return scheduler.add_noise(z_0.to(noise), noise, times[:1].repeat(len(start))), times


def _noise(backbone: Backbone, shape: tuple[int, int, int], generators: Sequence[torch.Generator]) -> Tensor:
    drawn = [torch.randn(shape, generator=g, device=g.device).to(backbone.device) for g in generators]
    return torch.stack(drawn)
