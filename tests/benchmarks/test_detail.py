"""Expression detail on results whose answers are known, and the table that is made of it."""

from __future__ import annotations

from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.types import Face


@pytest.fixture
def detail() -> ModuleType:
    pytest.importorskip("numba", reason="the benchmark's other pictures are rendered with it")
    if not hasattr(cv2, "HOGDescriptor"):
        pytest.skip("this OpenCV has no HOG: mediapipe's, of mien[bench], does")
    from benchmarks import detail

    return detail


@pytest.fixture
def films(detail: ModuleType) -> list[object]:
    """Two films of six frames: random gradients around each film's own; blendshapes rise by the frame's number."""
    rng = np.random.default_rng(0)
    made = []
    for film in "ab":
        looks = 5 * rng.normal(size=40)
        for k in range(6):
            face = Face(np.zeros(4), np.ones((478, 3)), np.full(52, k / 10), np.zeros(3), 1.0)
            made.append(detail.Frame(film, Image.new("RGB", (9, 9)), face, looks + rng.normal(size=40)))
    return made


def test_looks_do_not_count_and_frames_do(detail: ModuleType, films: list[object]) -> None:
    rng = np.random.default_rng(1)
    apart = detail.rivals(films)
    person = {film: 9 * rng.normal(size=40) for film in "ab"}
    noise = [0.2 * rng.normal(size=40) for _ in films]
    own = {film: np.mean([f.gradients for f in films if f.film == film], axis=0) for film in "ab"}
    result = [person[f.film] + f.gradients - own[f.film] + n for f, n in zip(films, noise, strict=True)]
    found, told = detail.judge(films, apart, result)
    assert found.mean() == 1.0 and told.mean() == 1.0
    still = [
        person[f.film] + n for f, n in zip(films, noise, strict=True)
    ]  # whatever the reference, one face
    draws = [detail.judge(films, apart, [s + rng.normal(size=40) for s in still]) for _ in range(200)]
    assert np.mean([f for f, _ in draws]) == pytest.approx(1 / 6, abs=0.04)
    assert np.mean([t for _, t in draws]) == pytest.approx(0.5, abs=0.06)
    found, told = detail.judge(films, apart, [None, *result[1:]])
    assert np.isnan(found[0]) and np.isnan(told[0]) and found[6:].mean() == 1.0


def test_a_rival_is_alike_in_numbers_and_not_in_gradients(detail: ModuleType, films: list[object]) -> None:
    for i, rival in enumerate(detail.rivals(films)):
        assert films[rival].film == films[i].film and rival != i
        near = sorted(
            (k for k in range(12) if films[k].film == films[i].film and k != i), key=lambda k: abs(k - i)
        )
        away = {k: np.linalg.norm(films[k].gradients - films[i].gradients) for k in near}
        assert abs(rival - i) <= abs(near[2] - i)  # of the three nearest (of equally near ones, either)
        assert away[rival] >= min(away[k] for k in near[:3])


def test_gradients_see_teeth_where_numbers_see_none(detail: ModuleType) -> None:
    from mien.face.analyze import analyze
    from mien.images import read_image

    image = read_image("examples/identity.png")
    face = analyze(image)[0]
    x, y = face.landmarks[[13, 14], :2].mean(0).round().astype(int)
    pixels = np.asarray(image).copy()
    pixels[y - 4 : y + 4, x : x + 14] = 255  # one side only
    plain, toothy = (detail.gradients(i, face) for i in (image, Image.fromarray(pixels)))
    eyes = len(plain) * 2 // 3
    assert np.linalg.norm(plain - toothy) > 0.1
    np.testing.assert_allclose(plain[:eyes], toothy[:eyes], atol=0.02)


def test_the_table_says_which_claims_hold() -> None:
    pytest.importorskip("numba", reason="the benchmark's other pictures are rendered with it")
    from benchmarks.pixels_story import rows_of

    rng = np.random.default_rng(0)

    def arm(**means: float) -> dict[str, np.ndarray]:
        base = {"id": 0.5, "leak": 0.1, "exp": 0.05, "lms": 0.3, "found": 0.5, "told apart": 0.8} | means
        return {name: value + 0.01 * rng.normal(size=60) for name, value in base.items()}

    scores = {
        "numbers": arm(leak=0.05),
        "base": arm(leak=0.3, found=0.7),
        "refined": arm(leak=0.1),
        "ica": arm(id=0.6, exp=0.0505),
        "one_step": arm(id=0.55),
    }
    scores["base"]["id"][0] = np.nan
    rows = {row.what: row for row in rows_of(scores)}
    assert rows["leak, base ÷ numbers"].met and rows["leak, refined ÷ base"].met
    assert rows["found, base − numbers"].note == "above 0"
    assert rows["told apart, base − numbers"].value.value == pytest.approx(0, abs=0.01)
    assert rows["ID, ica − refined"].value.low > 0 and rows["Exp, ica ÷ refined"].met
    assert rows["id"].note.startswith("59 of 60")
