from __future__ import annotations

import numpy as np
import pytest

from mien.metrics.distribution import frechet, kid


def drawn(seed: int, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


def with_moments(mean: np.ndarray, covariance: np.ndarray, n: int = 50) -> np.ndarray:
    """[n, d] whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(0).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_commuting_gaussians_has_a_closed_form() -> None:
    a = with_moments(np.array([1.0, 0, -2]), np.diag([4.0, 1, 9]))
    b = with_moments(np.array([0.0, 2, -2]), np.diag([1.0, 1, 25]))
    assert frechet(a, b) == pytest.approx((1 + 4) + (2 - 1) ** 2 + 0 + (3 - 5) ** 2)


def test_frechet_agrees_with_scipys_matrix_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = drawn(1, 40, 6), drawn(2, 60, 6, 0.5)
    s, t = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert frechet(a, b) == pytest.approx(expected)
    assert frechet(b, a) == pytest.approx(expected)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_pictures_than_numbers_stays_finite() -> None:
    a, b = drawn(1, 5, 12), drawn(2, 6, 12)
    assert np.isfinite(frechet(a, b))
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_kid_agrees_with_scikit_learns_polynomial_kernel() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    a, b = drawn(1, 30, 5), drawn(2, 20, 5, 0.3)
    aa, bb, ab = (pairwise.polynomial_kernel(x, y, degree=3, coef0=1) for x, y in ((a, a), (b, b), (a, b)))
    inside = [gram[~np.eye(len(gram), dtype=bool)].mean() for gram in (aa, bb)]
    assert kid(a, b) == pytest.approx(sum(inside) - 2 * ab.mean())


def test_kid_is_unbiased_at_any_size_and_frechet_is_not() -> None:
    rng = np.random.default_rng(0)
    sets = [(rng.normal(size=(10, 4)), rng.normal(size=(10, 4))) for _ in range(400)]
    kids = np.array([kid(a, b) for a, b in sets])
    assert abs(kids.mean()) < 4 * kids.std() / np.sqrt(len(kids))
    assert np.mean([frechet(a, b) for a, b in sets]) > 0.3


def test_kid_leaves_out_what_is_related() -> None:
    rng = np.random.default_rng(0)
    same, apart = [], []
    for _ in range(300):
        b = rng.normal(size=(12, 4))
        a = b + 0.1 * rng.normal(size=b.shape)  # made from b, one by one, and so of nearly its distribution
        same.append(kid(a, b))
        apart.append(kid(a, b, np.eye(12, dtype=bool)))
    error = np.std(apart) / np.sqrt(len(apart))
    assert abs(np.mean(apart)) < 4 * error
    assert np.mean(same) < -10 * error  # as if nearer than a second drawing of the very same


@pytest.mark.parametrize("metric", [frechet, kid])
def test_what_cannot_be_compared_is_refused(metric: object) -> None:
    with pytest.raises(ValueError, match="one width"):
        metric(np.zeros((3, 2)), np.zeros((3, 4)))  # type: ignore[operator]
    with pytest.raises(ValueError, match="two vectors"):
        metric(np.zeros((1, 2)), np.zeros((3, 2)))  # type: ignore[operator]


def test_everything_related_is_refused() -> None:
    with pytest.raises(ValueError, match="related"):
        kid(np.zeros((3, 2)), np.zeros((3, 2)), np.ones((3, 3), bool))
