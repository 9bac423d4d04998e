import numpy as np

from mien.face.blendshapes import INDEX
from mien.face.pose import rotation
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, LOWER_LIP, UPPER_LIP
from mien.warping.motion import Motion, carry, motion, sample
from mien.warping.shapes import head, moved


def _landmarks(height: int = 400, width: int = 400) -> np.ndarray:
    """A model head's landmarks [478, 3] px, mouth ajar, in the middle of a photo."""
    neutral, offsets = head()
    points = (neutral + 0.3 * offsets[INDEX["jawOpen"]]) * [1, -1, -1]
    return (points - points.mean(0)) * 10 + [width / 2, height / 2, 0]


def test_openings_move_with_the_lips_and_lids_round_them() -> None:
    """A face shifted as a whole moves everywhere alike, in the openings of eyes and mouth too."""
    landmarks = _landmarks()
    moving = motion(landmarks, landmarks + [3.0, 2.0, 0.0], (400, 400))
    field, (x0, y0, _, _) = np.dstack(moving.field()), moving.box
    for first, second in ((UPPER_LIP, LOWER_LIP), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        x, y = landmarks[[first[5], second[5]], :2].mean(0) + [3, 2]
        np.testing.assert_allclose(field[int(y) - y0, int(x) - x0], [-3, -2], atol=0.05)


def test_a_face_that_does_not_move_keeps_every_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    landmarks = _landmarks()
    moving = motion(landmarks, landmarks, image.shape)
    x0, y0, x1, y1 = moving.box
    assert np.array_equal(carry(image, moving), image[y0:y1, x0:x1])


def test_what_hides_something_ends_softly() -> None:
    """A slanting edge of cells, two pixels large, behind which the picture comes from far away."""
    image = np.zeros((80, 80, 3), np.uint8)
    image[:, 40:] = 200
    grid = np.full((40, 40, 2), 0.5, np.float32)
    rows, columns = np.mgrid[:40, :40]
    grid[..., 0] += 45 * (columns < 5 + rows // 2)  # what is dark shows what is light
    result = carry(image, Motion((0, 0, 80, 80), grid))[10:-10, ..., 0].astype(int)
    assert np.abs(np.diff(result, axis=0)).max() < 140  # a stair would be 200
    assert np.array_equal(result[:, 60:], np.full((60, 20), 200))


def test_a_face_half_outside_the_photo_is_moved_inside_it() -> None:
    landmarks = _landmarks() - [180.0, 0, 0]
    x0, y0, x1, y1 = motion(landmarks, landmarks + [2.0, 0, 0], (400, 400)).box
    assert x0 == 0 and 0 <= y0 < y1 <= 400 and 0 < x1 < 400


def test_what_moves_away_from_the_photo_s_border_is_stretched_and_not_smeared() -> None:
    landmarks = _landmarks() + [0, 130, 0]
    moving = motion(landmarks, landmarks - [0, 25, 0], (400, 400))
    source = moving.field()[1] + np.arange(moving.box[1], 400)[:, None] + 0.5
    assert moving.box[3] == 400 and source.max() > 395
    assert source.max() < 401 and np.diff(source[-60:], axis=0).min() > 0.1


def test_what_is_squeezed_and_lies_far_outside_of_its_picture_has_the_border_s_colour() -> None:
    image = np.full((60, 60, 3), (10, 120, 200), np.uint8)
    for side in (-500.0, 500.0):
        grid = np.full((20, 20, 2), side, np.float32) + 30 * np.arange(20, dtype=np.float32)[:, None, None]
        lent = sample(image, Motion((0, 0, 40, 200), grid))
        assert (lent == image[0, 0]).all()


def test_lids_and_lips_never_cross() -> None:
    landmarks = _landmarks()
    rng = np.random.default_rng(1)
    for _ in range(5):
        target = moved(landmarks, np.zeros(52), rng.uniform(-0.2, 1.3, 52))
        for upper, lower in ((UPPER_LIP, LOWER_LIP), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
            gap = target[list(lower[1:-1]), 1] - target[list(upper[1:-1]), 1]
            assert gap.min() > -0.1


def test_no_pixel_of_a_turned_head_moves_farther_than_its_landmarks() -> None:
    """Slivers at the silhouette and triangles that fold over fling nothing about and leave no hole."""
    rng = np.random.default_rng(2)
    for yaw in (-35.0, 30.0):
        landmarks = (_landmarks() - [200, 200, 0]) @ rotation(np.array([yaw, 8.0, 0])).T + [200, 200, 0]
        target = moved(landmarks, np.zeros(52), rng.uniform(0, 1, 52))
        far = np.abs(target - landmarks)[:468, :2].max(0)
        moving = motion(landmarks, target, (400, 400))
        assert np.all(np.abs(moving.grid).max((0, 1)) <= far + 1e-3)
        shifted = motion(landmarks, target + [9.0, 0, 0], (400, 400))
        face = np.abs(shifted.grid - moving.grid)[..., 0]
        middle, far = np.array(face.shape) // 2, face.shape[0] // 14  # the nose
        assert face[middle[0] - far : middle[0] + far, middle[1] - far : middle[1] + far].min() > 5


def test_the_far_outline_of_a_turned_head_gets_no_nicks() -> None:
    after = np.zeros(52)
    after[[INDEX["mouthFunnel"], INDEX["jawOpen"]]] = 0.8, 0.5
    for yaw in (30.0, -30.0, -35.0):
        landmarks = (_landmarks() - [200, 200, 0]) @ rotation(np.array([yaw, 0, 0])).T + [200, 200, 0]
        moving = motion(landmarks, moved(landmarks, np.zeros(52), after), (400, 400))
        x0, y0, _, _ = moving.box
        sides = landmarks[:468, 0].min(), landmarks[:468, 0].max()
        far = min(sides, key=lambda side: abs(landmarks[4, 0] - side))  # the nose's
        rows = slice(int(landmarks[4, 1]) - y0, int(landmarks[152, 1]) - y0)
        columns = slice(int(far) - 20 - x0, int(far) + 20 - x0)
        for part in moving.field():
            for axis in (0, 1):
                assert np.abs(np.diff(part[rows, columns], axis=axis)).max() < 2
