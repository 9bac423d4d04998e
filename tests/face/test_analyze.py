"""Geometry of the analysis with readers that see marks painted into the picture, so that every answer is
known.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import center_of_mass

from mien.face import align, pose
from mien.face.analyze import Reading, analyze, analyze_many, find_faces, read_faces
from mien.face.detect import Way, make
from mien.types import ByteImage, Face, InputError
from tests.face.faces import flat_landmarks

PEOPLE = Path(__file__).parents[2] / "examples/people"
MARKS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]  # one colour an anchor


def paint(faces: list[tuple[float, float, float, float]], width: int = 400, height: int = 300) -> Image.Image:
    """Grey picture in which each face (x, y, side, tilt) is five coloured discs at the anchors' places."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    picture = np.full((height, width, 3), 128, np.uint8)
    for face in faces:
        back = align.invert(matrix_of(face))
        for place, colour in zip(align.ANCHOR_PLACES * 128, MARKS, strict=True):
            ax, ay = align.transform_points(place[None], back)[0]
            picture[np.hypot(x - ax, y - ay) < face[2] * 0.035] = colour
    return Image.fromarray(picture)


def matrix_of(face: tuple[float, float, float, float]) -> np.ndarray:
    detection = make(*face, 1.0)
    return align.box_matrix(detection.box, detection.angle)


def read_marks(crops: ByteImage) -> Reading:
    """Finds the discs. Its pose is the crop's own roll; it believes in what has all five."""
    landmarks, poses, confidence = [], [], []
    for crop in crops.astype(np.float64):
        points, seen = flat_landmarks(), 0
        for index, colour in zip(align.ANCHORS, MARKS, strict=True):
            weight = np.clip(1 - np.abs(crop - colour).sum(-1) / 200, 0, None)
            if weight.sum() > 1:
                seen += 1
                row, column = center_of_mass(weight)
                points[index, :2] = column + 0.5, row + 0.5
        landmarks.append(points)
        poses.append([12.0, -7.0, -pose.tilt(align.crop_matrix(points))])
        confidence.append(seen / 5 - 0.05)
    n = len(crops)
    return Reading(np.array(landmarks), np.full((n, 52), 0.25), np.array(poses), np.array(confidence))


def always(*detections: tuple[float, ...]) -> Callable[[Sequence[Image.Image]], Iterable[Way]]:
    """A seeker with one way of looking, which sees the same in every picture."""
    return lambda images: [lambda which: [[make(*d) for d in detections] for _ in which]]


def test_a_rough_detection_becomes_an_exact_face() -> None:
    true = (210.0, 140.0, 150.0, 24.0)
    photo = np.asarray(paint([true]))
    rough = make(202, 149, 175, 12, 0.9)
    [(index, face)] = read_faces([photo], [(0, rough)], read_marks)
    assert index == 0
    expected = align.transform_points(flat_landmarks(), align.invert(matrix_of(true)))
    anchors = list(align.ANCHORS)
    np.testing.assert_allclose(face.landmarks[anchors], expected[anchors], atol=0.4)
    np.testing.assert_allclose(face.landmarks, expected, atol=0.8)
    np.testing.assert_allclose(face.pose, [12, -7, 24], atol=0.5)
    np.testing.assert_allclose(face.box[:2], face.landmarks[:, :2].min(0))
    np.testing.assert_array_equal(face.blendshapes, np.full(52, 0.25))


@pytest.mark.parametrize("tilt", [-170.0, -90.0, 0.0, 135.0, 180.0])
def test_roll_is_that_of_the_photo(tilt: float) -> None:
    photo = np.asarray(paint([(200.0, 150.0, 160.0, tilt)]))
    [(_, face)] = read_faces([photo], [(0, make(200, 150, 160, tilt + 10, 0.9))], read_marks)
    assert pose.difference(face.pose, np.array([12.0, -7.0, tilt]))[2] < 0.5
    assert -180 < face.pose[2] <= 180


