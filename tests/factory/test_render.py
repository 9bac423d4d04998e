"""The rasteriser against geometry that is known, the expressions, and (with the shared data) whole
renders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory.faces import coefficients
from factory.faces.extras import eye_grid, eyeball, gaze_axes
from factory.faces.ict import expression_rows, load_head
from factory.faces.paint import EYE_RINGS, EYE_SECTORS
from factory.faces.raster import rasterise, reduce_area, vertex_normals, visibility
from factory.faces.render import generate, make_person, render
from factory.faces.scene import sample_view
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.types import FloatArray, InputError

FRONT = np.array([[0, 2, 1]], np.int32)  # counter-clockwise in camera space is clockwise where y is down


def draw(
    points: list[list[float]], triangles: FloatArray, values: FloatArray, **settings: float
) -> FloatArray:
    image = np.zeros((40, 50, values.shape[1]), np.float32)
    depth = np.full((40, 50), -1e9, np.float32)
    alpha, cull = settings.get("alpha", 1.0), bool(settings.get("cull", 1))
    rasterise(np.array(points, np.float32), triangles, values.astype(np.float32), alpha, cull, image, depth)
    return image


def sphere(rings: int = 24, sectors: int = 32) -> tuple[FloatArray, FloatArray]:
    """Vertices on the unit sphere and triangles, counter-clockwise seen from outside."""
    down, turn = np.meshgrid(
        np.linspace(0, np.pi, rings), np.arange(sectors) * 2 * np.pi / sectors, indexing="ij"
    )
    vertices = np.stack([np.sin(down) * np.sin(turn), np.cos(down), np.sin(down) * np.cos(turn)], 2).reshape(
        -1, 3
    )
    triangles = []
    for ring in range(rings - 1):
        for sector in range(sectors):
            a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
            triangles += [(a, a + sectors, b), (b, a + sectors, b + sectors)]
    return vertices.astype(np.float32), np.array(triangles, np.int32)


def test_a_triangle_covers_its_area_and_interpolates_linearly() -> None:
    points = [[5, 5, 0], [45, 5, 0], [5, 35, 0]]
    values = np.array([[5, 5, 1], [45, 5, 1], [5, 35, 1]])
    image = draw(points, FRONT, values)
    rows, columns = np.nonzero(image[..., 2])
    assert abs(len(rows) - 600) <= 35  # half the pixels of the slanted edge
    np.testing.assert_allclose(image[rows, columns, 0], columns + 0.5, atol=1e-3)
    np.testing.assert_allclose(image[rows, columns, 1], rows + 0.5, atol=1e-3)


def test_two_triangles_leave_no_gap_between_them() -> None:
    points = [[3.3, 4.1, 0], [40.7, 6.2, 0], [38.2, 35.9, 0], [5.1, 30.3, 0]]
    image = draw(points, np.array([[0, 2, 1], [0, 3, 2]], np.int32), np.ones((4, 1)))
    for row in image[..., 0]:
        covered = np.flatnonzero(row)
        assert len(covered) == 0 or len(covered) == covered[-1] - covered[0] + 1


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_nearer_triangle_wins_whatever_the_order(order: list[int]) -> None:
    points = [[5, 5, 1], [45, 5, 1], [5, 35, 1], [5, 5, 2], [25, 5, 2], [5, 20, 2]]
    triangles = np.array([[0, 2, 1], [3, 5, 4]], np.int32)[order]
    image = draw(points, triangles, np.array([[1.0]] * 3 + [[7.0]] * 3))
    assert image[7, 7, 0] == 7 and image[7, 35, 0] == 1


def test_backs_are_left_out_and_alpha_blends() -> None:
    points, ones = [[5.0, 5, 0], [45, 5, 0], [5, 35, 0]], np.ones((3, 1))
    assert draw(points, FRONT[:, ::-1].copy(), ones).sum() == 0
    assert draw(points, FRONT[:, ::-1].copy(), ones, cull=0)[10, 10, 0] == 1
    assert draw(points, FRONT, ones, alpha=0.25)[10, 10, 0] == pytest.approx(0.25)


def test_normals_of_a_sphere_point_outwards() -> None:
    vertices, triangles = sphere()
    inner = np.abs(vertices[:, 1]) < 0.98  # at the poles many vertices share a place and few a triangle
    cosine = (vertex_normals(vertices, triangles) * vertices).sum(1)[inner]
    assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() < 3


def test_a_sphere_shades_its_own_far_side() -> None:
    vertices, triangles = sphere()
    light = np.array([0.6, 0.0, 0.8])
    lit = visibility(vertices, triangles, light, 0.1)
    facing = vertices @ light
    assert lit[facing > 0.3].min() > 0.9 and lit[facing < -0.3].max() < 0.1


def test_reduce_area_is_the_mean_of_blocks() -> None:
    image = np.arange(24, dtype=np.float32).reshape(4, 6, 1)
    np.testing.assert_allclose(reduce_area(image, 2)[0, 0, 0], np.mean([0, 1, 6, 7]))


def test_an_eyeball_is_a_sphere_round_its_axis() -> None:
    vertices, _ = sphere()
    axis = np.array([0.6, 0.0, 0.8])
    grid = eyeball(1.5 * vertices + [1, 2, 3], axis, 0.4)
    np.testing.assert_allclose(np.linalg.norm(grid - [1, 2, 3], axis=1), 1.5, atol=1e-4)
    np.testing.assert_allclose(grid[0], 1.5 * axis + [1, 2, 3], atol=1e-4)
    assert eye_grid().max() == EYE_RINGS * EYE_SECTORS - 1
    normals = vertex_normals(grid, eye_grid())
    assert ((grid - [1, 2, 3]) * normals).sum(1).min() > 0


def test_both_eyes_look_to_the_subjects_left() -> None:
    axes = gaze_axes(coefficients.preset("look_left"))
    assert axes[:, 0].min() > 0.3 and axes[:, 2].min() > 0.7
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1)
    assert gaze_axes(coefficients.preset("look_up"))[:, 1].min() > 0.2


def test_presets_are_bounded_and_mirrored() -> None:
    for name in coefficients.preset_names():
        vector = coefficients.preset(name)
        assert vector.shape == (52,) and vector.min() >= 0 and vector.max() <= 1
    wink = coefficients.preset("wink_right")
    assert wink[INDEX["eyeBlinkRight"]] == 1 and wink[INDEX["eyeBlinkLeft"]] == 0
    np.testing.assert_array_equal(wink[list(FLIP)], coefficients.preset("wink_left"))


def test_random_expressions_stay_in_range_and_repeat_with_their_seed() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        _, vector = coefficients.sample(rng)
        assert vector.dtype == np.float32 and vector.min() >= 0 and vector.max() <= 1 and vector[0] == 0
        mixed = coefficients.combination(rng)
        assert not (mixed[INDEX["mouthSmileLeft"]] and mixed[INDEX["mouthFrownLeft"]])
    again = [coefficients.sample(np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(again[0][1], again[1][1])


def test_blendshapes_find_their_shapes() -> None:
    available = [
        "browInnerUp_L",
        "browInnerUp_R",
        "cheekRaiser_L",
        "cheekSquint_L",
        "jawLeft",
        "mouthSmile_R",
    ]
    assert expression_rows("browInnerUp", available) == [0, 1]
    assert expression_rows("cheekSquintLeft", available) == [3, 2]
    assert expression_rows("jawLeft", available) == [4]
    assert expression_rows("mouthSmileRight", available) == [5]
    assert expression_rows("_neutral", available) == []


def test_a_missing_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="MIEN_SHARED"):
        load_head(tmp_path / "ict_facekit.npz")


@pytest.mark.shared
def test_a_head_is_the_same_for_the_same_seeds(shared: Path) -> None:
    head = load_head(shared / "data" / "ict_facekit.npz")
    pictures = [
        render(
            head, make_person(head, seed), coefficients.preset("smile"), sample_view(np.random.default_rng(1))
        )
        for seed in (4, 4, 5)
    ]
    assert pictures[0].shape == (192, 192, 3) and pictures[0].dtype == np.uint8
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert np.abs(pictures[0].astype(int) - pictures[2]).mean() > 3
    assert np.abs(head.expression[0]).max() == 0 and all(
        np.abs(head.expression[i]).max() > 0
        for i in (INDEX[name] for name in NAMES[1:] if not name.startswith("eyeLook"))
    )


@pytest.mark.shared
def test_mediapipe_sees_what_was_asked_for(shared: Path) -> None:
    pytest.importorskip("mediapipe")
    from factory.faces.labels import Labeller

    head = load_head(shared / "data" / "ict_facekit.npz")
    person, view = make_person(head, 1005), sample_view(np.random.default_rng(5))
    with Labeller() as labeller:
        seen = {
            name: labeller(render(head, person, coefficients.preset(name), view)).blendshapes
            for name in ("neutral", "jaw_open", "wink_left", "smile", "pucker")
        }
    wanted = {
        "jaw_open": "jawOpen",
        "wink_left": "eyeBlinkLeft",
        "smile": "mouthSmileLeft",
        "pucker": "mouthPucker",
    }
    for name, blendshape in wanted.items():
        assert seen[name][INDEX[blendshape]] > seen["neutral"][INDEX[blendshape]] + 0.3, name
    assert seen["wink_left"][INDEX["eyeBlinkRight"]] < 0.3


@pytest.mark.shared
def test_a_set_is_written(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("MIEN_SHARED", str(shared))
    arrays = generate(tmp_path / "set.npz", 2, 2, 0, "holdout")
    with np.load(tmp_path / "set.npz", allow_pickle=False) as written:
        assert set(written) == set(arrays)
        assert written["image"].shape == (4, 192, 192, 3) and written["landmarks"].shape == (4, 478, 3)
        assert list(written["head"]) == [10_000_000] * 2 + [10_000_001] * 2
        assert np.isfinite(written["matrix"]).all()
