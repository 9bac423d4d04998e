"""Estimators of the clean latent from a noisy one inside a training step: one signature for all.

    estimator(predict_noise, z_t, t, conditions, schedule, *, …) -> z0*

Glossary: z_t, t, ᾱ (`alpha_bar`) and ε as in DiffSFSR Eq. 1, z_t = √ᾱ_t z_0 + √(1-ᾱ_t) ε; t1 = ⌊t/2⌋;
ᾱ_{t|s} = ᾱ_t / ᾱ_s. Coefficients are computed in float64 and cast to z_t's type last.

| name | calls of the network | source |
|---|---|---|
| one-step | 1 | DiffSFSR Eq. 1 solved for z_0 |
| midpoint | 2 | DiffSwap; DiffSFSR Eqs. 8 and 9 |
| improved-midpoint | 2 | DiffSFSR, "improved midpoint sampling": Eq. 2 from t to t1, then Eq. 9 |
| ani | 1 | EmojiDiff Eq. 8, Adaptive Noise Inversion |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mien.diffusion.schedule import Schedule, gather
from mien.types import Conditions, NoisePredictor

R_TMAX = 600  # EmojiDiff, training details


Estimator = Callable[..., Tensor]
"""Every estimator here; one takes of the keywords what it needs and ignores the others.

Args:
    predict_noise: the network, an ε-predictor.
    z_t: [b, c, h, w] noisy latents. t: [b] int64, index of the schedule.
    conditions: what the network is told.
    eps: [b, c, h, w], the noise in z_t; only ANI needs it.
    rng: draws the posterior noise, on its own device; None: torch's generator.
    posterior_noise: draw z_{t1} from the posterior; off: take its mean.
    predicted: [b, c, h, w], ε_θ(z_t, t, conditions) where the caller has it already: saves one call.

Returns:
    z0*: [b, c, h, w], of z_t's type; differentiable.
