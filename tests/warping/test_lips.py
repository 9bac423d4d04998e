"""Lips: where shut ones meet in a photo, and what a moved one keeps."""

import cv2
import numpy as np

from mien.face.blendshapes import INDEX
from mien.types import ByteImage, FloatArray
from mien.warping.lips import LEAST, OUTER, edges, held, lip_gap, off_teeth, on_line, opened
from mien.warping.mesh import LOWER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP, UPPER_LIP
from mien.warping.motion import carry, motion
from mien.warping.parting import unlined
from mien.warping.shapes import head, moved

SIZE = 500


def face(gap: float = 0.0) -> FloatArray:
    """A model head's landmarks [478, 3] px, its lips' edges apart by `gap` px."""
    points = head()[0] * [1, -1, -1]
    points = (points - points.mean(0)) * 25 + [SIZE / 2, SIZE / 2 - 100, 0]
    bow = gap * (1 - np.linspace(-1, 1, 11) ** 2)
    line = 0.5 * (points[list(UPPER_LIP)] + points[list(LOWER_LIP)])
    points[list(UPPER_LIP)], points[list(LOWER_LIP)] = line, line
    points[list(UPPER_LIP), 1] -= 0.5 * bow
    points[list(LOWER_LIP), 1] += 0.5 * bow
    return np.asarray(points)


def photo(landmarks: FloatArray, line: FloatArray, dark: int = 4) -> ByteImage:
    """Skin, and lips with a dark line [n, 2] px between them."""
    image = np.full((SIZE, SIZE, 3), (190, 150, 130), np.uint8)
    outline = landmarks[[*OUTER_UPPER_LIP, *OUTER_LOWER_LIP[::-1]], :2]
    cv2.fillPoly(image, [np.round(outline).astype(np.int32)], (170, 100, 100))
    cv2.polylines(
        image, [np.round((line - 0.5) * 16).astype(np.int32)], False, (60, 30, 30), dark, cv2.LINE_AA, 4
    )
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8))


def test_the_edges_of_shut_lips_go_to_the_dark_line_between_them() -> None:
    for gap in (0.0, 12.0):  # landmarks of full lips lie apart where those are shut
        landmarks = face(gap)
        truth = np.mean(edges(landmarks), 0) + [0, 5]
        found = on_line(photo(landmarks, truth, 2), landmarks)
        for edge in edges(found):
            assert np.abs(edge[8:-8, 1] - truth[8:-8, 1]).max() < 2


def test_the_edges_of_parted_lips_stay() -> None:
    landmarks = face(gap=14.0)
    for between in ((205, 200, 190), (30, 15, 15)):  # teeth, the dark
        image = photo(landmarks, np.zeros((2, 2)))
        upper, lower = edges(landmarks)
        cv2.fillPoly(image, [np.round(np.concatenate([upper, lower[::-1]])).astype(np.int32)], between)
        assert np.array_equal(on_line(image, landmarks), landmarks)


def test_an_upper_lip_s_edge_leaves_the_teeth_that_it_lies_on() -> None:
    truth = face(gap=14.0)
    image = photo(truth, np.zeros((2, 2)))
    upper, lower = edges(truth)
    cv2.fillPoly(image, [np.round(np.concatenate([upper, lower[::-1]])).astype(np.int32)], (215, 205, 190))
    assert np.abs(off_teeth(image, truth) - truth).max() < 1.5
    low = truth.copy()
    low[list(UPPER_LIP[1:-1]), 1] += 5
    middle = list(UPPER_LIP[3:-3])
    assert np.abs(off_teeth(image, low)[middle, 1] - truth[middle, 1]).max() < 2


def test_lips_that_part_leave_the_dark_line_behind() -> None:
    landmarks = face()
    line = np.mean(edges(landmarks), 0)
    image = photo(landmarks, line)
    result = unlined(image, (line, line), np.array([0.0, 1.0]), 2.5, 1.5, 3.0)
    x, y = line[::5].round().astype(int).T
    assert image[y, x].mean() < 80 and result[y, x].mean() > 110
    far = np.abs(np.arange(SIZE)[:, None] - line[:, 1].mean()) > 60
    assert np.array_equal(
        result[np.broadcast_to(far, (SIZE, SIZE))], image[np.broadcast_to(far, (SIZE, SIZE))]
    )


