"""The search around the network: pyramid, suppression, quarter turns, fallbacks. The finder here sees
magenta discs.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import center_of_mass, label

from mien.face import align, detect, detector
from mien.face.detect import Detection, copy, make, pyramid, scales, unique, ways
from mien.face.detector import MAX_SIZE, MIN_SIZE, DetectorNet, NetworkFinder
from mien.types import ByteImage


def discs(width: int, height: int, *faces: tuple[float, float, float]) -> Image.Image:
    """Grey picture with a magenta disc (x, y, side) for each face."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    picture = np.full((height, width, 3), 128, np.uint8)
    for fx, fy, side in faces:
        picture[np.hypot(x - fx, y - fy) < side / 2] = (255, 0, 255)
    return Image.fromarray(picture)


def find_discs(pictures: Sequence[ByteImage], threshold: float) -> list[list[Detection]]:
    """Discs of the size that the network sees; surest in the middle of its range."""
    return [find_in(pixels) for pixels in pictures]


def first(picture: Image.Image) -> list[Detection]:
    """What the first way of looking finds."""
    return next(ways([picture], find_discs))([0])[0]


def find_in(pixels: ByteImage) -> list[Detection]:
    blobs, count = label((pixels[..., 0] > 190) & (pixels[..., 1] < 65))
    found = []
    for number in range(1, count + 1):
        blob = blobs == number
        side = 2 * np.sqrt(blob.sum() / np.pi)
        if MIN_SIZE <= side <= MAX_SIZE:
            row, column = center_of_mass(blob)
            found.append(make(column + 0.5, row + 0.5, side, 0.0, 0.9 - abs(np.log(side / 36)) / 3))
    return found


@pytest.mark.parametrize("side", [24, 60, 150, 380, 500])
def test_every_size_is_found_once_where_it_is(side: float) -> None:
    picture = discs(900, 700, (430, 340, side * 900 / 700))
    found = first(picture)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].centre, [430, 340], atol=3)
    assert found[0].side == pytest.approx(side * 900 / 700, rel=0.08)


def test_several_faces_largest_first() -> None:
    found = first(discs(640, 480, (100, 100, 50), (400, 200, 180), (560, 400, 90)))
    assert [round(d.centre[0] / 20) * 20 for d in found] == [400, 560, 100]


def test_nothing_is_computed_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[int], float]] = []

    def nothing(pictures: Sequence[ByteImage], threshold: float) -> list[list[Detection]]:
        calls.append(([picture.shape[1] for picture in pictures], threshold))
        return [[] for _ in pictures]

    looks = ways([Image.new("RGB", (320, 240)), Image.new("RGB", (100, 160))], nothing)
    assert calls == []
    assert next(looks)([0, 1]) == [[], []]
    assert [widths for widths, _ in calls] == [[40, 25], [80, 50], [160, 100], [320]]
    calls.clear()
    whole, *rest = looks
    assert whole([0, 1]) == [[], []] and calls == []  # no copy was left out
    assert len(rest) == 6  # HOG, finer, three quarter turns, a lower threshold
    assert all(way([1]) == [[]] for way in rest)
    assert calls[-1] == ([100], detect.LAST_RESORT) and all(len(widths) == 1 for widths, _ in calls)


def test_a_face_that_fills_the_picture_spares_the_finer_copies() -> None:
    searched: list[list[int]] = []

    def find(pictures: Sequence[ByteImage], threshold: float) -> list[list[Detection]]:
        searched.append([len(picture) for picture in pictures])
        return find_discs(pictures, threshold)

    filled, sparse = discs(160, 160, (82, 78, 150)), discs(160, 160, (50, 60, 60), (135, 135, 26))
    found, left_out = pyramid([filled, sparse], find, 640, 0.5, quick=True)
    assert searched == [[40, 40], [80], [160]] and left_out == [True, False]
    assert [round(d.side / 10) * 10 for d in found[0]] == [150]
    assert [round(d.side / 10) * 10 for d in found[1]] == [60, 30]
    searched.clear()
    looks = ways([filled, sparse], find)
    next(looks)([0, 1])
    searched.clear()
    [again, nothing] = next(looks)([0, 1])  # the caller believed in neither
    assert searched == [[40], [80], [160]] and len(again) == 1 and nothing == []


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_come_back(quarter: int) -> None:
    picture = Image.new("RGB", (300, 200))
    how = detect._QUARTERS[quarter]
    turned = picture.transpose(how)
    inside = make(40, 70, 30, 10.0, 0.9)  # in the turned picture
    back = detect._turned_back(inside, quarter, turned.size)
    dot = np.zeros((turned.height, turned.width), np.uint8)
    dot[70, 40] = 255
    undone = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}[
        quarter
    ]
    row, column = np.argwhere(np.asarray(Image.fromarray(dot).transpose(undone)))[0]
    assert np.abs(back.centre - [column, row]).max() <= 1
    assert (back.angle - 10 - 90 * quarter) % 360 == 0 and -180 < back.angle <= 180


def test_unique_keeps_neighbours_and_drops_parts() -> None:
    face, again = make(100, 100, 80, 0, 0.9), make(108, 95, 100, 5, 0.7)
    eye, neighbour, child = make(110, 90, 20, 0, 0.6), make(160, 100, 75, 0, 0.5), make(100, 190, 30, 0, 0.4)
    kept = unique([again, eye, face, neighbour, child])
    assert [id(d) for d in kept] == [id(face), id(neighbour), id(child)]


def test_copies_halve_and_small_pictures_grow() -> None:
    def sizes(width: int, height: int) -> list[tuple[int, ...]]:
        picture = Image.new("RGB", (width, height))
        return [copy(picture, scale).shape[:2] for scale in scales(picture.size, 640)]

    assert sizes(1000, 500) == [(320, 640), (160, 320), (80, 160), (40, 80), (20, 40)]
    assert sizes(20, 16) == [(64, 80), (32, 40)]
    assert min(side for size in sizes(5000, 1) for side in size) == 1


def test_network_speaks_in_pixels_of_the_picture() -> None:
    assert (detect.MIN_FACE, detect.MAX_FACE) == (MIN_SIZE, MAX_SIZE)
    net = NetworkFinder(DetectorNet(width=8, dilations=(1,)))
    blank = np.zeros((50, 70, 3), np.uint8)
    [found] = net.find([blank], 0.0)  # untrained: everywhere a little
    assert found
    for detection in found:
        assert 0 <= detection.centre[0] <= 70 and 0 <= detection.centre[1] <= 50
        assert detection.side == pytest.approx(np.sqrt(MIN_SIZE * MAX_SIZE), rel=0.3)
    assert net.find([blank], 0.99) == [[]]


def test_pictures_searched_together_are_searched_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    net = NetworkFinder(DetectorNet(width=8, dilations=(1,)))
    rng = np.random.default_rng(0)
    shapes = [(50, 70, 3), (40, 40, 3), (50, 70, 3), (50, 70, 3)]
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    alone = [net.find([picture], 0.0)[0] for picture in pictures]
    monkeypatch.setattr(detector, "TOGETHER", 25_000)  # two of the larger ones
    together = net.find(pictures, 0.0)
    assert all(alone)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose([d.box for d in one], [d.box for d in other], atol=1e-3)


def test_a_detection_cuts_the_crop_it_names() -> None:
    detection = make(120, 80, 64, 30.0, 1.0)
    matrix = align.box_matrix(detection.box, detection.angle)
    np.testing.assert_allclose(align.transform_points(np.array([[120.0, 80.0]]), matrix), [[64, 64]])
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]), 4)
