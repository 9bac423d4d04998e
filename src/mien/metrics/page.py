"""The report as one HTML page that needs nothing else (`pages/evaluation.html.jinja`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image, ImageOps

from mien.images import read_image
from mien.metrics.document import COLOURS, render, ridges
from mien.metrics.evaluate import OK, RATIOS, SCORES, Evaluation, Verdict, examples
from mien.metrics.pairs import COPY, NO_CONTROL
from mien.metrics.registry import METRICS
from mien.types import InputError

THUMBNAIL = 160
EXAMPLES_BY = ("exp", "id")
SHOWN_LOST = 50
NAMES = {NO_CONTROL: "no control", COPY: "the reference itself"}
TABLES = {
    "Expression": ("exp", "exp_sum", "lms", "expression_distance", "copy_expression"),
    "Identity": ("id", "id_distance", "same_person", "nearer_identity", "id_retrieval", "copy_identity"),
    "Pose and appearance": ("pose", "copy_pose", "copy_appearance"),
}


def page(evaluation: Evaluation, facts: dict[str, Any]) -> str:
    """The whole page. `facts` is `report.summary` of the evaluation."""
    methods = [method for method in evaluation.methods if method not in evaluation.baselines]
    return render(
        "evaluation.html.jinja",
        title="mien evaluate",
        heading="Evaluation of portraits",
        facts=facts,
        names=NAMES,
        states=list(dict.fromkeys(state for of in facts["methods"].values() for state in of["rows"])),
        tables=TABLES,
        metrics=METRICS,
        ratios=RATIOS,
        best={name: _best(facts, name) for names in TABLES.values() for name in names},
        differences=_differences(facts),
        distributions=Markup(_distributions(evaluation, methods)),
        same_person=len(evaluation.same_person),
        shown={method: _examples(evaluation, method) for method in methods},
        most_lost=SHOWN_LOST,
        glossary=[METRICS[name] for name in SCORES],
        infinity=float("inf"),
    )


def _best(facts: dict[str, Any], name: str) -> list[str]:
    better = METRICS[name].better
    values = {
        method: of["metrics"][name]["value"]
        for method, of in facts["methods"].items()
        if not of["baseline"] and of["metrics"][name]["value"] is not None
    }
    if len(set(values.values())) < 2 or better == "neither":
        return []
    goal = max(values.values()) if better == "higher" else min(values.values())
    return [method for method, value in values.items() if value == goal]


def _differences(facts: dict[str, Any]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """By pair of methods; `sure`: the interval leaves out 0, and then `better` may name one."""
    pairs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in facts["paired_differences"]:
        (a, b), better = row["methods"], METRICS[row["metric"]].better
        sure = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        named = sure and better != "neither"
        winner = (a if (row["value"] > 0) == (better == "higher") else b) if named else ""
        pairs.setdefault((a, b), []).append({**row, "sure": sure, "better": winner})
    return pairs


def _distributions(evaluation: Evaluation, methods: list[str]) -> str:
    series = [("other people", "var(--base)", evaluation.other_person)]
    for index, method in enumerate(methods):
        colour = f"var(--m{index % len(COLOURS)})"
        series.append((method, colour, evaluation.values(method, "id")))
    series.append(("same person, other photograph", "var(--same)", evaluation.same_person))
    return ridges([one for one in series if len(one[2])], METRICS["id"].title)


def _examples(evaluation: Evaluation, method: str) -> dict[str, Any]:
    lost: dict[str, list[int]] = {}
    for verdict in evaluation.of(method):
        if verdict.state != OK:
            lost.setdefault(verdict.state, []).append(verdict.row.number)
    strips = {
        metric: [_strip(name, verdict, metric) for name, verdict in examples(evaluation, method, metric)]
        for metric in EXAMPLES_BY
    }
    return {"strips": strips, "lost": lost}


def _strip(name: str, verdict: Verdict, metric: str) -> tuple[Image.Image, str]:
    pictures = [verdict.row.identity, verdict.row.expression, verdict.picture]
    strip = Image.new("RGB", (3 * THUMBNAIL, THUMBNAIL))
    for place, path in enumerate(path for path in pictures if path is not None):
        strip.paste(_thumbnail(path), (place * THUMBNAIL, 0))
    caption = f"{name}: row {verdict.row.number}, {METRICS[metric].title} {verdict.scores[metric]:.3f}"
    return strip, caption


def _thumbnail(path: Path) -> Image.Image:
    """A square of the strip's height with the whole picture in it; grey if it has gone since it was judged."""
    size = (THUMBNAIL, THUMBNAIL)
    try:
        return ImageOps.pad(read_image(path), size, Image.Resampling.LANCZOS, color="grey")
    except InputError:
        return Image.new("RGB", size, "grey")
