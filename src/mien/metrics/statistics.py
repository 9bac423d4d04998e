"""How sure a mean is: bootstrap intervals over pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.types import FloatArray

RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95% bootstrap interval. All are nan where there was nothing to estimate from."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float], count: int, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a statistic of `count` pictures, drawn with replacement.

    Args:
        statistic: of the chosen pictures' indices [count]; so pairs and ratios stay together.
    """
    if count == 0:
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    draws = [statistic(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(statistic(np.arange(count))), float(low), float(high))


def mean(values: FloatArray, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean of [n] values; of True and False it is a share."""
    values = np.asarray(values, np.float64)
    return bootstrap(lambda chosen: float(values[chosen].mean()), len(values), resamples, seed)


def ratio_of_means(
    above: FloatArray, below: FloatArray, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """mean(above) / mean(below) of paired values [n] each; nan where the lower mean is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if above.shape != below.shape:
        raise ValueError(f"pairs needed, got {above.shape} and {below.shape}")

    def ratio(chosen: NDArray[np.int64]) -> float:
        bottom = below[chosen].mean()
        return float(above[chosen].mean() / bottom) if bottom else float("nan")

    return bootstrap(ratio, len(above), resamples, seed)
