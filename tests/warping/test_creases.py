"""Creases, on pictures of nobody: the mean face's points, on flat skin with or without a crease of its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.face.blendshapes import NAMES
from mien.types import ByteImage, FloatArray
from mien.warping import folds
from mien.warping.creases import LINES, Creases
from mien.warping.front import front
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, LOWER_LIP, UPPER_LIP

SIDE, SCALE, OFFSET = 520, 2.4, 30.0
REST = np.zeros(52)
SKIN = (190, 150, 130)


def shapes(**strengths: float) -> FloatArray:
    """Blendshapes [52]; a name without its side means both."""
    return np.array(
        [strengths.get(n, strengths.get(n.removesuffix("Left").removesuffix("Right"), 0)) for n in NAMES]
    )


SMILE = shapes(mouthSmile=1.0)


@pytest.fixture
def landmarks() -> FloatArray:
    """[468, 2] px of a face."""
    return folds.uv().astype(np.float64) * SCALE + OFFSET


@pytest.fixture
def skin() -> ByteImage:
    return np.full((SIDE, SIDE, 3), SKIN, np.uint8)


def course(points: tuple[tuple[float, float], ...]) -> np.ndarray:
    return np.round(np.array(points) * SCALE + OFFSET).astype(np.int32)


def change(photo: ByteImage, landmarks: FloatArray, after: FloatArray) -> FloatArray:
    return Creases(photo, landmarks).over(photo, REST, after)[..., 1].astype(float) - photo[..., 1]


def test_no_change_and_a_small_face_stay_as_they_are(landmarks: FloatArray, skin: ByteImage) -> None:
    assert Creases(skin, landmarks).over(skin, SMILE, SMILE) is skin
    assert Creases(skin, landmarks / 20).over(skin, REST, SMILE) is skin
    assert Creases(skin, landmarks + 1000).over(skin, REST, SMILE) is skin


def test_a_smile_folds_both_sides_alike_and_leaves_eyes_and_lips(
    landmarks: FloatArray, skin: ByteImage
) -> None:
    changed = change(skin, landmarks, SMILE)
    x, y = course(LINES[0].points)[3]
    assert (
        changed[y - 8 : y + 9, x - 8 : x + 9].min() < -8 and changed.max() > 2
    )  # a valley, and light beside it
    mirror = int(2 * OFFSET + folds.SIZE * SCALE)
    assert np.abs(changed[:, 100:400] - changed[:, mirror - 100 : mirror - 400 : -1]).max() < 8
    for outline in (LEFT_UPPER_LID + LEFT_LOWER_LID[::-1], UPPER_LIP + LOWER_LIP[::-1]):
        opening = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(opening, [np.round(landmarks[list(outline)]).astype(np.int32)], 1)
        assert not changed[opening > 0].any()


@pytest.mark.parametrize(
    ("name", "rows"), [("browInnerUp", (30, 120)), ("browDown", (100, 170)), ("noseSneer", (110, 420))]
)
def test_each_expression_folds_its_own_skin(
    landmarks: FloatArray, skin: ByteImage, name: str, rows: tuple[int, int]
) -> None:
    where = np.flatnonzero(change(skin, landmarks, shapes(**{name: 1.0})).any(1))
    assert rows[0] <= where.min() and where.max() <= rows[1]


def test_one_s_own_crease_deepens_and_fades(landmarks: FloatArray, skin: ByteImage) -> None:
    line = course(LINES[0].points) + [3, 0]
    cv2.polylines(lined := skin.copy(), [line], False, (160, 115, 95), 3)
    creased = np.asarray(cv2.GaussianBlur(lined, (0, 0), 1.5), np.uint8)
    x, y = line[3]
    here = slice(y - 2, y + 3), slice(x - 2, x + 3)
    assert change(creased, landmarks, SMILE)[here].min() < change(skin, landmarks, SMILE)[here].min() - 3
    relaxed = Creases(creased, landmarks).over(creased, SMILE, REST)[..., 1].astype(float) - creased[..., 1]
    assert relaxed[here].max() > 3 and relaxed.min() >= -1


def test_a_grey_photo_stays_grey(landmarks: FloatArray) -> None:
    grey = np.full((SIDE, SIDE, 3), 150, np.uint8)
    folded = Creases(grey, landmarks).over(grey, REST, SMILE, chroma=0.0)
    assert folded.min() < 140 and not np.ptp(folded, 2).any()
    assert np.ptp(Creases(grey, landmarks).over(grey, REST, SMILE), 2).any()


def test_frames_of_a_film_have_the_creases_of_one(landmarks: FloatArray, skin: ByteImage) -> None:
    line = course(LINES[0].points) + [3, 0]
    cv2.polylines(lined := skin.copy(), [line], False, (160, 115, 95), 3)
    creased = np.asarray(cv2.GaussianBlur(lined, (0, 0), 1.5), np.uint8)
    calm = Creases(creased, landmarks)
    first = calm.over(skin, REST, SMILE)
    assert np.array_equal(Creases(skin, landmarks, calm).over(skin, REST, SMILE), first)
    moved = Creases(skin, landmarks + [7, -4], calm).over(skin, REST, SMILE)
    assert np.array_equal(moved[20:-20, 20:-20], np.roll(first, (-4, 7), (0, 1))[20:-20, 20:-20])
    unseen = Creases(creased, landmarks + 1000)  # one that does not show the face tells nothing
    assert np.array_equal(
        Creases(creased, landmarks, unseen).over(skin, REST, SMILE), calm.over(skin, REST, SMILE)
    )


def test_what_lies_in_front_gets_none(landmarks: FloatArray, skin: ByteImage) -> None:
    points = np.pad(np.c_[landmarks, np.zeros(468)], ((0, 10), (0, 0)))
    found = front(skin, points, np.stack([np.zeros((176, 160), np.float32), np.ones((176, 160), np.float32)]))
    assert found is not None
    found.__dict__["alpha"] = np.ones((found.box[3] - found.box[1], found.box[2] - found.box[0]), np.float32)
    assert np.array_equal(Creases(skin, points).over(skin, REST, SMILE, found), skin)


def test_the_folds_of_a_cheek_go_but_neither_moles_nor_the_edge_of_a_beard(
    skin: ByteImage, landmarks: FloatArray
) -> None:
    """A dimple far from the line beside the nose is filled where a smile goes; what is round or has one side stays."""
    places = np.array([(50.0, 118), (48, 126), (49, 134)]) * SCALE + OFFSET
    mole = (np.array([192 - 50.0, 110]) * SCALE + OFFSET).astype(int)
    cv2.polylines(skin, [places.astype(np.int32)], False, (160, 122, 104), 5, cv2.LINE_AA)
    cv2.circle(skin, mole.tolist(), 4, (110, 80, 70), -1, cv2.LINE_AA)
    beard = int(142 * SCALE + OFFSET)
    skin[beard:, SIDE // 2 :] = skin[beard:, SIDE // 2 :] // 2
    gone = Creases(skin, landmarks).over(skin, SMILE, REST).astype(int)
    (x, y), below = places[1].astype(int), beard + 3
    flat = SKIN[1]
    assert abs(gone[y, x, 1] - flat) < 0.4 * (flat - int(skin[y, x, 1]))
    assert gone[mole[1], mole[0], 1] - int(skin[mole[1], mole[0], 1]) < 0.3 * (flat - 80)
    there = np.s_[below, int((192 - 52) * SCALE + OFFSET)]
    assert abs(gone[there] - skin[there]).max() <= 3


@pytest.mark.parametrize("sneer", [0.0, 0.5])
def test_a_smile_that_goes_leaves_no_fine_line_of_its_folds(
    skin: ByteImage, landmarks: FloatArray, sneer: float
) -> None:
    fold = course(((66, 112), (62, 122), (60, 132)))
    cv2.polylines(skin, [fold], False, (140, 100, 84), 9, cv2.LINE_AA)
    skin[:] = cv2.GaussianBlur(skin, (0, 0), 3)
    x, y = fold[1]
    skin[y - 40 : y + 40, x - 1 : x + 1] = 88
    gone = Creases(skin, landmarks).over(skin, SMILE, shapes(noseSneer=sneer)).astype(float)
    across = gone[y - 12 : y + 13, x - 12 : x + 13, 1].mean(0)
    assert across.max() - across.min() < 25 < np.ptp(skin[y, x - 12 : x + 13, 1])


def test_a_smile_that_goes_leaves_the_hairs_of_a_moustache(skin: ByteImage, landmarks: FloatArray) -> None:
    x, y = course(((62, 122), (62, 122)))[0]
    here = np.s_[y - 40 : y + 41, x - 8 : x + 9]
    hairs = skin[here]
    hairs[:] = 140
    hairs[:, 1::6] = hairs[:, 2::6] = 100
    gone = Creases(skin, landmarks).over(skin, SMILE, REST)[here][..., 1]
    assert (
        np.diff(gone.astype(float), axis=1).std() > 0.75 * np.diff(hairs[..., 1].astype(float), axis=1).std()
    )


def test_a_cheek_that_is_turned_away_keeps_its_outline(skin: ByteImage, landmarks: FloatArray) -> None:
    middle, below_eyes = SIDE // 2, int(90 * SCALE + OFFSET)
    left = landmarks[:, 0] < middle
    landmarks[left, 0] = middle - 0.25 * (middle - landmarks[left, 0])
    skin[:, : middle - 24] = 100
    skin[:, : middle - 28] = 230
    cheek = np.s_[below_eyes:, : middle - 10]
    gone = Creases(skin, landmarks).over(skin, SMILE, REST)
    np.testing.assert_array_equal(gone[cheek], skin[cheek])
