"""What words move, on the scale of the photo engine."""

from __future__ import annotations

import pytest

from mien.expressions import labels
from mien.expressions.spec import parse
from mien.face.blendshapes import INDEX
from mien.pipelines.photo_words import spoken


@pytest.mark.parametrize(
    ("word", "shut"), [("relief", True), ("torment", True), ("shame", False), ("lust", False)]
)
def test_words_whose_eyes_close_shut_them_and_a_gaze_that_falls_does_not(word: str, shut: bool) -> None:
    """By the action units of `labels.json`: 43 of 0.6 or more closes eyes, 64 lowers the gaze."""
    (part,) = parse(word).parts
    assert (spoken(part)[INDEX["eyeBlinkLeft"]] > 0.7) == shut


def test_no_word_widens_eyes_by_a_squint_that_it_does_not_name() -> None:
    for word in labels.labels():
        assert spoken(parse(word).parts[0])[INDEX["eyeSquintRight"]] >= 0
