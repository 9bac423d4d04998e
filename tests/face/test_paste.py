import numpy as np
import pytest

from mien.face import align, paste
from mien.face.mask import face_mask
from tests.face.faces import flat_landmarks


def _photo(height: int = 150, width: int = 200) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 30.0, -100.0])
@pytest.mark.parametrize(
    "box", [(40, 30, 120, 110), (-30, -20, 60, 70), (150, 90, 230, 170), (90, 70, 110, 90)]
)
def test_outside_the_mask_is_untouched(angle: float, box: tuple[int, ...]) -> None:
    photo = _photo()
    matrix = align.box_matrix(np.array(box), angle)
    mask = paste.feather(face_mask(flat_landmarks(), 128, 128), 8)
    crop = np.full((128, 128, 3), 255, np.uint8)
    out = paste.paste_back(photo, crop, matrix, mask)
    y, x = np.mgrid[0:150, 0:200] + 0.5
    places = align.transform_points(np.stack([x.ravel(), y.ravel()], 1), matrix).reshape(150, 200, 2)
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    far = np.hypot(*np.moveaxis(places - 64, -1, 0)) > 0.42 * 128 + max(2, 2 * scale)
    np.testing.assert_array_equal(out[far], photo[far])
    assert (out != photo).any()
    np.testing.assert_array_equal(photo, _photo())


def test_pasting_what_was_cut_changes_little() -> None:
    photo = np.asarray(_photo() // 2 + 30, np.uint8)
    photo = np.repeat(photo[..., :1], 3, -1)
    matrix = align.box_matrix(np.array([40.0, 30, 140, 130]), 20.0)
    crop = align.warp(photo, matrix)
    out = paste.paste_back(photo, crop, matrix, paste.feather(np.ones((128, 128)), 10))
    assert np.abs(out.astype(int) - photo).max() <= 2


def test_crop_fully_shows_in_the_middle() -> None:
    photo = _photo()
    crop = np.full((64, 64, 3), (9, 200, 77), np.uint8)
    matrix = align.box_matrix(np.array([50, 40, 114, 104]), size=64)
    out = paste.paste_back(photo, crop, matrix, paste.feather(np.ones((64, 64)), 5))
    np.testing.assert_array_equal(out[60:84, 70:94], np.broadcast_to(crop[:24, :24], (24, 24, 3)))


def test_feather_only_shrinks_and_fades_at_the_border() -> None:
    mask = np.zeros((50, 60), np.float32)
    mask[:, 20:] = 1  # touches three borders
    soft = paste.feather(mask, 6)
    assert (soft <= mask).all() and soft[25, 40] == 1
    assert soft[0].max() < 0.1 and soft[:, -1].max() < 0.1 and 0 < soft[25, 20] < 0.1
    np.testing.assert_array_equal(paste.feather(mask, 0), mask)


def test_wrong_mask_size_raises() -> None:
    with pytest.raises(ValueError, match="mask"):
        paste.paste_back(_photo(), np.zeros((8, 8, 3), np.uint8), np.eye(3)[:2], np.ones((9, 8), np.float32))
