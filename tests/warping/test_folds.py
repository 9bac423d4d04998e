"""Folds, on pictures of nobody: the mean face's points, in flat colours or noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.face.blendshapes import FLIP, NAMES
from mien.types import ByteImage, FloatArray
from mien.warping import folds
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, LOWER_LIP, OVAL, UPPER_LIP
from mien.warping.shapes import head

REST = np.zeros(52)
SIDE, SCALE, OFFSET = 400, 1.7, 40.0


def shapes(**strengths: float) -> FloatArray:
    """Blendshapes [52]; a name without its side means both."""
    return np.array(
        [strengths.get(n, strengths.get(n.removesuffix("Left").removesuffix("Right"), 0)) for n in NAMES]
    )


SMILE = shapes(mouthSmile=0.8, eyeSquint=0.3)


@pytest.fixture
def landmarks() -> FloatArray:
    """[468, 2] px of a face with its mouth open."""
    points = folds.uv() * SCALE + OFFSET
    points[list(LOWER_LIP[1:-1]), 1] += 25
    return points


@pytest.fixture
def noise() -> ByteImage:
    return np.random.default_rng(0).integers(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)


def filled(points: FloatArray, outline: tuple[int, ...], grow: int = 0) -> FloatArray:
    """Where [SIDE, SIDE] the outline's inside is, grown by so many px (or shrunk)."""
    mask = cv2.fillPoly(
        np.zeros((SIDE, SIDE), np.uint8), [np.round(points[list(outline)]).astype(np.int32)], 1
    )
    kernel = np.ones((2 * abs(grow) + 1,) * 2, np.uint8)
    return np.asarray((cv2.dilate if grow > 0 else cv2.erode)(mask, kernel)) > 0


def test_no_change_is_the_same_picture(landmarks: FloatArray, noise: ByteImage) -> None:
    some = np.random.default_rng(1).random(52)
    log_ratio = folds.ratio(some, some)
    assert not log_ratio.any()
    assert np.array_equal(folds.apply(noise, landmarks, log_ratio), noise)
    assert not folds.ratio(REST, SMILE, 0.0).any()


def test_only_skin_inside_the_oval_changes(landmarks: FloatArray, noise: ByteImage) -> None:
    before = noise.copy()
    changed = (folds.apply(noise, landmarks, np.full((folds.SIZE,) * 2, -0.4, np.float32)) != noise).any(2)
    assert np.array_equal(noise, before), "the photo itself was written on"
    oval = filled(landmarks, OVAL, 1)
    mouth = filled(landmarks, UPPER_LIP + LOWER_LIP[::-1], -1)
    eye = filled(landmarks, LEFT_UPPER_LID + LEFT_LOWER_LID[::-1], -1)
    assert mouth.sum() > 300 and eye.sum() > 100
    assert not changed[~oval].any() and not changed[mouth].any() and not changed[eye].any()
    skin = filled(landmarks, OVAL, -3) & ~filled(landmarks, UPPER_LIP + LOWER_LIP[::-1], 3)
    assert changed[skin].mean() > 0.9


def test_it_fades_out_to_the_oval() -> None:
    oval = np.round(folds.uv()[list(OVAL)]).astype(np.int32)
    rim = cv2.polylines(np.zeros((folds.SIZE,) * 2, np.uint8), [oval], True, 1, 3) > 0
    for index in range(52):
        log_ratio = folds.ratio(REST, np.eye(52)[index], 1.0)
        assert np.isfinite(log_ratio).all() and np.abs(log_ratio).max() <= 0.5
        assert np.abs(log_ratio[rim]).max() < 0.03, NAMES[index]


def test_a_smile_darkens_the_nasolabial_fold(landmarks: FloatArray) -> None:
    face = np.full((SIDE, SIDE, 3), (190, 150, 130), np.uint8)
    smiling = folds.apply(face, landmarks, folds.ratio(REST, SMILE))
    back = folds.apply(face, landmarks, folds.ratio(SMILE, REST))
    for fold, cheek in ((206, 36), (426, 266)):
        (x, y), (u, v) = np.round(landmarks[[fold, cheek]] - 0.5).astype(int)
        assert smiling[y, x, 0] < 0.96 * smiling[v, u, 0]
        assert back[y, x, 0] > back[v, u, 0]


