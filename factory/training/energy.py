"""The energy distance of two sets of samples, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor


def energy_distance(made: Tensor, real: Tensor) -> Tensor:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples, a scalar; unbiased, 0 on average for one
    distribution and above 0 for two (Szekely & Rizzo 2013, Eq. 2; a loss: Bellemare et al. 2017, arXiv 1705.10743).

    Args:
        made, real: [..., n, d] and [..., m, d], n and m at least 2; distances are divided by sqrt(d), and leading
            dimensions averaged over.
    """
    between = torch.cdist(made, real).mean()
    within = [
        torch.cdist(x, x).sum((-2, -1)).mean() / (n * (n - 1)) for x in (made, real) for n in [x.shape[-2]]
    ]
    return (2 * between - within[0] - within[1]) / made.shape[-1] ** 0.5
