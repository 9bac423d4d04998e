from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.model_card import rank_1_among
from factory.training import verification
from mien.metrics import retrieval


@pytest.fixture
def rng() -> np.random.Generator:
    """Each test's own: what it draws does not depend on which ran before."""
    return np.random.default_rng(0)


def scene(
    rng: np.random.Generator, people: int = 12, width: int = 5
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    centres = rng.normal(size=(people, width))
    names = [f"p{i}" for i in range(people)]
    return centres + rng.normal(scale=0.8, size=centres.shape), centres, names


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_rank_1_is_scikit_learns_nearest_neighbour(
    rng: np.random.Generator, distance: retrieval.Distance
) -> None:
    queries, gallery, names = scene(rng)
    oracle = KNeighborsClassifier(1, metric=distance).fit(gallery, names).score(queries, names)
    got = (retrieval.ranks(queries, gallery, names, names, distance) == 1).mean()
    assert 0 < got < 1
    assert got == pytest.approx(oracle)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_rank_k_is_scikit_learns_top_k(rng: np.random.Generator, k: int) -> None:
    queries, gallery, names = scene(rng)
    scores = -retrieval.distances(queries, gallery, "cosine")
    oracle = top_k_accuracy_score(range(len(names)), scores, k=k)
    assert (retrieval.ranks(queries, gallery, names, names) <= k).mean() == pytest.approx(oracle)


def test_somebody_with_several_pictures_counts_once_by_the_nearest() -> None:
    gallery = np.array([[0.0], [10], [2], [3]])
    people = ["a", "a", "b", "b"]
    got = retrieval.ranks(np.array([[9.0], [2.4], [0.9]]), gallery, ["a", "b", "b"], people, "euclidean")
    assert got.tolist() == [1, 1, 2]


def test_ties_never_help_and_absent_people_are_an_error() -> None:
    same = np.ones((3, 2))
    assert (retrieval.ranks(same, same, "abc", "abc") == 3).all()
    with pytest.raises(ValueError, match="not in the gallery: z"):
        retrieval.ranks(same, same, "abz", "abc")


def test_threshold_is_the_best_of_all(rng: np.random.Generator) -> None:
    distance = rng.normal(size=60).round(1)
    same = rng.random(60) < 0.5
    distance = (distance - same).round(1)
    got = ((distance < verification.best_threshold(distance, same)) == same).mean()
    every = [((distance < cut) == same).mean() for cut in np.linspace(-6, 6, 2401)]
    assert got == pytest.approx(max(every))


def test_verification(rng: np.random.Generator) -> None:
    distance = np.concatenate([np.linspace(0, 0.5, 50), np.linspace(0.7, 2, 50)])
    same = np.arange(100) < 50
    accuracy, threshold = verification.verification_accuracy(distance, same)
    assert accuracy == 1.0
    assert 0.5 < threshold < 0.7
    noise, _ = verification.verification_accuracy(rng.random(400), np.arange(400) < 200)
    assert 0.4 < noise < 0.6
    with pytest.raises(ValueError, match="both"):
        verification.verification_accuracy(distance, np.ones(100, bool))


def test_rank_1_among_fewer_is_the_mean_over_random_galleries(rng: np.random.Generator) -> None:
    queries, gallery, names = scene(rng, people=12)
    places = retrieval.ranks(queries, gallery, names, names, "euclidean")
    expected = rank_1_among(places, 12, 4)
    hits = np.zeros(12)
    for _ in range(1500):
        for i in range(12):
            others = rng.choice(np.delete(np.arange(12), i), 3, replace=False)
            kept = [i, *others]
            chosen = [names[j] for j in kept]
            hits[i] += (
                retrieval.ranks(queries[i : i + 1], gallery[kept], [names[i]], chosen, "euclidean")[0] == 1
            )
    assert hits / 1500 == pytest.approx(expected, abs=0.06)
    assert rank_1_among(places, 12, 12) == pytest.approx((places == 1).astype(float))
    assert rank_1_among(places, 12, 1) == pytest.approx(np.ones(12))
    with pytest.raises(ValueError, match="gallery"):
        rank_1_among(places, 12, 13)
