"""What the analyser must not believe in: faces far too near, cut off, lying or upside down, and what is not a face."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from factory.training.augment import similarity_matrices, uniform

TILES = 4  # along each side, of a shuffled face


def misplaced(count: int, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Changes after which a crop shows no whole upright face.

    Returns:
        Matrices [count, 2, 3], old → new pixels, and [count] bool: whether the face is whole but turned by 75 to 285
        degrees. Such a face is refused, since a turned copy of the picture will show it upright.
    """
    near = torch.exp(uniform(count, 1.0, 1.8, rng))[:, None, None]
    corner = (1 - near) * (side * torch.rand(count, 2, 1, generator=rng))
    closer = torch.cat([torch.eye(2) * near, corner], dim=2)
    slid = torch.eye(2, 3).repeat(count, 1, 1)
    away = torch.sign(uniform(count * 2, -1, 1, rng)) * uniform(count * 2, 0.55, 0.9, rng) * side
    slid[:, :, 2] = away.view(count, 2)
    upright = similarity_matrices(count, side, 0, 0.2, 0.08, rng)
    angle = uniform(count, 75, 285, rng) * math.pi / 180
    spin = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(count, 2, 2)
    middle = torch.full((count, 2, 1), side / 2)
    turned = torch.cat([spin @ upright[:, :, :2], spin @ (upright[:, :, 2:] - middle) + middle], dim=2)
    partly = torch.where((torch.rand(count, generator=rng) < 0.4)[:, None, None], slid, closer)
    lying = torch.rand(count, generator=rng) < 0.3
    return torch.where(lying[:, None, None], turned, partly), lying


def pretend(x: Tensor, rng: torch.Generator) -> Tensor:
    """What is not a face, from faces [b, 3, S, S] in [-1, 1] (S a multiple of 4): their tiles shuffled, their corner
    (hair, background) enlarged, and cloth: stripes, folds and blots in two colours. Same shape and range.
    """
    b, _, side, _ = x.shape
    cut = side // TILES
    parts = x.view(b, 3, TILES, cut, TILES, cut).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.rand(b, TILES * TILES, generator=rng).argsort(1)
    parts = torch.gather(parts, 1, order[:, :, None, None, None].expand_as(parts))
    shuffled = parts.view(b, TILES, TILES, 3, cut, cut).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)
    corner = F.interpolate(x[:, :, : side // 5, : side // 5], size=(side, side), mode="bilinear")
    kind = torch.rand(b, generator=rng).view(b, 1, 1, 1)
    return torch.where(kind < 0.4, cloth(b, side, rng), torch.where(kind < 0.75, shuffled, corner))


def cloth(count: int, side: int, rng: torch.Generator) -> Tensor:
    """[count, 3, side, side] in [-1, 1]: two colours mixed by bent stripes or by blots of several sizes."""

    def per_picture(low: float, high: float) -> Tensor:
        return uniform(count, low, high, rng).view(count, 1, 1, 1)

    blots = torch.zeros(count, 1, side, side)
    for n in (3, 6, 12, 24):
        bumps = torch.randn(count, 1, n, n, generator=rng)
        blots += F.interpolate(bumps, size=(side, side), mode="bicubic") * per_picture(0, 1)
    line = torch.linspace(-1, 1, side)
    direction = per_picture(0, 2 * math.pi)
    along = direction.cos() * line[None, None, None, :] + direction.sin() * line[None, None, :, None]
    stripes = torch.sin(along * per_picture(1.5, 4.5).exp() + 1.5 * blots)
    share = torch.where(per_picture(0, 1) < 0.5, stripes, blots.clamp(-1, 1)) / 2 + 0.5
    one, other = uniform(count * 6, -1, 1, rng).view(2, count, 3, 1, 1)
    return one * share + other * (1 - share)
