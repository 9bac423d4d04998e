"""What an experiment of the laboratory is; those of the two papers are in `emojidiff` and `diffsfsr`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.laboratory.chart import Curve
from benchmarks.laboratory.claims import Cell, Claim, Result, Samples
from mien.metrics.statistics import Interval


@dataclass(frozen=True)
class Line:
    """A line of a table: ours and the paper's, one a column (None: not measured, or not in our texts)."""

    name: str
    ours: tuple[Cell | None, ...]
    paper: tuple[str | None, ...]


@dataclass(frozen=True)
class Table:
    """Ours beside the paper's. `columns` carry an arrow to where better is."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Chart:
    """Curves on common axes; see `mien.metrics.document.lines`."""

    curves: Sequence[Curve]
    x_axis: str
    y_axis: str
    log: bool = False


Pictures = Sequence[tuple[str, Image.Image]]


def no_charts(result: Result, folder: Path) -> Sequence[Chart]:
    return ()


def no_pictures(folder: Path) -> Pictures:
    return ()


def no_samples(folder: Path) -> Samples:
    return {}


@dataclass(frozen=True)
class Experiment:
    """A benchmark, and what a paper lets us expect of it.

    Attributes:
        name: of `--only`. title, paper, question, differs: what it is, whose, what it asks, what is unlike the paper.
        script: of ``benchmarks/``. folder: of its results, in the runs' folder; its own ``--out``.
        result: file in that folder. arguments, quick: words for it; ``{runs}`` is the runs' folder.
        minutes: of processor time, about. claims: to be judged; of None: those known beforehand.
        tables, charts, pictures: what is shown. samples: numbers of single examples that lie in files of their own.
    """

    name: str
    title: str
    paper: str
    question: str
    script: str
    folder: str
    result: str
    minutes: int
    claims: Callable[[Result | None], Sequence[Claim]]
    tables: Callable[[Result], Sequence[Table]]
    arguments: str = ""
    quick: str = "--quick"
    differs: str = ""
    charts: Callable[[Result, Path], Sequence[Chart]] = no_charts
    pictures: Callable[[Path], Pictures] = no_pictures
    samples: Callable[[Path], Samples] = no_samples

    def words(self, runs: Path, quick: bool) -> list[str]:
        """The command after ``python``, with paths as they are from the checkout."""
        given = f"{self.arguments} {self.quick if quick else ''}".format(runs=runs)
        return ["-m", f"benchmarks.{self.script}", *shlex.split(given), "--out", str(runs / self.folder)]


def measured(name: str, x: Sequence[float], numbers: Sequence[Interval]) -> Curve:
    """A curve with its intervals, of those places [n] where something was measured."""
    kept = [(at, number) for at, number in zip(x, numbers, strict=True) if number.value == number.value]
    parts = [[getattr(number, part) for _, number in kept] for part in ("value", "low", "high")]
    return Curve(name, [at for at, _ in kept], *parts)


def read_log(path: Path, name: str, key: str) -> Curve:
    """A curve of a training run's ``log.csv`` (step, name, value); empty where there is none."""
    if not path.is_file():
        return Curve(name, [], [])
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    points = [(float(step), float(value)) for step, what, value in lines if what == key]
    return Curve(name, [x for x, _ in points], [y for _, y in points])


def read_samples(path: Path) -> dict[str, list[float | None]]:
    """Measure → a number an example, of a JSON file; nothing where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
