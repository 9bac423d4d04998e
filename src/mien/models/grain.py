"""What an autoencoder leaves out of a picture's detail, put back as noise.

The latents of a 16 x 16 patch cannot tell single hairs and pores, and the mean over all pictures that they may stand
for has none. As film grain is not coded in a video but described, and drawn anew by the player (Norkin & Birkbeck 2018,
"Film Grain Synthesis for AV1 Video Codec"), the missing detail is drawn as noise of its strength and spectrum. Its
deviation at a place is a share of the detail that is there; ``python -m mien.training.grain`` measures both in
photographs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

DETAIL = 1.5  # px, standard deviation: what a blur of so much takes away is detail
WINDOW = 3.0  # px, of the neighbourhood in which detail is measured
SOFTNESS = 0.8  # px, of the blur that gives white noise the spectrum of what is missing


def add_grain(x: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Pictures x [b, 3, H, W] in [-1, 1] with grain, the same in all colours: same shape.

    Args:
        share: deviation of the grain ÷ local root mean square of the detail that is there.
        generators: one a picture, on the CPU.
    """
    height, width = x.shape[-2:]
    white = torch.stack([torch.randn((1, height, width), generator=g) for g in generators])
    return x + share * local_detail(x) * soft_noise(white).to(x)


def local_detail(x: Tensor) -> Tensor:
    """[b, 1, H, W] local root mean square of the brightness' detail; x: [b, c, H, W]."""
    return blur(detail(x).square(), WINDOW).clamp_min(0).sqrt()


def detail(x: Tensor) -> Tensor:
    """[b, 1, H, W]: the mean of the channels, less its blur."""
    level = x.float().mean(dim=1, keepdim=True)
    return level - blur(level, DETAIL)


def soft_noise(white: Tensor) -> Tensor:
    """White noise [b, 1, H, W] of deviation 1, blurred by `SOFTNESS` and of deviation 1 again."""
    return blur(white, SOFTNESS) / kernel(SOFTNESS).square().sum()


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
