"""Lids of a face of one colour, whose right answer is known."""

import cv2
import numpy as np
import pytest

from mien.face.blendshapes import INDEX
from mien.warping.eye_frame import EYES, STEPS
from mien.warping.eyes import Known, draw_eyes, kept_open
from mien.warping.lids import shut_line
from mien.warping.mesh import LEFT_IRIS, LEFT_LOWER_LID, LEFT_UPPER_LID
from mien.warping.motion import carry, motion
from mien.warping.shapes import head, moved

SKIN = (200, 160, 140)


def _photo() -> tuple[np.ndarray, np.ndarray]:
    """A face of one colour with black bars as brows and white eyes; its landmarks [478, 3] px."""
    points = head()[0] * [1, -1, -1]
    landmarks = (points - points.mean(0)) * 20 + [400, 400, 0]
    image = np.full((800, 800, 3), SKIN, np.uint8)
    for brow, eye in (((285, 295, 282, 283, 276), LEFT_UPPER_LID + LEFT_LOWER_LID[::-1]),):
        cv2.polylines(image, [landmarks[list(brow), :2].astype(np.int32)], False, (20, 20, 20), 14)
        cv2.fillPoly(image, [landmarks[list(eye), :2].astype(np.int32)], (240, 240, 240))
    return image, landmarks


