"""The story's table on methods whose answers are known; sampling as an estimator on a perfect predictor."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from mien.diffusion.schedule import Schedule
from mien.metrics.scoring import Observation, Scorer
from mien.types import Conditions, Face


@pytest.fixture
def story() -> ModuleType:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    from benchmarks import emojidiff_story

    return emojidiff_story


@pytest.fixture
def ica_cost() -> ModuleType:
    from benchmarks import ica_cost

    return ica_cost


def observation(direction: np.ndarray, smile: float) -> Observation:
    rng = np.random.default_rng(0)
    face = Face(np.zeros(4), rng.uniform(0, 90, (478, 3)), np.full(52, smile), np.zeros(3), 1.0)
    return Observation(face, direction, direction, rng.uniform(0, 1, 192), 1)


def test_leak_falls_and_the_ratios_say_so(story: ModuleType) -> None:
    """Base shows both people alike, Refined a fifth of the reference's; one result of one arm has no face."""
    who, other = np.eye(4)[0], np.eye(4)[1]
    inputs = [(observation(who, 0.1), observation(other, 0.5))] * 6
    scorer = Scorer(lambda image: [], lambda image, face: None, "none", "none", 0.6)  # type: ignore[arg-type, return-value]

    def arm(share: float, smile: float, missing: int = 0) -> object:
        direction = (1 - share) * who + share * other
        seen = [observation(direction, smile)] * (6 - missing) + [None] * missing
        scores = [
            None if s is None else scorer.compare(s, *pair) for s, pair in zip(seen, inputs, strict=True)
        ]
        return story.Judged(seen, scores)

    methods = {"base": arm(0.5, 0.4), "refined": arm(0.2, 0.4, missing=1), "ica": arm(0.1, 0.41)}
    methods |= {"one_step": arm(0.2, 0.4), "no_control": arm(0.0, 0.1)}
    rows = {row.what: row for row in story.story(methods, inputs, ["a"] * 4 + ["b"] * 2)}
    assert rows["leak, photographs"].baselines["base"].value == pytest.approx(0.5**0.5)
    assert rows["leak, photographs"].baselines["no_control"].value == pytest.approx(0)
    assert rows["leak, renders"].note == "1 of 2"  # only where every arm shows a face
    cosine = 0.2 / (0.8**2 + 0.2**2) ** 0.5
    ratio = rows["leak, refined ÷ base"]
    assert ratio.value.value == pytest.approx(cosine / 0.5**0.5) and ratio.met
    assert rows["ID, ica ÷ refined"].met
    assert rows["Exp, ica ÷ refined"].value.value == pytest.approx(0.9) and rows["Exp, ica ÷ refined"].met
    assert rows["exp, photographs"].value.value == pytest.approx(0.09)
    assert rows["a face is found"].baselines["refined"].value == pytest.approx(5 / 6)


def test_fifty_steps_reach_the_truth(ica_cost: ModuleType) -> None:
    schedule = Schedule.from_config(
        {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    )
    z_0, eps = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([999, 400, 30])
    calls = []

    def perfect(z: torch.Tensor, at: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        calls.append(at.tolist())
        bar = schedule.at(at, z)
        return (z - bar.sqrt() * z_0) / (1 - bar).sqrt()

    found = ica_cost.sampled(perfect, schedule.add_noise(z_0, eps, t), t, Conditions(), schedule)
    torch.testing.assert_close(found, z_0, rtol=1e-6, atol=1e-6)
    assert len(calls) == 50 and calls[0] == [999, 400, 30] and calls[-1] == [0, 0, 0]
