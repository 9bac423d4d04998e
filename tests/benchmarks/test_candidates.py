"""Candidates: how they are named, and that nobody whom the model card portrays is among those they are chosen by."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from mien.metrics.statistics import Interval
from mien.types import InputError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def candidates() -> ModuleType:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    from benchmarks import candidates

    return candidates


def test_candidates_are_named_with_their_settings(candidates: ModuleType) -> None:
    assert vars(candidates.parse("now=a/b")) == {
        "name": "now",
        "folder": "a/b",
        "steps": None,
        "guidance": None,
    }
    new = candidates.parse("new=c@8,1.25")
    assert (new.folder, new.steps, new.guidance) == ("c", 8, 1.25)
    for wrong in ("now", "=a", "now=", "now=a@8", "now=a@x,1", "now=a@8,1,x", "now=a@8,1,2"):
        with pytest.raises(InputError, match="NAME=FOLDER@STEPS,GUIDANCE"):
            candidates.parse(wrong)


def test_they_are_chosen_by_other_people(candidates: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import held_out

    def picture(source: str, person: str) -> held_out.Picture:
        return held_out.Picture(source, f"{person}.jpg", person, Image.new("RGB", (4, 4)))

    known = [held_out.Pair("abac"[i % 4], picture("u", f"u{i}"), picture("r", f"r{i}")) for i in range(20)]
    everybody = [picture("u", f"u{i}") for i in range(30)] + [picture("u", "r8"), picture("u", "u25")]
    monkeypatch.setattr(candidates, "expressive_pairs", lambda count, see: known)
    monkeypatch.setattr(candidates, "photographs", lambda source: everybody)

    class Eyes:
        def blendshapes(self, image: Image.Image) -> np.ndarray:
            return np.zeros(52)

    chosen = candidates.other_people(Eyes(), 100)
    assert [pair.identity.person for pair in chosen] == [*(f"u{i}" for i in range(20, 30)), "r8"]
    assert all(pair.reference.person != pair.identity.person for pair in chosen)
    assert [pair.reference.person for pair in chosen[:2]] == ["r7", "r8"]


def test_tables_stand_beside_one_another(candidates: ModuleType) -> None:
    from benchmarks.table import Row

    tables = {name: [Row("x", Interval(v, v, v))] for name, v in (("now", 1.0), ("new", 2.0))}
    (row,) = candidates.beside(tables)
    assert row.value.value == 1 and row.baselines["new"].value == 2
