"""Training losses: small callables that know nothing of loops or files."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mien.diffusion.schedule import Schedule
from mien.types import Conditions, NoisePredictor


def noise_error(predicted: Tensor, eps: Tensor, weight: Tensor | None = None) -> Tensor:
    """E ||eps - eps_theta||² (Ho et al. 2020, Eq. 14; DiffSFSR Eq. 3), a scalar.

    Args:
        predicted, eps: [b, c, h, w]. weight: [b, h, w], of each latent cell; None: all 1.
    """
    error = (predicted.float() - eps).square().mean(dim=1)  # [b, h, w]
    if weight is None:
        return error.mean()
    return (error * weight).sum() / weight.sum()


def noise_mse(
    predict_noise: NoisePredictor,
    z: Tensor,
    eps: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    weight: Tensor | None = None,
) -> Tensor:
    """`noise_error` of a prediction at z_t; z, eps: [b, c, h, w]; t: [b]; a scalar."""
    return noise_error(predict_noise(schedule.add_noise(z, eps, t), t, conditions), eps, weight)


def identity_loss(embedding: Tensor, target: Tensor) -> Tensor:
    """L_id = 1 - cos(φ(x̂0), φ(x_id)) (DiffSFSR Eq. 5); embeddings [b, w], a scalar in [0, 2]."""
    return (1 - F.cosine_similarity(embedding.float(), target.float(), dim=1)).mean()


def expression_loss(embedding: Tensor, target: Tensor) -> Tensor:
    """L_exp = mean squared difference of expression embeddings [b, w] (DiffSFSR Eq. 6), a scalar."""
    return F.mse_loss(embedding.float(), target.float())
