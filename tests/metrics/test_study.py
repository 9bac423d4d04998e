"""A user study: the page is blind, simulated raters' truth comes back, what is not whole is refused by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from typer.testing import CliRunner

from mien.cli.main import app
from mien.metrics.pairs import read_folder
from mien.metrics.study import COLUMNS, QUESTIONS, Answers, Study, make, read_all, read_answers, read_key
from mien.metrics.study_results import anova, compared, results, student
from mien.types import InputError

TRUTH = {"alpha": 3.0, "beta": 3.0, "gamma": 3.9}
YES = {"alpha": 0.9, "beta": 0.9, "gamma": 0.5}


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Study]:
    """The key's path and the study: four pictures of each of three methods."""
    for i, folder in enumerate(("identity", "expression", *TRUTH)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for j in range(4):
            Image.new("RGB", (40, 40), (40 * i, 50 * j, 99)).save(tmp_path / "in" / folder / f"{j}.png")
    rows, _ = read_folder(tmp_path / "in")
    made, key = make(rows, tmp_path / "study.html", ("identity", "same-person"))
    return key, made


def judged(study: Study, rng: np.random.Generator, name: str) -> Answers:
    """A rater who is stricter or more lenient than others, and not quite sure."""
    lenient = rng.normal(0, 0.4)
    values = {}
    for trial, (_, method) in study.trials.items():
        rating = TRUTH[method] + lenient + rng.normal(0, 0.5)
        values[trial, "identity"] = int(np.clip(np.floor(rating + rng.uniform()), 1, 5))
        values[trial, "same-person"] = int(rng.uniform() < YES[method])
    return Answers(name, values)


def save(path: Path, study: Study, given: Answers) -> Path:
    """As the page does."""
    answers: dict[str, dict[str, int]] = {}
    for (trial, question), value in given.values.items():
        answers.setdefault(trial, {})[question] = value
    content = {"format": "mien-study-answers", "version": 1, "study": study.study, "rater": given.rater}
    path.write_text(json.dumps({**content, "answers": answers}))
    return path


def test_the_page_needs_nothing_and_does_not_tell_who_made_what(study: tuple[Path, Study]) -> None:
    key, made = study
    page = key.with_name("study.html").read_text()
    assert len(made.trials) == 12 and read_key(key) == made
    assert page.count("data:image/jpeg;base64,") == 4 + 4 + 12
    assert "http://" not in page and "https://" not in page and "src=" not in page
    assert not any(method in page for method in TRUTH)
    assert [method for _, method in made.trials.values()] != sorted(m for _, m in made.trials.values())


def test_simulated_raters_truth_comes_back(study: tuple[Path, Study], tmp_path: Path) -> None:
    key, made = study
    rng = np.random.default_rng(3)
    (tmp_path / "back").mkdir()
    for i in range(24):
        save(tmp_path / "back" / f"{i}.json", made, judged(made, rng, f"r{i}"))
    raters = read_all([tmp_path / "back"], made)
    rated, yes = results(made, raters, ours="alpha")
    for result, truth in ((rated, TRUTH), (yes, YES)):
        for method, value in truth.items():
            assert result.mean[method].low < value < result.mean[method].high
        assert result.anova < 0.001 and result.against["gamma"] < 0.001 < 0.05 < result.against["beta"]
    said = CliRunner().invoke(app, ["study", "evaluate", str(key), str(tmp_path / "back"), "--ours", "alpha"])
    assert said.exit_code == 0 and "alpha (ours)" in said.stdout and "24 raters, 4 pictures" in said.stdout


def test_intervals_hold_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    found = [student(rng.normal(3, 1, 8)) for _ in range(2000)]
    assert np.mean([one.low < 3 < one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_analysis_of_variance_against_other_tests() -> None:
    rng = np.random.default_rng(1)
    rated = rng.normal(size=(9, 2)) + rng.normal(size=(9, 1))
    assert anova(rated) == pytest.approx(stats.ttest_rel(rated[:, 0], rated[:, 1]).pvalue)  # F = t²
    null = [anova(rng.normal(size=(7, 4)) + 3 * rng.normal(size=(7, 1))) for _ in range(400)]
    assert stats.kstest(null, "uniform").pvalue > 0.01, "p is uniform where methods are alike"
    assert np.isnan(anova(rated[:1])) and anova(np.ones((4, 3))) == 1.0


def test_holm_corrects_for_several_comparisons() -> None:
    rng = np.random.default_rng(2)
    rated = rng.normal(size=(12, 4)) + [0, 0.3, 0.8, 1.2]
    found = compared(rated, list("abcd"), "a")
    raw = sorted(stats.ttest_rel(rated[:, i], rated[:, 0]).pvalue for i in (1, 2, 3))
    wanted = np.maximum.accumulate([min(1, raw[0] * 3), min(1, raw[1] * 2), raw[2]])
    assert sorted(found.values()) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda answers: answers.pop("3"), "not complete, 2 of 24"),
        (lambda answers: answers["3"].update(identity=6), "'identity' of picture 3 by 6"),
        (lambda answers: answers["3"].update(identity=2.5), "by 2.5"),
        (lambda answers: answers.update({"77": {"identity": 3}}), "picture 77"),
        (lambda answers: answers.clear(), "24 of 24"),
    ],
)
def test_incomplete_files_are_refused_by_name(
    study: tuple[Path, Study],
    tmp_path: Path,
    spoil: Callable[[dict[str, dict[str, float]]], object],
    words: str,
) -> None:
    key, made = study
    path = save(tmp_path / "anna.json", made, judged(made, np.random.default_rng(0), "r"))
    content = json.loads(path.read_text())
    spoil(content["answers"])
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words) as refused:
        read_answers(path, made)
    assert "anna.json" in str(refused.value)
    said = CliRunner().invoke(app, ["study", "evaluate", str(key), str(path)])
    assert said.exit_code == 2 and not said.stdout


