"""Random similarity, colour and blur changes of crops, as tensors: what a photo's own variety does to a face."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def uniform(size: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    """[size] float32 in [low, high)."""
    return low + (high - low) * torch.rand(size, generator=rng)


def similarity_matrices(
    size: int, side: int, degrees: float, scale: float, shift: float, rng: torch.Generator
) -> Tensor:
    """[b, 2, 3]: old → new pixels, turned by up to ±`degrees`, scaled by up to e^±`scale`, moved by ±`shift` sides."""
    angle = uniform(size, -degrees, degrees, rng) * math.pi / 180
    factor = torch.exp(uniform(size, -scale, scale, rng))
    cos, sin = factor * angle.cos(), factor * angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    centre = torch.full((size, 2, 1), side / 2)
    moved = centre + side * uniform(size * 2, -shift, shift, rng).view(size, 2, 1)
    return torch.cat([linear, moved - linear @ centre], dim=2)


def warp_pixels(x: Tensor, matrices: Tensor) -> Tensor:
    """[b, 3, S, S] resampled so that pixel p of `x` comes to lie at matrices · p; edges are repeated."""
    side = x.shape[-1]
    linear = torch.linalg.inv(matrices[:, :, :2])
    offset = -(linear @ matrices[:, :, 2:])
    half = side / 2
    ones = torch.full((2, 1), half, device=x.device)
    theta = torch.cat([linear, (linear @ ones + offset - ones) / half], dim=2)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def warp_points(points: Tensor, matrices: Tensor) -> Tensor:
    """[b, n, 3] points moved with the pixels; depth is scaled along."""
    flat = points[..., :2] @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]
    factor = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()[:, None, None]
    return torch.cat([flat, points[..., 2:] * factor], dim=2)


def colour_jitter(x: Tensor, rng: torch.Generator, strength: float = 0.25) -> Tensor:
    """Random brightness, contrast, colour balance, greyness, noise and softness; [b, 3, S, S] in [-1, 1] → same."""
    b = len(x)

    def per_picture(low: float, high: float, channels: int = 1) -> Tensor:
        return uniform(b * channels, low, high, rng).view(b, channels, 1, 1)

    x = x * per_picture(1 - strength, 1 + strength) + per_picture(-strength, strength)
    x = x * per_picture(1 - strength / 2, 1 + strength / 2, 3) + per_picture(-strength / 4, strength / 4, 3)
    grey = x.mean(dim=1, keepdim=True)
    x = torch.where(per_picture(0, 1) < 0.2, grey.expand_as(x), x)
    soft = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = torch.where(per_picture(0, 1) < 0.3, soft, x)
    x = x + per_picture(0, 0.06) * torch.randn(x.shape, generator=rng)
    return x.clamp(-1, 1)
