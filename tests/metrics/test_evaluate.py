from __future__ import annotations

import csv
import json
import math
import re
import tracemalloc
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.metrics import document, report
from mien.metrics.evaluate import (
    BAD_INPUTS,
    NO_FACE,
    NO_RESULT,
    OK,
    Evaluation,
    _other_people,
    evaluate,
    examples,
)
from mien.metrics.pairs import COPY, NO_CONTROL, EvaluationRow, read_csv
from mien.metrics.scoring import Observation, Scorer
from mien.provenance import save_image
from mien.types import Face, InputError

ROWS = 6


@pytest.fixture
def pairs(tmp_path: Path, picture: Callable[[int], Image.Image]) -> Path:
    """Identities 1-6, expressions 11-16. "half" answers with the identity picture on even rows and with the
    reference on odd ones; "poor" shows no face in row 1, gives nothing in row 2, and a stranger elsewhere."""
    for number in (0, *range(1, 7), *range(11, 17), *range(21, 27), 40):
        picture(number).save(tmp_path / f"{number}.png")
    lines = ["identity,expression,same_person,half,<poor>"]
    for row in range(1, ROWS + 1):
        half = row if row % 2 == 0 else row + 10
        poor = {1: "0.png", 2: ""}.get(row, "40.png")
        lines.append(f"{row}.png,{row + 10}.png,{row + 20}.png,{half}.png,{poor}")
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def judged(pairs: Path, scorer: Scorer) -> Evaluation:
    return evaluate(read_csv(pairs)[0], scorer)


def test_nothing_is_dropped_silently(judged: Evaluation) -> None:
    assert judged.counts("half") == {OK: 6, NO_FACE: 0}
    assert judged.counts("<poor>") == {OK: 4, NO_FACE: 1, NO_RESULT: 1}
    assert all(sum(judged.counts(method).values()) == ROWS for method in judged.methods)


def test_scores_and_baselines(judged: Evaluation) -> None:
    untouched = judged.values(NO_CONTROL, "exp")
    assert judged.values("half", "exp").tolist() == [0, untouched[1], 0, untouched[3], 0, untouched[5]]
    assert judged.values("half", "id_retrieval").mean() >= 0.5
    assert judged.values(NO_CONTROL, "id_retrieval").tolist() == [1] * ROWS
    assert judged.values(COPY, "exp").tolist() == [0] * ROWS
    assert judged.ratio(NO_CONTROL, "exp").value == 1
    assert judged.ratio(COPY, "lms").value == 0
    assert judged.ratio("half", "exp").value == pytest.approx(untouched[1::2].sum() / untouched.sum())
    for name in ("seam", "colour"):
        assert judged.values("half", name)[1::2].tolist() == [0, 0, 0], "the untouched photo"
    assert np.isnan(judged.values(COPY, "detail")).all()
    assert "follows the expression: " in judged.said("half")
    assert len(judged.same_person) == ROWS
    assert len(judged.other_person) == 6 * 5 // 2 + 6 * 6


def test_kid_of_the_untouched_identities_is_none_and_is_told_in_the_summary(judged: Evaluation) -> None:
    assert judged.kid[NO_CONTROL].value == pytest.approx(0)
    assert judged.kid[COPY].value != pytest.approx(0)
    facts = report.summary(judged)
    assert facts["methods"]["half"]["kid"]["value"] == pytest.approx(judged.kid["half"].value)
    assert facts["metrics"]["kid"]["better"] == "lower"


def test_a_result_without_a_face_fails_every_share_and_is_in_no_mean(judged: Evaluation) -> None:
    assert len(judged.values("<poor>", "exp")) == 4
    for share in ("same_person", "nearer_identity", "id_retrieval"):
        assert judged.values("<poor>", share)[:2].tolist() == [0, 0]  # no face; nothing given
        assert len(judged.values("<poor>", share)) == ROWS


def test_paired_differences_use_common_rows_only(judged: Evaluation) -> None:
    interval, count = judged.difference("half", "<poor>", "exp")
    assert count == 4
    by_hand = judged.values("half", "exp")[2:] - judged.values("<poor>", "exp")
    assert interval.value == pytest.approx(by_hand.mean())
    assert interval.low <= interval.value <= interval.high


