"""Warps on a drawn face whose landmarks are known, and (with the shared data) on photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory.faces.dataset import load_faces
from factory.faces.warp import IRISES, Example, target_landmarks, warp_expression
from factory.faces.warped import known_faces
from mien.types import ByteImage, FloatArray
from mien.warping import mesh
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, LOWER_LIP, OVAL, UPPER_LIP
from mien.warping.shapes import similarity_3d
from tests.factory.prepared_set import save_prepared


def flat_face(size: int = 160) -> FloatArray:
    """Landmarks [478, 3]: the mesh laid flat with its oval on an ellipse (Tutte 1963), lids and lips set
    apart.
    """
    triangles = mesh.triangles()
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    system, right = np.zeros((468, 468)), np.zeros((468, 2))
    system[edges[:, 0], edges[:, 1]] = system[edges[:, 1], edges[:, 0]] = -1
    np.fill_diagonal(system, -system.sum(1))
    turn = 2 * np.pi * np.arange(len(OVAL)) / len(OVAL)  # from the top, clockwise in the picture
    system[list(OVAL)] = np.eye(468)[list(OVAL)]
    right[list(OVAL)] = np.stack([80 + 55 * np.sin(turn), 80 - 65 * np.cos(turn)], 1)
    landmarks = np.zeros((478, 3))
    landmarks[:468, :2] = np.linalg.solve(system, right)
    landmarks[473:] = landmarks[list(LEFT_UPPER_LID + LEFT_LOWER_LID)].mean(0)
    landmarks[468:473] = landmarks[473:] * [-1, 1, 1] + [160, 0, 0]
    return landmarks * size / 160


def checkers() -> ByteImage:
    rows, columns = np.mgrid[0:160, 0:160]
    return np.stack([columns, rows, (columns // 8 + rows // 8) % 2 * 200], 2).astype(np.uint8)


def example(
    landmarks: FloatArray, moved: FloatArray, colour: tuple[int, int, int] = (200, 20, 20)
) -> Example:
    """A grey head that turns all `colour` with the expression, so that what is taken from it shows."""
    grey = np.full((160, 160, 3), 120, np.uint8)
    return Example(grey, np.full((160, 160, 3), colour, np.uint8), landmarks, moved)


def opened(landmarks: FloatArray, by: float) -> FloatArray:
    moved = landmarks.copy()
    moved[list(LOWER_LIP[1:-1]), 1] += by
    return moved


def test_the_mesh_has_holes_for_eyes_and_mouth() -> None:
    triangles = mesh.triangles()
    assert triangles.shape == (852, 3) and triangles.min() == 0 and triangles.max() == 467
    mouth = set(UPPER_LIP + LOWER_LIP)
    assert not any(set(triangle) <= mouth for triangle in triangles.tolist())


def test_nothing_moves_when_no_landmark_does() -> None:
    image, landmarks = checkers(), flat_face()
    np.testing.assert_array_equal(warp_expression(image, landmarks, landmarks), image)


def test_the_face_moves_and_the_corners_stay() -> None:
    image, landmarks = checkers(), flat_face()
    warped = warp_expression(image, landmarks, landmarks + [4, 0, 0])
    middle = warped[60:100, 60:100, 0].astype(float) - image[60:100, 60:100, 0]
    np.testing.assert_allclose(middle, -4, atol=1)
    np.testing.assert_array_equal(warped[0, 0], image[0, 0])
    np.testing.assert_array_equal(warped[-1, -1], image[-1, -1])


def test_a_similarity_is_found_again() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    scale, found, shift = similarity_3d(points, 2.5 * points @ turn.T + [1, 2, 3])
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(found, turn, atol=1e-9)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-9)


def test_displacements_are_scaled_and_turned_with_the_face() -> None:
    theirs = flat_face() + np.random.default_rng(1).normal(0, 0.5, (478, 3))
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mine = 0.5 * theirs @ quarter.T + [90, 10, 0]
    moved = theirs.copy()
    moved[152] += [0, 10, 0]
    target = target_landmarks(mine, example(theirs, moved))
    np.testing.assert_allclose(target[152] - mine[152], [-5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(target[10], mine[10], atol=1e-6)


def test_lips_never_cross_and_irises_stay() -> None:
    landmarks = flat_face()
    moved = landmarks.copy()
    moved[list(UPPER_LIP[1:-1]), 1] += 30
    moved[list(IRISES), 0] += 5
    target = target_landmarks(landmarks, example(landmarks, moved))
    down = landmarks[152, :2] - landmarks[168, :2]
    assert ((target[list(LOWER_LIP), :2] - target[list(UPPER_LIP), :2]) @ down >= -1e-6).all()
    np.testing.assert_array_equal(target[list(IRISES)], landmarks[list(IRISES)])


def test_a_shut_lid_hides_the_eye() -> None:
    landmarks = flat_face()
    image = np.full((160, 160, 3), 180, np.uint8)
    lids = landmarks[list(LEFT_UPPER_LID + LEFT_LOWER_LID), :2]
    x, y = np.round(lids.mean(0)).astype(int)
    image[y - 1 : y + 1, x - 2 : x + 2] = (0, 0, 255)  # the iris, within the opening
    same = example(landmarks, landmarks, (120, 120, 120))
    shut = warp_expression(image, landmarks, target_landmarks(landmarks, same, blink=(1.0, 0.0)), same)
    blue = shut[..., 2].astype(int) - shut[..., 0]
    assert blue.max() < 60
    open_again = warp_expression(image, landmarks, target_landmarks(landmarks, same), same)
    assert (open_again[..., 2].astype(int) - open_again[..., 0]).max() > 200


def test_an_opened_mouth_is_filled_from_the_example() -> None:
    landmarks = flat_face()
    image = np.full((160, 160, 3), 120, np.uint8)
    image[..., 0] = 200  # a colourful photo keeps the example's colour
    moved = opened(landmarks, 14)
    head = example(landmarks, moved)
    warped = warp_expression(image, landmarks, target_landmarks(landmarks, head), head, folds=0.0)
    centre = (moved[13, :2] + moved[14, :2]) / 2
    inside = warped[int(centre[1]), int(centre[0])].astype(int)
    assert inside[1] < 60 and inside[0] - inside[1] > 40
    outside = warped[int(moved[152, 1]) - 4, int(moved[152, 0])]
    np.testing.assert_array_equal(outside, image[0, 0])


@pytest.mark.shared
def test_mediapipe_sees_photographs_open_their_mouths_and_shut_their_eyes(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mediapipe")
    from factory.faces.coefficients import preset
    from factory.faces.ict import load_head
    from factory.faces.labels import Labeller
    from factory.faces.sources import read_pictures
    from factory.faces.warped import Source, apply, clear, expression_sources, suitable
    from mien.face.blendshapes import INDEX

    monkeypatch.setenv("MIEN_SHARED", str(shared))
    before: list[FloatArray] = []
    after: dict[str, list[FloatArray]] = {"jaw_open": [], "closed_eyes": []}
    with Labeller() as labeller:
        sources = expression_sources(load_head(), labeller, 2, 37, 0)
        chosen: dict[str, Source] = {source.preset: source for source in sources}
        assert preset("jaw_open").any() and set(after) <= set(chosen)
        for _, image in read_pictures("utkface-adults", shared):
            labels = labeller(image)
            if clear(image) and suitable(labels.landmarks, labels.blendshapes, labels.matrix):
                before.append(labels.blendshapes)
                for name, seen in after.items():
                    seen.append(labeller(apply(image, labels.landmarks, chosen[name])).blendshapes)
            if len(before) == 5:
                break
    jaw, blink = INDEX["jawOpen"], INDEX["eyeBlinkLeft"]
    assert np.nanmean(after["jaw_open"], 0)[jaw] > np.mean(before, 0)[jaw] + 0.15
    assert np.nanmean(after["closed_eyes"], 0)[blink] > np.mean(before, 0)[blink] + 0.2


def test_what_is_known_of_prepared_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Landmarks go back to the photograph's own pixels: the crop's matrix takes them where they were."""
    save_prepared(tmp_path, "utkface-adults", ["a.jpg", "b.jpg"])
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    faces, known = load_faces("utkface-adults"), known_faces()
    assert list(known) == ["a.jpg", "b.jpg"]
    for i, (points, blendshapes, _) in enumerate(known.values()):
        across = points[:, :2] @ faces.crop_matrix[i, :, :2].T + faces.crop_matrix[i, :, 2]
        np.testing.assert_allclose(across, faces.landmarks[i, :, :2], atol=1e-3)
        np.testing.assert_allclose(points[:, 2] * 0.85, faces.landmarks[i, :, 2], atol=1e-3)
        np.testing.assert_array_equal(blendshapes, faces.blendshapes[i])
