"""The analyser's benchmark on made-up faces: mirrored readings come back, agreement is what it says."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from mien.face.align import ANCHOR_PLACES, ANCHORS
from mien.face.blendshapes import FLIP
from mien.face.landmarks import bounding_box
from mien.types import Face

SIDE = 160
RNG = np.random.default_rng(0)
# A symmetric face whose landmarks 2k and 2k + 1 are mirror images; the anchors keep their own pairs.
MIRROR = np.arange(478).reshape(-1, 2)[:, ::-1].ravel()
PAIRS = {33: 263, 263: 33, 133: 362, 362: 133, 2: 2}
for one in PAIRS:
    MIRROR[one == MIRROR] = MIRROR[one]
for one, other in PAIRS.items():
    MIRROR[one] = other


@pytest.fixture
def benchmark() -> ModuleType:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    from benchmarks import analyser_benchmark

    return analyser_benchmark


def symmetric_face() -> np.ndarray:
    points = np.zeros((478, 3))
    for i in range(478):
        if MIRROR[i] >= i:
            points[i] = RNG.uniform([20, 20, -20], [SIDE / 2 - 8, SIDE - 20, 20])
            points[MIRROR[i]] = points[i] * [-1, 1, 1] + [SIDE, 0, 0]
        if MIRROR[i] == i:
            points[i, 0] = SIDE / 2
    for index, (x, y) in zip(ANCHORS, ANCHOR_PLACES, strict=True):
        points[index] = [SIDE * x, SIDE * y, 0]
        points[MIRROR[index]] = [SIDE * (1 - x), SIDE * y, 0]
    return points


def made(landmarks: np.ndarray, shapes: np.ndarray, pose: np.ndarray) -> Face:
    return Face(bounding_box(landmarks), landmarks, shapes, pose, 1.0)


def test_the_mirrored_reading_comes_back(benchmark: ModuleType) -> None:
    base = symmetric_face()
    faces = [
        made(base + RNG.normal(0, 0.3, base.shape), RNG.uniform(0, 1, 52), RNG.uniform(-20, 20, 3))
        for _ in range(5)
    ]
    pictures = [
        benchmark.Picture("made", str(i), "nobody", Image.new("L", (SIDE, SIDE), i)) for i in range(5)
    ]

    def teacher(image: Image.Image) -> list[Face]:
        face = faces[image.getpixel((0, 0))]
        landmarks = face.landmarks[MIRROR] * [-1, 1, 1] + [SIDE, 0, 0]
        return [made(landmarks, face.blendshapes[list(FLIP)], face.pose * [-1, 1, -1])]

    back = benchmark.mirrored(pictures, faces, teacher)
    for face, again in zip(faces, back, strict=True):
        assert again is not None
        np.testing.assert_allclose(again.landmarks, face.landmarks, atol=1e-9)
        np.testing.assert_allclose(again.blendshapes, face.blendshapes)
        np.testing.assert_allclose(again.pose, face.pose)
    assert benchmark.mirrored(pictures, faces, lambda image: []) == [None] * 5


def test_agreement(benchmark: ModuleType) -> None:
    base = symmetric_face()
    base[[468, 473], :2] = [[50, 48], [110, 48]]
    faces = [
        made(base + RNG.normal(0, 2, base.shape), RNG.uniform(0, 1, 52), RNG.uniform(-20, 20, 3))
        for _ in range(30)
    ]
    same = benchmark.agreement(faces, list(faces))
    assert all(
        value.value == pytest.approx(1 if "correlation" in what else 0) for what, value in same.items()
    )
    moved = [made(f.landmarks + [6, 0, 0], f.blendshapes * 0.5, f.pose + [0, 3, 0]) for f in faces]
    moved[3] = None  # not found
    told = benchmark.agreement(faces, moved)
    distance = np.mean([np.linalg.norm(f.landmarks[468, :2] - f.landmarks[473, :2]) for f in faces])
    assert told["landmark error, share of the eye distance"].value == pytest.approx(6 / distance, rel=0.03)
    assert told["pitch: mean absolute difference, degrees"].value == pytest.approx(3)
    assert told["Exp of random pairs: correlation"].value == pytest.approx(1)
    halved = np.mean([f.blendshapes.mean() / 2 for i, f in enumerate(faces) if i != 3])
    assert told["blendshapes: mean absolute error"].value == pytest.approx(halved)


def test_overlapping_boxes(benchmark: ModuleType) -> None:
    a, b = np.array([0.0, 0, 10, 10]), np.array([5.0, 0, 15, 10])
    overlap, find = benchmark.overlap, benchmark.find
    assert overlap(a, b) == pytest.approx(1 / 3) and overlap(a, a) == 1 and overlap(a, a + 20) == 0
    face = made(symmetric_face(), np.zeros(52), np.zeros(3))
    assert find([face], face.box) is face and find([face], face.box + 100) is None and find([], a) is None


def test_pairs_that_share_faces_promise_no_more_than_they_know(benchmark: ModuleType) -> None:
    """Simulated often, a correlation's true spread is known: taken as independent, pairs claim half of it."""
    faces, claimed, naive, values = 60, [], [], []
    rng = np.random.default_rng(0)
    for _ in range(150):
        who = rng.normal(size=(2, faces)) ** 2 + 0.3 * rng.normal(size=(1, faces))
        first, second = rng.integers(0, faces, (2, 600))
        first, second = first[first != second], second[first != second]
        a, b = (who[k][first] + who[k][second] for k in (0, 1))
        found = benchmark.correlation_of_pairs(a, b, first, second, faces)
        values.append(found.value)
        claimed.append((found.high - found.low) / 3.92)
        one = benchmark.correlation(a, b)
        naive.append((one.high - one.low) / 3.92)
    assert found.value == pytest.approx(one.value)
    true = np.std(values)
    assert 0.75 * true < np.mean(claimed) < 1.5 * true
    assert np.mean(naive) < 0.5 * true
