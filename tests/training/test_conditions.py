"""What a training example is told: mirrors, and which latent cells show the picture."""

from __future__ import annotations

import numpy as np
import torch

from mien.data.dataset import Faces
from mien.face.landmarks import lms_ratios
from mien.training.conditions import mirror_landmarks, valid_cells


def test_mirror_exchanges_the_eyes() -> None:
    landmarks = np.random.default_rng(0).normal(size=(3, 478, 3)) * 30
    plain, mirrored = lms_ratios(landmarks), lms_ratios(mirror_landmarks(landmarks))
    np.testing.assert_allclose(mirrored[:, [0, 2, 4]], plain[:, [2, 0, 4]])
    np.testing.assert_allclose(lms_ratios(mirror_landmarks(mirror_landmarks(landmarks))), plain)


def test_valid_cells_by_hand() -> None:
    """A 160 px picture in a 128 px crop: unmoved all is inside; moved up by half, the lower half repeats the edge."""
    unmoved = np.array([[1.0, 0, 0], [0, 1, 0]])
    moved = np.array([[1.0, 0, 0], [0, 1, -96.0]])
    faces = Faces(
        crops=np.zeros((2, 128, 128, 3), np.uint8),
        landmarks=np.zeros((2, 478, 3)),
        blendshapes=np.zeros((2, 52)),
        matrix=np.zeros((2, 4, 4)),
        crop_matrix=np.stack([unmoved, moved]),
        names=np.array(["a", "b"]),
        person=np.array([0, 1]),
        embedding=np.zeros((2, 128)),
        source="lfw-gray",
    )
    valid = valid_cells(faces)
    assert torch.equal(valid[0], torch.ones(8, 8))
    assert torch.equal(valid[1], torch.cat([torch.ones(4, 8), torch.zeros(4, 8)]))
