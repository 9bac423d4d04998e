"""How real a set of pictures looks: distances between two sets of feature vectors. Pure functions of arrays.

A distance is only as good as its features. Here they are a recogniser's numbers, standardised over the training faces
(``Observation.direction``); dlib's network shares no weights with ours, though it taught our recogniser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.types import FloatArray


def frechet(a: FloatArray, b: FloatArray) -> float:
    """Frechet distance of Gaussians fitted to two sets of features [n, d] and [m, d], n and m at least 2 (else
    ValueError).

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), 0 for equal moments (Dowson & Landau 1982; FID: Heusel et al.
    2017). It is biased upwards, the more the fewer pictures there are: compare values of equal n and m only.
    """
    a, b = _two_sets(a, b)
    cov_a, cov_b = (np.atleast_2d(np.cov(x.T, ddof=1)) for x in (a, b))
    # tr((S_a S_b)^(1/2)) = tr((R S_b R)^(1/2)) with R = S_a^(1/2): symmetric, so that no complex root appears.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    gap = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(max(gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross, 0.0))


def kid(a: FloatArray, b: FloatArray, related: NDArray[np.bool_] | None = None) -> float:
    """Kernel distance of two sets of features [n, d] and [m, d]: MMD^2 with k(x, y) = (x.y / d + 1)^3.

    Unbiased whatever n and m are: 0 on average (it may be below 0) for sets of one distribution (Binkowski et al. 2018,
    KID; Gretton et al. 2012, Eq. 3). related: [n, m], True where vector i of `a` was made from vector j of `b`: such
    pairs are left out of the mean between the sets (Gretton et al. 2012, Eq. 4, leaves out i = j). ValueError: fewer
    than two vectors, widths that differ, or nothing that is not related.
    """
    a, b = _two_sets(a, b)
    between = _polynomial(a, b)
    kept = np.ones_like(between, bool) if related is None else ~np.asarray(related, bool)
    if kept.shape != between.shape or not kept.any():
        raise ValueError(f"related must be {between.shape} and leave something, got {kept.shape}")
    within = sum(_off_diagonal_mean(_polynomial(x, x)) for x in (a, b))
    return float(within - 2 * between[kept].mean())


def _polynomial(a: FloatArray, b: FloatArray) -> FloatArray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _off_diagonal_mean(gram: FloatArray) -> float:
    n = len(gram)
    return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))


def _two_sets(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"two sets of vectors of one width are needed, got {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"two vectors a set are needed, got {len(a)} and {len(b)}")
    return a, b
