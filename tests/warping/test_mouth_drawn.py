"""Drawn mouths: which teeth they show, and how light these are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.types import FloatArray
from mien.warping.mouth import Mouth
from mien.warping.teeth import locate_teeth, pose, sample
from tests.warping.test_mouth import PHOTO, REST, SIZE, UNIT, head, place


def enamel(gap: float) -> tuple[FloatArray, FloatArray]:
    """Grey levels of what is as pale as teeth in the middle of a mouth whose lips are `gap` units apart: down to the
    upper ones' edge, and from there on."""
    mouth = Mouth(PHOTO, REST)
    mouth.place = replace(mouth.place, shape=())  # the mean's
    picture = mouth.interior(place(head(gap=gap, jaw=gap - 2, lift=4.0))).over(PHOTO * 0)
    edge = pose(REST).project(np.zeros(1), np.full(1, locate_teeth(REST).edge + 1), np.full(1, 2.5))[1][0]
    middle = picture[:, SIZE // 2 - 25 : SIZE // 2 + 25].astype(float)
    pale = (middle[..., 1] > 0.7 * middle[..., 0]) & (middle[..., 0] > 60)
    below = np.arange(SIZE)[:, None] > edge
    return middle[pale & ~below].mean(-1), middle[pale & below].mean(-1)


@pytest.mark.parametrize("gap", [10.0, 13.0])
def test_the_lower_lip_hides_its_teeth_in_a_mouth_that_is_open_a_little(gap: float) -> None:
    upper, lower = enamel(gap)
    assert len(upper) > 5 * 50 * UNIT and len(lower) == 0


@pytest.mark.parametrize("gap", [20.0, 26.0])
def test_a_gape_shows_lower_teeth_a_little_darker_than_the_upper_ones(gap: float) -> None:
    upper, lower = enamel(gap)
    assert len(lower) > 0.5 * 50 * UNIT
    assert 0.62 < np.percentile(lower, 75) / np.percentile(upper, 75) < 0.95


def test_a_gape_shows_lower_teeth_or_none_and_seldom_tips_of_them() -> None:
    tall = []
    for seed in range(10):
        mouth = Mouth(PHOTO, REST)
        shape = np.random.default_rng(seed).uniform(-1.5, 1.5, 6)
        mouth.place = replace(mouth.place, shape=tuple(shape.tolist()))
        picture = mouth.interior(place(head(gap=21.0, jaw=15.0, lift=4.0))).over(PHOTO * 0).astype(float)
        edge = pose(REST).project(np.zeros(1), np.full(1, mouth.place.edge + 3), np.full(1, 2.5))[1][0]
        columns = picture[int(edge) :, SIZE // 2 - 15 : SIZE // 2 + 15]
        pale = (columns[..., 1] > 0.74 * columns[..., 0]) & (columns[..., 0] > 75)
        tall.append(pale.sum(0).max() / UNIT)
    shown = np.array(tall)
    assert ((shown > 0.4) & (shown < 2.8)).sum() <= 1 and (shown > 2.8).sum() > 3


def test_a_smile_shows_where_its_upper_teeth_end_wherever_they_are_guessed_to() -> None:
    smiling, ends = head(gap=9.0, jaw=3.0, lift=2.0, width=30.0), []
    for by in (-2.0, 2.0):
        mouth = Mouth(PHOTO, REST)
        mouth.place = replace(mouth.place, shape=(), edge=mouth.place.edge + by)
        picture = mouth.interior(place(smiling)).over(PHOTO * 0)[:, SIZE // 2 - 14].astype(float)
        enamel = (picture[:, 1] > 0.8 * picture[:, 0]) & (picture[:, 0] > 100)
        ends.append((place(smiling)[14, 1] - np.flatnonzero(enamel)[-1]) / UNIT)
    assert ends[1] > 0.8 and ends[0] < 3.5


def test_lower_teeth_leave_each_other_towards_their_edges() -> None:
    u, v = np.meshgrid(np.arange(-2, 2.01, 0.1), np.arange(3, 8, 0.1))
    teeth = sample("lower", u, v, 10.0)[0]
    tall = (teeth[..., 3] > 0.5).sum(0)
    assert tall[20] < tall[[8, 32]].min() - 8  # of 0.1 units