def test_the_line_of_a_smile_goes_on_up_beyond_its_corners_and_is_left_behind_there_too() -> None:
    landmarks = face()
    line = np.mean(edges(landmarks), 0)
    line[:, 1] -= 25 * np.linspace(-1, 1, len(line)) ** 2
    beyond = line[[0, -1]] + [[-8, -5], [8, -5]]
    image = photo(landmarks, np.concatenate([beyond[:1], line, beyond[1:]]))
    result = unlined(image, (line, line), np.array([0.0, 1.0]), 2.5, 1.5, 1.7)
    x, y = (0.5 * (line[[0, -1]] + beyond)).round().astype(int).T
    assert image[y, x].mean() < 80 and result[y, x].mean() > 105


def test_pressed_lips_keep_some_of_their_height_and_do_not_fold() -> None:
    landmarks, after = face(), np.zeros(52)
    for name in ("mouthPressLeft", "mouthPressRight", "mouthRollUpper", "mouthRollLower"):
        after[INDEX[name]] = 1.0
    target = moved(landmarks, np.zeros(52), after)
    for inner, outer in zip((UPPER_LIP, LOWER_LIP), zip(*OUTER, strict=True), strict=True):
        first, last = (np.abs(p[list(outer), 1] - p[list(inner[1:-1]), 1]) for p in (landmarks, target))
        assert (last > 0.99 * LEAST * first).all()
        assert (last < first).mean() > 0.8


def test_moved_lips_meet_along_a_smooth_line() -> None:
    """The coarse map's cells are 4 px wide; the line between the lips shows no stairs of them."""
    landmarks, after = face(), np.zeros(52)
    image = photo(landmarks, np.mean(edges(landmarks), 0), dark=3)
    for name in ("mouthPressLeft", "mouthPressRight", "mouthFrownLeft", "mouthFrownRight", "mouthRollUpper"):
        after[INDEX[name]] = 0.6
    target = moved(landmarks, np.zeros(52), after, shut=1.0)
    moving = motion(held(landmarks, target), target, image.shape)
    x0, y0, _, _ = moving.box
    grey = carry(image, moving).astype(float).mean(2)
    truth = np.mean(edges(target), 0) - [x0, y0]
    columns = np.arange(int(truth[8, 0]), int(truth[-8, 0]))
    rows = np.interp(columns + 0.5, truth[:, 0], truth[:, 1])
    found = []
    for column, row in zip(columns, rows, strict=True):
        at = np.arange(int(row) - 6, int(row) + 7)
        weight = np.clip(125 - grey[at, column], 0, None)
        found.append((weight * (at + 0.5)).sum() / weight.sum() - row)
    assert np.abs(np.array(found)).max() < 1.5
    assert np.abs(np.diff(found)).max() < 0.7


def test_lips_leave_the_line_they_met_on_as_they_part() -> None:
    landmarks = face(gap=12.0)
    line = on_line(photo(landmarks, np.mean(edges(landmarks), 0), dark=2), landmarks)
    assert lip_gap(line, 1.0) < 1
    assert np.array_equal(opened(landmarks, line, line), line)
    after = np.zeros(52)
    after[INDEX["jawOpen"]] = 0.8
    wide = moved(line, np.zeros(52), after)
    np.testing.assert_allclose(opened(landmarks, line, wide), wide + landmarks - line)


def test_lips_that_are_stretched_grow_thinner() -> None:
    landmarks, after = face(), np.zeros(52)
    after[[INDEX["jawOpen"], INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.8
    target = moved(landmarks, np.zeros(52), after)
    for inner, outer in zip((UPPER_LIP, LOWER_LIP), zip(*OUTER, strict=True), strict=True):
        first, last = (np.abs(p[list(outer), 1] - p[list(inner[1:-1]), 1]).sum() for p in (landmarks, target))
        long = [
            np.linalg.norm(np.diff(p[list(inner), :2], axis=0), axis=1).sum() for p in (landmarks, target)
        ]
        assert long[1] > 1.1 * long[0]
        assert LEAST * first < last < 0.95 * first


def test_a_squeezed_jaw_line_is_no_tear() -> None:
    landmarks, after = face(), np.zeros(52)
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        after[INDEX[name]] = 1.0
    smile = moved(landmarks, np.zeros(52), after)
    assert motion(landmarks, smile, (SIZE, SIZE)).torn is None
    turned = moved(landmarks, np.zeros(52), np.zeros(52), np.array([15.0, 0, 0]))
    assert motion(landmarks, turned, (SIZE, SIZE)).torn is not None
