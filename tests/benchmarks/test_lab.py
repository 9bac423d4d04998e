"""The laboratory on made-up results: claims, the page, and what happens when an experiment fails."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.metrics.statistics import Interval
from mien.types import InputError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def room(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.laboratory.{name}")


def row(
    what: str, value: float, low: float, high: float, **baselines: tuple[float, float, float]
) -> dict[str, Any]:
    keys = ("value", "low", "high")
    return {
        "what": what,
        "value": dict(zip(keys, (value, low, high), strict=True)),
        "spec": ".3f",
        "baselines": {name: dict(zip(keys, ends, strict=True)) for name, ends in baselines.items()},
    }


def content(*rows: dict[str, Any], **more: Any) -> str:
    environment = {"date": "2026-01-01 00:00 UTC", "machine": "none"}
    return json.dumps({"title": "Made <up>", "environment": environment, "rows": rows, **more})


def result(*rows: dict[str, Any], **samples: dict[str, list[float | None]]) -> Any:
    named = {one["what"]: one for one in rows}
    return room("claims").Result("made up", named, samples=samples)


def outcome(left: Any, relation: str, right: Any, of: Any, factor: float = 1.0) -> str:
    claims = room("claims")
    return claims.judge(claims.Claim("", "", left, relation, right, factor), of).outcome


@pytest.mark.parametrize(
    "limit, below, above",
    [(0.5, "agrees", "contradicts"), (0.2, "contradicts", "agrees"), (0.35, "undecided", "undecided")],
)
def test_a_number_against_a_limit(limit: float, below: str, above: str) -> None:
    cell, found = room("claims").Cell("leak"), result(row("leak", 0.35, 0.3, 0.4))
    assert outcome(cell, "<", limit, found) == below
    assert outcome(cell, ">", limit, found) == above


def test_two_numbers_are_told_apart_by_the_interval_of_their_difference() -> None:
    cell = room("claims").Cell
    ours, far, near = cell("exp"), cell("exp", "far"), cell("exp", "near")
    found = result(row("exp", 0.10, 0.09, 0.11, far=(0.13, 0.12, 0.14), near=(0.114, 0.104, 0.124)))
    assert outcome(ours, "<", far, found) == "agrees"
    assert outcome(far, "<", ours, found) == "contradicts"
    assert outcome(ours, "<", near, found) == "undecided"  # 0.014 against a half-width of 0.0141
    assert outcome(far, "<", ours, found, factor=1.5) == "agrees"


def test_what_is_not_there_is_missing() -> None:
    cell, found = room("claims").Cell, result(row("exp", 0.1, 0.09, 0.11))
    assert outcome(cell("exp"), "<", cell("exp", "nobody"), found) == "missing"
    assert outcome(cell("lms"), "<", 1.0, found) == "missing"
    assert outcome(cell("exp"), "<", 1.0, None) == "missing"


def test_the_interval_of_a_difference_is_that_of_independent_normals() -> None:
    """For symmetric intervals, half-widths add as standard deviations do."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(3, 0.4, 400_000), rng.normal(1, 0.3, 400_000)
    low, high = np.percentile(a - b, [2.5, 97.5])
    one, other = (Interval(v.mean(), *np.percentile(v, [2.5, 97.5])) for v in (a, b))
    found = room("claims").difference(one, other)
    assert found == pytest.approx((2, low, high), abs=0.01)


def test_examples_decide_what_intervals_of_means_cannot() -> None:
    cell = room("claims").Cell
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 1, 50)  # how hard an example is, for everybody
    a, b = hard + rng.normal(0, 0.05, 50), hard + 0.1 + rng.normal(0, 0.05, 50)
    rows = row(
        "exp", a.mean(), a.mean() - 0.3, a.mean() + 0.3, other=(b.mean(), b.mean() - 0.3, b.mean() + 0.3)
    )
    left, right = cell("exp", "", ("ours", "exp")), cell("exp", "other", ("other", "exp"))
    with_none: list[float | None] = [None, *b[1:].tolist()]
    found = result(rows, ours={"exp": a.tolist()}, other={"exp": with_none})
    assert outcome(cell("exp"), "<", cell("exp", "other"), found) == "undecided"
    assert outcome(left, "<", right, found) == "agrees"
    assert outcome(left, ">", right, found) == "contradicts"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"title": "x"}', '{"title": "x", "environment": {}, "rows": [3]}']
)
def test_a_file_that_is_no_result_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.json is no result"):
        room("claims").Result.read(path)


def test_names_differ_and_benchmarks_are_there() -> None:
    lab = importlib.import_module("benchmarks.lab")
    assert len(set(lab.NAMES)) == len(lab.NAMES) >= 9
    for experiment in lab.EXPERIMENTS:
        assert (FOLDER / f"{experiment.script}.py").is_file()
        assert experiment.claims(None), experiment.name
        words = experiment.words(Path("somewhere"), quick=True)
        assert words[-2:] == ["--out", f"somewhere/{experiment.folder}"]


