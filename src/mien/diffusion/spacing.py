"""Where along the noise schedule a sampler stops: as its scheduler says, or closer together towards 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mien.types import InputError


def bent(timesteps: Tensor, spacing: float) -> Tensor:
    """T (t_i / T)^spacing of falling timesteps t_i [n], T the first of them; int64 and still falling.

    What is drawn from a sampler's last time is a mean of what the picture might be, the more timid in its details the
    farther that time is from 0. Few evenly spaced steps end far from it (6 of 1000: at 143; bent by 1.3: at 83).

    Args:
        spacing: at least 1, which leaves them as they are.
    """
    first = timesteps[0].double()
    times = (first * (timesteps.double() / first) ** spacing + 1e-6).floor().long()
    places = torch.arange(len(timesteps) - 1, -1, -1, device=times.device)
    return torch.maximum(times, times[-1] + places)


def set_timesteps(scheduler: Any, steps: int, spacing: float, device: torch.device | str) -> None:
    """``scheduler.set_timesteps(steps)``, and the times bent; a scheduler of diffusers.

    Raises:
        InputError: its times cannot be chosen; the multistep DPM-Solver's can.
    """
    scheduler.set_timesteps(steps, device=device)
    if spacing == 1.0:
        return
    times = bent(scheduler.timesteps.cpu(), spacing).tolist()  # MPS has no float64
    try:
        scheduler.set_timesteps(timesteps=times, device=device)
    except (TypeError, ValueError) as error:
        raise InputError(
            f'{type(scheduler).__name__} does not let its times be chosen: leave "spacing" out of adapter.json'
        ) from error
