"""alpha_bar and noising against diffusers' own scheduler."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from mien.diffusion.losses import expression_loss, identity_loss, noise_error
from mien.diffusion.schedule import Schedule
from mien.types import Conditions


@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_equal_to_diffusers(kind: str) -> None:
    oracle = DDPMScheduler(beta_schedule=kind)
    schedule = Schedule.from_config(oracle.config)
    torch.testing.assert_close(schedule.alpha_bar.float(), oracle.alphas_cumprod, rtol=2e-5, atol=1e-7)
    z, eps = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    t = torch.tensor([0, 10, 500, 999])
    torch.testing.assert_close(
        schedule.add_noise(z, eps, t), oracle.add_noise(z, eps, t), rtol=1e-4, atol=1e-5
    )


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="beta_schedule"):
        Schedule.from_config(
            {"num_train_timesteps": 10, "beta_schedule": "odd", "beta_start": 0.1, "beta_end": 0.2}
        )


def test_noise_error_of_the_best_predictor_of_a_gaussian() -> None:
    """For z ~ N(0, 1) the best eps is sqrt(1 - alpha_bar) z_t, and its error alpha_bar: known in closed form."""
    schedule = Schedule.from_config(
        {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    )
    generator = torch.Generator().manual_seed(0)
    z, eps = (torch.randn(4000, 1, 4, 4, generator=generator) for _ in range(2))
    t = torch.full((4000,), 300)
    share = schedule.alpha_bar[300].float()

    predicted = (1 - share).sqrt() * schedule.add_noise(z, eps, t)
    torch.testing.assert_close(noise_error(predicted, eps), share, rtol=0.02, atol=0)
    half = torch.zeros(4000, 4, 4)
    half[:, :2] = 1
    torch.testing.assert_close(noise_error(predicted, eps, half), share, rtol=0.03, atol=0)


@pytest.fixture
def velocity() -> tuple[DDPMScheduler, Schedule, Tensor, Tensor, Tensor]:
    """diffusers' scheduler as oracle, ours, t, z and eps."""
    oracle = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction"
    )
    z, eps = (torch.randn(3, 1, 2, 2) for _ in range(2))
    return oracle, Schedule.from_config(oracle.config), torch.tensor([0, 200, 600]), z, eps


def test_a_network_of_v_becomes_one_of_eps(
    velocity: tuple[DDPMScheduler, Schedule, Tensor, Tensor, Tensor],
) -> None:
    oracle, schedule, t, z, eps = velocity
    predict = schedule.as_noise(lambda z_t, t, c: oracle.get_velocity(z, eps, t))
    z_t = oracle.add_noise(z, eps, t)
    torch.testing.assert_close(predict(z_t, t, Conditions()), eps, rtol=1e-4, atol=1e-5)
    plain = Schedule.from_config(DDPMScheduler().config)
    assert plain.as_noise(predict) is predict


def test_error_weight_turns_eps_errors_into_v_errors(
    velocity: tuple[DDPMScheduler, Schedule, Tensor, Tensor, Tensor],
) -> None:
    oracle, schedule, t, z, eps = velocity
    wrong = torch.randn_like(eps)
    alpha_bar = oracle.alphas_cumprod[t].view(3, 1, 1, 1)
    implied = (oracle.add_noise(z, eps, t) - (1 - alpha_bar).sqrt() * wrong) / alpha_bar.sqrt()
    v_error = oracle.get_velocity(z, eps, t) - oracle.get_velocity(implied, wrong, t)
    assert torch.equal(schedule.error_weight(t, z), schedule.velocity_weight(t, z))
    weighted = schedule.velocity_weight(t, z) * (eps - wrong).square()
    torch.testing.assert_close(weighted, v_error.square(), rtol=1e-3, atol=1e-5)
    assert Schedule.from_config(DDPMScheduler().config).error_weight(t, z).eq(1).all()


def test_unknown_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="sample"):
        Schedule.from_config(DDPMScheduler(prediction_type="sample").config)


def test_one_step_inverts_noising() -> None:
    schedule = Schedule.from_config(DDPMScheduler().config)
    z, eps = (torch.randn(3, 2, 2, 2, dtype=torch.float64) for _ in range(2))
    t = torch.tensor([1, 500, 999])
    torch.testing.assert_close(
        schedule.one_step(schedule.add_noise(z, eps, t), eps, t), z, rtol=1e-9, atol=1e-9
    )


def test_face_losses_against_numpy() -> None:
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    x, y = a.double().numpy(), b.double().numpy()
    cosines = (x * y).sum(1) / ((x**2).sum(1) * (y**2).sum(1)) ** 0.5
    assert abs(float(identity_loss(a, b)) - float((1 - cosines).mean())) < 1e-5
    assert abs(float(expression_loss(a, b)) - float(((x - y) ** 2).mean())) < 1e-5


def test_a_schedule_that_ends_in_noise_alone_is_refused() -> None:
    config = DDPMScheduler(rescale_betas_zero_snr=True).config
    with pytest.raises(ValueError, match="rescale_betas_zero_snr"):
        Schedule.from_config(config)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_the_coefficients_and_nothing_before(dtype: torch.dtype) -> None:
    schedule = Schedule.from_config(DDPMScheduler().config)
    t = torch.tensor([0, 5, 999])
    like = torch.zeros(3, 1, dtype=dtype)
    signal, noise = schedule.roots(t, like)
    bar = schedule.alpha_bar[t][:, None]
    assert torch.equal(signal, bar.sqrt().to(dtype)) and torch.equal(noise, (1 - bar).sqrt().to(dtype))
    eps = torch.ones(3, 1, dtype=dtype)
    assert torch.equal(schedule.add_noise(like, eps, t), (1 - bar).sqrt().to(dtype))
    assert (schedule.add_noise(like, eps, t) > 0).all()
