"""A user study in one page: pictures of several methods, blind and in random order, judged by people.

The page needs no network and no server. Which method made a picture stands in the key alone, a file that raters do not
get. Answers that are not whole are refused by name; `study_results` evaluates them. The ratings are those of DiffSFSR,
Table 2 (1, the worst, to 5, the best), the yes-or-no questions those of its other study (section 4.1).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mien.errors import InputError, saying
from mien.files import read_bytes, write_text
from mien.images import read_image
from mien.metrics.document import inside, render
from mien.metrics.pairs import EvaluationRow
from mien.tables import read_table

KEY, ANSWERS, VERSION = "mien-study-key", "mien-study-answers", 1
COLUMNS = ["study", "rater", "trial", "question", "answer"]  # of answers saved as CSV


@dataclass(frozen=True)
class Question:
    """What is asked of a picture. answers: 2, no (0) and yes (1); 5, from 1 to 5. beside: what is shown beside it."""

    title: str
    text: str
    answers: int
    beside: tuple[str, ...]

    @property
    def valid(self) -> range:
        return range(2) if self.answers == 2 else range(1, self.answers + 1)


QUESTIONS = {
    "identity": Question("Identity", "How alike are the person and the picture's person?", 5, ("person",)),
    "expression": Question(
        "Expression", "How alike are the wanted expression and the picture's expression?", 5, ("expression",)
    ),
    "realism": Question("Realism", "How much does the picture look like a real photograph?", 5, ()),
    "quality": Question("Image quality", "How good is the picture: sharp, clean, without faults?", 5, ()),
    "same-person": Question("Same person", "Does the picture show the person?", 2, ("person",)),
    "same-expression": Question(
        "Same expression", "Does the picture show the wanted expression?", 2, ("expression",)
    ),
}
RATINGS = ("identity", "expression", "realism", "quality")


@dataclass(frozen=True)
class Study:
    """The key. study: what answers are known by. questions: names. trials: number → (row, method)."""

    study: str
    questions: tuple[str, ...]
    trials: dict[str, tuple[str, str]]

    @property
    def methods(self) -> list[str]:
        return sorted({method for _, method in self.trials.values()})


@dataclass(frozen=True)
class Answers:
    """One rater's. values: (trial, question) → answer."""

    rater: str
    values: dict[tuple[str, str], int]


def make(
    rows: Sequence[EvaluationRow], page: Path, questions: Sequence[str], seed: int = 0, size: int = 384
) -> tuple[Study, Path]:
    """Write the page and its key, ``NAME.key.json`` beside it. Raises `InputError`: an unknown question, one method
    only, a method lacks a picture, or a picture cannot be read. rows: with a picture of every method. questions: names
    of `QUESTIONS`. seed: of the order in the page. size: px of the longer side that pictures are reduced to."""
    unknown = [name for name in questions if name not in QUESTIONS]
    if unknown or not questions or len(set(questions)) < len(questions):
        what = f"There is no question {unknown[0]!r}" if unknown else "Ask at least one question, each once"
        raise InputError(f"{what}: choose of {', '.join(QUESTIONS)}.")
    methods = sorted({method for row in rows for method in row.results})
    if len(methods) < 2:
        raise InputError("A study compares methods: give the pictures of two or more.")
    for row in rows:
        if lacking := [method for method in methods if row.results.get(method) is None]:
            raise InputError(f"{lacking[0]} has no picture for {row.identity.name}: every method needs one.")
    rng = random.Random(seed)
    drawn = [(row, method) for row in rows for method in methods]
    rng.shuffle(drawn)
    trials, shown = {}, []
    pictures: dict[Path, int] = {}
    sources: list[str] = []

    def place(path: Path | None) -> int:
        assert path is not None
        if path not in pictures:
            pictures[path] = len(sources)
            image = read_image(path)
            image.thumbnail((size, size), Image.Resampling.LANCZOS)
            sources.append(inside(image))
        return pictures[path]

    for number, (row, method) in enumerate(drawn):
        trial = str(number)
        trials[trial] = (row.identity.stem, method)
        parts = {"person": row.identity, "expression": row.expression, "picture": row.results[method]}
        shown.append({"id": trial, **{name: place(path) for name, path in parts.items()}})
    asked = [{"name": name, **asdict(QUESTIONS[name])} for name in questions]
    script: dict[str, Any] = {"questions": asked, "trials": shown, "pictures": sources}
    script["study"] = hashlib.sha256(json.dumps(script).encode()).hexdigest()[:12]
    made = Study(script["study"], tuple(questions), trials)
    key = page.with_suffix(".key.json")
    text = {"format": KEY, "version": VERSION, **asdict(made)}
    write_text(key, json.dumps(text, indent=1, ensure_ascii=False) + "\n")
    write_text(
        page,
        render("study.html.jinja", title="Study", heading="", format=ANSWERS, version=VERSION, data=script),
    )
    return made, key


