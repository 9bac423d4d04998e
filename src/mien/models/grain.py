"""What an autoencoder leaves out of a picture's detail, put back as noise.

The latents of a 16 x 16 patch cannot tell single hairs and pores. As film grain is described in a video and drawn anew
by the player (Norkin & Birkbeck 2018, "Film Grain Synthesis for AV1 Video Codec"), the missing detail is drawn as noise
of its strength and spectrum, stretched along the edge at its place, as far as there is one direction (the structure
tensor: Bigün & Granlund 1987). ``python -m factory.training.grain`` measures all of it in photographs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

DETAIL = 1.5  # px, standard deviation: what a blur of so much takes away is detail
WINDOW = 3.0  # px, of the neighbourhood in which detail is measured
EXPONENT = 0.75  # of the grain's deviation in the detail that is there
FLOW = 2.0  # px, of the neighbourhood in which a direction is measured
ROUND = 0.8  # px, of the blur that gives white noise the spectrum of what is missing: without a direction
ALONG, ACROSS = 1.3, 0.65  # the same along an edge and across it
DIRECTIONS = 8  # for which noise is made; in between it is mixed
REACH = 5  # px, of the blurs


def add_grain(x: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Pictures x [b, 3, H, W] in [-1, 1] with grain, the same in all colours: same shape. share: deviation of the grain
    ÷ `local_detail` to the power of `EXPONENT`. generators: one a picture, on the CPU."""
    height, width = (side + 2 * REACH for side in x.shape[-2:])
    white = torch.stack([torch.randn((1, height, width), generator=g) for g in generators])
    return x + share * local_detail(x) ** EXPONENT * flowing_noise(white.to(x.device), flow(x)).to(x)


def local_detail(x: Tensor) -> Tensor:
    """[b, 1, H, W] local root mean square of the brightness' detail; x: [b, c, H, W]."""
    return blur(detail(x).square(), WINDOW).clamp_min(0).sqrt()


def detail(x: Tensor) -> Tensor:
    """[b, 1, H, W]: the mean of the channels, less its blur."""
    level = x.float().mean(dim=1, keepdim=True)
    return level - blur(level, DETAIL)


def flow(x: Tensor) -> Tensor:
    """Where the edges of x [b, c, H, W] run: [b, 2, H, W], cosine and sine of twice their angle to the x axis (y points
    down), times how much of the gradient's energy has that direction alone, 0 to 1."""
    level = F.pad(blur(x.float().mean(dim=1, keepdim=True), ROUND), (1,) * 4, mode="replicate")
    across = (level[..., 1:-1, 2:] - level[..., 1:-1, :-2]) / 2
    down = (level[..., 2:, 1:-1] - level[..., :-2, 1:-1]) / 2
    xx, yy, xy = (blur(product, FLOW) for product in (across.square(), down.square(), across * down))
    return torch.cat([yy - xx, -2 * xy], dim=1) / (xx + yy).clamp_min(1e-12)


def flowing_noise(white: Tensor, along: Tensor) -> Tensor:
    """White noise of deviation 1, blurred along the flow and of deviation 1 again: [b, 1, H, W]. white: [b, 1, H + 2
    REACH, W + 2 REACH]. along: [b, 2, H, W] as `flow` gives it; zeros: round noise."""
    kernels = noise_kernels().to(white)
    made = F.conv2d(white, kernels[:, None])
    strength = along.norm(dim=1, keepdim=True).clamp(max=1)
    turn = torch.atan2(along[:, 1:], along[:, :1]) * (DIRECTIONS / (2 * math.pi))
    bins = torch.arange(DIRECTIONS, device=white.device).view(1, -1, 1, 1)
    off = (turn - bins + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2
    weights = torch.cat([1 - strength, strength * (1 - off.abs()).clamp_min(0)], dim=1)
    # Noises of one white noise are alike: the variance of a mixture is w' G w, G their covariances.
    likeness = torch.einsum("khw,lhw->kl", kernels, kernels)
    variance = torch.einsum("bkhw,kl,blhw->bhw", weights, likeness, weights)
    return (weights * made).sum(1, keepdim=True) / variance[:, None].sqrt()


@cache
def noise_kernels() -> Tensor:
    """[1 + DIRECTIONS, side, side]: round, then along directions k π / DIRECTIONS; of white noise each makes noise of
    deviation 1."""
    y, x = torch.meshgrid(*[torch.arange(-REACH, REACH + 1.0)] * 2, indexing="ij")
    kernels = [torch.exp(-(x.square() + y.square()) / (2 * ROUND**2))]
    for k in range(DIRECTIONS):
        cosine, sine = math.cos(math.pi * k / DIRECTIONS), math.sin(math.pi * k / DIRECTIONS)
        along, across = (cosine * x + sine * y) / ALONG, (cosine * y - sine * x) / ACROSS
        kernels.append(torch.exp(-(along.square() + across.square()) / 2))
    made = torch.stack(kernels)
    return made / made.square().sum((1, 2), keepdim=True).sqrt()


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [b, 1, H, W]; edges are repeated."""
    weights = kernel(sigma).to(x)
    reach = len(weights) // 2
    x = F.pad(x, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def kernel(sigma: float) -> Tensor:
    """Gaussian weights up to 3 deviations, sum 1."""
    places = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1, dtype=torch.float32)
    weights = torch.exp(-places.square() / (2 * sigma**2))
    return weights / weights.sum()