"""


def one_step(
    predict_noise: NoisePredictor,
    z_t: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    *,
    predicted: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """z0* = (z_t - √(1-ᾱ_t) ε_θ) / √ᾱ_t (DiffSFSR Eq. 1 solved for z_0). Arguments: see `Estimator`."""
    if predicted is None:
        predicted = predict_noise(z_t, t, conditions)
    return schedule.one_step(z_t, predicted, t)


def midpoint(
    predict_noise: NoisePredictor,
    z_t: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    *,
    predicted: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """DiffSwap's midpoint (DiffSFSR Eqs. 8 and 9). Arguments: see `Estimator`.

    z_{t1} = (z_t - √(1-ᾱ_{t|t1}) ε_θ(z_t, t)) / √ᾱ_{t|t1};  z0* = (z_{t1} - √(1-ᾱ_{t1}) ε_θ(z_{t1}, t1)) / √ᾱ_{t1}.
    """
    if predicted is None:
        predicted = predict_noise(z_t, t, conditions)
    alpha_bar = schedule.alpha_bar
    ratio = alpha_bar / alpha_bar[torch.arange(len(alpha_bar)) // 2]  # ᾱ_{t|t1} of every t, [T]
    middle = (z_t - gather((1 - ratio).sqrt(), t, z_t) * predicted) / gather(ratio.sqrt(), t, z_t)
    return one_step(predict_noise, middle, t // 2, conditions, schedule)


def improved_midpoint(
    predict_noise: NoisePredictor,
    z_t: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    *,
    rng: torch.Generator | None = None,
    posterior_noise: bool = True,
    predicted: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """Improved midpoint sampling (DiffSFSR, section "improved midpoint sampling"). Arguments: see `Estimator`. z_0 by
    `one_step`; z_{t1} from q(z_{s-1} | z_s, z_0) (DiffSFSR Eq. 2) walked from t to t1 with z_0 held, in one draw of
    `posterior_step`; z0* by one step from z_{t1} (DiffSFSR Eq. 9)."""
    if predicted is None:
        predicted = predict_noise(z_t, t, conditions)
    noise = draw_like(z_t, rng) if posterior_noise else None
    middle = posterior_step(z_t, schedule.one_step(z_t, predicted, t), t, schedule, noise)
    return one_step(predict_noise, middle, t // 2, conditions, schedule)


def adaptive_noise_inversion(
    predict_noise: NoisePredictor,
    z_t: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    *,
    eps: Tensor | None = None,
    predicted: Tensor | None = None,
    r_tmax: int = R_TMAX,
    **_: Any,
) -> Tensor:
    """Adaptive Noise Inversion, EmojiDiff Eq. 8 without its Decode. Arguments: see `Estimator`. Raises `ValueError`: no
    `eps`: z_0 is known only in training, as z_t with its noise taken away.

    z0* = z_0 + f(t) (ε - ε_θ),  f(t) = √((1-ᾱ_t) / ᾱ_t) for t ≤ r_tmax and f(r_tmax) above. (EmojiDiff writes α_t for
    ᾱ_t.) Up to r_tmax it is `one_step`; above, the prediction's error is not blown up further.
    """
    if eps is None:
        raise ValueError("adaptive noise inversion needs eps, the noise in z_t: it is a training estimator")
    if predicted is None:
        predicted = predict_noise(z_t, t, conditions)
    z_0 = schedule.one_step(z_t, eps, t)
    return z_0 + noise_gain(schedule, t, z_t, r_tmax) * (eps - predicted)


ESTIMATORS: dict[str, Estimator] = {
    "one-step": one_step,
    "midpoint": midpoint,
    "improved-midpoint": improved_midpoint,
    "ani": adaptive_noise_inversion,
}


def noise_gain(schedule: Schedule, t: Tensor, like: Tensor, r_tmax: int = R_TMAX) -> Tensor:
    """f(t) of EmojiDiff Eq. 8 at t [b], constant above r_tmax; [b, 1, …] of `like`'s type."""
    gain = ((1 - schedule.alpha_bar) / schedule.alpha_bar).sqrt()  # [T]
    return gather(gain, t.clamp_max(r_tmax), like)


def posterior_step(
    z_t: Tensor, z_0: Tensor, t: Tensor, schedule: Schedule, noise: Tensor | None = None
) -> Tensor:
    """z_{t1}, t1 = ⌊t/2⌋, from q(z_{t1} | z_t, z_0): the t - t1 steps of DiffSFSR Eq. 2 composed to one Gaussian.

    With s = t1: mean = [√ᾱ_{t|s} (1-ᾱ_s) z_t + √ᾱ_s (1-ᾱ_{t|s}) z_0] / (1-ᾱ_t),
    variance = (1-ᾱ_{t|s}) (1-ᾱ_s) / (1-ᾱ_t).
    At t = 0 it is z_t itself.

    Args:
        z_t, z_0: [b, c, h, w]. t: [b]. noise: standard normal of z_t's shape, or None for the mean.
    """
    bar_t = schedule.alpha_bar
    bar_s = bar_t[torch.arange(len(bar_t)) // 2]
    ratio = bar_t / bar_s
    of_z_t = ratio.sqrt() * (1 - bar_s) / (1 - bar_t)
    of_z_0 = bar_s.sqrt() * (1 - ratio) / (1 - bar_t)
    mean = gather(of_z_t, t, z_t) * z_t + gather(of_z_0, t, z_t) * z_0
    if noise is None:
        return mean
    deviation = ((1 - ratio) * (1 - bar_s) / (1 - bar_t)).sqrt()
    return mean + gather(deviation, t, z_t) * noise


def draw_like(like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Standard normal noise of `like`'s shape, type and device, drawn on the generator's device."""
    device = like.device if rng is None else rng.device
    return torch.randn(like.shape, generator=rng, device=device, dtype=like.dtype).to(like.device)
