"""Composed pictures: a face lies where it is said to lie, and no face is said to be where there is none."""

import numpy as np
import pytest
from PIL import Image

from factory.faces import composites
from factory.faces.composites import (
    CANVAS,
    FacePile,
    compose,
    edge_mask,
    paint_background,
    paste,
    placed,
    placing,
)
from mien.face import align


@pytest.fixture(scope="module")
def pile() -> FacePile:
    """Faces are white squares on black with a red dot in their middle; backgrounds are grey."""

    def square(size: int, side: int) -> np.ndarray:
        picture = np.zeros((size, size, 3), np.uint8)
        low, high = (size - side) // 2, (size + side) // 2
        picture[low:high, low:high] = 255
        middle = slice(size // 2 - side // 8, size // 2 + side // 8)
        picture[middle, middle] = (255, 0, 0)
        return picture

    tight, whole = square(96, 80)[None], square(256, 120)[None]
    at = lambda size, side: np.array([[size / 2, size / 2, side, 0.0]])  # noqa: E731
    return FacePile(tight, at(96, 80), whole, at(256, 120), np.full((2, 256, 256, 3), 90, np.uint8))


def test_placed_reads_back_a_crop() -> None:
    x, y, side, tilt = placed(align.box_matrix(np.array([50.0, 30, 90, 70]), angle=-25))
    assert (x, y, side, tilt) == pytest.approx((70, 50, 40, -25))


@pytest.mark.parametrize("mirror", [None, 200])
def test_placing_moves_a_face_where_it_is_wanted(mirror: int | None) -> None:
    at, wanted = (60.0, 90.0, 50.0, 10.0), (120.0, 40.0, 30.0, -35.0)
    matrix = placing(at, wanted, mirror)
    centre = align.transform_points(np.array([at[:2]]), matrix)
    np.testing.assert_allclose(centre, [wanted[:2]])
    assert abs(np.linalg.det(matrix[:, :2])) == pytest.approx((30 / 50) ** 2)
    up = np.array([np.sin(np.deg2rad(10)), -np.cos(np.deg2rad(10))])  # the head's, in the picture
    turned = matrix[:, :2] @ up * (50 / 30)
    np.testing.assert_allclose(turned, [np.sin(np.deg2rad(-35)), -np.cos(np.deg2rad(-35))], atol=1e-12)


def test_compose_says_where_the_faces_are(pile: FacePile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composites, "_develop", lambda rng, canvas: canvas)
    monkeypatch.setattr(composites, "_decoy", lambda rng, pile, canvas: canvas)
    canvases, faces = compose(pile, 24, seed=3)
    assert canvases.shape == (24, CANVAS, CANVAS, 3) and canvases.dtype == np.uint8
    seen = 0
    for canvas, group in zip(canvases, faces, strict=True):
        for x, y, side, _ in group:
            if side > 24 and 2 < x < CANVAS - 2 and 2 < y < CANVAS - 2:
                red, green, _ = canvas[int(y), int(x)].astype(int)
                assert red > 200 and green < 90
                seen += 1
    assert seen > 10
    again, _ = compose(pile, 24, seed=3)
    np.testing.assert_array_equal(canvases, again)


def test_paste_leaves_the_rest_alone() -> None:
    background = np.full((60, 80, 3), 7, np.uint8)
    picture = np.full((200, 200, 3), 250, np.uint8)
    matrix = placing((100, 100, 200, 0), (40, 30, 20, 0))
    out = paste(background, picture, Image.new("L", (200, 200), 255), matrix)
    assert (out[22:38, 32:48] == 250).all()
    out = out.copy()
    out[19:41, 29:51] = 7
    np.testing.assert_array_equal(out, background)


@pytest.mark.parametrize("seed", range(8))
def test_backgrounds_and_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert paint_background(rng, 70, 50).shape == (50, 70, 3)
    mask = np.asarray(edge_mask(rng, 40))
    assert mask.shape == (40, 40) and mask[20, 20] == 255