def test_controllers_are_judged_by_rows_that_their_benchmark_writes() -> None:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    controllers = importlib.import_module("benchmarks.controllers")
    samples = {name: {m: [0.1, None, 0.3] for m in controllers.MEASURES} for name in controllers.CONTROLLERS}
    table = importlib.import_module("benchmarks.table")
    rows = {
        one.what: {"value": one.value._asdict(), "baselines": _plain(one)}
        for one in controllers.rows_of(samples)
    }
    assert table.exact(0.2) == pytest.approx(tuple(rows["exp"]["value"].values()), abs=0.11)
    found = room("claims").Result("", rows, samples=samples)
    for claim in room("emojidiff").controller_claims(found):
        assert room("claims").judge(claim, found).outcome == "undecided"


def test_the_tradeoff_is_judged_by_rows_that_its_benchmark_writes() -> None:
    pytest.importorskip("numba")
    tradeoff, emojidiff = importlib.import_module("benchmarks.tradeoff"), room("emojidiff")
    assert emojidiff.KNOBS == tradeoff.KNOBS
    settings = [tradeoff.label(knob, value) for knob, values in tradeoff.KNOBS.items() for value in values]
    samples = {name: {m: [0.2, 0.2] for m in tradeoff.MEASURES} for name in settings}
    samples["expression_scale = 0"] = {m: [0.4, 0.5] for m in tradeoff.MEASURES}
    rows = {one.what: {"value": one.value._asdict()} for one in tradeoff.rows_of(samples)}
    found = room("claims").Result("", rows, samples=samples)
    verdicts = [room("claims").judge(claim, found) for claim in emojidiff.tradeoff_claims(found)]
    assert [verdict.outcome for verdict in verdicts] == ["agrees", "undecided", "undecided", "contradicts"]
    assert all(verdict.paired for verdict in verdicts)


def test_tables_3_and_4_are_judged_by_rows_that_their_benchmark_writes() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("numba")
    tables = importlib.import_module("benchmarks.sfsr_tables")
    columns = ("ID", "exp", "expression_distance", "pose", "mse")
    variants = (*tables.TABLE_3, *tables.TABLE_4)
    scores = {one.name: {name: np.array([0.5, np.nan, 0.5]) for name in columns} for one in variants}
    rows = {
        one.what: {"value": one.value._asdict(), "baselines": {}}
        for one in tables.rows_of(variants, scores, columns)
    }
    found = room("claims").Result("", rows)
    for claim in (*room("diffsfsr").loss_claims(found), *room("diffsfsr").part_claims(found)):
        assert room("claims").judge(claim, found).outcome == "undecided", claim.says
    for variant in variants:
        folder = tables.folder_of(variant, Path("x"))
        assert folder == Path("x/models") / room("diffsfsr")._slug(variant.name)


def _plain(one: Any) -> dict[str, Any]:
    return {name: interval._asdict() for name, interval in one.baselines.items()}


