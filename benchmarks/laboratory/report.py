"""The laboratory's page and its compact results, from what the experiments gave."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from benchmarks.laboratory import chart
from benchmarks.laboratory.claims import Cell, Result, Verdict
from benchmarks.laboratory.experiments import Table
from benchmarks.laboratory.runner import Outcome
from mien import __version__
from mien.files import write_text
from mien.metrics.document import inside, render
from mien.metrics.statistics import Interval

HERE = Path(__file__).resolve().parent
BADGES = {  # outcome → its sign, its words of one claim and of several
    "agrees": ("✓", "agrees", "agree"),
    "contradicts": ("✗", "contradicts", "contradict"),
    "undecided": ("≈", "not told apart", "not told apart"),
    "missing": ("–", "not measured", "not measured"),
}


def write(outcomes: Sequence[Outcome], folder: Path, quick: bool) -> list[Path]:
    """Write ``report.html`` and ``results.json`` into `folder`, each atomically.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"report.html": page(outcomes, quick), "results.json": compact(outcomes)}
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def page(outcomes: Sequence[Outcome], quick: bool) -> str:
    """The report: one page that asks nothing of the network."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["badges"] = BADGES
    body = environment.get_template("report.html.jinja").render(
        sections=[_section(outcome) for outcome in outcomes],
        counts=counted([verdict for outcome in outcomes for verdict in outcome.verdicts]),
        failed=[outcome.experiment.name for outcome in outcomes if outcome.failure],
        quick=quick,
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, mien {__version__}",
    )
    style = (HERE / "report.css").read_text(encoding="utf-8")
    return render(
        "page.html.jinja",
        title="mien laboratory",
        heading="Laboratory",
        body=Markup(body),
        style=Markup(style),
    )


def compact(outcomes: Sequence[Outcome]) -> str:
    """Every claim with its numbers and its outcome, as JSON."""

    def plain(interval: Interval) -> list[float] | None:
        return None if math.isnan(interval.value) else [float(f"{part:.6g}") for part in interval]

    found: dict[str, Any] = {}
    for outcome in outcomes:
        result = outcome.result
        found[outcome.experiment.name] = {
            "paper": outcome.experiment.paper,
            "measured": result.environment.get("date") if result else None,
            "what": result.title if result else None,
            "failure": outcome.failure or None,
            "claims": [
                {
                    "says": verdict.claim.says,
                    "source": verdict.claim.source,
                    "relation": verdict.claim.relation,
                    "paper": verdict.claim.paper,
                    "left": plain(verdict.left),
                    "right": plain(verdict.right),
                    "difference": plain(verdict.difference),
                    "outcome": verdict.outcome,
                }
                for verdict in outcome.verdicts
            ],
        }
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many claims came out how, in the badges' order."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return {name: counts[name] for name in BADGES if counts[name]}  # type: ignore[index]


def _section(outcome: Outcome) -> dict[str, Any]:
    result, experiment = outcome.result, outcome.experiment
    charts: list[Markup] = []
    tables: list[dict[str, Any]] = []
    if result is not None:
        tables = [_table(table, result) for table in experiment.tables(result)]
        for one in experiment.charts(result, outcome.folder):
            charts.append(Markup(chart.lines(one.curves, one.x_axis, one.y_axis, one.log)))
    strips = experiment.pictures(outcome.folder) if result is not None else ()
    return {
        "experiment": experiment,
        "failure": outcome.failure,
        "result": result,
        "counts": counted(outcome.verdicts),
        "claims": [_claim(verdict, result) for verdict in outcome.verdicts],
        "tables": tables,
        "charts": [drawn for drawn in charts if drawn],
        "strips": [_figure(picture, caption) for caption, picture in strips],
        "command": result.command if result is not None else "",
    }


def _claim(verdict: Verdict, result: Result | None) -> dict[str, Any]:
    claim = verdict.claim
    spec = result.spec(claim.left) if result is not None else ".3f"
    limit = f"{claim.right:.3g}" if not isinstance(claim.right, Cell) else ""
    return {
        "says": claim.says,
        "source": claim.source,
        "relation": claim.relation,
        "outcome": verdict.outcome,
        "paper": f" {claim.relation} ".join(f"{v:g}" for v in claim.paper) if claim.paper else "",
        "left": number(verdict.left, spec),
        "right": limit or number(verdict.right, spec),
        "difference": interval(verdict.difference, spec),
        "paired": verdict.paired,
    }


def _table(table: Table, result: Result) -> dict[str, Any]:
    lines = []
    for line in table.lines:
        cells = []
        for cell, paper in zip(line.ours, line.paper, strict=True):
            found = result.number(cell) if cell is not None else None
            spec = result.spec(cell) if cell is not None else ""
            cells.append(
                {
                    "value": "" if found is None else number(found, spec),
                    "interval": "" if found is None else ends(found, spec),
                    "paper": paper or "",
                }
            )
        lines.append({"name": line.name, "cells": cells})
    both = [any(line.ours[i] and line.paper[i] for line in table.lines) for i in range(len(table.columns))]
    return {"title": table.title, "columns": list(zip(table.columns, both, strict=True)), "lines": lines}


def number(of: Interval, spec: str) -> str:
    """The estimate alone, a dash if there is none."""
    if math.isnan(of.value):
        return "–"
    small = 0 < abs(of.value) < 1e-4
    return f"{of.value:.1e}" if small else f"{of.value:{spec}}"


def ends(of: Interval, spec: str) -> str:
    """Its interval's ends; "" if it has none of a width that is seen."""
    if math.isnan(of.value) or f"{of.low:{spec}}" == f"{of.high:{spec}}":
        return ""
    return f"{of.low:{spec}} to {of.high:{spec}}"


def interval(of: Interval, spec: str) -> str:
    """A difference with its sign, or its ends where it has an interval."""
    if math.isnan(of.value):
        return ""
    return ends(of, f"+{spec}") or number(of, f"+{spec}")


def _figure(picture: Image.Image, caption: str) -> Markup:
    return Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        inside(picture), caption, caption
    )
