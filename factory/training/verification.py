"""Are two pictures of one person: how well distances tell. Pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.types import FloatArray


def best_threshold(distance: FloatArray, same: NDArray[np.bool_]) -> float:
    """The distance below which calling a pair "same" is right most often on these pairs."""
    distance, same = _pairs(distance, same)
    order = np.argsort(distance, kind="stable")
    ordered, is_same = distance[order], same[order]
    right = np.concatenate([[0], np.cumsum(np.where(is_same, 1, -1))])  # calling the first i pairs "same"
    cut_allowed = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    cut = int(np.where(cut_allowed, right, -len(ordered) - 1).argmax())
    below = ordered[cut - 1] if cut else ordered[0] - 1.0
    above = ordered[cut] if cut < len(ordered) else ordered[-1] + 1.0
    return float((below + above) / 2)


def verification_accuracy(
    distance: FloatArray, same: NDArray[np.bool_], folds: int = 10, seed: int = 0
) -> tuple[float, float]:
    """Share of pairs judged rightly, as LFW does it: the threshold for each fold comes from the others.

    Args:
        distance: [n] of pairs. same: [n] bool. folds: of equal size, drawn by `seed`.

    Returns:
        Mean accuracy over the folds in [0, 1], and the mean threshold.
    """
    distance, same = _pairs(distance, same)
    parts = np.array_split(np.random.default_rng(seed).permutation(len(distance)), folds)
    accuracies, thresholds = [], []
    for part in parts:
        rest = np.ones(len(distance), bool)
        rest[part] = False
        threshold = best_threshold(distance[rest], same[rest])
        thresholds.append(threshold)
        accuracies.append(((distance[part] < threshold) == same[part]).mean())
    return float(np.mean(accuracies)), float(np.mean(thresholds))


def _pairs(distance: FloatArray, same: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.bool_]]:
    distance, same = np.asarray(distance, np.float64), np.asarray(same, bool)
    if distance.shape != same.shape or distance.ndim != 1:
        raise ValueError(f"one distance and one truth a pair, got {distance.shape} and {same.shape}")
    if same.all() or not same.any():
        raise ValueError("both same-person and different-person pairs are needed")
    return distance, same
