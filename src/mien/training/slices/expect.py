"""What another slice can be expected to bring: a power law through the validations so far, with its uncertainty.

y(n) = a + b (1 + n / s)^-c: n pictures seen, a where it ends, s how much had been seen before (loss curves are close to
power laws: Hestness et al. 2017, arXiv 1712.00409). For every s and c of a grid, a and b are linear least squares;
each pair counts by its likelihood with a, b and the noise integrated out under flat priors, and predictions are drawn
from all of them. Validations use the same pictures and noise each time, so what scatters is mostly the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.types import FloatArray

FEWEST = 5  # points for a fit: two coefficients, and something left to know the noise by
DRAWS = 4000
EXPONENTS = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0)
LAWFUL = 0.005  # of the range seen: no curve is a power law more nearly than that
RECENT = 16  # validations that a fit looks at: what was learned long ago, at other rates, says little


@dataclass(frozen=True)
class Expected:
    """The watched number now and after another slice: medians, and what holds 80% of the draws.

    change: of the next slice, negative where it falls. improves: probability that it changes for the better.
    """

    now: float
    then: tuple[float, float, float]
    change: tuple[float, float, float]
    improves: float


def points(history: Sequence[Mapping[str, Any]]) -> FloatArray:
    """[n, 3] float64: pictures seen, the watched number, the slice it was measured in.

    Pictures are counted along the way that was kept: what a slice did after its best state is measured, and then
    forgotten.
    """
    found, seen = [], 0
    for entry in history:
        for images, numbers in entry["curve"]:
            found.append((seen + images, numbers[entry["watch"]], entry["slice"]))
        seen += entry["kept_step"] * entry["batch"]
    return np.array(found, np.float64).reshape(-1, 3)


def expect(
    history: Sequence[Mapping[str, Any]], images: float | None = None, seed: int = 0
) -> Expected | None:
    """After a slice of `images` (None: as many as the last one's); None where there are too few validations.

    A validation at the start of a slice repeats the last one's best, and is left out after the first.
    """
    if not history:
        return None
    known = points(history)
    repeated = np.flatnonzero(np.diff(known[:, 2]) > 0) + 1
    known = np.delete(known, repeated, axis=0)[-RECENT:]
    if len(known) < FEWEST:
        return None
    last = history[-1]
    now = float(known[-1, 0])
    further = now + (images if images is not None else float(last["images"]))
    draws = _draws(known[:, 0], known[:, 1], np.array([now, further]), np.random.default_rng(seed))
    change = draws[:, 1] - draws[:, 0]
    kept = sum(entry["kept_step"] * entry["batch"] for entry in history)
    current = float(points(history)[np.abs(points(history)[:, 0] - kept).argmin(), 1])
    sign = 1.0 if last["better"] == "higher" else -1.0

    def middle(values: FloatArray) -> tuple[float, float, float]:
        low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
        return float(low), float(median), float(high)

    return Expected(current, middle(current + change), middle(change), float((sign * change > 0).mean()))


def _draws(x: FloatArray, y: FloatArray, at: FloatArray, rng: np.random.Generator) -> FloatArray:
    """[DRAWS, len(at)] values of the curve at `at`, from its posterior given points (x, y)."""
    n, span = len(x), max(float(x.max()), 1.0)
    fits = []
    for scale in span * np.logspace(-2, 1, 49):
        for exponent in EXPONENTS:
            design, wanted = (
                np.stack([np.ones_like(v), (1 + v / scale) ** -exponent], axis=1) for v in (x, at)
            )
            inverse = np.linalg.inv(design.T @ design + 1e-12 * np.eye(2))
            best = inverse @ design.T @ y
            left = float(((y - design @ best) ** 2).sum()) + n * (LAWFUL * float(np.ptp(y))) ** 2 + 1e-300
            # Likelihood with a, b (flat) and the noise's deviation (flat in its logarithm) integrated out. The
            # curve's scale is free, so the determinant is taken of a design that spans one unit over the points.
            reach = np.ptp(design[:, 1])
            log_weight = -0.5 * (n - 2) * np.log(left) + 0.5 * np.log(np.linalg.det(inverse)) + np.log(reach)
            fits.append((log_weight, best, inverse, left, wanted))
    weights = np.array([fit[0] for fit in fits])
    weights = np.exp(weights - weights.max())
    drawn = []
    for which in rng.choice(len(fits), DRAWS, p=weights / weights.sum()):
        _, best, inverse, left, wanted = fits[which]
        variance = left / rng.chisquare(n - 2)
        drawn.append(wanted @ rng.multivariate_normal(best, variance * inverse, method="eigh"))
    return np.array(drawn)