def test_an_unusable_input_is_named_and_leaves_every_mean(pairs: Path, scorer: Scorer) -> None:
    with pairs.open("a", encoding="utf-8") as handle:
        handle.write("\n0.png,11.png,,1.png,1.png\nnowhere.png,11.png,,1.png,1.png")
    judged = evaluate(read_csv(pairs)[0], scorer)
    assert judged.counts("half") == {OK: 6, NO_FACE: 0, BAD_INPUTS: 2}
    left_out = [warning for warning in judged.warnings if "is left out of every mean" in warning]
    assert len(left_out) == 2
    assert "No face was found in" in left_out[0]
    assert "nowhere.png does not exist" in left_out[1]


def test_a_word_is_no_picture_to_compare_with(pairs: Path, scorer: Scorer) -> None:
    with pairs.open("a", encoding="utf-8") as handle:
        handle.write("\n1.png,joy,,1.png,1.png")
    judged = evaluate(read_csv(pairs)[0], scorer)
    assert judged.counts("half")[BAD_INPUTS] == 1
    (warning,) = [w for w in judged.warnings if "left out of every mean" in w]
    assert "joy does not exist" in warning and "`mien generate --pairs` scores them" in warning


class Pairs:
    """Eyes that see the same everywhere, and remember at what two they looked."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.looks: list[Path] = []

    def __call__(self, path: Path) -> Observation:
        self.looks.append(path)
        numbers = np.ones(2)
        return Observation(self.face, numbers, numbers, numbers, 1)

    @property
    def seen(self) -> list[frozenset[Path]]:
        return [frozenset(pair) for pair in zip(self.looks[::2], self.looks[1::2], strict=True)]


def test_other_people_are_drawn_of_all_pairs(face: Callable[[int], Face]) -> None:
    names = [("a", "x"), ("b", "a"), ("c", "c"), ("a", "y"), ("d", "x")]
    rows = [EvaluationRow(n, Path(i), Path(e), None, {}) for n, (i, e) in enumerate(names, start=1)]
    identities, everyone = {Path(i) for i, _ in names}, {Path(name) for pair in names for name in pair}
    every = {frozenset((a, b)) for a in identities for b in everyone if a != b}
    whole, part, again = (Pairs(face(1)) for _ in range(3))
    assert len(_other_people(rows, whole)) == len(every) == len(whole.seen) and set(whole.seen) == every
    assert len(_other_people(rows, part, 6)) == 6 == len(set(part.seen)) and set(part.seen) < every
    _other_people(rows, again, 6)
    assert again.looks == part.looks
    assert len(_other_people(rows[2:3], whole)) == 0


def test_other_people_of_many_rows_take_little_memory(face: Callable[[int], Face]) -> None:
    rows = [EvaluationRow(n, Path(f"i{n}"), Path(f"e{n}"), None, {}) for n in range(1000)]
    eyes = Pairs(face(1))
    tracemalloc.start()
    scores = _other_people(rows, eyes)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(scores) == len(set(eyes.seen)) == 2000 and most < 10e6  # a list of all takes over 100 MB


def test_no_row_at_all_is_bad_input(tmp_path: Path, scorer: Scorer) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("identity,expression,m\nx.png,y.png,z.png", encoding="utf-8")
    with pytest.raises(InputError, match="No row can be judged"):
        evaluate(read_csv(path)[0], scorer)


def test_scoring_by_the_conditioning_encoder_draws_a_warning(
    pairs: Path, scorer: Scorer, picture: Callable[[int], Image.Image]
) -> None:
    rows = read_csv(pairs)[0]
    assert not [w for w in evaluate(rows, scorer).warnings if "flatters" in w]
    warned = [w for w in evaluate(rows, scorer, conditioned_by=["world"]).warnings if "flatters" in w]
    assert len(warned) == 2
    assert all("conditioned half, <poor>," in w for w in warned)
    save_image(picture(40), pairs.parent / "40.png", {"identity_encoder": "arcface+world"})
    (warned,) = [w for w in evaluate(rows, scorer).warnings if "flatters" in w]
    assert "recogniser that scores (world) also conditioned <poor>, which flatters ID" in warned


def test_a_column_may_name_the_conditioning_encoder(pairs: Path, scorer: Scorer) -> None:
    lines = pairs.read_text().splitlines()
    lines = [f"{lines[0]},expression_encoder", *(f"{line},world" for line in lines[1:])]
    pairs.write_text("\n".join(lines))
    judged = evaluate(read_csv(pairs)[0], scorer)
    assert [w for w in judged.warnings if "flatters" in w] == [
        "The analyser that scores (world) also conditioned half, <poor>, which flatters Exp and LMS: score with "
        "another --analyser."
    ]


class Balanced(HTMLParser):
    """Collects texts, and fails on a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report(judged: Evaluation, tmp_path: Path) -> None:
    scores, facts, html = report.write(judged, tmp_path)
    with scores.open(newline="") as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == ROWS * 4
    assert [row["exp"] for row in table if row["state"] != OK] == ["", ""]
    summary = json.loads(facts.read_text())
    assert summary["methods"]["<poor>"]["rows"] == {OK: 4, NO_FACE: 1, NO_RESULT: 1}
    mean = summary["methods"]["half"]["metrics"]["exp"]
    assert mean["low"] <= mean["value"] <= mean["high"]
    text = html.read_text()
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert parser.seen.count("img") == 12  # best, median and worst of two methods by two metrics
    assert "&lt;poor&gt;" in text
    assert "<poor>" not in text
    assert "http" not in text  # nothing is fetched


