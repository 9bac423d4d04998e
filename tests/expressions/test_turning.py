"""What a head's pose has put into its expression's numbers is found, and exchanged for another's."""

from __future__ import annotations

import numpy as np
import torch

from factory.faces.turning import fit
from mien.encoders.expression import WIDTH
from mien.expressions import turning


def test_the_fit_finds_the_rule_that_made_the_numbers() -> None:
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(WIDTH, 2)) * 0.1
    pose = rng.normal(size=(4000, 2)) * (10, 7) + (1, -4)
    numbers = pose @ turn.T + 0.05 * rng.normal(size=(4000, WIDTH)) + 0.3
    found = {name: np.array(value) for name, value in fit(numbers, pose).items()}
    np.testing.assert_allclose(found["turn"], turn, atol=1e-3)
    np.testing.assert_allclose(numbers @ found["read"].T + found["offset"], pose, atol=0.5)


def test_a_turned_expression_betrays_less_of_its_own_pose_and_more_of_the_wanted() -> None:
    rng = np.random.default_rng(1)
    before = torch.from_numpy(rng.normal(size=WIDTH).astype(np.float32))
    for wanted in ([25.0, -12.0, 7.0], [-25.0, 0.0, 0.0], [0.0, 15.0, 0.0]):
        after = turning.turned(before, np.array(wanted))
        own, new = turning.predicted_pose(before).numpy(), turning.predicted_pose(after).numpy()
        left = np.abs(np.array(wanted[:2]) - new) / np.abs(np.array(wanted[:2]) - own)
        assert left[0] < 0.25 and left[1] < 0.65  # a regression of a regression: 1 - R² is left


def test_roll_is_not_in_the_numbers() -> None:
    before = torch.from_numpy(np.random.default_rng(3).normal(size=WIDTH).astype(np.float32))
    some, other = np.array([25.0, -12.0, 7.0]), np.array([25.0, -12.0, -80.0])
    assert torch.equal(turning.turned(before, some), turning.turned(before, other))
    assert torch.equal(turning.turned(before, some, own=other), before)


def test_there_and_back_is_where_it_was() -> None:
    before = torch.from_numpy(np.random.default_rng(4).normal(size=WIDTH).astype(np.float32))
    a, b = np.array([20.0, 5.0]), np.array([-10.0, 0.0])
    there = turning.turned(before, b, own=a)
    assert (there - before).abs().max() > 0.1
    assert torch.allclose(turning.turned(there, a, own=b), before, atol=1e-5)


def test_nothing_moves_where_the_pose_is_the_wanted_one() -> None:
    before = torch.from_numpy(np.random.default_rng(2).normal(size=WIDTH).astype(np.float32))
    after = turning.turned(before, turning.predicted_pose(before).numpy())
    assert torch.allclose(after, before, atol=1e-5)
