"""Whose face is it: retrieval among many people, and verification of pairs. Pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.types import FloatArray

Distance = Literal["cosine", "euclidean"]


def distances(queries: FloatArray, gallery: FloatArray, distance: Distance = "cosine") -> FloatArray:
    """Every query against everyone: [n, d] and [m, d] → [n, m] float64; cosine is 1 - cos, in [0, 2]."""
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    if distance == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
        return 1.0 - queries @ gallery.T
    if distance != "euclidean":
        raise ValueError(f"distance must be 'cosine' or 'euclidean', not {distance!r}")
    return np.stack([np.linalg.norm(gallery - query, axis=1) for query in queries])


def ranks(
    queries: FloatArray,
    gallery: FloatArray,
    query_people: Sequence[object],
    gallery_people: Sequence[object],
    distance: Distance = "cosine",
) -> NDArray[np.int64]:
    """The place [n], from 1, of each query's own person when the gallery is sorted by distance.

    Everybody counts by their nearest picture. A stranger who is exactly as near goes first: ties never help.

    Raises:
        ValueError: somebody asked for is not in the gallery.
    """
    people = list(dict.fromkeys(gallery_people))
    missing = set(query_people) - set(people)
    if missing:
        raise ValueError(f"not in the gallery: {sorted(map(str, missing))[0]}")
    table = distances(queries, gallery, distance)
    member = np.array([people.index(person) for person in gallery_people])
    nearest = np.stack([table[:, member == i].min(axis=1) for i in range(len(people))], axis=1)  # [n, people]
    own = np.array([people.index(person) for person in query_people])
    own_distance = nearest[np.arange(len(own)), own][:, None]
    return (nearest <= own_distance).sum(axis=1)


def id_retrieval(
    queries: FloatArray,
    gallery: FloatArray,
    query_people: Sequence[object],
    gallery_people: Sequence[object],
    k: int = 1,
    distance: Distance = "cosine",
) -> float:
    """Rank-k accuracy in [0, 1]: share of queries whose person is among the k nearest (DiffSFSR 4: ID).

    Args:
        queries: [n, d] embeddings of results. gallery: [m, d] embeddings of identity pictures.
        query_people: n names: whom each result should show. gallery_people: m names.
        k: 1 or more people.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, not {k}")
    return float((ranks(queries, gallery, query_people, gallery_people, distance) <= k).mean())


def rank_1_among(places: NDArray[np.int64], people: int, size: int) -> FloatArray:
    """Each query's chance [n] of being nearest to its own person in a random gallery of `size` of `people` people.

    The gallery holds the query's person and size - 1 of the others, so with place p among all (from `ranks`) the
    chance is C(people - p, size - 1) / C(people - 1, size - 1): none of the p - 1 nearer ones was drawn.

    Raises:
        ValueError: a gallery larger than all people, or places beyond them.
    """
    places = np.asarray(places)
    if not 1 <= size <= people or (len(places) and not (places.min() >= 1 and places.max() <= people)):
        raise ValueError(f"a gallery of {size} of {people} people, and places from 1 to {people}, are needed")
    return np.array(
        [math.comb(people - int(p), size - 1) / math.comb(people - 1, size - 1) for p in places], np.float64
    )


def auc(distance: FloatArray, same: NDArray[np.bool_]) -> float:
    """Chance in [0, 1] that a same-person pair is nearer than a different-person pair; a tie counts half.

    Args:
        distance: [n] of pairs. same: [n] bool, both kinds present.
    """
    distance, same = _pairs(distance, same)
    values, inverse, counts = np.unique(distance, return_inverse=True, return_counts=True)
    place = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank, from 1
    n_same, n_other = same.sum(), (~same).sum()
    return float((place[~same].sum() - n_other * (n_other + 1) / 2) / (n_same * n_other))


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
