"""Recognisers beside dlib, on distances and embeddings whose truth is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mien.models.projection import MLPProjection


@pytest.fixture
def rooms() -> SimpleNamespace:
    pytest.importorskip("numba", reason="the renderer beside the held-out pictures needs it")
    from benchmarks import recognisers, sfsr_recognisers

    return SimpleNamespace(judges=recognisers, table=sfsr_recognisers)


def test_a_threshold_is_judged_on_pairs_that_did_not_choose_it(rooms: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    same, different = rng.normal(0.5, 0.05, 200), rng.normal(1.0, 0.05, 200)
    assert 0.6 < rooms.judges.threshold(same, different) < 0.9
    assert rooms.judges.verification(same, different).mean() > 0.99
    told = rooms.judges.verification(*rng.normal(size=(2, 200)))  # chosen on the same pairs: above a half
    assert len(told) == 400 and told.mean() == pytest.approx(0.5, abs=0.06)


def test_a_new_projection_starts_where_the_known_one_is(rooms: SimpleNamespace) -> None:
    """What a network says is a rotation of what the known one heard, smaller and off centre."""
    torch.manual_seed(0)
    known, new = MLPProjection(6, 8, 2), MLPProjection(6, 8, 2, mult=16)
    heard = torch.randn(2000, 6)
    said = heard @ torch.linalg.qr(torch.randn(6, 6))[0] * 0.02 + 0.005
    with torch.no_grad():
        tokens, nobody = known(heard), known(torch.zeros(1, 6))[0]
    error = rooms.table.fit(new, said, tokens, nobody, steps=400)
    with torch.no_grad():
        off = (new(said) - tokens).square().mean() / tokens.var(0).mean()
        assert off < 0.1 and error < 0.1
        assert (new(torch.zeros(1, 6))[0] - nobody).square().mean() < 0.1


def test_a_face_is_looked_at_once(rooms: SimpleNamespace, tmp_path: Path) -> None:
    asked: list[float] = []

    class Encoder:
        name, width = "one", 3

        def __call__(self, image: Image.Image, face: SimpleNamespace) -> torch.Tensor:
            asked.append(face.landmarks[0, 0])
            return torch.full((3,), float(face.landmarks[0, 0]))

    memory, image = rooms.table.Remembering(Encoder(), tmp_path), Image.new("RGB", (4, 4))
    faces = [SimpleNamespace(landmarks=np.full((478, 3), value)) for value in (1.0, 2.0, 1.0)]
    assert [memory(image, face)[0].item() for face in faces] == [1, 2, 1] and asked == [1, 2]
    memory.save()
    again = rooms.table.Remembering(Encoder(), tmp_path)
    assert again(image, faces[1])[0] == 2 and asked == [1, 2]


def test_table_4_marks_judges_that_told_the_model(rooms: SimpleNamespace) -> None:
    table = rooms.table
    columns = (*table.COLUMNS, *table.NETWORKS)
    scores = {v.name: {name: np.array([1.0, 0.0]) for name in columns} for v in table.VARIANTS}
    scores["two networks"]["dlib"] = np.array([0.0, 0.0])
    rows = {row.what: row for row in table.rows_of(scores, table.NETWORKS)}
    assert len(rows) == len(table.VARIANTS) * len(columns)
    assert rows["dlib: two networks"].baselines["three minus it"].value == 0.5
    assert rows["dlib: two networks"].note == "74.9% in the paper"
    assert f"{table.FIRST} finds*: two networks" in rows and f"{table.FIRST} finds: {table.SECOND}" in rows
