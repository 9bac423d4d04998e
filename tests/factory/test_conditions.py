"""What a training example is told: mirrors, and which latent cells show the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from factory.faces.dataset import Faces
from factory.training.conditions import (
    ConditionSampler,
    ConditionSet,
    build_set,
    mirror_landmarks,
    moved,
    strongest,
    valid_cells,
)
from mien.face.landmarks import lms_ratios
from tests.factory.prepared_set import save_prepared


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


def test_moving_repeats_the_edge() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    there = moved(crop, 2, -1)
    assert np.array_equal(there[:7, 2:], crop[1:, :6])
    assert np.array_equal(there[:7, 0], crop[1:, 0]) and np.array_equal(there[7], there[6])
    assert np.array_equal(moved(crop, 0, 0), crop)


def test_the_strongest_are_farthest_from_the_median() -> None:
    expression = torch.zeros(100, 57)
    expression[[7, 30], 3] = torch.tensor([4.0, -5.0])
    expression[80, 3] = 9.0  # not of the training part
    rows = np.arange(40)
    assert strongest(rows, expression).tolist() == [30, 7]


def sampler(style: str, emphasis: float) -> tuple[ConditionSampler, ConditionSet]:
    """Without files: what `_row` needs."""
    made = ConditionSampler.__new__(ConditionSampler)
    made.emphasis = emphasis
    rows = np.arange(100)
    part = ConditionSet(None, rows, rows[:5], [], torch.empty(0), torch.empty(0), torch.empty(0), style)  # type: ignore[arg-type]
    return made, part


def test_strong_photographs_are_drawn_as_often_as_said() -> None:
    draws = np.linspace(0, 1, 10_000, endpoint=False)
    photographs = [sampler("colour photo", 0.25)[0]._row(sampler("colour photo", 0.25)[1], u) for u in draws]
    # A quarter from the five strong ones, and those five in the rest as often as any.
    assert np.mean(np.array(photographs) < 5) == 0.25 + 0.75 * 0.05
    assert set(photographs) == set(range(100))
    made, renders = sampler("3d render", 0.25)
    assert np.mean([made._row(renders, u) < 5 for u in draws]) == 0.05


def test_partners_are_other_pictures_where_there_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    save_prepared(tmp_path, "lfw-gray", ["Ada_0001.jpg", "Ada_0002.jpg", "Ada_0003.jpg", "Bea_0001.jpg"])
    part = build_set("lfw-gray")
    drawn = {i: sorted(others.tolist()) for i, others in enumerate(part.partners) if i in part.rows}
    together = [i for i in drawn if part.faces.person[i] == part.faces.person[0]]
    assert len(together) == 3
    for i in together:
        assert drawn[i] == [j for j in together if j != i]
    assert all(drawn[i] == [i] for i in drawn if i not in together)
