"""Training losses: small callables that know nothing of loops or files."""

from __future__ import annotations

from torch import Tensor

from mien.diffusion.schedule import Schedule
from mien.types import Conditions, NoisePredictor


def noise_mse(
    predict_noise: NoisePredictor,
    z: Tensor,
    eps: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    weight: Tensor | None = None,
) -> Tensor:
    """E ||eps - eps_theta(z_t, t, C)||² (Ho et al. 2020, Eq. 14; DiffSFSR Eq. 3), a scalar.

    Args:
        z, eps: [b, c, h, w]. t: [b]. weight: [b, h, w], of each latent cell; None: all 1.
    """
    predicted = predict_noise(schedule.add_noise(z, eps, t), t, conditions)
    error = (predicted.float() - eps).square().mean(dim=1)  # [b, h, w]
    if weight is None:
        return error.mean()
    return (error * weight).sum() / weight.sum()
