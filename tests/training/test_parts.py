"""A batch's loss and gradient are the mean of its parts': accumulated, or in several processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from mien.diffusion.losses import network_error, noise_error
from mien.diffusion.schedule import Schedule
from mien.training.adapter import draw_modes
from mien.training.judge import canonical
from mien.training.loop import make_rng
from mien.training.stages.base import BaseStage, RefinedStage
from mien.training.stages.ica import IcaStage
from mien.training.stages.sfsr import SfsrStage
from tests.training.tiny_set import save_model, save_set

SIZE = 8
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that predicts epsilon, the same said to predict v, and a set."""
    root = tmp_path_factory.mktemp("parts")
    models = {"epsilon": save_model(root / "epsilon", "sd15")}
    models["v_prediction"] = shutil.copytree(models["epsilon"], root / "v")
    file = models["v_prediction"] / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prediction_type": "v_prediction"}))
    return {**models, "set": save_set(root / "set")}


def make(places: dict[str, Path], stage: str, prediction: str, limit: float | None) -> Any:
    backbone = str(places[prediction])
    if (
        stage == "sfsr"
    ):  # improved midpoint draws noise for those that are judged: for all, if none is dropped
        drop, estimator = (
            ((0.2, 0.1, 0.2), "one-step") if limit is None else ((0.0,) * 3, "improved-midpoint")
        )
        return SfsrStage(
            backbone, manifest=str(places["set"]), drop=drop, framing="ffhq", estimator=estimator
        )
    kind: Any = {"base": BaseStage, "refined": RefinedStage, "ica": IcaStage}[stage]
    data = {"root": str(places["set"]), "surroundings": 0.25}
    return kind(backbone, data, people=0, weight_limit=limit, drop=(0.2, 0.1, 0.2), untold=0.3)


@contextmanager
def drawn(rows: slice, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, whatever a step draws is what `rows` of a batch of `SIZE` would be given."""
    with monkeypatch.context() as patch:
        for name in ("rand", "randn", "randint"):
            real = getattr(torch, name)

            def draw(*args: Any, real: Any = real, name: str = name, **rest: Any) -> Tensor:
                shape = args[-1] if isinstance(args[-1], (tuple, torch.Size)) else args
                whole = (SIZE, *shape[1:])
                if name == "randint":
                    return real(*args[:-1], whole, **rest)[rows]
                return real(whole, **rest)[rows]

            patch.setattr(torch, name, draw)
        yield


def gradients(made: Any, batch: dict[str, Tensor], parts: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(loss, gradients) of the batch in so many equal parts, averaged as the loop does."""
    parameters, total = list(made.trainable()), 0.0
    for parameter in parameters:
        parameter.grad = None
    for first in range(0, SIZE, SIZE // parts):
        rows = slice(first, first + SIZE // parts)
        with drawn(rows, monkeypatch):
            loss, _ = made.step({key: value[rows] for key, value in batch.items()}, make_rng(0, 0, 1))
        (loss / parts).backward()
        total += loss.item() / parts
    return total, [p.grad.clone() for p in parameters if p.grad is not None]


@pytest.mark.parametrize("limit", [None, 80.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("stage", ["base", "refined", "ica", "sfsr"])
def test_parts_average_to_the_whole(
    places: dict[str, Path], stage: str, prediction: str, limit: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(places, stage, prediction, limit)
    batch = made.batch(SIZE, make_rng(0, 0, 0))
    batch["valid"] = torch.rand(SIZE, 8, 8, generator=make_rng(0, 0, 2)) + 0.05  # of each sample its own
    # The analyser samples where it believes eyes to be: of that the gradient has steps, at which rounding shows.
    rounding = 2e-3 if stage in ("ica", "sfsr") else 2e-5
    whole, expected = gradients(made, batch, 1, monkeypatch)
    for parts in (2, SIZE):  # two processes, and eight accumulated
        loss, found = gradients(made, batch, parts, monkeypatch)
        assert loss == pytest.approx(whole, rel=2e-5)
        off = torch.cat([(a - b).flatten() for a, b in zip(found, expected, strict=True)]).norm()
        assert off < rounding * torch.cat([gradient.flatten() for gradient in expected]).norm()


@pytest.mark.parametrize("limit", [80.0, 1e9])
def test_the_limit_s_weight_is_min_snr_over_its_mean(limit: float) -> None:
    """diffusers' signal-to-noise ratios: 1 / alpha_bar = SNR + 1."""
    scheduler = DDPMScheduler(**BETAS)
    schedule, every = Schedule.from_config(scheduler.config), torch.arange(1000)
    of_all = (compute_snr(scheduler, every).double() + 1).reciprocal()  # 1 - alpha_bar
    of_all = (1 / (1 - of_all)).clamp_max(limit)
    t = torch.tensor([0, 300, 700, 998])
    found = schedule.error_weight(t, torch.zeros(4, 1, 1, 1), limit).flatten()
    torch.testing.assert_close(found.double(), of_all[t] / of_all.mean(), rtol=1e-4, atol=0)
    assert schedule.error_weight(every, torch.zeros(1000, 1), limit).mean().item() == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_without_a_limit_it_is_the_error_of_what_the_network_gives(prediction: str) -> None:
    """v by diffusers' own `get_velocity`; with a limit that is not reached, the same up to the mean weight."""
    scheduler = DDPMScheduler(**BETAS, prediction_type=prediction)
    schedule = Schedule.from_config(scheduler.config)
    z, eps, wrong = torch.randn(3, 5, 4, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    t = torch.tensor([10, 200, 500, 800, 950])
    z_t = scheduler.add_noise(z, eps, t)
    z_wrong = schedule.one_step(z_t, wrong, t)
    v, v_wrong = scheduler.get_velocity(z, eps, t), scheduler.get_velocity(z_wrong, wrong, t)
    velocity = (v - v_wrong).square().mean()
    plain = network_error(wrong, eps, t, schedule)
    expected = velocity if prediction == "v_prediction" else (eps - wrong).square().mean()
    torch.testing.assert_close(plain.double(), expected, rtol=1e-4, atol=0)
    limited = network_error(wrong, eps, t, schedule, limit=1e9)  # counted once, whatever the network gives
    mean = (1 / scheduler.alphas_cumprod.double()).mean()
    torch.testing.assert_close(limited.double(), velocity / mean, rtol=1e-4, atol=0)


def test_a_sample_in_which_nothing_counts_adds_nothing() -> None:
    predicted, eps = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
    found = noise_error(predicted, eps, weight)
    torch.testing.assert_close(found, (predicted - eps)[1].square().mean() / 2)


def test_crops_do_not_depend_on_their_company() -> None:
    """A face that is large in its picture is averaged before it is sampled; one beside it is not."""
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    near, far = torch.tensor([[1.0, 0, 0], [0, 1, 0]]), torch.tensor([[0.3, 0, 2], [0, 0.3, 1]])
    together = canonical(x, torch.stack([near, far]), 16)
    for i, matrix in enumerate((near, far)):
        assert torch.equal(canonical(x[i : i + 1], matrix[None], 16)[0], together[i])


def test_what_has_probability_0_is_never_drawn() -> None:
    """Also of the draw 0.0, which `torch.rand` can give."""

    drop = torch.tensor([0.0, 0.5, 0.5])
    rng = torch.Generator().manual_seed(0)
    modes = draw_modes(4000, drop, rng)
    assert set(modes.tolist()) == {1, 3}
    assert torch.bucketize(torch.zeros(1), drop, right=True).item() == 1
