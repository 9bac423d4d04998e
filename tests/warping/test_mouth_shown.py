"""Mouths whose photo shows teeth, or whose corners leave something behind, on the face of `test_mouth`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import LOWER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP, UPPER_LIP
from mien.warping.mouth import Mouth
from mien.warping.mouth_shown import _past
from mien.warping.teeth import pose
from tests.warping.test_mouth import PHOTO, REST, SIZE, SMILE, UNIT, head, interior, picture, place

TEETH, LIP = (215, 205, 190), (185, 110, 112)


def smiling(landmarks: FloatArray, tall: float) -> ByteImage:
    """A photo whose open mouth shows even teeth, `tall` units of them in the middle, and a lip below."""
    photo = picture(landmarks)
    lips = np.concatenate([landmarks[list(UPPER_LIP), :2], landmarks[list(LOWER_LIP)[::-1], :2]])
    inside = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [np.round(lips).astype(np.int32)], 1) > 0
    photo[inside] = LIP
    inside[int(landmarks[13, 1] + tall * UNIT) :] = False
    photo[inside] = TEETH
    return photo


@pytest.mark.parametrize("tall", [6.0, 7.5])
def test_teeth_end_where_they_are_no_longer_pale(tall: float) -> None:
    smile = place(head(gap=11.0, jaw=4.0, lift=4.0))
    source = Mouth(smiling(smile, tall), smile).source
    assert source is not None
    edge = pose(smile).project(np.zeros(1), np.full(1, source.teeth.edge), np.full(1, 2.5))[1][0]
    assert abs(float(edge) - smile[13, 1] - tall * UNIT) < 1.2 * UNIT


@pytest.mark.parametrize("end", [0.0, 1.0, 2.0, 4.0])
def test_an_edge_that_was_taken_to_lie_on_a_lip_goes_up_to_the_teeth(end: float) -> None:
    y, x = np.mgrid[-10:3:0.1, -12:12:0.1]
    pale = np.where(y < -end, 195.0, 110.0).astype(np.float32)
    inside = np.ones_like(pale)
    assert _past(pale, inside, x, y) == pytest.approx(end, abs=0.5)
    assert _past(pale, 0 * inside, x, y) == 0
    assert _past(0 * pale + 195, inside, x, y) == 0


def test_no_grey_is_left_between_small_lips_that_close_over_teeth() -> None:
    photo = smiling(SMILE, 20.0)
    small = np.asarray(cv2.resize(photo, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA))
    layer = Mouth(small, SMILE / 3).interior(REST / 3)
    out = layer.over(np.full_like(small, TEETH)).astype(float)
    middle = layer.top + layer.alpha.shape[0] // 2
    shut = out[middle - 2 : middle + 2, SIZE // 6 - 6 : SIZE // 6 + 6]
    assert (
        shut[..., 0] > 1.4 * shut[..., 1]
    ).all()  # the teeth's red is 1.05 times their green, the lips' 1.7


def test_a_mouth_that_narrows_leaves_no_pits_beside_its_corners() -> None:
    photo = PHOTO.copy()
    pit = REST[61, :2].astype(int) - [6, 0]
    cv2.circle(photo, pit.tolist(), 4, (90, 60, 50), -1)
    there = np.s_[pit[1] - 1 : pit[1] + 2, pit[0] - 1 : pit[0] + 2]
    kiss = Mouth(photo, REST).without_line(photo, place(head(width=19.0)))
    assert photo[there].mean() < 80 and kiss[there].mean() > 115


@pytest.mark.parametrize("points", [head(gap=30.0, jaw=24.0), head(gap=10.0, width=18.0), head(width=18.0)])
def test_a_smile_s_corners_leave_the_dark_that_reaches_over_its_lips(points: FloatArray) -> None:
    smile, target = SMILE.copy(), place(points)
    for one in (smile, target):
        for outer, inner, up in ((OUTER_UPPER_LIP, UPPER_LIP, 14), (OUTER_LOWER_LIP, LOWER_LIP, -16)):
            one[list(outer[1:-1])] = one[list(inner[1:-1])] - [0, up, 0]
    photo = smiling(smile, 5.0)
    for corner, inward in ((78, 1), (308, -1)):
        pit = np.round(smile[corner, :2] + [4 * inward, 0]).astype(int)
        cv2.ellipse(photo, pit.tolist(), (9, 6), 0, 0, 360, (60, 35, 30), -1)
    mouth = Mouth(photo, smile)
    assert np.array_equal(mouth.without_line(photo, smile), photo)
    left = mouth.without_line(photo, target)
    outline = np.concatenate([smile[list(UPPER_LIP), :2], smile[list(LOWER_LIP)[::-1], :2]])
    outside = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [np.round(outline).astype(np.int32)], 1) == 0
    dark = [int(((one.mean(-1) < 70) & outside)[240:320].sum()) for one in (photo, left)]
    assert dark[1] < 0.4 * dark[0]


def test_shut_lips_that_part_as_their_corners_fall_leave_these_behind() -> None:
    raised = place(head(lift=-6.0))
    photo = picture(raised)
    line = np.mean([raised[list(UPPER_LIP), :2], raised[list(LOWER_LIP), :2]], 0).round().astype(np.int32)
    cv2.polylines(photo, [line], False, (70, 40, 35), 4)
    fallen = head(gap=5.0)
    fallen[:, 1] += 6.0 * (np.abs(fallen[:, 0]) > 20) * (np.abs(fallen[:, 1] - 21) < 3)
    mouth = Mouth(photo, raised)
    y, x = line[0, 1], line[0, 0] + 3
    seen = [
        mouth.without_line(photo, place(points))[y - 1 : y + 2, x - 2 : x + 2].mean()
        for points in (head(gap=5.0), fallen)
    ]
    assert seen[0] < 80 < 105 < seen[1]


def test_a_mouth_of_a_head_that_turns_does_not_count_as_narrower() -> None:
    photo = PHOTO.copy()
    cv2.circle(photo, (REST[61, :2].astype(int) - [6, 0]).tolist(), 4, (90, 60, 50), -1)
    turned = place(head(), yaw=25.0)
    wide = [float(np.linalg.norm(points[308, :2] - points[78, :2])) for points in (REST, turned)]
    assert wide[0] - wide[1] > 1.2 * UNIT  # in the picture
    assert np.array_equal(Mouth(photo, REST).without_line(photo, turned), photo)


def test_teeth_are_yellower_in_yellow_light_than_in_a_magenta_one() -> None:
    def blue(light: tuple[float, float, float]) -> float:
        mouth = Mouth((PHOTO * light).astype(np.uint8), REST)
        return float(mouth.colour.hue[2] / mouth.colour.hue[1])

    white, yellow, magenta = (blue(light) for light in ((1, 1, 1), (1, 1, 0.82), (1, 0.86, 1)))
    assert yellow < 0.97 * white
    assert magenta == pytest.approx(white, rel=0.02)


def test_the_flesh_of_a_mouth_is_not_mauve() -> None:
    photo = PHOTO.copy()
    lips = np.abs(photo.astype(int) - (170, 100, 100)).max(-1) < 30
    photo[lips] = (170, 100, 135)
    layer = interior(photo, REST, place(head(gap=22.0, jaw=20.0)))
    inside = layer.colour[(layer.alpha > 0.95) & (layer.colour.mean(-1) < 90)]
    assert (inside[:, 2] < 1.03 * inside[:, 1]).mean() > 0.9
