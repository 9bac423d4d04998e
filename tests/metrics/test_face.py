from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.metrics import face as metrics
from mien.types import Face
from tests.face.faces import lms_ratios

RNG = np.random.default_rng(0)


def landmarks(count: int) -> np.ndarray:
    return RNG.uniform(0, 300, (count, 478, 3))


def lms_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """EmojiDiff Eqs. 2-3 by an oracle."""
    return sum(abs(x - y) for x, y in zip(lms_ratios(a), lms_ratios(b), strict=True))


def test_exp_is_the_mean_and_exp_sum_the_sum() -> None:
    a, b = RNG.uniform(0, 1, (4, 52)), RNG.uniform(0, 1, (4, 52))
    by_hand = [sum(abs(a[i][j] - b[i][j]) for j in range(52)) for i in range(4)]
    np.testing.assert_allclose(metrics.exp_sum(a, b), by_hand)
    np.testing.assert_allclose(metrics.exp(a, b), np.array(by_hand) / 52)
    assert metrics.exp(np.zeros(52), np.ones(52)) == 1.0
    with pytest.raises(ValueError, match="blendshapes are"):
        metrics.exp(np.zeros(51), np.zeros(51))


def test_lms_follows_the_equations() -> None:
    a, b = landmarks(5), landmarks(5)
    np.testing.assert_allclose(metrics.lms(a, b), [lms_by_hand(x, y) for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(metrics.lms_differences(a, b).sum(-1), metrics.lms(a, b))
    assert metrics.lms(a[0], a[0] * 2 + 5) == pytest.approx(0)


def test_identity() -> None:
    a = np.array([[1.0, 0, 0], [3, 4, 0]])
    b = np.array([[0.0, 2, 0], [6, 8, 0]])
    np.testing.assert_allclose(metrics.id_similarity(a, b), [0, 1])
    np.testing.assert_allclose(metrics.id_distance(a, b), [math.sqrt(5), 5])
    np.testing.assert_allclose(metrics.expression_distance(a, b), [math.sqrt(5), 5])
    with pytest.raises(ValueError, match="no direction"):
        metrics.id_similarity(a, np.zeros(3))
    with pytest.raises(ValueError, match="one width"):
        metrics.id_distance(a, np.zeros(4))


def test_pose_goes_the_short_way_round() -> None:
    assert metrics.pose_error(np.array([3.0, 4, 179]), np.array([0.0, 0, -181])) == pytest.approx(5)
    assert metrics.pose_error(np.array([0, 0, 179.0]), np.array([0, 0, -179.0])) == pytest.approx(2)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 5))
@settings(max_examples=60, deadline=None)
def test_copy_paste_is_bounded(seed: int, smallest: float) -> None:
    result, wanted, source = np.random.default_rng(seed).normal(size=(3, 4))
    distance = metrics.id_distance
    measure = metrics.copy_paste(
        distance(result, wanted), distance(result, source), distance(wanted, source), smallest
    )
    assert -1 <= measure <= 1


def test_copy_paste_at_its_ends() -> None:
    wanted, source = np.zeros(3), np.array([4.0, 0, 0])

    def measure(result: np.ndarray, smallest: float = 1.0) -> float:
        distances = [
            metrics.id_distance(*pair) for pair in ((result, wanted), (result, source), (wanted, source))
        ]
        return float(metrics.copy_paste(*distances, smallest))

    assert measure(source) == 1
    assert measure(wanted) == -1
    assert measure(np.array([2.0, 7, 0])) == 0
    assert measure(np.array([3.0, 0, 0])) == 0.5
    assert measure(source, smallest=8.0) == 0.5  # the two inputs are too alike to be sure
    with pytest.raises(ValueError, match="above 0"):
        metrics.copy_paste(1, 1, 0, 0)


def test_appearance_sees_colour_and_not_size() -> None:
    points = np.zeros((478, 3))
    points[[33, 133, 362, 263, 2], :2] = [[31, 37], [51, 39], [77, 39], [97, 37], [64, 72]]
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:, 64:, 0] = 200
    small = Image.fromarray(pixels)

    def of(image: Image.Image, scale: float) -> np.ndarray:
        return metrics.appearance(image, Face(np.zeros(4), points * scale, np.zeros(52), np.zeros(3), 1.0))

    first = of(small, 1)
    assert first.shape == (192,)
    tiles = first.reshape(8, 8, 3)
    assert tiles[:, 0].max() == 0
    np.testing.assert_allclose(tiles[:, 7, 0], 200 / 255, atol=1e-6)
    assert np.abs(of(small.resize((512, 512)), 4) - first).max() < 0.05
