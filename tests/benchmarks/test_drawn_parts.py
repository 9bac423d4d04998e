"""The judge of drawn parts, on pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drawn_parts import WAYS, Drawing, drawn_folds, judge, markdown, region
from mien.types import FloatArray
from mien.warping import folds

SIDE = 400


@pytest.fixture
def landmarks() -> FloatArray:
    """[478, 3] px: the texture's own points, in the middle of a picture."""
    points = np.zeros((478, 3))
    points[:468, :2] = folds.uv() * 1.7 + 40
    return points


def test_the_truth_gains_everything_and_the_photo_nothing(landmarks: FloatArray) -> None:
    photo, truth = np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3)).astype(np.uint8)
    told = judge(
        "mouth", (photo, landmarks), (truth, landmarks), {"rendered": truth, "neither": photo}, landmarks
    )
    assert told["rendered"] == pytest.approx({"gain": 1, "gain of the part": 1, "detail of the part": 1})
    assert told["neither"]["gain"] == told["neither"]["gain of the part"] == 0


def test_parts_do_not_overlap(landmarks: FloatArray) -> None:
    mouth, lids, skin = (region(part, landmarks, (SIDE, SIDE)) > 0 for part in ("mouth", "lids", "folds"))
    assert min(mouth.sum(), lids.sum()) > 300 and skin.sum() > 5 * mouth.sum()
    assert not (lids & (mouth | skin)).any() and (mouth & skin).sum() < 0.3 * mouth.sum()


def test_drawings_that_differ_in_exposure_alone_have_no_folds_and_a_shaded_cheek_has(
    landmarks: FloatArray,
) -> None:
    even, cheek = np.full((SIDE, SIDE, 3), 120, np.uint8), landmarks[50, :2].astype(int)
    lit, shaded = np.full_like(even, 150), even.copy()
    shaded[cheek[1] - 15 : cheek[1] + 15, cheek[0] - 15 : cheek[0] + 15] = 90
    before = [Drawing(even, landmarks)]
    assert np.abs(drawn_folds(before, [Drawing(lit, landmarks)])).max() < 1e-3
    change = drawn_folds(before, [Drawing(shaded, landmarks)])
    column, row = np.round(folds.uv()[50]).astype(int)
    assert change[row, column] == pytest.approx(np.log(94 / 124), abs=0.05) and change.max() < 0.01


def test_the_table_says_of_each_part_what_drawing_changes() -> None:
    scores = {way: [{"gain": 0.1 * k}, {"gain": 0.1 * k}] for k, way in enumerate(WAYS)}
    assert "| lids (2) | gain | 0.000 | 0.100 | 0.200 | 0.300 | 0.100 | 0.200 |" in markdown({"lids": scores})
