import numpy as np
import pytest
from PIL import Image

from mien.face import align, templates
from tests.face.faces import rng_landmarks


def test_arcface_is_the_published_template() -> None:
    # insightface, arcface_dst: 112 x 112.
    published = [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
    np.testing.assert_array_equal(templates.ARCFACE, published)
    np.testing.assert_allclose(templates.arcface_matrix(templates.ARCFACE), [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_arcface_undoes_a_similarity() -> None:
    move = align.box_matrix(np.array([30, 40, 260, 270]), angle=-33.0, size=200)
    points = align.transform_points(templates.ARCFACE, align.invert(move))
    found = align.transform_points(points, templates.arcface_matrix(points, size=224))
    np.testing.assert_allclose(found, templates.ARCFACE * 2, atol=1e-8)


def test_five_points_do_not_follow_the_gaze() -> None:
    landmarks = rng_landmarks()
    moved = landmarks.copy()
    moved[468:] += 3.0
    np.testing.assert_array_equal(templates.five_points(landmarks), templates.five_points(moved))


def test_ffhq_against_the_published_lines() -> None:
    landmarks = rng_landmarks()
    left, right, _, mouth_left, mouth_right = templates.five_points(landmarks)
    # NVlabs/ffhq-dataset, download_ffhq.py: recreate_aligned_images.
    eye_avg = (left + right) * 0.5
    eye_to_eye = right - left
    eye_to_mouth = (mouth_left + mouth_right) * 0.5 - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    quad = np.stack([c - x - y, c - x + y, c + x + y, c + x - y])
    crop = align.transform_points(quad, templates.ffhq_matrix(landmarks, size=256))
    np.testing.assert_allclose(crop, [[0, 0], [0, 256], [256, 256], [256, 0]], atol=1e-8)


@pytest.mark.parametrize("size", [112, 256])
def test_crops_can_be_cut(size: int) -> None:
    picture = np.asarray(Image.linear_gradient("L").convert("RGB"))
    crop = align.warp(picture, templates.arcface_matrix(rng_landmarks(), size), size)
    assert crop.shape == (size, size, 3)
