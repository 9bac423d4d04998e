"""What is rejected, by which number; and the quality measure against pictures whose order is known."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from mien.data import filters
from mien.data.filters import Limits, PlainQuality, distances, judge, load_quality, reasons
from mien.types import InputError
from tests.data.sets import face

LIMITS = Limits(id_distance=0.6, quality=0.2)
GOOD = {"exp": 0.05, "lms": 0.18, "id_distance": 0.6}


def scene(seed: int = 0, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(40, 216, (side, side, 3)).astype(np.uint8)


def test_the_papers_limits_keep_the_faithful_pairs() -> None:
    assert judge(GOOD, 0.2, LIMITS) is None  # "Exp <= 0.05 and LMS <= 0.18" are kept, bounds included
    assert judge({**GOOD, "exp": 0.0, "lms": 0.0}, 0.9, LIMITS) is None


@pytest.mark.parametrize(
    ("scores", "quality", "phrase"),
    [
        ({**GOOD, "exp": 0.0501}, 0.9, "expression changed (Exp)"),
        ({**GOOD, "lms": 0.1801}, 0.9, "expression changed (LMS)"),
        ({**GOOD, "id_distance": 0.59}, 0.9, "same person"),
        (GOOD, 0.19, "low quality"),
    ],
)
def test_every_limit_rejects_with_its_phrase_and_number(
    scores: dict[str, float], quality: float, phrase: str
) -> None:
    reason = judge(scores, quality, LIMITS)
    assert reason is not None
    kind, _, number = reason.partition(": ")
    assert kind == phrase and 0 < float(number) < 1


def test_distances_are_the_papers_metrics() -> None:
    a, b = face(1), face(2)
    seen = [(f, np.full(4, float(i))) for i, f in enumerate((a, b))]
    found = distances(*seen)
    assert found["exp"] == pytest.approx(np.abs(a.blendshapes - b.blendshapes).sum() / 52)
    assert found["id_distance"] == pytest.approx(2.0)

    def ratio(points: np.ndarray, up: tuple[int, int], across: tuple[int, int]) -> float:
        (a, b), (c, d) = up, across
        return float(np.hypot(*(points[a] - points[b])[:2]) / np.hypot(*(points[c] - points[d])[:2]))

    parts = [((145, 159), (133, 33)), ((133, 468), (133, 33)), ((374, 386), (263, 362))]
    parts += [((263, 473), (263, 362)), ((17, 0), (291, 61))]
    wanted = sum(abs(ratio(a.landmarks, *part) - ratio(b.landmarks, *part)) for part in parts)
    assert found["lms"] == pytest.approx(wanted)


def test_limits_that_make_no_sense() -> None:
    for value in (-0.1, float("nan")):
        with pytest.raises(InputError, match="limit exp"):
            Limits(exp=value)


def test_plain_quality_falls_with_blur_with_clipping_and_without_contrast() -> None:
    measure = PlainQuality()
    sharp = Image.fromarray(scene())
    blurred = [np.asarray(sharp.filter(ImageFilter.GaussianBlur(r))) for r in (0, 2, 3, 5)]
    scores = measure(np.stack(blurred))
    assert scores[0] > 0.9 and (np.diff(scores) < 0).all()
    half = np.asarray(sharp).copy()
    half[:32] = 255
    flat = np.full((64, 64, 3), 128, np.uint8)
    scores = measure(np.stack([np.asarray(sharp), half, flat]))
    assert scores[1] < 0.55 * scores[0] and scores[2] == 0.0


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255))
def test_plain_quality_is_a_share(low: int, high: int) -> None:
    crop = np.where(np.indices((16, 16)).sum(0)[..., None] % 2, low, high).astype(np.uint8).repeat(3, 2)
    score = float(PlainQuality()(crop[None])[0])
    assert 0.0 <= score <= 1.0


def test_measures_by_name() -> None:
    there = importlib.util.find_spec("pyiqa") is not None
    if not there:
        assert load_quality("auto").name == "plain"
        with pytest.raises(InputError, match="pip install pyiqa"):
            load_quality("liqe")
    assert load_quality("none")(np.zeros((2, 4, 4, 3), np.uint8)).tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="quality measure 'best' is unknown"):
        load_quality("best")
    assert set(filters.MIN_QUALITY) == set(filters.QUALITIES) - {"auto"}


def test_liqe_prefers_the_sharp_picture() -> None:
    pytest.importorskip("pyiqa", reason="LIQE needs pyiqa, which needs torchvision")
    sharp = Image.fromarray(scene(side=256))
    blurred = sharp.filter(ImageFilter.GaussianBlur(6))
    scores = load_quality("liqe")(np.stack([np.asarray(sharp), np.asarray(blurred)]))
    assert scores[0] > scores[1]


def test_reasons_are_counted_by_their_phrase() -> None:
    found = [None, "low quality: 0.1", "no face", None, "low quality: 0.2"]
    assert list(reasons(found).items()) == [("kept", 2), ("low quality", 2), ("no face", 1)]


@pytest.mark.parametrize("name", ["quality", "exp", "lms", "id_distance"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_refused(name: str, value: float) -> None:
    limits = Limits(id_distance=0.0, quality=0.0)
    scores = {"exp": 0.01, "lms": 0.01, "id_distance": 0.9, "quality": 0.5}
    good = dict(scores)
    assert judge(good, good.pop("quality"), limits) is None
    scores[name] = value
    reason = judge(scores, scores.pop("quality"), limits)
    assert reason == f"no number ({name}): {value}"
