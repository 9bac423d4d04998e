from __future__ import annotations

from math import inf

import pytest

from mien.metrics.words import STEPS, warning, words

GOOD = {"id_distance": 0.2, "exp_share": 0.9, "detail": 1.05, "seam": 1.4, "colour": 0.2}


def test_a_typical_result_of_the_photo_engine() -> None:
    assert words(GOOD) == ("looks like the person: very; shows the expression: well; sharp")
    assert warning(GOOD) is None


def test_a_typical_result_of_the_diffusion_engine_is_warned_of() -> None:
    drawn = {"id_distance": 0.52, "exp_ratio": 0.57, "detail": 0.31, "seam": 1.9, "colour": 8.4}
    assert words(drawn, "dlib") == (
        "looks like the person: somewhat; follows the expression: well; blurred; colours off"
    )
    assert warning(drawn, "dlib", "diffusion") == (
        "This result is poor: the face is less sharp than the photo and the skin has another colour than in the photo. "
        "Try the photo engine, which moves the photo's own pixels."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id_distance": 0.7}, "does not look like the person"),
        ({"exp_share": 0.1}, "hardly shows the expression"),
        ({"exp_share": -0.2}, "hardly shows the expression"),
        ({"detail": 1.5}, "edges or grain"),
        ({"seam": 9.0}, "edge can be seen"),
    ],
)
def test_one_fault_is_one_sentence(change: dict[str, float], said: str) -> None:
    sentence = warning(GOOD | change)
    assert sentence is not None
    assert said in sentence
    assert " and " not in sentence and ". Try " in sentence


def test_a_photo_s_expression_is_told_by_the_share_that_was_asked_for() -> None:
    assert "shows the expression: well" in words({"exp_share": 1.3})
    assert warning({"exp_share": 0.4}) is None
    assert "hardly shows" in str(warning({"exp_share": 0.1}))


def test_advice_for_a_swap_is_of_what_a_swap_is_made_of() -> None:
    for fault in ({"id_distance": 0.7}, {"detail": 0.5}, {"detail": 1.5}, {"seam": 9.0}, {"colour": 9.0}):
        said = str(warning(fault, engine="swap"))
        assert "picture of the identity" in said and "strength" not in said


def test_what_cannot_be_told_is_left_out() -> None:
    assert words({"id_distance": None, "exp_ratio": float("nan"), "detail": 1.0}) == "sharp"
    assert words({"id_distance": 9.0}, "arcface") == ""
    assert warning({}) is None


def test_every_scale_has_an_end() -> None:
    for steps in STEPS.values():
        bounds = [inf if bound is None else bound for bound, _, _ in steps]
        assert bounds == sorted(bounds)
        assert bounds[-1] == inf