def test_shade_on_skin_is_redder_and_on_a_grey_photo_grey(landmarks: FloatArray) -> None:
    """Skin lets red through (Anderson and Parrish, "The Optics of Human Skin", 1981)."""
    log_ratio = np.full((folds.SIZE,) * 2, -0.3, np.float32)
    x, y = np.round(landmarks[36] - 0.5).astype(int)
    red, green, blue = folds.apply(np.full((SIDE, SIDE, 3), 150, np.uint8), landmarks, log_ratio, 1.0)[y, x]
    assert 150 > red > green > blue
    assert not np.ptp(
        folds.apply(np.full((SIDE, SIDE, 3), 150, np.uint8), landmarks, log_ratio), axis=2
    ).any()


def test_the_mirror_image_of_an_expression_has_the_mirror_image_of_its_folds(noise: ByteImage) -> None:
    one_sided = shapes(mouthSmileLeft=0.8, browDownRight=0.5)
    log_ratio = folds.ratio(REST, one_sided)
    assert np.abs(log_ratio - log_ratio[:, ::-1]).max() > 0.01
    flipped = folds.ratio(REST, one_sided[list(FLIP)])
    assert np.allclose(flipped, log_ratio[:, ::-1], atol=2e-3)
    points = folds.uv() * SCALE + OFFSET
    mirrored = points * [-1, 1] + [SIDE, 0]
    grey = np.full_like(noise, 128)
    here = folds.apply(grey, points, log_ratio)[:, ::-1].astype(int)
    assert np.abs(here - folds.apply(grey, mirrored, log_ratio)).max() <= 2


def test_it_is_smooth(landmarks: FloatArray) -> None:
    """Flat skin stays flat from pixel to pixel: detail in the result can only be the photo's."""
    lit = folds.apply(np.full((SIDE, SIDE, 3), 128, np.uint8), landmarks, folds.ratio(REST, SMILE, 1.0))
    grey = lit[..., 0].astype(np.float32)
    assert np.ptp(grey) > 10
    assert np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.0)).max() < 2.5


def test_nothing_is_brightened_into_white(landmarks: FloatArray) -> None:
    bright = np.full((SIDE, SIDE, 3), (252, 235, 225), np.uint8)
    assert folds.apply(bright, landmarks, np.full((folds.SIZE,) * 2, 0.4, np.float32)).max() <= 252


def test_white_that_was_overexposed_gets_no_shade(landmarks: FloatArray) -> None:
    white = np.full((SIDE, SIDE, 3), 253, np.uint8)
    assert np.array_equal(folds.apply(white, landmarks, np.full((folds.SIZE,) * 2, -0.4, np.float32)), white)


def test_a_face_that_is_cut_off_or_elsewhere(landmarks: FloatArray, noise: ByteImage) -> None:
    log_ratio = folds.ratio(REST, SMILE)
    cut = folds.apply(noise, landmarks - [150, 100], log_ratio)
    assert cut.shape == noise.shape and (cut != noise).any()
    assert np.array_equal(folds.apply(noise, landmarks + 1000, log_ratio), noise)


def test_the_file_is_small() -> None:
    assert Path(folds.__file__).with_name("folds.npz").stat().st_size < 1_000_000


def test_a_smile_takes_the_skin_of_its_own_cheek_out_and_up() -> None:
    """By millimetres on the cheek, and not at lids, lips and outline."""
    landmarks = 40 * head()[0] * [1, -1, -1] + [300, 300, 0]
    one_sided = np.zeros(52)
    one_sided[NAMES.index("mouthSmileLeft")] = 1.0
    moves = folds.slid(landmarks, REST, one_sided) / 40
    left, right = moves[425], moves[205]  # cheeks
    assert 0.1 < left[0] < 0.5 and -0.5 < left[1] < -0.05 and np.abs(right).max() < 0.05
    assert np.abs(moves[list(OVAL + UPPER_LIP + LOWER_LIP + LEFT_LOWER_LID)]).max() < 0.02
    np.testing.assert_allclose(folds.slid(landmarks, one_sided, REST), -40 * moves)
