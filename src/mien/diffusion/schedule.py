"""The noise schedule: alpha_bar and what derives from it (Ho et al. 2020, section 2).

z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps. EmojiDiff writes alpha_t for what is alpha_bar_t here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mien.types import Conditions, NoisePredictor


@dataclass(frozen=True)
class Schedule:
    """alpha_bar: [T] float64, falling, in (0, 1). prediction: what the network gives, epsilon or v_prediction."""

    alpha_bar: Tensor
    prediction: str = "epsilon"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """From the configuration of any diffusers scheduler that has betas. Raises `ValueError`: its ``beta_schedule``
        is not one of linear, scaled_linear, squaredcos_cap_v2, its ``prediction_type`` is neither epsilon nor
        v_prediction, or its last step is all noise (``rescale_betas_zero_snr``), from which no z_0 can be estimated."""
        if config.get("rescale_betas_zero_snr"):
            raise ValueError("schedules with rescale_betas_zero_snr are not supported: train with another")
        prediction = str(config.get("prediction_type", "epsilon"))
        if prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"unknown prediction_type {prediction!r}: epsilon or v_prediction")
        steps = int(config["num_train_timesteps"])
        if config.get("trained_betas") is not None:
            betas = torch.tensor(config["trained_betas"], dtype=torch.float64)
        else:
            betas = _betas(
                str(config["beta_schedule"]), float(config["beta_start"]), float(config["beta_end"]), steps
            )
        return cls((1 - betas).cumprod(0), prediction)

    def at(self, t: Tensor, like: Tensor) -> Tensor:
        """alpha_bar at t [b], shaped [b, 1, …] and typed to multiply `like`."""
        return gather(self.alpha_bar, t, like)

    def roots(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar) at t [b], each [b, 1, …]; rounded to the type of `like` last."""
        return gather(self.alpha_bar.sqrt(), t, like), gather((1 - self.alpha_bar).sqrt(), t, like)

    def one_step(self, z_t: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """z_0* = (z_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar): `add_noise` solved for z (DiffSFSR Eq. 1)."""
        signal, noise = self.roots(t, z_t)
        return (z_t - noise * eps) / signal

    def as_noise(self, predict: NoisePredictor) -> NoisePredictor:
        """`predict`, whose network gives what `prediction` says, as a predictor of eps (float32).

        eps = sqrt(1 - alpha_bar) z_t + sqrt(alpha_bar) v  (Salimans & Ho 2022, appendix D).
        """
        if self.prediction == "epsilon":
            return predict

        def noise(z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            z = z_t.float()
            signal, rest = self.roots(t, z)
            return rest * z + signal * predict(z_t, t, conditions).float()

        return noise

    def velocity_weight(self, t: Tensor, like: Tensor, limit: float = math.inf) -> Tensor:
        """min(1 / alpha_bar, limit) at t [b], shaped as `at`: turns an eps error into the error of v.

        ||v - v'||² = ||eps - eps'||² / alpha_bar (Salimans & Ho 2022, section 4: "SNR + 1" weighting).
        """
        return (1 / self.at(t, like)).clamp_max(limit)

    def error_weight(self, t: Tensor, like: Tensor, limit: float | None = None) -> Tensor:
        """What an error of eps counts at t [b], shaped as `at`.

        limit: None: the network is trained on the error of what it gives: 1 for eps, 1 / alpha_bar for v. Else
        min(1 / alpha_bar, limit) over its mean of all t, whatever the network gives: 1 on average, and nothing but t
        decides it, so that a loss is the same in any division of a batch into parts.
        """
        if limit is not None:
            mean = (1 / self.alpha_bar).clamp_max(limit).mean()
            return self.velocity_weight(t, like, limit) / mean.to(like.dtype).to(like.device)
        weight = self.velocity_weight(t, like)
        return weight if self.prediction == "v_prediction" else torch.ones_like(weight)

    def add_noise(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """z_t of z_0 = `z` [b, …] and noise `eps` of its shape at timesteps t [b]."""
        signal, noise = self.roots(t, z)
        return signal * z + noise * eps


def gather(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table [T] float64 at t [b], shaped [b, 1, …] and typed to multiply `like`; cast before it moves, for devices
    without float64."""
    values = table.to(like.dtype).to(like.device)[t.to(like.device)]
    return values.view(-1, *[1] * (like.ndim - 1))


def _betas(kind: str, start: float, end: float, steps: int) -> Tensor:
    if kind == "linear":
        return torch.linspace(start, end, steps, dtype=torch.float64)
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    if kind == "squaredcos_cap_v2":  # Nichol & Dhariwal 2021, Eq. 17
        share = torch.arange(steps + 1, dtype=torch.float64) / steps
        alpha_bar = torch.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp_max(0.999)
    raise ValueError(f"unknown beta_schedule {kind!r}: linear, scaled_linear or squaredcos_cap_v2")
