"""The benchmarks of refacing on data whose answers are known: tasks, retrieval, Fisherfaces, tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.metrics.scoring import Observation, Scorer
from mien.types import Face


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    pytest.importorskip("numba", reason="the renderer beside the held-out pictures needs it")
    from benchmarks import fisherfaces, held_out, reface_scenes, sfsr_tables

    return SimpleNamespace(
        scenes=reface_scenes, fisher=fisherfaces, tables=sfsr_tables, Picture=held_out.Picture
    )


def observation(seed: int, turn: float = 0.0) -> Observation:
    rng = np.random.default_rng(seed)
    face = Face(
        np.zeros(4), rng.uniform(0, 90, (478, 3)), rng.uniform(0, 1, 52), np.array([turn, 0.0, 0.0]), 1.0
    )
    vector = rng.normal(size=8)
    return Observation(face, vector, vector, rng.uniform(0, 1, 192), 1)


def scenes(rooms: SimpleNamespace, count: int) -> list[Any]:
    def picture(kind: str, i: int) -> Any:
        level = 3 * i + ("b", "i", "e").index(kind)
        return rooms.Picture("none", f"{kind}{i}", f"{kind}{i}", Image.new("RGB", (4, 4), (level, 0, 0)))

    return [rooms.scenes.Triple(*(picture(kind, i) for kind in "bie")) for i in range(count)]


def test_each_task_keeps_what_the_paper_says(rooms: SimpleNamespace) -> None:
    (triple,) = scenes(rooms, 1)
    names = {
        task: "".join(p.name[0] for p in vars(rooms.scenes.wanted(task, triple)).values())
        for task in rooms.scenes.TASKS
    }
    assert names == {"swap all": "bie", "swap ID": "bib", "swap expression": "iie"}


def test_retrieval_and_pose_of_results_that_are_known(rooms: SimpleNamespace) -> None:
    """Result 0 is its identity, 1 somebody else's, 2 shows no face, 3 was refused."""
    chosen = scenes(rooms, 4)
    looks = {
        p.name: observation(k, turn=5.0) for k, p in enumerate(p for t in chosen for p in vars(t).values())
    }
    shown = [looks["i0"], looks["i2"], None, None]
    images = [Image.new("RGB", (4, 4), (200 + i, 0, 0)) for i in range(3)]
    scorer = Scorer(lambda image: [], lambda image, face: torch.zeros(8), "none", "none", 0.6)

    class Known:
        compare = scorer.compare

        def observe(self, image: Image.Image) -> Observation | None:
            return shown[image.getpixel((0, 0))[0] - 200]  # type: ignore[index]

    outcome = rooms.scenes.judge(Known(), "swap all", chosen, [*images, None], looks)
    assert outcome.retrieved.tolist() == [1, 0, 0, 0]
    assert [row is None for row in outcome.scores] == [False, False, True, True]
    assert outcome.mean("pose").value == 0 and outcome.scores[0]["id"] == pytest.approx(1)


def test_some_results_are_sought_among_all_identities(rooms: SimpleNamespace) -> None:
    """Two results of four triples: the second is nearest to the fourth's identity, which made nothing."""
    chosen = scenes(rooms, 4)
    looks = {
        p.name: observation(k, turn=k) for k, p in enumerate(p for t in chosen for p in vars(t).values())
    }
    scorer = Scorer(lambda image: [], lambda image, face: torch.zeros(8), "none", "none", 0.6)
    images = [triple.background.image for triple in chosen[:2]]
    outcome = rooms.scenes.compare(scorer, "swap all", chosen, images, [looks["i0"], looks["i3"]], looks)
    assert outcome.retrieved.tolist() == [1, 0] and len(outcome.scores) == 2
    looks |= {"b0": looks["i3"], "b1": looks["i1"]}
    before = rooms.scenes.untouched(scorer, "swap all", chosen, 2, looks)
    assert before.retrieved.tolist() == [0, 1] and before.images == images
    assert before.mean("pose").value == 0 and before.mean("exp").value > 0