class References(HTMLParser):
    """Everything that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")
        ]


@pytest.fixture
def page(tmp_path: Path) -> str:
    """The whole registry on made-up results, with every kind of chart and picture."""
    lab, claims = importlib.import_module("benchmarks.lab"), room("claims")
    outcomes = []
    for experiment in lab.EXPERIMENTS:
        folder = tmp_path / experiment.folder
        folder.mkdir(exist_ok=True)
        cells = {
            c
            for claim in experiment.claims(None)
            for c in (claim.left, claim.right)
            if isinstance(c, claims.Cell)
        }
        rows = []
        for what in sorted({cell.row for cell in cells}):
            others = {c.column: (0.9, 0.8, 1.0) for c in cells if c.row == what and c.column}
            rows.append(row(what, 0.5, 0.4, 0.6, **others))
        (folder / experiment.result).write_text(
            content(*rows, command="python benchmarks/<x>.py", times=[50, 150])
        )
    arms = {"controllers": room("emojidiff").CONTROLLERS, "story": room("emojidiff").ARMS}
    for folder_name, names in arms.items():
        for name in names:
            Image.new("RGB", (5 * 390, 2 * 134), "teal").save(tmp_path / folder_name / f"sheet_{name}.png")
            run = tmp_path / folder_name / "train" / name
            run.mkdir(parents=True)
            (run / "log.csv").write_text("5,loss,0.9\n5,grad_norm,1\n10,loss,0.8\n")
    Image.new("RGB", (3 * 520, 128), "teal").save(tmp_path / "bench" / "reface_swap_all.png")
    outcomes = [room("runner").look(experiment, tmp_path, False) for experiment in lab.EXPERIMENTS]
    outcomes[0] = room("runner").look(lab.EXPERIMENTS[0], tmp_path, False, failure="Broken <b>badly</b>.")
    paths = room("report").write(outcomes, tmp_path / "lab", quick=False)
    assert [path.name for path in paths] == ["report.html", "results.json"]
    assert set(json.loads(paths[1].read_text())) == set(lab.NAMES)
    return paths[0].read_text()


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    references = References()
    references.feed(page)
    assert references.tags.count("img") >= 8 + 9 + 3
    for reference in references.found:
        assert reference.startswith(("data:image/jpeg;base64,", "#")), reference[:80]
    for word in ("http:", "https:", "url(", "@import", "<script", "<link"):
        assert word not in page
    targets = {reference for reference in references.found if reference.startswith("#")}
    assert targets and all(f'id="{target[1:]}"' in page for target in targets)


def test_the_page_says_what_came_of_every_claim(page: str) -> None:
    assert "prefers-color-scheme:dark" in page and "@media print" in page
    assert "Made &lt;up&gt;" in page and "Broken &lt;b&gt;badly&lt;/b&gt;." in page
    assert 'aria-label="training loss over step"' in page
    assert 'class="badge agrees"' in page and 'class="badge contradicts"' in page
    assert "Paper: 0.87 &gt; 0.74." in page


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """An experiment whose benchmark fails and one that works, in a checkout of their own."""
    experiments, claims = room("experiments"), room("claims")
    monkeypatch.setattr(room("runner"), "ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    good = content(row("x", 1, 1, 1))
    (tmp_path / "benchmarks" / "good.py").write_text(
        "import pathlib, sys\nout = pathlib.Path(sys.argv[-1])\nout.mkdir(parents=True, exist_ok=True)\n"
        f"(out / 'r.json').write_text({good!r})\n"
    )
    (tmp_path / "benchmarks" / "bad.py").write_text(
        "import sys\nprint('started')\nprint('No such data: prepare it.', file=sys.stderr)\nsys.exit(2)\n"
    )

    def make(script: str) -> Any:
        return experiments.Experiment(
            script, script, "", "", script, script, "r.json", 1,
            lambda found: [claims.Claim("x is large", "", claims.Cell("x"), ">", 0.5)], lambda found: [],
        )  # fmt: skip

    return make("bad"), make("good")


def run_lab(monkeypatch: pytest.MonkeyPatch, runs: Path, experiments: tuple[Any, ...], *words: str) -> int:
    lab = importlib.import_module("benchmarks.lab")
    monkeypatch.setattr(lab, "EXPERIMENTS", experiments)
    monkeypatch.setattr(lab, "NAMES", [one.name for one in experiments])
    monkeypatch.setattr(sys, "argv", ["lab.py", "--runs", str(runs), *words])
    try:
        lab.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_one_that_fails_is_named_and_the_others_go_on(
    two: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    assert run_lab(monkeypatch, runs, two) == 2
    told = capsys.readouterr()
    assert "bad: failed: No such data: prepare it." in told.out and told.err == "failed: bad\n"
    found = json.loads((runs / "lab" / "results.json").read_text())
    assert (
        found["bad"]["failure"] == "No such data: prepare it."
        and found["bad"]["claims"][0]["outcome"] == "missing"
    )
    assert found["good"]["failure"] is None and found["good"]["claims"][0]["outcome"] == "agrees"
    assert "No such data: prepare it." in (runs / "lab" / "report.html").read_text()
    assert run_lab(monkeypatch, runs, two, "--only", "good") == 0


def test_a_command_that_failed_is_not_tried_again_for_its_second_table(
    two: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, _ = two
    counter = tmp_path / "count"
    script = tmp_path / "benchmarks" / "bad.py"
    script.write_text(f"open({str(counter)!r}, 'a').write('x')\n" + script.read_text())
    second = dataclasses.replace(bad, name="second", result="s.json")
    assert run_lab(monkeypatch, tmp_path / "runs", (bad, second)) == 2
    assert counter.read_text() == "x"
    assert capsys.readouterr().err == "failed: bad, second\n"


def test_one_that_is_killed_is_said_to_be(
    two: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, _ = two
    killed = "import os, signal\nprint('50%')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    (tmp_path / "benchmarks" / "bad.py").write_text(killed)
    assert run_lab(monkeypatch, tmp_path / "runs", (bad,)) == 2
    assert "bad: failed: ended by signal 9" in capsys.readouterr().out


def test_what_is_there_is_not_measured_again_unless_asked(
    two: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _ = two
    runs = tmp_path / "runs"
    (runs / "bad").mkdir(parents=True)
    (runs / "bad" / "r.json").write_text(content(row("x", 1, 1, 1)))
    assert run_lab(monkeypatch, runs, (bad,)) == 0
    assert run_lab(monkeypatch, runs, (bad,), "--again", "bad") == 2
    (runs / "bad" / "r.json").write_text(
        content(row("x", 1, 1, 1), command="python -m benchmarks.bad --quick")
    )
    assert run_lab(monkeypatch, runs, (bad,), "--report") == 0  # a quick run's numbers are none
    found = json.loads((runs / "lab" / "results.json").read_text())
    assert found["bad"]["claims"][0]["outcome"] == "missing"
    assert run_lab(monkeypatch, runs, (bad,)) == 2


def test_a_broken_result_is_measured_again(
    two: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, good = two
    runs = tmp_path / "runs"
    (runs / "good").mkdir(parents=True)
    (runs / "good" / "r.json").write_text("{")
    assert run_lab(monkeypatch, runs, (good,)) == 0
    assert json.loads((runs / "good" / "r.json").read_text())["rows"]
