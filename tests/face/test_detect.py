"""The search around the network: pyramid, suppression, quarter turns, fallbacks. The finder here sees
magenta discs.
"""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import center_of_mass, label

from mien.face import align, detect
from mien.face.detect import Detection, NetworkFinder, attempts, copies, make, unique
from mien.face.detector import MAX_SIZE, MIN_SIZE, DetectorNet
from mien.types import ByteImage


def discs(width: int, height: int, *faces: tuple[float, float, float]) -> Image.Image:
    """Grey picture with a magenta disc (x, y, side) for each face."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    picture = np.full((height, width, 3), 128, np.uint8)
    for fx, fy, side in faces:
        picture[np.hypot(x - fx, y - fy) < side / 2] = (255, 0, 255)
    return Image.fromarray(picture)


def find_discs(pixels: ByteImage, threshold: float) -> list[Detection]:
    """Discs of the size that the network sees; surest in the middle of its range."""
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
    found = next(attempts(picture, find_discs))
    assert len(found) == 1
    np.testing.assert_allclose(found[0].centre, [430, 340], atol=3)
    assert found[0].side == pytest.approx(side * 900 / 700, rel=0.08)


def test_several_faces_largest_first() -> None:
    found = next(attempts(discs(640, 480, (100, 100, 50), (400, 200, 180), (560, 400, 90)), find_discs))
    assert [round(d.centre[0] / 20) * 20 for d in found] == [400, 560, 100]


def test_nothing_is_computed_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[int, ...], float]] = []

    def nothing(pixels: ByteImage, threshold: float) -> list[Detection]:
        calls.append((pixels.shape, threshold))
        return []

    ways = attempts(Image.new("RGB", (320, 240)), nothing)
    assert calls == []
    assert next(ways) == []
    assert [shape[1] for shape, _ in calls] == [320, 160, 80, 40]
    rest = list(ways)
    assert len(rest) == 5 and not any(rest)  # HOG, three quarter turns, a lower threshold
    assert calls[-1][1] == detect.LAST_RESORT


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
    assert [c.shape[:2] for c, _ in copies(Image.new("RGB", (1000, 500)), 640)] == [
        (320, 640),
        (160, 320),
        (80, 160),
        (40, 80),
        (20, 40),
    ]
    assert [c.shape[:2] for c, _ in copies(Image.new("RGB", (20, 16)), 640)] == [(64, 80), (32, 40)]
    assert all(min(c.shape[:2]) >= 1 for c, _ in copies(Image.new("RGB", (5000, 1)), 640))


def test_network_speaks_in_pixels_of_the_picture() -> None:
    net = DetectorNet(width=8, dilations=(1,)).eval()
    finder = NetworkFinder(net)
    found = finder.find(np.zeros((50, 70, 3), np.uint8), 0.0)  # untrained: everywhere a little
    assert found
    for detection in found:
        assert 0 <= detection.centre[0] <= 70 and 0 <= detection.centre[1] <= 50
        assert detection.side == pytest.approx(np.sqrt(MIN_SIZE * MAX_SIZE), rel=0.3)
    assert finder.find(np.zeros((50, 70, 3), np.uint8), 0.99) == []


def test_a_detection_cuts_the_crop_it_names() -> None:
    detection = make(120, 80, 64, 30.0, 1.0)
    matrix = align.box_matrix(detection.box, detection.angle)
    np.testing.assert_allclose(align.transform_points(np.array([[120.0, 80.0]]), matrix), [[64, 64]])
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]), 4)
