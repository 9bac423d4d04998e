"""Glasses and a board drawn in front of people who are nobody: found, left where they are, and not taken along."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.face.align import transform_points
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.face.occlusion import load_reader
from mien.pipelines.photo import PhotoPipeline, Sought
from mien.pipelines.photo_swap import SwapPipeline, uncovered
from mien.types import ByteImage, FloatArray, InputError
from mien.warping.front import HEIGHT, WIDTH, Front, _rigid, front, seen, upright
from mien.warping.motion import Motion, motion
from mien.warping.shapes import moved

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE = 512


def person(name: str) -> tuple[ByteImage, FloatArray]:
    image = Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((SIDE, SIDE))
    return np.asarray(image), analyze(image)[0].landmarks


def with_glasses(image: ByteImage, landmarks: FloatArray) -> tuple[ByteImage, ByteImage]:
    """The picture with black frames of two ellipses and a bridge, and where these are [H, W] bool."""
    eyes, wide = landmarks[[468, 473], :2], float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))
    rims = np.zeros((SIDE, SIDE), np.uint8)
    for x, y in eyes:
        middle = int(x), int(y + 0.04 * wide)
        cv2.ellipse(rims, middle, (int(0.27 * wide), int(0.21 * wide)), 0, 0, 360, 255, 5, cv2.LINE_AA)
    left, right = eyes + [[0.26 * wide, 0], [-0.26 * wide, 0]]
    cv2.line(rims, left.astype(int).tolist(), right.astype(int).tolist(), 255, 5, cv2.LINE_AA)
    share = rims[..., None] / 255
    return (image * (1 - share) + 25 * share + 0.5).astype(np.uint8), rims > 250


@pytest.fixture(scope="module")
def worn() -> tuple[ByteImage, ByteImage, FloatArray]:
    image, landmarks = person("max_rest")
    return *with_glasses(image, landmarks), landmarks


def test_nothing_is_found_in_front_of_bare_faces() -> None:
    read = load_reader()
    for name in ("ana_rest", "dan_smile", "may_rest", "raj_rest"):
        assert seen(*person(name), read) is None, name


def test_what_has_all_but_faded_from_a_film_is_nothing() -> None:
    image, landmarks = person("max_rest")
    assert front(image, landmarks, np.full((2, HEIGHT, WIDTH), 0.03, np.float32)) is None


def test_frames_are_found_and_lifted_off(worn: tuple[ByteImage, ByteImage, FloatArray]) -> None:
    image, rims, landmarks = worn
    bare, _ = person("max_rest")
    found = front(image, landmarks, seen(image, landmarks, load_reader()))
    assert found is not None
    cover = found.cover()
    assert (
        cover[rims].mean() > 0.8
        and cover[~cv2.dilate(rims.astype(np.uint8), np.ones((9, 9))).astype(bool)].mean() < 0.01
    )
    off = [np.abs(p[rims].astype(float) - bare[rims]).mean() for p in (image, found.plate)]
    assert off[1] < 0.35 * off[0]


def test_frames_keep_their_shape_while_the_face_behind_them_moves(
    worn: tuple[ByteImage, ByteImage, FloatArray],
) -> None:
    image, rims, landmarks = worn
    result = np.asarray(PhotoPipeline()(Image.fromarray(image), "surprise"))
    near = cv2.dilate(rims.astype(np.uint8), np.ones((25, 25))) > 0

    def tall(picture: ByteImage, column: int) -> int:
        """px between the upper and the lower rim."""
        rows = np.flatnonzero((picture[:, column].max(1) < 60) & near[:, column])
        return int(rows.max() - rows.min())

    for x in landmarks[[468, 473], 0].astype(int):
        assert all(abs(tall(result, x + by) - tall(image, x + by)) <= 2 for by in (-12, 12))
    assert (result != image)[~rims].mean() > 0.05
    assert (result[:40] == image[:40]).all()


def test_frames_stay_straight_though_the_skin_beneath_them_bends(
    worn: tuple[ByteImage, ByteImage, FloatArray],
) -> None:
    image, rims, landmarks = worn
    after = np.zeros(52)
    after[
        [INDEX[name] for name in ("cheekSquintLeft", "noseSneerLeft", "browDownLeft", "browOuterUpRight")]
    ] = 1
    moving = motion(landmarks, moved(landmarks, np.zeros(52), after), image.shape)
    found = front(image, landmarks, seen(image, landmarks, load_reader()))
    assert found is not None
    y, x = np.nonzero(rims[moving.box[1] : moving.box[3], moving.box[0] : moving.box[2]])
    places = np.stack([x, y, np.ones_like(x)], 1).astype(float)

    def bent(of: Motion) -> float:
        """px by which rims leave their shape, at most, but for one that is stretched as a whole."""
        shift = np.stack(of.field(), 2)[y, x]
        return float(np.abs(shift - places @ np.linalg.lstsq(places, shift, rcond=None)[0]).max())

    assert bent(found.eased(moving)) < 0.6 and bent(moving) > 3


def test_dark_lashes_that_may_be_a_rim_do_not_stay_on_lids_that_shut() -> None:
    image, landmarks = person("max_rest")
    lash = transform_points(landmarks, upright(landmarks))[[385, 386, 387], :2]
    covers = []
    for sure in (0.45, 1.0):
        glasses = np.zeros((HEIGHT, WIDTH), np.float32)
        cv2.polylines(glasses, [np.round(lash).astype(np.int32)], False, sure, 2)
        found = front(image, landmarks, np.stack([glasses, np.zeros_like(glasses)]))
        assert found is not None
        x, y = landmarks[386, :2].astype(int)
        covers.append(float(found.cover()[y - 3 : y + 4, x - 3 : x + 4].max()))
    assert covers[0] == 0 and covers[1] > 0.5


def test_a_new_face_goes_behind_frames(worn: tuple[ByteImage, ByteImage, FloatArray]) -> None:
    image, rims, _ = worn
    result = np.asarray(SwapPipeline()(Image.fromarray(image), Image.fromarray(person("ben_rest")[0])))
    assert result[rims].mean() < image[rims].mean() + 15


def test_a_board_before_the_mouth_is_no_mouth_that_opens() -> None:
    image, landmarks = person("ida_rest")
    x, y = landmarks[13, :2].astype(int)
    board = np.s_[y - 30 : y + 45, x - 60 : x + 60]
    hidden = image.copy()
    hidden[board] = (40, 70, 120)
    with pytest.warns(UserWarning, match="hides the mouth"):
        result = np.asarray(PhotoPipeline()(Image.fromarray(hidden), "surprise"))
    assert np.abs(result[board].astype(int) - hidden[board]).mean() < 3


def test_a_mouth_of_which_half_is_covered_opens_behind_the_cover() -> None:
    image, landmarks = person("ida_rest")
    x, y = landmarks[13, :2].astype(int)
    board, free = np.s_[y - 40 : y + 55, x + 4 : x + 90], np.s_[y - 40 : y + 55, x - 60 : x - 4]
    hidden = image.copy()
    hidden[board] = (40, 70, 120)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # enough of the mouth is seen
        result = np.asarray(PhotoPipeline()(Image.fromarray(hidden), "surprise"))
    inner = np.s_[y - 36 : y + 51, x + 8 : x + 86]
    assert np.abs(result[inner].astype(int) - hidden[inner]).max() < 40
    assert np.abs(result[board].astype(int) - hidden[board]).mean() < 3
    assert np.abs(result[free].astype(int) - hidden[free]).mean() > 4


def test_a_board_moves_with_the_head_and_not_with_the_skin() -> None:
    image, landmarks = person("ida_rest")
    x, y = landmarks[13, :2].astype(int)
    board, inner = np.s_[y - 40 : y + 55, x + 4 : x + 90], np.s_[y - 25 : y + 40, x + 20 : x + 75]
    hidden = image.copy()
    hidden[board] = (40, 70, 120)
    hidden[board][::6] = (90, 120, 170)
    sitter = PhotoPipeline().sit(Image.fromarray(hidden))
    rest, wide = np.zeros(52), np.zeros(52)
    wide[[INDEX["jawOpen"], INDEX["mouthStretchRight"], INDEX["mouthStretchLeft"]]] = 0.6

    def drawn(after: FloatArray, turn: FloatArray | None) -> FloatArray:
        return sitter.drawn(Sought(rest, after), turn).image.astype(np.float64)

    assert np.array_equal(drawn(wide, np.zeros(3)), drawn(wide, None))
    turn = np.array([0.0, 8.0, 0.0])
    turned = drawn(rest, turn)[inner]
    assert np.abs(turned - hidden[inner]).mean() > 5
    assert np.abs(drawn(wide, turn)[inner] - turned).mean() < 4


def test_only_who_asks_for_another_mouth_is_told_that_it_is_hidden() -> None:
    image, landmarks = person("ida_rest")
    x, y = landmarks[13, :2].astype(int)
    hidden = image.copy()
    hidden[y - 30 : y + 45, x - 60 : x + 60] = (40, 70, 120)
    pipe = PhotoPipeline()
    sitter = pipe.sit(Image.fromarray(hidden))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.express(sitter, {"eyeBlinkLeft": 1.0}, rounds=0)
        pipe.express(sitter, "surprise", strength=0.0, rounds=0)
    with pytest.warns(UserWarning, match="hides the mouth"):
        pipe.express(sitter, {"jawOpen": 0.8}, rounds=0)


def test_an_identity_behind_dark_glasses_is_refused() -> None:
    image, landmarks = person("max_rest")
    dark = image.copy()
    wide = float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))
    for x, y in landmarks[[468, 473], :2]:
        cv2.ellipse(
            dark,
            (int(x), int(y + 0.04 * wide)),
            (int(0.27 * wide), int(0.21 * wide)),
            0,
            0,
            360,
            (15, 15, 18),
            -1,
        )
    x, y = landmarks[168, :2].astype(int)
    cv2.line(dark, (x - 20, y), (x + 20, y), (15, 15, 18), 6)
    with pytest.raises(InputError, match="dark glasses"):
        SwapPipeline().identity(Image.fromarray(dark))


def test_an_identitys_glasses_stay_on_where_they_hide_much_and_the_photo_has_none(
    worn: tuple[ByteImage, ByteImage, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = PhotoPipeline()
    identity, photo = pipe.sit(Image.fromarray(worn[0])), pipe.sit(Image.fromarray(person("raj_rest")[0]))
    monkeypatch.setattr(Front, "lifted", lambda front: 0.5)
    kept, lacks = uncovered(identity, photo)
    assert kept.image is identity.image and lacks is None
    assert np.abs(uncovered(identity, identity)[0].image.astype(int) - worn[0]).max() > 50
    monkeypatch.setattr(Front, "lifted", lambda front: 0.1)
    assert uncovered(identity, photo)[0].image is not identity.image


def test_brows_on_rims_rise_less_and_fall_as_they_would(
    worn: tuple[ByteImage, ByteImage, FloatArray],
) -> None:
    """Rims laid over the brows take away more than half of their rise; rims well below them take away nothing."""
    image, _, landmarks = worn
    still = np.zeros(52)
    raised = np.zeros(52)
    raised[[INDEX["browInnerUp"], INDEX["browOuterUpLeft"], INDEX["browDownRight"], INDEX["jawOpen"]]] = 1
    brows, cheeks = ([70, 63, 105, 107, 55, 336, 334, 293, 300], [205, 50, 280, 425])
    for over, kept in ((brows, 0.5), (cheeks, 1.0)):
        mask = np.zeros(image.shape[:2], np.float32)
        for x, y in landmarks[over, :2].astype(int):
            cv2.circle(mask, (int(x), int(y)), 14, 1, -1)
        rims = Front(
            image, landmarks, np.zeros((2, 1, 1)), (0, 0, SIDE, SIDE), 1.0, np.stack([mask, 0 * mask])
        )
        rested = rims.rested(still, raised)
        for name in ("browInnerUp", "browOuterUpLeft"):
            assert rested[INDEX[name]] <= kept and (kept < 1 or rested[INDEX[name]] == 1)
        assert rested[INDEX["browDownRight"]] == rested[INDEX["jawOpen"]] == 1


def test_rims_in_one_cell_of_the_motion_turn_nothing() -> None:
    grid = np.random.default_rng(0).normal(size=(6, 8, 2)).astype(np.float32)
    one = np.zeros((6, 8), np.float32)
    one[2, 3] = 1
    np.testing.assert_allclose(_rigid(grid, one), np.broadcast_to(grid[2, 3], grid.shape), rtol=1e-6)


def test_the_rigid_motion_of_a_turn_is_that_turn() -> None:
    y, x = np.mgrid[:6, :8].astype(np.float32)
    turn = 0.02 * np.stack([-(y - 2), x - 5], 2) + [0.3, -0.1]
    weight = np.random.default_rng(1).uniform(size=(6, 8)).astype(np.float32)
    np.testing.assert_allclose(_rigid(turn, weight), turn, atol=1e-5)
