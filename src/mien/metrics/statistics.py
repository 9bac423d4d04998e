"""How sure a number is: bootstrap and jackknife intervals over pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.types import FloatArray

RESAMPLES = 2000
BLOCK = 1_000_000  # indices drawn at a time


class Interval(NamedTuple):
    """An estimate with its 95% bootstrap interval. All are nan where there was nothing to estimate from."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], FloatArray],
    count: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a statistic of `count` pictures, drawn with replacement. statistic: chosen
    pictures' indices [r, count] → its r values; so pairs and ratios stay together."""
    if count == 0:
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK // count)
    draws = [
        statistic(rng.integers(0, count, (min(step, resamples - first), count)))
        for first in range(0, resamples, step)
    ]
    drawn = np.concatenate(draws)
    drawn = drawn[~np.isnan(drawn)]  # a ratio whose lower mean is 0 in some resamples
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (np.nan, np.nan)
    return Interval(float(statistic(np.arange(count)[None])[0]), float(low), float(high))


def mean(values: FloatArray, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean of [n] values; of True and False it is a share."""
    values = np.asarray(values, np.float64)
    return bootstrap(lambda chosen: values[chosen].mean(axis=1), len(values), resamples, seed)


def ratio_of_means(
    above: FloatArray, below: FloatArray, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """mean(above) / mean(below) of paired values [n] each; nan where the lower mean is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if above.shape != below.shape:
        raise ValueError(f"pairs needed, got {above.shape} and {below.shape}")

    def ratio(chosen: NDArray[np.int64]) -> FloatArray:
        bottom = below[chosen].mean(axis=1)
        return above[chosen].mean(axis=1) / np.where(bottom == 0, np.nan, bottom)

    return bootstrap(ratio, len(above), resamples, seed)


def jackknife(
    statistic: Callable[[NDArray[np.int64]], float], count: int, groups: int = 20, seed: int = 0
) -> Interval:
    """Delete-a-group jackknife (Kott 2001), for statistics that a bootstrap's repeated pictures would distort.
    statistic: chosen pictures' indices [k], each at most once → its value. count: pictures, dealt at random into
    groups, each of which is left out in turn."""
    if count < 2:
        return Interval(np.nan, np.nan, np.nan)
    groups = min(groups, count)
    order = np.random.default_rng(seed).permutation(count)
    value = statistic(np.arange(count))
    without = np.array([statistic(np.setdiff1d(order, part)) for part in np.array_split(order, groups)])
    deviation = np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    return Interval(float(value), float(value - 1.96 * deviation), float(value + 1.96 * deviation))


def plain(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
