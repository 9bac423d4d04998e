"""Training losses: small callables that know nothing of loops or files."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from mien.diffusion.schedule import Schedule


def noise_error(
    predicted: Tensor, eps: Tensor, weight: Tensor | None = None, importance: Tensor | None = None
) -> Tensor:
    """E ||eps - eps_theta||² (Ho et al. 2020, Eq. 14; DiffSFSR Eq. 3), a scalar: a mean over samples.

    No sample's part depends on its company, so parts of a batch average to the loss of the whole.

    Args:
        predicted, eps: [b, c, h, w]. weight: [b, h, w], of each latent cell against the others of its sample; a
            sample in which nothing counts adds 0. importance: [b], of each sample. None: all 1.
    """
    error = (predicted.float() - eps).square().mean(dim=1)  # [b, h, w]
    if weight is not None:
        error = error * weight / weight.mean(dim=(1, 2), keepdim=True).clamp_min(1e-6)
    each = error.mean(dim=(1, 2))  # [b]
    return each.mean() if importance is None else (each * importance).mean()


def network_error(
    predicted: Tensor,
    eps: Tensor,
    t: Tensor,
    schedule: Schedule,
    weight: Tensor | None = None,
    limit: float | None = None,
) -> Tensor:
    """`noise_error` with what `schedule.error_weight` says of each t [b]: by default an error of what the network
    gives, eps itself or v; with a `limit`, min(1 / alpha_bar, limit) over its mean, for both alike."""
    importance = schedule.error_weight(t, eps, limit).flatten()
    return noise_error(predicted, eps, weight, importance)


def identity_loss(embedding: Tensor, target: Tensor) -> Tensor:
    """L_id = 1 - cos(φ(x̂0), φ(x_id)) (DiffSFSR Eq. 5); embeddings [b, w], a scalar in [0, 2]."""
    return (1 - F.cosine_similarity(embedding.float(), target.float(), dim=1)).mean()


def expression_loss(embedding: Tensor, target: Tensor) -> Tensor:
    """L_exp = mean squared difference of expression embeddings [b, w] (DiffSFSR Eq. 6), a scalar."""
    return F.mse_loss(embedding.float(), target.float())


class Contrast(NamedTuple):
    """`contrast_alignment`'s loss and its parts, scalars."""

    total: Tensor
    diffusion: Tensor
    identity: Tensor
    expression: Tensor


def contrast_alignment(
    diffusion: Tensor,
    face_with: Tensor,
    face_without: Tensor,
    expression: Tensor,
    target: Tensor,
    w_id: float = 0.08,
    w_exp: float = 10.0,
) -> Contrast:
    """L = L_diffusion + w_id L_id + w_exp L_exp (EmojiDiff, ID-enhanced Contrast Alignment).

    L_id = 1 - cos(φ(x̂0 with control), φ(x̂0 without)), L_exp the mean squared difference of expression numbers. The
    paper names no distance for L_exp; DiffSFSR Eq. 6 does. Weights are the paper's.

    Args:
        diffusion: scalar, the noise error of the prediction with control.
        face_with, face_without: [b, d] φ of the reconstructions with and without expression control. The second is
            taken as it is: no gradient flows into it.
        expression, target: [b, w] expression numbers of the reconstruction with control, and of the target.
    """
    l_id = identity_loss(face_with, face_without.detach())
    l_exp = expression_loss(expression, target)
    return Contrast(diffusion + w_id * l_id + w_exp * l_exp, diffusion, l_id, l_exp)
