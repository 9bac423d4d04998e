"""Sets of pictures that were rendered or warped, as training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory.faces.dataset import load_faces
from factory.faces.prepare import prepare
from mien.face.align import transform_points
from mien.types import InputError
from tests.face.faces import rng_landmarks


def save_pictures(path: Path, count: int, missing: int) -> np.ndarray:
    """`count` pictures of heads with labels; of number `missing` there are none. Their landmarks."""
    rng = np.random.default_rng(0)
    landmarks = np.stack([rng_landmarks(i) for i in range(count)]).astype(np.float32)
    blendshapes = rng.random((count, 52)).astype(np.float32)
    blendshapes[missing] = np.nan
    np.savez(
        path,
        image=rng.integers(0, 256, (count, 160, 160, 3), dtype=np.uint8),
        landmarks=landmarks,
        blendshapes=blendshapes,
        matrix=np.tile(np.eye(4, dtype=np.float32), (count, 1, 1)),
        head=np.array([7, 7, 8, 9][:count]),
    )
    return landmarks


def test_renders_become_a_set_without_being_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_SHARED", str(tmp_path))
    landmarks = save_pictures(tmp_path / "heads.npz", 4, missing=2)
    assert prepare("renders-train", tmp_path / "heads.npz", tmp_path / "cache", recognise=False) == 3
    faces = load_faces("renders-train", tmp_path / "cache")
    assert faces.crops.shape == (3, 128, 128, 3) and faces.crops.dtype == np.uint8
    assert faces.names.tolist() == ["head00000007-0", "head00000007-1", "head00000009-3"]
    assert faces.person.tolist() == [0, 0, 1]
    assert np.isnan(faces.embedding).all()
    for row, i in enumerate((0, 1, 3)):
        there = transform_points(landmarks[i], faces.crop_matrix[row])
        np.testing.assert_allclose(faces.landmarks[row], there, atol=1e-3)


def test_a_file_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_SHARED", str(tmp_path))
    np.savez(tmp_path / "heads.npz", image=np.zeros((1, 160, 160, 3), np.uint8))
    with pytest.raises(InputError, match="no labelled pictures"):
        prepare("renders-train", tmp_path / "heads.npz", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