def test_many_pictures_share_a_batch_and_keep_their_order() -> None:
    places = [(80.0, 90.0, 60.0, 0.0), (280.0, 150.0, 140.0, -20.0)]
    pictures = [paint(places), paint([]), paint(places[:1])]
    batches = []

    def reader(crops: ByteImage) -> Reading:
        batches.append(len(crops))
        return read_marks(crops)

    seek = always(*((x + 3, y - 2, side * 1.2, tilt, 0.8) for x, y, side, tilt in places))
    found = find_faces(pictures, seek, reader)
    assert [len(faces) for faces in found] == [2, 0, 1]
    assert batches[0] == 6
    sides = [face.box[2] - face.box[0] for face in found[0]]
    assert sides[0] > sides[1]


def test_the_next_way_of_looking_is_taken_only_when_needed() -> None:
    true = (200.0, 150.0, 120.0, 0.0)
    asked: list[tuple[int, list[int]]] = []

    def seek(images: Sequence[Image.Image]) -> Iterable[Way]:
        for number, detections in enumerate([[], [make(40, 40, 60, 0, 0.9)], [make(*true, 0.5)], []]):

            def way(which: Sequence[int]) -> list:
                asked.append((number, list(which)))  # noqa: B023
                return [detections for _ in which]  # noqa: B023

            yield way

    [faces, none] = find_faces([paint([true]), paint([])], seek, read_marks)
    assert len(faces) == 1 and faces[0].confidence > 0.9 and none == []
    assert asked == [(0, [0, 1]), (1, [0, 1]), (2, [0, 1]), (3, [1])]
    asked.clear()
    find_faces([paint([true])], seek, read_marks)
    assert [number for number, _ in asked] == [0, 1, 2]


def test_a_nearly_canonical_crop_is_read_once() -> None:
    crops = []

    def reader(batch: ByteImage) -> Reading:
        crops.append(len(batch))
        return read_marks(batch)

    photo = np.asarray(paint([(200.0, 150.0, 120.0, 8.0)]))
    near = [
        make(201, 149, 124, 10, 1),
        make(200, 150, 120, 2, 1),
        make(200, 150, 136, 8, 1),
        make(206, 150, 120, 8, 1),
    ]
    found = read_faces([photo], [(0, detection) for detection in near], reader)
    assert crops == [4, 3]
    for _, face in found:
        moved = face.landmarks - found[0][1].landmarks
        assert np.abs(moved[list(align.ANCHORS)]).max() < 0.8


def test_two_detections_of_one_face_are_one() -> None:
    seek = always((190, 150, 130, 5, 0.9), (215, 160, 160, -5, 0.6))
    [faces] = find_faces([paint([(200.0, 150.0, 140.0, 0.0)])], seek, read_marks)
    assert len(faces) == 1


def test_landmarks_without_a_crop_are_dropped() -> None:
    def broken(crops: ByteImage) -> Reading:
        reading = read_marks(crops)
        reading.landmarks[0] = np.nan
        reading.landmarks[1] = 64.0  # all in one place
        reading.landmarks[2] *= 100  # far away
        return reading

    photo = np.asarray(paint([(200.0, 150.0, 120.0, 0.0)]))
    assert read_faces([photo], [(0, make(200, 150, 120, 0, 1))] * 3, broken) == []


def _face(x0: float, x1: float) -> Face:
    side = x1 - x0
    return Face(np.array([x0, 0, x1, side]), np.zeros((478, 3)), np.zeros(52), np.zeros(3), 1.0)


def test_unknown_backend() -> None:
    with pytest.raises(InputError, match="embedded or mediapipe"):
        analyze_many([Image.new("RGB", (8, 8))], backend="dlib")


@pytest.mark.parametrize("turn", [45, 90, 135, 180])
@pytest.mark.parametrize("name", ["max", "may"])
def test_a_photo_is_read_upright_however_it_is_turned(name: str, turn: int) -> None:
    """Upside down, these two pass for other faces, whose eyes are the mouth's corners."""
    photo = Image.open(PEOPLE / f"{name}_rest.jpg").convert("RGB").resize((300, 300))
    (upright,), (face,) = analyze(photo), analyze(photo.rotate(turn, expand=True))
    assert (face.pose[2] - upright.pose[2] + turn + 180) % 360 - 180 == pytest.approx(0, abs=6)