def test_other_studies_raters_twice_and_cut_files_are_refused(
    study: tuple[Path, Study], tmp_path: Path
) -> None:
    _, made = study
    given = judged(made, np.random.default_rng(0), "r")
    one, two = (save(tmp_path / f"{name}.json", made, given) for name in ("one", "two"))
    with pytest.raises(InputError, match="two.json and .*one.json are of one rater"):
        read_all([one, two], made)
    two.write_text(one.read_text()[:200])
    with pytest.raises(InputError, match="two.json is not JSON"):
        read_all([one, two], made)
    save(two, Study("another", made.questions, made.trials), given)
    with pytest.raises(InputError, match="two.json answers another study"):
        read_answers(two, made)


def test_csv_says_what_json_says(study: tuple[Path, Study], tmp_path: Path) -> None:
    _, made = study
    given = judged(made, np.random.default_rng(0), "r")
    with (tmp_path / "a.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        lines.writerows([made.study, "r", *at, value] for at, value in given.values.items())
    assert read_answers(tmp_path / "a.csv", made) == given
    text = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(text[:-1]))
    with pytest.raises(InputError, match="not complete, 1 of 24"):
        read_answers(tmp_path / "a.csv", made)


def test_a_study_needs_methods_pictures_and_known_questions(tmp_path: Path) -> None:
    for folder in ("identity", "expression", "alpha", "beta"):
        (tmp_path / folder).mkdir()
        for j in range(2):
            if (folder, j) != ("beta", 1):
                Image.new("RGB", (9, 9)).save(tmp_path / folder / f"{j}.png")
    page = tmp_path / "study.html"
    rows, _ = read_folder(tmp_path)
    with pytest.raises(InputError, match="beta has no picture for 1.png"):
        make(rows, page, ("identity",))
    with pytest.raises(InputError, match="no question 'beauty'"):
        make(rows[:1], page, ("beauty",))
    with pytest.raises(InputError, match="two or more"):
        make(read_folder(tmp_path, ["alpha"])[0], page, tuple(QUESTIONS))
    assert not page.exists()
