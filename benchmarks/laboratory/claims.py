"""A paper's claim as a comparison of two numbers of a benchmark, and whether ours agree with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mien.metrics import statistics
from mien.metrics.statistics import Interval
from mien.types import FloatArray, InputError

Outcome = Literal["agrees", "contradicts", "undecided", "missing"]
Samples = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Arm → measure → a number an example, None where there is none; example i is the same in every arm."""

NOTHING = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """A number of a benchmark's table.

    Attributes:
        row: what its line measures. column: name of a baseline; "" is the line's own result.
        sample: (arm, measure) of the examples it is the mean of, where the benchmark keeps them.
    """

    row: str
    column: str = ""
    sample: tuple[str, str] | None = None


@dataclass(frozen=True)
class Result:
    """What a benchmark wrote (`table.publish`)."""

    title: str
    rows: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Result:
        """Raises InputError if the file is missing or is no benchmark's."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = {row["what"]: row for row in content["rows"]}
            title, environment = str(content["title"]), dict(content["environment"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is no result of a benchmark: remove it, and it is measured again."
            ) from error
        known = ("title", "environment", "rows", "command", "samples")
        details = {key: value for key, value in content.items() if key not in known}
        command = str(content.get("command", ""))
        return cls(title, rows, environment, command, details, content.get("samples", {}))

    def number(self, cell: Cell) -> Interval:
        """The cell's number with its interval; nan where the table has none."""
        row = self.rows.get(cell.row, {})
        found = row.get("baselines", {}).get(cell.column) if cell.column else row.get("value")
        if found is None or found["value"] is None:
            return NOTHING
        return Interval(*(float(found[part]) for part in ("value", "low", "high")))

    def spec(self, cell: Cell) -> str:
        """How the cell's line is printed."""
        return str(self.rows.get(cell.row, {}).get("spec", ".3f"))

    def examples(self, cell: Cell) -> FloatArray | None:
        """The numbers [n] that the cell is the mean of (nan: none), where they were kept."""
        if cell.sample is None:
            return None
        arm, measure = cell.sample
        values = self.samples.get(arm, {}).get(measure)
        return None if values is None else np.array(values, np.float64)


@dataclass(frozen=True)
class Claim:
    """left < right, or left > right, as a paper says or implies.

    Attributes:
        says: the claim in words. source: where in the paper. right: another cell, or a limit.
        factor: right is multiplied by it. paper: the paper's own two numbers, where our texts have them.
    """

    says: str
    source: str
    left: Cell
    relation: Literal["<", ">"]
    right: Cell | float
    factor: float = 1.0
    paper: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """A claim judged: left and right (times its factor), their difference, whether example by example."""

    claim: Claim
    outcome: Outcome
    left: Interval
    right: Interval
    difference: Interval
    paired: bool


def difference(a: Interval, b: Interval) -> Interval:
    """a − b of two estimates with intervals of their own (MOVER, Zou & Donner 2008, for independent estimates).

    Ours see the same examples, which mostly moves both the same way: then the true interval is narrower.
    """
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Interval(value, low, high)


def judge(claim: Claim, result: Result | None) -> Verdict:
    """Agrees or contradicts where the 95% interval of left − factor × right leaves out 0; else undecided."""
    if result is None:
        return Verdict(claim, "missing", NOTHING, NOTHING, NOTHING, False)
    left, pairs = result.number(claim.left), None
    if isinstance(claim.right, Cell):
        right = result.number(claim.right)
        pairs = _pairs(result, claim.left, claim.right)
    else:
        right = Interval(claim.right, claim.right, claim.right)
    right = Interval(*(claim.factor * part for part in right))
    if math.isnan(left.value) or math.isnan(right.value):
        return Verdict(claim, "missing", left, right, NOTHING, False)
    if pairs is None:
        found = difference(left, right)
    else:
        found = statistics.mean(pairs[0] - claim.factor * pairs[1])
    outcome: Outcome = "undecided"
    if found.high < 0:
        outcome = "agrees" if claim.relation == "<" else "contradicts"
    elif found.low > 0:
        outcome = "agrees" if claim.relation == ">" else "contradicts"
    return Verdict(claim, outcome, left, right, found, pairs is not None)


def _pairs(result: Result, left: Cell, right: Cell) -> tuple[FloatArray, FloatArray] | None:
    """Both cells' examples [n], those that both have."""
    a, b = result.examples(left), result.examples(right)
    if a is None or b is None or a.shape != b.shape:
        return None
    both = ~(np.isnan(a) | np.isnan(b))
    return (a[both], b[both]) if both.any() else None
