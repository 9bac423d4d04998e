"""A face whose one side is hidden gets it from the other: what is mirrored, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.types import ByteImage, FloatArray
from mien.warping import matte
from mien.warping.motion import motion, sample
from mien.warping.shapes import head
from mien.warping.symmetry import completed, opposite, stretched, unseen

PEOPLE = Path(__file__).parents[2] / "examples/people"


@pytest.fixture(scope="module")
def person() -> tuple[ByteImage, FloatArray]:
    image = Image.open(PEOPLE / "ben_rest.jpg").convert("RGB").resize((512, 512))
    return np.asarray(image), analyze(image)[0].landmarks


def turned(degrees: float) -> FloatArray:
    """A head at rest, turned to the subject's left, [478, 3] px with depth growing away from the viewer."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return np.asarray(256 + 14 * (head()[0] @ turn.T) * [1, -1, -1])


def test_each_landmark_has_one_opposite() -> None:
    other = opposite()
    np.testing.assert_array_equal(other[other], np.arange(468))
    assert other[33] == 263 and other[61] == 291 and other[234] == 454 and other[1] == 1


def test_the_side_turned_away_is_unseen_and_none_of_a_straight_head() -> None:
    assert unseen(turned(0)).mean() < 0.01
    for degrees in (25, -25):
        hidden = unseen(turned(degrees))
        far, near = (hidden[k] for k in ((454, 234) if degrees > 0 else (234, 454)))
        assert max(far, near) > 0.9 and min(far, near) == 0


def test_a_cheek_that_a_straight_head_hardly_shows_is_not_drawn_out() -> None:
    """Of a head turned to one side, the cheek before the near ear is the photo's, not the nose or the far cheek."""
    straight, aside = turned(0), turned(30)
    assert stretched(straight, straight, (512, 512)).max() == 0
    share = stretched(straight, aside, (512, 512))
    x, y = aside[:, :2].round().astype(int).T
    near, far = (234, 454) if aside[234, 0] < aside[1, 0] - (aside[454, 0] - aside[1, 0]) else (454, 234)
    assert share[y[near], x[near]] > 0.4 and share[y[far], x[far]] < 0.05 and share[y[1], x[1]] < 0.01


def test_a_turning_heads_cheek_comes_in_little_by_little() -> None:
    most = [float(stretched(turned(0), turned(angle), (512, 512)).max()) for angle in np.arange(10, 36, 0.5)]
    assert most[0] == 0 and most[-1] > 0.4 and np.diff(most).max() < 0.1


def test_what_is_hidden_comes_from_the_other_side(person: tuple[ByteImage, FloatArray]) -> None:
    """A turned face whose far cheek is painted over shows skin there; a straight one stays as it is."""
    image, landmarks = person
    straight = sample(image, motion(landmarks, landmarks, image.shape, source=landmarks))
    kept = completed(straight, image, landmarks, landmarks, landmarks, image.shape)
    np.testing.assert_array_equal(kept, straight)
    painted = image.copy()
    cheek = (454, 323, 361, 288, 435, 376, 352, 345)
    painted[matte.fill(image.shape, landmarks, cheek) > 0] = (0, 255, 0)
    angle = np.radians(28)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    middle = landmarks.mean(0)
    theirs = (landmarks - middle) @ turn.T + middle
    moving = motion(theirs, theirs, image.shape, source=landmarks)
    x0, y0, x1, y1 = moving.box
    away = np.full_like(image, 90)
    away[y0:y1, x0:x1] = sample(painted, moving)
    face = sample(away, motion(landmarks, landmarks, image.shape, source=theirs))
    whole = completed(face, away, theirs, landmarks, landmarks, image.shape)
    green = [int((p[..., 1].astype(int) - p[..., 0] > 60).sum()) for p in (face, whole)]
    assert green[0] > 150 and green[1] < 0.5 * green[0]
