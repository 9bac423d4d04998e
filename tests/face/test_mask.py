import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.face import mask
from mien.types import InputError
from tests.face.faces import flat_landmarks, rng_landmarks


def test_square_covers_its_area_exactly() -> None:
    square = np.array([[10.25, 20.5], [30.75, 20.5], [30.75, 40.0], [10.25, 40.0]])
    found = mask.polygon_mask(square, 64, 64)
    assert found.sum() == pytest.approx(20.5 * 19.5, rel=0.015)
    assert found[30, 20] == 1 and found[10, 10] == 0
    assert found[30, 10] == pytest.approx(0.75, abs=0.13)  # three quarters of that pixel are inside


def test_face_is_inside_and_the_rest_is_not() -> None:
    landmarks = rng_landmarks()
    found = mask.face_mask(landmarks, 256, 256)
    assert found.dtype == np.float32 and found.shape == (256, 256)
    assert found.min() >= 0 and found.max() == 1
    x, y = landmarks[2, :2].astype(int)
    assert found[y, x] == 1 and found[0, 0] == 0


def test_growing_scales_the_area() -> None:
    landmarks = flat_landmarks() + 64
    plain, grown = (mask.face_mask(landmarks, 256, 256, grow).sum() for grow in (0.0, 0.2))
    assert grown / plain == pytest.approx(1.2**2, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(st.floats(-400, 400), st.floats(-400, 400), st.floats(0.01, 8), st.integers(1, 90), st.integers(1, 90))
def test_any_place_gives_a_mask(dx: float, dy: float, scale: float, width: int, height: int) -> None:
    landmarks = flat_landmarks(64) * scale + [dx, dy, 0]
    found = mask.face_mask(landmarks, width, height)
    assert found.shape == (height, width) and np.isfinite(found).all()
    assert found.min() >= 0 and found.max() <= 1


def test_broken_landmarks_raise() -> None:
    with pytest.raises(InputError, match="NaN"):
        mask.face_mask(np.full((478, 3), np.nan), 8, 8)


def test_black_corners_show_nothing() -> None:
    """Of a picture that was turned, as aligned sets have it; black hair inside and a dark wall are shown."""
    rows, columns = np.mgrid[0:80, 0:80]
    picture = np.full((80, 80, 3), 90, np.uint8)
    picture[30:50, 30:50] = 0
    picture[:, 70:] = 25
    corner = rows + columns < 20
    picture[corner] = 3
    assert np.array_equal(mask.shown_mask(picture), ~corner)
    assert mask.shown_mask(np.full((9, 9, 3), 200, np.uint8)).all()
