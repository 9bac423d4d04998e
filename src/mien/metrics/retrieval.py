"""Whose face is it: retrieval among many people. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mien.types import FloatArray

Distance = Literal["cosine", "euclidean"]


def distances(queries: FloatArray, gallery: FloatArray, distance: Distance = "cosine") -> FloatArray:
    """Every query against everyone: [n, d] and [m, d] → [n, m] float64; cosine is 1 - cos, in [0, 2]."""
    return cdist(queries, gallery, distance)


def ranks(
    queries: FloatArray,
    gallery: FloatArray,
    query_people: Sequence[object],
    gallery_people: Sequence[object],
    distance: Distance = "cosine",
) -> NDArray[np.int64]:
    """The place [n], from 1, of each query's own person when the gallery is sorted by distance. Raises `ValueError`:
    somebody asked for is not in the gallery. Everybody counts by their nearest picture. A stranger who is exactly as
    near goes first: ties never help."""
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