def test_only_what_is_needed_is_looked_at(rooms: SimpleNamespace) -> None:
    seen: list[int] = []
    scorer = SimpleNamespace(observe=lambda image: seen.append(image.getpixel((0, 0))[0]) or observation(0))
    assert set(rooms.scenes.look_at(scorer, scenes(rooms, 3), 1)) == {"i0", "i1", "i2", "b0", "e0"}
    assert len(seen) == 5 and len(rooms.scenes.look_at(scorer, scenes(rooms, 3))) == 9


def test_refused_inputs_do_not_stop_a_run(rooms: SimpleNamespace) -> None:
    from mien.types import InputError

    def pipe(photos: list[Image.Image], who: Any, how: Any, seed: list[int], **options: Any) -> list[Any]:
        if any(photo.getpixel((0, 0))[0] == 6 for photo in photos):  # the background of number 2
            raise InputError("no face")
        assert how is None and len(who) == len(photos) == len(seed)
        return seed

    assert rooms.scenes.reface(pipe, "swap ID", scenes(rooms, 5), 3) == [0, 1, None, 3, 4]


def test_fisherfaces_find_what_tells_people_apart(rooms: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 4)
    who = rng.normal(size=(60, 200)) * (np.arange(200) < 70)  # people differ in the first 70 numbers
    noise = rng.normal(size=(240, 200)) * np.where(np.arange(200) < 70, 0.3, 3.0)
    features = who[people] + noise
    mean, basis = rooms.fisher.fit(features, people)
    assert basis.shape == (200, rooms.fisher.WIDTH)
    made = (features - mean) @ basis
    np.testing.assert_allclose(made.std(0), 1, rtol=1e-6)
    apart = np.linalg.norm(made[:, None] - made[None], axis=-1) + 1e9 * np.eye(240)
    plain = np.linalg.norm(features[:, None] - features[None], axis=-1) + 1e9 * np.eye(240)
    right, before = ((people[d.argmin(1)] == people).mean() for d in (apart, plain))
    assert right > 0.95 > before + 0.2


def test_features_do_not_see_brightness(rooms: SimpleNamespace) -> None:
    x = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) - 0.5
    for kind, features in rooms.fisher.FEATURES.items():
        plain, brighter = features(x), features(0.5 * x + 0.2)
        assert plain.shape[0] == 2 and torch.allclose(plain, brighter, atol=0.02), kind
        assert not torch.allclose(plain[0], plain[1], atol=0.02)


def test_gradients_have_a_direction(rooms: SimpleNamespace) -> None:
    rows = torch.linspace(-1, 1, 128).view(1, 1, 128, 1).expand(1, 3, 128, 128)
    found = rooms.fisher.gradients(torch.cat([rows, rows.transpose(2, 3)])).view(2, 8, 10, 10)
    assert found[0].mean((1, 2)).argmax() == 4 and found[1].mean((1, 2)).argmax() == 0


def test_table_4_takes_one_thing_away_at_a_time(rooms: SimpleNamespace) -> None:
    full = vars(rooms.tables.FULL)
    for variant in (*rooms.tables.TABLE_3, *rooms.tables.TABLE_4):
        different = [name for name, value in vars(variant).items() if value != full[name] and name != "name"]
        assert len(different) == (0 if variant == rooms.tables.FULL else 1)
    scores = {
        v.name: {"ID": np.array([1.0, 0.0]), "exp": np.array([0.1, np.nan])} for v in rooms.tables.TABLE_3
    }
    rows = rooms.tables.rows_of(rooms.tables.TABLE_3, scores, ("ID", "exp"))
    assert len(rows) == 8 and rows[0].value.value == 0.5 and rows[4].value.value == pytest.approx(0.1)
    assert "67.5%" in rows[0].note and rows[4].note == ""
