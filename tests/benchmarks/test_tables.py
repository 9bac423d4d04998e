from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mien.metrics.scoring import Observation, Scorer
from mien.metrics.statistics import Interval
from mien.types import Face, InputError


@pytest.fixture
def table() -> ModuleType:
    from benchmarks import table

    return table


@pytest.fixture
def portrait() -> ModuleType:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    from benchmarks import portrait_benchmark

    return portrait_benchmark


def observation(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    face = Face(np.zeros(4), rng.uniform(0, 90, (478, 3)), rng.uniform(0, 1, 52), rng.uniform(-9, 9, 3), 1.0)
    vector = rng.normal(size=8)
    return Observation(face, vector, vector, rng.uniform(0, 1, 192), 1)


def test_a_target_is_a_floor_or_a_ceiling(table: ModuleType) -> None:
    half = table.exact(0.5)
    assert table.Row("x", half).met is None
    assert table.Row("x", half, 0.5).met
    assert not table.Row("x", half, 0.51).met
    assert table.Row("x", half, 0.5, at_least=False).met
    assert not table.Row("x", half, 0.49, at_least=False).met
    assert table.Row("x", Interval(math.nan, math.nan, math.nan), 0.5, at_least=False).met is False


def test_files_and_text(table: ModuleType, tmp_path: Path) -> None:
    nothing = Interval(math.nan, math.nan, math.nan)
    rows = [
        table.Row("a", Interval(0.5, 0.4, 0.6), 0.7, baselines={"none": table.exact(1.0)}, note="of 9"),
        table.Row("b", nothing, spec=".1%"),
    ]
    text = table.publish(tmp_path, "name", "Title", rows, {"more": nothing})
    assert "| a       | 0.500 [0.400, 0.600] | ≥ 0.700 | **no** | 1.000 | of 9 |" in text
    assert "n/a" in text
    content = json.loads((tmp_path / "name.json").read_text())
    assert content["rows"][0]["met"] is False
    assert content["more"] == {"value": None, "low": None, "high": None}
    assert (tmp_path / "name.md").read_text() == text


def test_bad_input_is_one_sentence_and_code_2(table: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise InputError("No such thing: fetch it.")

    with pytest.raises(SystemExit) as ended:
        table.run(fails)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "No such thing: fetch it.\n"


def test_the_acceptance_table_on_methods_whose_answers_are_known(portrait: ModuleType) -> None:
    count = 8
    inputs = [(observation(i), observation(100 + i)) for i in range(count)]
    scorer = Scorer(lambda image: [], lambda image, face: None, "none", "none", 0.6)  # type: ignore[arg-type, return-value]

    def judged(seen: list[Observation | None]) -> object:
        scores = [
            None if result is None else scorer.compare(result, *pair)
            for result, pair in zip(seen, inputs, strict=True)
        ]
        return portrait.Judged(seen, scores)

    untouched = judged([identity for identity, _ in inputs])
    copied = judged([reference for _, reference in inputs])
    # Perfect in group (a), without a face in half of group (b) and without control in the rest.
    mixed = judged([r for _, r in inputs[:4]] + [None, None] + [i for i, _ in inputs[6:]])
    rows = portrait.acceptance(
        {"mixed": mixed, "no control": untouched, "reference itself": copied},
        ["a"] * 4 + ["b"] * 4,
        refused=1,
        people=[str(i) for i in range(count)],
    )
    of = {row.what: row for row in rows}
    assert of["MediaPipe finds a face"].value.value == 0.75
    assert of["MediaPipe finds a face"].note == "6 of 8, 1 refused"
    assert of["Exp against no control, (a) photographs"].value.value == 0
    assert of["Exp against no control, (b) renders"].value.value == pytest.approx(1)
    assert of["Exp against no control, (b) renders"].note == "2 of 4"
    assert of["dlib: same person (< 0.6)"].value.value == 0.25  # the two without a face fail
    assert of["nearer to the identity than to the reference's person, (b)"].value.value == 0.5
    assert of["nearest of all the identities is the right one"].baselines["no control"].value == 1
    for row in rows:
        assert "no control" in row.baselines
    assert [row.met for row in rows if row.target is not None] == [False, True, False, False, False, False]
