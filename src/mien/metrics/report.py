"""An evaluation as files: scores.csv (every verdict), summary.json (every mean with its interval), report.html."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mien import __version__
from mien.files import write_text
from mien.metrics import statistics
from mien.metrics.evaluate import OK, RATIOS, SCORES, Evaluation
from mien.metrics.page import page
from mien.metrics.pairs import NO_CONTROL
from mien.metrics.registry import METRICS
from mien.metrics.statistics import Interval
from mien.tables import aligned, to_csv

FILES = ("scores.csv", "summary.json", "report.html")


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the single verdicts, as JSON values (NaN is None)."""
    methods = {}
    for method in evaluation.methods:
        methods[method] = {
            "baseline": method in evaluation.baselines,
            "rows": evaluation.counts(method),
            "said": evaluation.said(method),
            "metrics": {name: statistics.mean(evaluation.values(method, name))._asdict() for name in SCORES},
            "kid": evaluation.kid.get(method, Interval(math.nan, math.nan, math.nan))._asdict(),
            "against_no_control": {name: evaluation.ratio(method, name)._asdict() for name in RATIOS},
        }
    differences = []
    for a, b in combinations([m for m in evaluation.methods if m not in evaluation.baselines], 2):
        for name in SCORES:
            interval, count = evaluation.difference(a, b, name)
            differences.append({"methods": [a, b], "metric": name, "rows": count, **interval._asdict()})
    return statistics.plain(
        {
            "software": f"mien {__version__}",
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "analyser": evaluation.analyser,
            "recogniser": evaluation.recogniser,
            "warnings": evaluation.warnings,
            "methods": methods,
            "paired_differences": differences,
            "id_of_same_person": statistics.mean(evaluation.same_person)._asdict(),
            "id_of_other_people": statistics.mean(evaluation.other_person)._asdict(),
            "metrics": {
                name: {"better": m.better, "low": m.low, "high": m.high, "unit": m.unit, "source": m.source}
                for name, m in METRICS.items()
                if name in (*SCORES, "kid")
            },
        }
    )


def scores_csv(evaluation: Evaluation) -> str:
    """One line a verdict: row, method, state, pictures, and every score (empty where there is no face)."""
    rows: list[Sequence[object]] = [("row", "method", "state", "identity", "expression", "picture", *SCORES)]
    for verdict in evaluation.verdicts:
        row = verdict.row
        values = ["" if np.isnan(v := verdict.scores.get(name, np.nan)) else f"{v:.6g}" for name in SCORES]
        pictures = [row.identity, row.expression, verdict.picture or ""]
        rows.append((row.number, verdict.method, verdict.state, *pictures, *values))
    return to_csv(rows)


def write(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write scores.csv, summary.json and report.html into `folder`, each atomically. Raises `InputError`: the folder
    cannot be written to."""
    folder = Path(folder)
    facts = summary(evaluation)
    summed = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in zip(FILES, (scores_csv(evaluation), summed, page(evaluation, facts)), strict=True):
        write_text(folder / name, text)
    return [folder / name for name in FILES]


def table(evaluation: Evaluation, metrics: tuple[str, ...] = ("exp", "lms", "id", "same_person")) -> str:
    """A short table for a terminal: a line a method."""
    titles = [f"{METRICS[m].title} {METRICS[m].arrow}" for m in metrics]
    lines = [["method", "faces", *titles, "Exp/no control"]]
    for method in evaluation.methods:
        counts = evaluation.counts(method)
        cells = [show(statistics.mean(evaluation.values(method, name))) for name in metrics]
        ratio = "" if method == NO_CONTROL else show(evaluation.ratio(method, "exp"))
        lines.append([method, f"{counts[OK]}/{sum(counts.values())}", *cells, ratio])
    return "\n".join(aligned(lines))


def show(interval: Interval) -> str:
    """``0.812 [0.790, 0.833]``, or a dash where there is nothing."""
    return "-" if math.isnan(interval.value) else f"{interval:.3f}"
