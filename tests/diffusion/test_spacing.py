"""The sampler's times: still falling, still as many, and nearer to 0."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from mien.diffusion.spacing import bent, set_timesteps
from mien.models.mini import create_scheduler
from mien.types import InputError


def test_times_follow_the_power_of_their_share() -> None:
    times = torch.tensor([853, 711, 569, 427, 285, 143])
    expected = [int(853 * (t / 853) ** 1.3) for t in times.tolist()]
    assert bent(times, 1.3).tolist() == expected and expected[-1] == 83


@pytest.mark.parametrize("spacing", [1.0, 1.1, 1.3, 2.0, 4.0])
def test_every_number_of_steps_keeps_its_number(spacing: float) -> None:
    scheduler = create_scheduler()
    for steps in [*range(1, 60), 100, 333, 499, 998]:
        scheduler.set_timesteps(steps)
        even = scheduler.timesteps.clone()
        set_timesteps(scheduler, steps, spacing, "cpu")
        times = scheduler.timesteps
        assert len(times) == len(even) and times[0] == even[0] and times[-1] >= 0
        assert (times.diff() < 0).all() and (times <= even).all()


def test_a_spacing_of_one_is_the_scheduler_s_own() -> None:
    ours, its = create_scheduler(), create_scheduler()
    set_timesteps(ours, 6, 1.0, "cpu")
    its.set_timesteps(6)
    assert torch.equal(ours.timesteps, its.timesteps) and torch.equal(ours.sigmas, its.sigmas)


def test_the_noise_goes_with_the_times() -> None:
    scheduler = create_scheduler()
    set_timesteps(scheduler, 6, 1.3, "cpu")
    alphas = scheduler.alphas_cumprod[scheduler.timesteps].double()
    torch.testing.assert_close(
        scheduler.sigmas[:-1].double(), ((1 - alphas) / alphas).sqrt(), atol=1e-4, rtol=1e-4
    )
    assert scheduler.sigmas[-1] == 0


def test_a_scheduler_with_times_of_its_own_is_refused() -> None:
    with pytest.raises(InputError, match="DDIMScheduler does not let its times be chosen"):
        set_timesteps(DDIMScheduler(), 6, 1.3, "cpu")
