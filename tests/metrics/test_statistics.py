from __future__ import annotations

import math

import numpy as np
import pytest

from mien.metrics import statistics


def test_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = statistics.mean(values)
    half = 1.96 * values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05)
    assert interval == statistics.mean(values)  # seeded


def test_ratio_keeps_pairs_together() -> None:
    below = np.random.default_rng(0).uniform(0.1, 9, 50)
    some = statistics.ratio_of_means(np.array([0.05, 0.06, 0.07]), np.array([0.0, 0.06, 0.05]))
    assert np.isfinite([some.value, some.low, some.high]).all() and some.low <= some.value <= some.high
    interval = statistics.ratio_of_means(below * 0.5, below)
    assert tuple(interval) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="pairs needed"):
        statistics.ratio_of_means(below, below[:3])


def test_nothing_gives_nan_and_says_so_in_text() -> None:
    assert all(math.isnan(v) for v in statistics.mean(np.array([])))
    assert f"{statistics.mean(np.array([1.0, 1.0]))}" == "1.000 [1.000, 1.000]"
    assert f"{statistics.mean(np.array([0.5])):.1%}" == "50.0% [50.0%, 50.0%]"


def test_jackknife_of_a_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 2000)
    interval = statistics.jackknife(lambda chosen: float(values[chosen].mean()), len(values), groups=200)
    half = 1.96 * values.std() / len(values) ** 0.5
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.value == pytest.approx(half, rel=0.15)
    assert interval.value - interval.low == pytest.approx(half, rel=0.15)
    assert math.isnan(statistics.jackknife(lambda chosen: 0.0, 1).value)
