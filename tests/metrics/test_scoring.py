from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mien.metrics.registry import METRICS
from mien.metrics.scoring import Scorer, load_scorer
from mien.types import Face, InputError

Picture = Callable[[int], Image.Image]
COPIES = ("copy_expression", "copy_identity", "copy_pose", "copy_appearance")


def test_no_face_is_none_and_several_are_counted(scorer: Scorer, picture: Picture) -> None:
    assert scorer.observe(picture(0)) is None
    seen = scorer.observe(picture(3))
    assert seen is not None
    assert seen.faces == 2
    assert seen.identity.shape == (8,)


def test_the_identity_picture_itself_and_the_reference_itself(
    scorer: Scorer, picture: Picture, face: Callable[[int], Face]
) -> None:
    identity, reference = scorer.observe(picture(1)), scorer.observe(picture(2))
    assert identity and reference
    unchanged = scorer.compare(identity, identity, reference)
    copied = scorer.compare(reference, identity, reference)
    assert unchanged["id"] == pytest.approx(1)
    assert (unchanged["same_person"], unchanged["nearer_identity"], unchanged["pose"]) == (1, 1, 0)
    assert unchanged["exp"] == pytest.approx(np.abs(face(1).blendshapes - face(2).blendshapes).mean())
    assert [unchanged[name] for name in COPIES] == [1, -1, -1, -1]
    assert (copied["exp"], copied["exp_sum"], copied["lms"]) == (0, 0, 0)
    assert (copied["same_person"], copied["nearer_identity"]) == (0, 0)
    assert [copied[name] for name in COPIES] == [-1, 1, 1, 1]


def test_values_are_in_the_ranges_that_are_declared(scorer: Scorer, picture: Picture) -> None:
    seen = [look for number in range(1, 9) if (look := scorer.observe(picture(number)))]
    for result in seen:
        for name, value in scorer.compare(result, seen[0], seen[1]).items():
            assert METRICS[name].low <= value <= METRICS[name].high


def test_unknown_scorers_are_bad_input() -> None:
    with pytest.raises(InputError, match="choose embedded or mediapipe"):
        load_scorer(analyser="openface")
    with pytest.raises(InputError, match="choose embedded or dlib"):
        load_scorer(recogniser="arcface")