def _drawn(
    image: np.ndarray,
    landmarks: np.ndarray,
    much: float,
    name: str = "eyeBlinkLeft",
    detailed: bool = True,
    chroma: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    after = np.zeros(52)
    after[INDEX[name]] = much
    target = moved(landmarks, np.zeros(52), after)
    moving = motion(landmarks, target, image.shape)
    region = carry(image, moving)
    draw_eyes(region, image, landmarks, target, moving.box[:2], detailed=detailed, chroma=chroma)
    result = image.copy()
    x0, y0, x1, y1 = moving.box
    result[y0:y1, x0:x1] = region
    return result, target


def test_a_closed_lid_has_the_colour_of_skin_though_the_brow_above_is_black() -> None:
    image, landmarks = _photo()
    result, target = _drawn(image, landmarks, 1.0)
    x, y = target[386, :2]
    top = landmarks[386, 1]
    lid = result[int(top) : int(y) - 4, int(x)].astype(float)
    assert len(lid) > 4
    assert np.abs(np.median(lid, 0) - SKIN).max() < 40


def test_a_lid_of_a_grey_photo_is_grey() -> None:
    image, landmarks = _photo()
    grey = np.repeat(image[..., 1:2], 3, 2)
    assert not np.ptp(_drawn(grey, landmarks, 1.0, chroma=0.0)[0], 2).any()
    assert np.ptp(_drawn(grey, landmarks, 1.0)[0], 2).any()


def test_an_eye_that_does_not_change_keeps_every_bit() -> None:
    image, landmarks = _photo()
    assert np.array_equal(_drawn(image, landmarks, 0.0)[0], image)


def test_a_shut_eye_that_stirs_gets_no_new_line_of_lashes() -> None:
    shut, shutter = np.zeros((2, 52))
    shut[INDEX["eyeBlinkLeft"]], shutter[INDEX["eyeBlinkLeft"]] = 0.95, 0.98
    image, landmarks = np.full((800, 800, 3), SKIN, np.uint8), moved(_photo()[1], np.zeros(52), shut)
    target = moved(landmarks, shut, shutter)
    moving = motion(landmarks, target, image.shape)
    region = carry(image, moving)
    draw_eyes(region, image, landmarks, target, moving.box[:2])
    assert np.abs(region.astype(int) - SKIN).max() < 40


def test_a_shut_eye_s_line_is_one_arc_whatever_its_lower_lid_does() -> None:
    u = np.linspace(0, 1, STEPS + 1)
    line = shut_line(0.05 * np.sin(2 * np.pi * u))
    assert line[0] == line[-1] == 0
    assert (np.diff(line, 2) < 0).all()
    assert 0.3 < u[line.argmax()] < 0.7


def _with_iris(low: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The face with a dark iris, `low` px lower, that its landmarks miss by a few; its centre and radius px."""
    image, landmarks = _photo()
    landmarks[list(LEFT_IRIS), 1] += low
    centre = landmarks[LEFT_IRIS[0], :2]
    radius = float(np.linalg.norm(landmarks[list(LEFT_IRIS[1:]), :2] - centre, axis=1).mean())
    disc = cv2.circle(np.zeros(image.shape[:2], np.uint8), tuple(int(c) for c in centre), int(radius), 1, -1)
    image[(disc > 0) & (image[..., 2] == 240)] = (60, 40, 30)
    shifted = landmarks.copy()
    shifted[list(LEFT_IRIS), 0] += 0.4 * radius
    return image, shifted, centre, radius


def test_where_an_iris_was_there_is_white_once_it_has_turned() -> None:
    image, landmarks, centre, radius = _with_iris()
    result, target = _drawn(image, landmarks, 0.5, "eyeLookOutLeft")
    shift = target[LEFT_IRIS[0], 0] - landmarks[LEFT_IRIS[0], 0]
    assert shift > 0.3 * radius
    row = result[int(centre[1]), :, 2].astype(int)
    first, last = centre[0] - 0.95 * radius, centre[0] - radius + shift - 3
    assert row[int(first) : int(last)].min() > 150
    assert row[int(last + 6) : int(last + radius)].max() < 100


@pytest.mark.parametrize("much", [0.4, 1.0])  # by a third, and shut
def test_no_lash_of_the_open_eye_stays_on_a_lid_that_fell(much: float) -> None:
    image, landmarks = _photo()
    for x, y in landmarks[list(LEFT_UPPER_LID[2:-2]), :2]:
        cv2.line(image, (int(x), int(y)), (int(x) + 2, int(y) - 9), (20, 20, 20), 2)
    result, target = _drawn(image, landmarks, much)
    lid = result[
        int(landmarks[386, 1]) - 3 : int(target[386, 1]) - 4, int(target[385, 0]) : int(target[387, 0])
    ]
    assert lid.size and np.abs(lid.astype(int) - SKIN).max() < 50


def test_no_white_is_left_between_an_iris_and_the_lid_that_it_turns_to() -> None:
    image, landmarks, centre, radius = _with_iris(low=5.0)
    landmarks[list(LEFT_IRIS), :2] += centre - landmarks[LEFT_IRIS[0], :2]
    lid = landmarks[list(LEFT_LOWER_LID), :2]
    drawn = cv2.polylines(image.copy(), [(lid + [0, 1]).astype(np.int32)], False, (240, 240, 240), 3)
    result, target = _drawn(drawn, landmarks, 0.8, "eyeLookOutLeft")
    x = target[LEFT_IRIS[0], 0] + np.array([-1.6, 0.1]) * radius  # beside the iris, and below it
    y = np.interp(x, target[list(LEFT_LOWER_LID), 0], target[list(LEFT_LOWER_LID), 1]) + 2
    beside, below = (result[int(b), int(a), 2] for a, b in zip(x, y, strict=True))
    assert beside > 225 and below < SKIN[2] + 20


def test_a_reflection_moves_half_as_far_as_the_iris() -> None:
    image, landmarks, centre, radius = _with_iris()
    landmarks[list(LEFT_IRIS), :2] += centre - landmarks[LEFT_IRIS[0], :2]
    cv2.circle(image, tuple(int(c) for c in centre), round(0.15 * radius), (255, 255, 255), -1)
    result, target = _drawn(image, landmarks, 0.5, "eyeLookOutLeft")
    shift = target[LEFT_IRIS[0], 0] - landmarks[LEFT_IRIS[0], 0]
    row = result[int(centre[1]), :, 2].astype(int)
    dark = np.flatnonzero(row[: int(centre[0] + shift + radius) - 4] < 100)
    dark = dark[dark > centre[0] - radius]
    bright = dark[0] + np.flatnonzero(row[dark[0] : dark[-1]] > 160)
    assert np.abs(bright.mean() - centre[0] - shift / 2) < 0.15 * radius
    assert shift > 0.5 * radius


def test_a_small_half_shut_eye_is_nearer_to_the_large_one_when_it_is_drawn_larger() -> None:
    image, landmarks, _, _ = _with_iris()
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    want = cv2.resize(_drawn(image, landmarks, 0.5)[0], half.shape[:2], interpolation=cv2.INTER_AREA)
    fine, coarse = (_drawn(half, landmarks / 2, 0.5, detailed=how)[0] for how in (True, False))
    assert cv2.norm(fine, want) < 0.88 * cv2.norm(coarse, want)


def test_a_lid_that_opens_keeps_its_line_of_lashes() -> None:
    image, landmarks, _, _ = _with_iris()
    cv2.polylines(image, [landmarks[list(LEFT_UPPER_LID), :2].astype(np.int32)], False, (20, 20, 20), 5)
    result, target = _drawn(image, landmarks, 0.5, "eyeWideLeft")
    for k in (385, 386):
        x, y = (int(c) for c in target[k, :2])
        assert y < landmarks[k, 1] - 2
        assert result[y : y + 4, x, 0].mean() < 60


def test_a_lid_opens_no_further_than_to_where_it_touches_the_iris() -> None:
    landmarks = _photo()[1]
    middle = landmarks[LEFT_IRIS[0]]
    radius = float(np.linalg.norm(landmarks[list(LEFT_IRIS[1:]), :2] - middle[:2], axis=1).mean())
    free = landmarks.copy()
    free[list(LEFT_UPPER_LID[1:-1]), 1] -= 1.5 * radius
    held = kept_open(landmarks, free)
    assert middle[1] - free[386, 1] > 1.5 * radius
    assert 0.9 * radius < middle[1] - held[386, 1] < 1.2 * radius
    assert np.array_equal(kept_open(landmarks, landmarks), landmarks)


@pytest.mark.parametrize("left", [0.5, 0.75])
def test_lids_leave_an_eye_open_or_shut_it_and_no_slit(left: float) -> None:
    landmarks = _photo()[1]
    upper, lower = (list(lid[1:-1]) for lid in (LEFT_UPPER_LID, LEFT_LOWER_LID))
    own = landmarks[lower, 1] - landmarks[upper, 1]

    def opening(share: float, half_shut: bool = False) -> float:
        target = landmarks.copy()
        target[upper, 1] += (1 - share) * own
        held = kept_open(landmarks, target, half_shut)
        assert np.array_equal(held[lower], landmarks[lower])  # they did not move, and stay
        return float(np.mean(held[lower, 1] - held[upper, 1]) / own.mean())

    assert opening(left) == pytest.approx(max(left, 0.62), abs=0.04)
    assert opening(0.25) == pytest.approx(0.25)
    closing = np.linspace(1, 0.1, 91)
    steps = np.diff([opening(share, half_shut=True) for share in closing])
    np.testing.assert_allclose(steps, np.diff(closing), atol=1e-6)  # a film's lids fall as they are shown


def test_an_eye_without_white_gets_one_that_is_neither_brown_nor_dark() -> None:
    """An eye that is all iris, turned aside."""
    image, landmarks = _photo()
    outline = landmarks[list(LEFT_UPPER_LID + LEFT_LOWER_LID[::-1]), :2].astype(np.int32)
    cv2.fillPoly(image, [outline], (70, 50, 40))
    result, target = _drawn(image, landmarks, 1.0, "eyeLookOutLeft")
    x, y = (0.7 * target[362, :2] + 0.3 * target[LEFT_IRIS[0], :2]).astype(int)
    red, _, blue = result[y, x].astype(float)
    assert result[y, x].mean() > 0.55 * np.mean(SKIN)
    assert red - blue < 0.5 * (SKIN[0] - SKIN[2])


def test_long_lashes_beyond_the_corner_go_with_the_lid() -> None:
    image, landmarks = _photo()
    (x, y), wide = landmarks[263, :2], abs(landmarks[263, 0] - landmarks[362, 0])
    for rise in (-0.05, 0.02):
        tip = int(x + 0.3 * wide), int(y + rise * wide)
        cv2.line(image, (int(x), int(y)), tip, (20, 20, 20), 2)
    result, _ = _drawn(image, landmarks, 1.0)
    tips = np.s_[int(y - 0.1 * wide) : int(y + 0.08 * wide), int(x + 0.22 * wide) : int(x + 0.34 * wide)]
    assert image[tips].min() == 20 and result[tips].min() > 110


def test_what_lies_behind_a_head_does_not_colour_the_lid_beside_it() -> None:
    image, landmarks = _photo()
    wide = float(np.linalg.norm(landmarks[263] - landmarks[362]))
    outside = int(landmarks[263, 0] + 0.1 * wide)
    image[:, outside:] = (60, 90, 200)
    result, target = _drawn(image, landmarks, 1.0)
    plain, _ = _drawn(_photo()[0], landmarks, 1.0)
    lid = np.s_[int(landmarks[386, 1]) : int(target[386, 1]), int(landmarks[387, 0]) : int(landmarks[263, 0])]
    assert np.abs(result[lid].astype(int) - plain[lid]).max() < 8


def test_a_shut_lid_keeps_half_of_the_crease_of_the_open_one_where_it_was() -> None:
    image, landmarks = _photo()
    line = landmarks[[414, 286, 258, 257, 259, 260, 467], :2]
    cv2.polylines(image, [(line + [0, 4]).astype(np.int32)], False, (130, 95, 80), 1, cv2.LINE_AA)
    creased, target = _drawn(image, landmarks, 1.0)
    plain, _ = _drawn(_photo()[0], landmarks, 1.0)
    x = int(target[386, 0])
    lid = slice(int(target[257, 1]), int(target[386, 1]) - 6)
    darker = plain[lid, x].astype(int).sum(1) - creased[lid, x].astype(int).sum(1)
    assert abs(int(darker.argmax()) - 4) <= 2
    assert 30 < darker.max() < 100  # of 195


def test_frames_of_a_film_have_the_crease_of_the_calm_one() -> None:
    calm, landmarks = _photo()
    line = landmarks[[414, 286, 258, 257, 259, 260, 467], :2]
    cv2.polylines(calm, [(line + [0, 4]).astype(np.int32)], False, (130, 95, 80), 1, cv2.LINE_AA)
    measured = Known()
    own = measured.crease(calm, landmarks, EYES[1])
    frame = Known((calm, landmarks, measured)).crease(_photo()[0], landmarks * 1.1, EYES[1])
    assert own[1] > 0.9 and np.abs(own[0]).max() > 0.01
    assert np.array_equal(frame[0], own[0]) and frame[1] == own[1]
    assert Known().crease(_photo()[0], landmarks, EYES[1])[1] == 0
