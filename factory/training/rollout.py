"""Sampling inside a training step, as a pipeline samples, with gradients through its last steps."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mien.types import Conditions, NoisePredictor


class Settings(NamedTuple):
    """Of a sampler; guidance 1: nothing is subtracted."""

    steps: int
    guidance: float


def rollout(
    predict: NoisePredictor,
    scheduler: Any,
    settings: Settings,
    noise: Tensor,
    given: Conditions,
    nothing: Conditions,
    depth: int,
    rng: torch.Generator,
) -> Tensor:
    """What a scheduler's steps make of noise: z_0 [b, c, h, w] float32.

    DRaFT-K (Clark et al. 2024, arXiv 2309.17400, section 4): gradients flow through the last `depth` steps, K there.
    The side that guidance subtracts is taken as it is.

    Args:
        predict: ε_θ. scheduler: of diffusers; a copy of it steps. settings: at guidance 1 `nothing` is not asked for.
        noise: [b, c, h, w]. given, nothing: conditions of both sides. rng: of the scheduler's own noise, on the CPU.
    """
    scheduler = copy.deepcopy(scheduler)
    steps, guidance = settings
    scheduler.set_timesteps(steps, device=noise.device)
    z = noise * scheduler.init_noise_sigma
    for i, t in enumerate(scheduler.timesteps):
        with torch.set_grad_enabled(torch.is_grad_enabled() and i >= steps - depth):
            times = t.expand(len(z))
            z_in = scheduler.scale_model_input(z, t)
            eps = predict(z_in, times, given).float()
            if guidance != 1.0:
                with torch.no_grad():
                    without = predict(z_in, times, nothing).float()
                eps = without + guidance * (eps - without)
            z = scheduler.step(eps, t, z, generator=rng, return_dict=False)[0]
    return z
