"""What is said of a photo that the photo engine changed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.face.subject import Subject
from mien.making.scoring import OF_PHOTOS, Judge, share
from mien.metrics.words import warning
from mien.pipelines.photo import Sitter

PERSON = Path(__file__).parents[2] / "examples/people/may_rest.jpg"


@pytest.fixture(scope="module")
def sitter() -> Sitter:
    image = Image.open(PERSON).convert("RGB").resize((512, 512))
    return Sitter(np.asarray(image), analyze(image)[0])


def test_the_photo_itself_has_no_fault_but_that_nothing_was_done(sitter: Sitter) -> None:
    image = Image.fromarray(sitter.image)
    wanted = np.clip(sitter.face.blendshapes + 0.2, 0, 1)
    scores = Judge(None).photo(image, sitter, Subject(image, sitter.face), wanted, wanted)
    assert set(scores) == set(OF_PHOTOS)
    assert scores["id"] > 0.99 and scores["pose"] < 1 and scores["seam"] == 0 and scores["colour"] < 0.5
    assert scores["detail"] == pytest.approx(1, abs=0.02)
    assert scores["exp_share"] == pytest.approx(0, abs=0.05)
    assert "hardly shows the expression that was wanted. Try" in str(warning(scores))


def test_blur_is_named_and_no_face_has_no_scores(sitter: Sitter) -> None:
    judge, who = Judge(None), Subject(Image.fromarray(sitter.image), sitter.face)
    blurred = Image.fromarray(cv2.GaussianBlur(sitter.image, (0, 0), 4))
    assert "less sharp" in str(warning(judge.photo(blurred, sitter, who, None)))
    assert set(judge.photo(Image.new("RGB", (512, 512), "grey"), sitter, who, None).values()) == {None}


def test_only_what_was_asked_for_is_judged() -> None:
    """Brows that rose by all that was asked show it, whatever the mouth did; a change too small to see is not told."""
    before, asked, after = np.full(52, 0.1), np.full(52, 0.1), np.full(52, 0.1)
    brows = [INDEX["browDownLeft"], INDEX["browDownRight"]]
    asked[brows] = after[brows] = 0.9
    after[INDEX["jawOpen"]] = 0.6
    whole, half = share(before, after, asked), share(before, (before + after) / 2, asked)
    assert whole is not None and half == pytest.approx(whole / 2) and 0.8 < whole < 2
    assert share(before, before, asked) == 0
    assert share(before, after, before + 0.01) is None
