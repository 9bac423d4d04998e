"""The report as one HTML page that needs nothing else: pictures and charts are inside it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from mien.images import read_image
from mien.metrics import chart
from mien.metrics.document import document, figure
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
    parts = [
        f"<p>Expression and pose scored by <b>{escape(facts['analyser'])}</b>, identity by "
        f"<b>{escape(facts['recogniser'])}</b>. Means with 95% bootstrap intervals.</p>"
        f'<p class="faint">{escape(facts["date"])}, {escape(facts["software"])}</p>',
        *[f'<div class="warning">{escape(warning)}</div>' for warning in facts["warnings"]],
        "<h2>Methods</h2>",
        _faces(facts),
        *[_table(facts, title, names) for title, names in TABLES.items()],
        _differences(facts),
        "<h2>Distribution of the identity score</h2>",
        _distributions(evaluation, methods),
        '<h2>Examples</h2><p class="faint">Each strip: identity, expression, result.</p>',
        *[_examples(evaluation, method) for method in methods],
        "<h2>What the numbers are</h2>",
        _glossary(),
    ]
    return document("mien evaluate", "Evaluation of portraits", "".join(parts))


def _name(method: str) -> str:
    note = f"<br><small>{NAMES[method]}</small>" if method in NAMES else ""
    return f"<td>{escape(method)}{note}</td>"


def _faces(facts: dict[str, Any]) -> str:
    """What came of every row: nothing is left out here."""
    states = list(dict.fromkeys(state for of in facts["methods"].values() for state in of["rows"]))
    heads = "".join(f"<th>{escape('face found' if state == OK else state)}</th>" for state in states)
    lines = []
    for method, of in facts["methods"].items():
        cells = "".join(f"<td>{of['rows'].get(state, 0)}</td>" for state in states)
        kind = ' class="baseline"' if of["baseline"] else ""
        lines.append(f"<tr{kind}>{_name(method)}<td>{sum(of['rows'].values())}</td>{cells}</tr>")
    return (
        "<h3>Rows</h3><p>A result without a face has no scores: it is counted here, fails every share (same person, "
        "nearer to identity, ID retrieval), and is in no mean.</p>"
        f'<div class="wide"><table><tr><th>method</th><th>rows</th>{heads}</tr>{"".join(lines)}</table></div>'
    )


def _table(facts: dict[str, Any], title: str, names: tuple[str, ...]) -> str:
    """One topic's means. The best mean of the methods, where several differ, is bold."""
    heads, lines, best = [], [], {name: _best(facts, name) for name in names}
    for name in names:
        heads.append(f"<th>{escape(METRICS[name].title)} {METRICS[name].arrow}</th>")
        if name in RATIOS:
            heads.append(f"<th>÷ no control {METRICS[name].arrow}</th>")
    for method, of in facts["methods"].items():
        cells = []
        for name in names:
            kind = ' class="best"' if method in best[name] else ""
            cells.append(f"<td{kind}>{_interval(of['metrics'][name])}</td>")
            if name in RATIOS:
                cells.append(f"<td>{_interval(of['against_no_control'][name])}</td>")
        kind = ' class="baseline"' if of["baseline"] else ""
        lines.append(f"<tr{kind}>{_name(method)}{''.join(cells)}</tr>")
    return (
        f'<h3>{escape(title)}</h3><div class="wide"><table><tr><th>method</th>{"".join(heads)}</tr>'
        f"{''.join(lines)}</table></div>"
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


def _differences(facts: dict[str, Any]) -> str:
    pairs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in facts["paired_differences"]:
        pairs.setdefault(tuple(row["methods"]), []).append(row)
    parts = []
    for number, ((a, b), rows) in enumerate(pairs.items()):
        lines = []
        for row in rows:
            metric = METRICS[row["metric"]]
            sure = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
            winner = ""
            if sure and metric.better != "neither":
                winner = escape(a if (row["value"] > 0) == (metric.better == "higher") else b)
            kind = ' class="best"' if sure else ""
            lines.append(
                f"<tr><td>{escape(metric.title)} {metric.arrow}</td><td{kind}>{_interval(row)}</td>"
                f'<td class="text">{winner or "–"}</td></tr>'
            )
        parts.append(
            f"<details{' open' if number == 0 else ''}><summary><b>{escape(a)}</b> minus <b>{escape(b)}</b>, "
            f"{rows[0]['rows']} rows</summary>"
            '<div class="wide"><table><tr><th>metric</th><th>difference</th><th class="text">better</th></tr>'
            f"{''.join(lines)}</table></div></details>"
        )
    if not parts:
        return ""
    return (
        "<h2>Paired differences</h2><p>Row by row, over the rows where both have a face. Bold, and with a better "
        f"one named, where the 95% interval leaves out 0.</p>{''.join(parts)}"
    )


def _interval(of: dict[str, Any]) -> str:
    if of["value"] is None:
        return "–"
    if of["low"] is None:
        return f"{of['value']:.3f}"
    return f"{of['value']:.3f}<br><small>{of['low']:.3f} to {of['high']:.3f}</small>"


def _distributions(evaluation: Evaluation, methods: list[str]) -> str:
    series = [("other people", "var(--base)", evaluation.other_person)]
    for index, method in enumerate(methods):
        colour = f"var(--m{index % len(chart.COLOURS)})"
        series.append((method, colour, evaluation.values(method, "id")))
    series.append(("same person, other photograph", "var(--same)", evaluation.same_person))
    drawn = chart.ridges([one for one in series if len(one[2])], METRICS["id"].title)
    if not drawn:
        return "<p>No identity score could be measured.</p>"
    missing = "" if len(evaluation.same_person) else " No row names another photograph of the same person."
    return (
        "<p>Cosine of each result's embedding with the identity picture's, beside what pictures that no method made "
        "score. Other people: pictures of different rows, taken to show different people. The line is the mean."
        f"{missing}</p>{drawn}"
    )


def _examples(evaluation: Evaluation, method: str) -> str:
    parts = [f"<h3>{escape(method)}</h3>"]
    for metric in EXAMPLES_BY:
        strips = [_strip(name, verdict, metric) for name, verdict in examples(evaluation, method, metric)]
        parts.append(
            f"<p>By {escape(METRICS[metric].title)} {METRICS[metric].arrow}</p>"
            f'<div class="strips">{"".join(strips)}</div>'
        )
    lost: dict[str, list[int]] = {}
    for verdict in evaluation.of(method):
        if verdict.state != OK:
            lost.setdefault(verdict.state, []).append(verdict.row.number)
    for state, rows in lost.items():
        named = ", ".join(map(str, rows[:SHOWN_LOST]))
        more = f" and {len(rows) - SHOWN_LOST} more" if len(rows) > SHOWN_LOST else ""
        parts.append(f"<p>No scores, {escape(state)}: row {named}{more}.</p>")
    return "".join(parts)


def _strip(name: str, verdict: Verdict, metric: str) -> str:
    pictures = [verdict.row.identity, verdict.row.expression, verdict.picture]
    strip = Image.new("RGB", (3 * THUMBNAIL, THUMBNAIL))
    for place, path in enumerate(path for path in pictures if path is not None):
        strip.paste(_thumbnail(path), (place * THUMBNAIL, 0))
    caption = f"{name}: row {verdict.row.number}, {METRICS[metric].title} {verdict.scores[metric]:.3f}"
    return figure(strip, caption)


def _thumbnail(path: Path) -> Image.Image:
    """A square of the strip's height with the whole picture in it; grey if it has gone since it was judged."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")
    try:
        image = read_image(path)
    except InputError:
        return square
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    if max(image.size) < THUMBNAIL:
        scale = THUMBNAIL / max(image.size)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    square.paste(image, ((THUMBNAIL - image.width) // 2, (THUMBNAIL - image.height) // 2))
    return square


def _glossary() -> str:
    lines = [
        f'<tr><td>{escape(m.title)} {m.arrow}</td><td class="text">{escape(m.meaning)} '
        f"<small>{escape(m.source)}</small></td><td>{m.low:g} to {'∞' if m.high == float('inf') else f'{m.high:.4g}'}"
        f"</td><td>{escape(m.unit) or '–'}</td></tr>"
        for m in (METRICS[name] for name in SCORES)
    ]
    return (
        '<div class="wide"><table><tr><th>metric</th><th class="text">what it is</th><th>range</th>'
        f"<th>unit</th></tr>{''.join(lines)}</table></div>"
    )