def read_key(path: Path) -> Study:
    """The key that `make` wrote. Raises `InputError`: it cannot be read, or is something else."""
    content = _json(path)
    other = f"{path} is not a key of a study: give what `mien study make` wrote."
    with saying(other, KeyError, TypeError, ValueError, AttributeError):
        if content["format"] != KEY or content["version"] != VERSION:
            raise KeyError("format")
        trials = {str(k): (str(row), str(method)) for k, (row, method) in content["trials"].items()}
        questions = tuple(content["questions"])
        if not trials or not questions or any(name not in QUESTIONS for name in questions):
            raise KeyError("questions")
        return Study(str(content["study"]), questions, trials)


def read_answers(path: Path, study: Study) -> Answers:
    """One rater's answers, as the page saved them (JSON or CSV). Raises `InputError`: the file cannot be read, is of
    another study, or lacks answers or has impossible ones; it is named."""
    read = _of_csv if path.suffix.lower() == ".csv" else _of_json
    other = f"{path} holds no answers of a study: give the file that the page saved."
    with saying(other, KeyError, IndexError, TypeError, AttributeError):
        name, rater, given = read(path)
    if name != study.study:
        raise InputError(f"{path} answers another study: leave it out.")
    values: dict[tuple[str, str], int] = {}
    for trial, question, answer in given:
        if trial not in study.trials or question not in study.questions:
            raise InputError(f"{path} answers {question!r} of picture {trial}, which was not asked.")
        if (trial, question) in values:
            raise InputError(f"{path} answers {question!r} of picture {trial} twice: use the saved file.")
        if type(answer) is not int or answer not in QUESTIONS[question].valid:
            valid = QUESTIONS[question].valid
            raise InputError(
                f"{path} answers {question!r} of picture {trial} by {answer!r}, and answers are whole numbers from "
                f"{valid[0]} to {valid[-1]}: use the file as it was saved."
            )
        values[trial, question] = answer
    lacking = len(study.trials) * len(study.questions) - len(values)
    if lacking:
        raise InputError(
            f"{path} is not complete, {lacking} of {lacking + len(values)} answers are missing: "
            "ask the rater to go on, or leave it out."
        )
    return Answers(rater, values)


def read_all(paths: Sequence[Path], study: Study) -> list[Answers]:
    """The answers of all raters; of folders, every .json and .csv in them, but keys. Raises `InputError`: as
    `read_answers`; there are none, or two files are of one rater.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.iterdir()) if path.is_dir() else [path]
        files += [p for p in found if p == path or p.suffix.lower() in (".json", ".csv")]
    files = [path for path in files if not path.name.endswith(".key.json")]
    if not files:
        raise InputError("There are no answers: give the files that raters saved, or their folder.")
    raters: dict[str, tuple[Path, Answers]] = {}
    for path in files:
        answers = read_answers(path, study)
        if answers.rater in raters:
            raise InputError(f"{path} and {raters[answers.rater][0]} are of one rater: keep one of them.")
        raters[answers.rater] = path, answers
    return [answers for _, answers in raters.values()]


def _json(path: Path) -> Any:
    with saying(f"{path} is not JSON, or was cut off: use another copy.", ValueError):
        return json.loads(read_bytes(path).decode("utf-8-sig"))


Flat = tuple[str, str, list[tuple[str, str, Any]]]
"""Study, rater, and (trial, question, answer) one by one."""


def _of_json(path: Path) -> Flat:
    content = _json(path)
    if content["format"] != ANSWERS or content["version"] != VERSION:
        raise KeyError("format")
    given = content["answers"].items()
    flat = [(trial, question, answer) for trial, of in given for question, answer in of.items()]
    return content["study"], str(content["rater"]), flat


def _of_csv(path: Path) -> Flat:
    lines = [row.cells for row in read_table(path).rows]
    flat = []
    for line in lines:
        try:
            answer: Any = int(line["answer"])
        except ValueError:
            answer = math.nan
        flat.append((line["trial"], line["question"], answer))
    if len({(line["study"], line["rater"]) for line in lines}) > 1:
        raise InputError(f"{path} holds the answers of several raters: give one file for each.")
    return lines[0]["study"], lines[0]["rater"], flat