def test_examples_go_from_best_to_worst(judged: Evaluation) -> None:
    for metric, sign in (("exp", 1), ("id", -1)):
        values = [sign * verdict.scores[metric] for _, verdict in examples(judged, "half", metric)]
        assert values == sorted(values)
    nothing = Evaluation(["m"], [], np.array([]), np.array([]), [], "a", "b")
    assert examples(nothing, "m") == []
    assert math.isnan(nothing.ratio("m", "exp").value)


def test_command(pairs: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.metrics.scoring.load_scorer", lambda analyser, recogniser: scorer)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["evaluate", "--pairs", str(pairs), "--out-dir", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert "half: " in done.output
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "scores.csv", "summary.json"]
    one = CliRunner().invoke(
        app, ["evaluate", "--pairs", str(pairs), "--out-dir", str(out), "--method", "half", "--json", "-q"]
    )
    assert list(json.loads(one.stdout)["methods"]) == ["half", NO_CONTROL, COPY]
    for arguments, message in (
        ([], "one of them"),
        (["--pairs", str(pairs), "--method", "gone"], "no method called gone"),
        (["--folder", str(tmp_path / "gone")], "is not a folder"),
    ):
        failed = CliRunner().invoke(app, ["evaluate", *arguments, "--out-dir", str(out)])
        assert failed.exit_code == 2
        assert message in failed.output
    with pairs.open("a", encoding="utf-8") as handle:
        handle.write("\nnowhere.png,11.png,,1.png,1.png")
    partly = CliRunner().invoke(app, ["evaluate", "--pairs", str(pairs), "--out-dir", str(out), "-q"])
    assert partly.exit_code == 2
    assert "nowhere.png does not exist" in partly.output
    assert (out / "report.html").is_file()


def test_ridges_share_an_axis_and_stand_on_the_right_values() -> None:
    series = [("low", "red", np.zeros(5)), ("<high>", "blue", np.ones(3))]
    drawn = document.ridges(series, "ID")
    parser = Balanced()
    parser.feed(drawn)
    assert parser.open == [] and parser.seen.count("polyline") == 2
    assert "&lt;high&gt;" in drawn and "<high>" not in drawn and "n = 3" in drawn
    means = [float(x) for x in re.findall(r'<line x1="([\d.]+)"[^>]*stroke-width="2.5"', drawn)]
    assert means == pytest.approx([0.04 / 1.08 * document.WIDTH, 1.04 / 1.08 * document.WIDTH], abs=0.1)
    ticks = dict(re.findall(r'left:([\d.]+)%">(-?[\d.]+)</span>', drawn))
    assert set(ticks.values()) >= {"0", "0.5", "1"}
    assert {value: float(place) for place, value in ticks.items()}["0.5"] == pytest.approx(50)
    assert document.ridges([], "ID") == ""
