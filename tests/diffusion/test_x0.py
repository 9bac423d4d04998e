"""Estimators of z_0 in float64: the papers' loop as the oracle, an analytic Gaussian, edges, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import (
    ESTIMATORS,
    adaptive_noise_inversion,
    improved_midpoint,
    midpoint,
    noise_gain,
    one_step,
    posterior_step,
)
from mien.types import Conditions

SCHEDULE = Schedule.from_config(
    {
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    }
)
NONE = Conditions()
MEAN, VARIANCE = 0.7, 0.25  # of the analytic Gaussian


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def best(z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """E[eps | z_t] for z_0 ~ N(MEAN, VARIANCE), by Gaussian conditioning."""
    bar = SCHEDULE.alpha_bar[t].view(-1, 1, 1, 1)
    return (1 - bar).sqrt() * (z_t - bar.sqrt() * MEAN) / (bar * VARIANCE + 1 - bar)


def steps_down(t: int) -> list[tuple[float, float, float]]:
    """The papers' loop from t to t // 2: (weight of z_s, weight of z_0, variance) of every q(z_{s-1} | z_s, z_0), by
    DDPM's own form of the coefficients (Ho et al. 2020, Eqs. 6 and 7; DiffSFSR Eq. 2)."""
    out = []
    for s in range(t, t // 2, -1):
        bar, before = float(SCHEDULE.alpha_bar[s]), float(SCHEDULE.alpha_bar[s - 1])
        alpha = bar / before
        beta = 1 - alpha
        out.append(
            (
                alpha**0.5 * (1 - before) / (1 - bar),
                before**0.5 * beta / (1 - bar),
                beta * (1 - before) / (1 - bar),
            )
        )
    return out


@pytest.mark.parametrize("t", [0, 1, 2, 3, 250, 601, 999])
def test_one_draw_has_the_mean_and_variance_of_the_loop(t: int) -> None:
    z_t, z_0 = randn(1, 2, 3, 3), randn(1, 2, 3, 3, seed=1)
    mean, variance = z_t, 0.0
    for of_z, of_z_0, added in steps_down(t):
        mean = of_z * mean + of_z_0 * z_0
        variance = of_z**2 * variance + added
    index = torch.tensor([t])
    torch.testing.assert_close(posterior_step(z_t, z_0, index, SCHEDULE), mean, rtol=1e-12, atol=1e-12)
    zeros, ones = torch.zeros_like(z_t), torch.ones_like(z_t)
    deviation = posterior_step(zeros, zeros, index, SCHEDULE, ones)
    torch.testing.assert_close(deviation, ones * variance**0.5, rtol=1e-10, atol=1e-12)


def test_draws_of_both_have_the_same_covariance() -> None:
    """10^5 draws of the loop at t = 999 against as many of the closed form: mean and covariance of two cells."""
    count = 100_000
    generator = torch.Generator().manual_seed(3)
    z_t, z_0 = torch.tensor([1.3, -0.4]).double(), torch.tensor([0.2, 0.9]).double()
    loop = z_t.expand(count, 2).clone()
    for of_z, of_z_0, variance in steps_down(999):
        loop = of_z * loop + of_z_0 * z_0
        loop += variance**0.5 * torch.randn(count, 2, dtype=torch.float64, generator=generator)
    shape = (count, 2, 1, 1)
    noise = torch.randn(shape, dtype=torch.float64, generator=generator)
    t = torch.full((count,), 999)
    closed = posterior_step(
        z_t.view(1, 2, 1, 1).expand(shape), z_0.view(1, 2, 1, 1).expand(shape), t, SCHEDULE, noise
    ).view(count, 2)
    torch.testing.assert_close(loop.mean(0), closed.mean(0), rtol=0, atol=0.01)
    torch.testing.assert_close(loop.T.cov(), closed.T.cov(), rtol=0, atol=0.01)
    assert closed.T.cov()[0, 0] > 0.3  # the comparison is of noise that is there


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_a_perfect_predictor_gives_the_truth(name: str, t: int) -> None:
    """With the true eps of whatever it is asked, every estimator returns z_0, at both ends of time too."""
    z_0, eps = randn(2, 3, 2, 2), randn(2, 3, 2, 2, seed=1)
    index = torch.tensor([t, t])
    z_t = SCHEDULE.add_noise(z_0, eps, index)

    def perfect(z: Tensor, at: Tensor, conditions: Conditions) -> Tensor:
        bar = SCHEDULE.alpha_bar[at].view(-1, 1, 1, 1)
        return (z - bar.sqrt() * z_0) / (1 - bar).sqrt()

    rng = torch.Generator().manual_seed(0)
    found = ESTIMATORS[name](perfect, z_t, index, NONE, SCHEDULE, eps=eps, rng=rng)
    torch.testing.assert_close(found, z_0, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [1, 300, 999])
def test_analytic_gaussian(t: int) -> None:
    """One-step is E[z_0 | z_t]; both midpoints are the same from what reaches t1, in closed form; so is the bias."""
    index = torch.tensor([t])
    bar, bar_s = float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.alpha_bar[t // 2])

    def posterior_mean(z: Tensor, share: float) -> Tensor:
        return MEAN + VARIANCE * share**0.5 * (z - share**0.5 * MEAN) / (share * VARIANCE + 1 - share)

    z_t = randn(1, 1, 4, 4)
    first = posterior_mean(z_t, bar)
    torch.testing.assert_close(one_step(best, z_t, index, NONE, SCHEDULE), first, rtol=1e-9, atol=1e-9)

    eps = best(z_t, index, NONE)
    ratio = bar / bar_s
    swap = (z_t - (1 - ratio) ** 0.5 * eps) / ratio**0.5
    torch.testing.assert_close(
        midpoint(best, z_t, index, NONE, SCHEDULE), posterior_mean(swap, bar_s), rtol=1e-9, atol=1e-9
    )
    walked = posterior_step(z_t, first, index, SCHEDULE)
    improved = improved_midpoint(best, z_t, index, NONE, SCHEDULE, posterior_noise=False)
    torch.testing.assert_close(improved, posterior_mean(walked, bar_s), rtol=1e-9, atol=1e-9)
    if (
        t > 1
    ):  # DDPM's posterior keeps the marginals: z_{t1} has the law of the forward process; DiffSwap's has not
        z = MEAN + VARIANCE**0.5 * randn(200_000, 1, 1, 1, seed=4)
        noisy = SCHEDULE.add_noise(z, randn(200_000, 1, 1, 1, seed=5), index.expand(200_000))
        truth = posterior_step(noisy, z, index.expand(200_000), SCHEDULE, randn(200_000, 1, 1, 1, seed=6))
        assert abs(float(truth.mean()) - bar_s**0.5 * MEAN) < 0.01
        assert abs(float(truth.var()) - (bar_s * VARIANCE + 1 - bar_s)) < 0.01


def test_posterior_noise_is_the_generators() -> None:
    z_t, t = randn(2, 1, 4, 4), torch.tensor([700, 20])

    def draw(seed: int, noise: bool = True) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return improved_midpoint(best, z_t, t, NONE, SCHEDULE, rng=rng, posterior_noise=noise)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(draw(1, noise=False), draw(2, noise=False))


def test_adaptive_noise_inversion_against_eq_8() -> None:
    z_0, eps, error = randn(4, 2, 3, 3), randn(4, 2, 3, 3, seed=1), 0.1 * randn(4, 2, 3, 3, seed=2)
    t = torch.tensor([10, 600, 601, 999])
    z_t = SCHEDULE.add_noise(z_0, eps, t)
    found = adaptive_noise_inversion(lambda z, at, conditions: eps + error, z_t, t, NONE, SCHEDULE, eps=eps)
    first, last = (
        ((1 - float(SCHEDULE.alpha_bar[k])) / float(SCHEDULE.alpha_bar[k])) ** 0.5 for k in (10, 600)
    )
    gains = torch.tensor([first, last, last, last], dtype=torch.float64)
    expected = z_0 - gains.view(4, 1, 1, 1) * error
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    plain = one_step(lambda z, at, conditions: eps + error, z_t, t, NONE, SCHEDULE)
    torch.testing.assert_close(found[:2], plain[:2], rtol=1e-9, atol=1e-9)
    assert (plain[3] - z_0[3]).abs().mean() > 4 * (found[3] - z_0[3]).abs().mean()
    with pytest.raises(ValueError, match="eps"):
        adaptive_noise_inversion(best, z_t, t, NONE, SCHEDULE)


def test_gain_is_constant_above_r_tmax() -> None:
    t = torch.arange(1000)
    gain = noise_gain(SCHEDULE, t, torch.zeros(1000, 1, dtype=torch.float64)).flatten()
    assert (gain[1:601] > gain[:600]).all()
    assert (gain[600:] == gain[600]).all()
    narrow = noise_gain(SCHEDULE, t, torch.zeros(1000, 1, dtype=torch.float64), r_tmax=100).flatten()
    assert (narrow[100:] == narrow[100]).all() and (narrow[:101] == gain[:101]).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradient_and_known_prediction(name: str) -> None:
    """The gradient reaches what predicts; a prediction that is given is not asked for again, and changes nothing."""
    weight = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    calls = []

    def predict(z: Tensor, at: Tensor, conditions: Conditions) -> Tensor:
        calls.append(int(at[0]))
        return weight * best(z, at, conditions)

    z_0, eps, t = randn(1, 1, 2, 2), randn(1, 1, 2, 2, seed=1), torch.tensor([400])
    z_t = SCHEDULE.add_noise(z_0, eps, t)

    def estimate(predicted: Tensor | None) -> Tensor:
        return ESTIMATORS[name](
            predict, z_t, t, NONE, SCHEDULE, eps=eps, posterior_noise=False, predicted=predicted
        )

    whole = estimate(None)
    (gradient,) = torch.autograd.grad(whole.sum(), weight)
    assert gradient.abs() > 1e-3
    assert calls == ([400, 200] if "midpoint" in name else [400])
    known = weight * best(z_t, t, NONE)
    calls.clear()
    assert torch.equal(estimate(known), whole)
    assert calls == ([200] if "midpoint" in name else [])


def test_type_follows_the_latent() -> None:
    z_t, t = randn(2, 1, 2, 2).float(), torch.tensor([5, 900])
    for name, estimate in ESTIMATORS.items():
        found = estimate(lambda z, at, c: 0.5 * z, z_t, t, NONE, SCHEDULE, eps=z_t)
        assert found.dtype == torch.float32 and found.shape == z_t.shape, name
