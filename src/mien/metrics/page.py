"""The report as one HTML page that needs nothing else: pictures and charts are inside it."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.images import read_image
from mien.metrics.evaluate import NO_CONTROL, OK, SCORES, Evaluation, Verdict
from mien.metrics.registry import METRICS
from mien.metrics.report import examples
from mien.types import FloatArray, InputError

THUMBNAIL = 160
BINS = 40
COLOURS = ("#3366cc", "#dc7f0e", "#2a9d4a", "#b13bb1", "#c23b3b", "#11889c")
EXAMPLES_BY = ("exp", "id")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#1c1c1c}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}tr.baseline{color:#6a6a6a}small{color:#6a6a6a}
.strip{display:inline-block;margin:.4rem 1rem .4rem 0}.strip img{display:block;height:160px}
.warning{background:#fff4d6;border-left:4px solid #d9a400;padding:.4rem .8rem;margin:.4rem 0}
"""


def page(evaluation: Evaluation, facts: dict[str, Any]) -> str:
    """The whole page. `facts` is `report.summary` of the evaluation."""
    parts = [
        f"<p>Scored by the <b>{escape(facts['analyser'])}</b> analyser (expression, pose) and the "
        f"<b>{escape(facts['recogniser'])}</b> recogniser (identity), {escape(facts['date'])}, "
        f"{escape(facts['software'])}. Means with 95% bootstrap intervals. Results without a face have no "
        "scores: they are counted in the table, and are in no mean.</p>",
        *[f'<div class="warning">{escape(warning)}</div>' for warning in facts["warnings"]],
        "<h2>Methods</h2>",
        _table(facts),
        _differences(facts),
        "<h2>Identity score</h2>",
        _chart(evaluation),
        "<h2>Examples</h2><p>identity | expression | result</p>",
        *[
            _examples(evaluation, method)
            for method in evaluation.methods
            if method not in evaluation.baselines
        ],
        "<h2>What the numbers are</h2>",
        _glossary(),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mien evaluate</title>'
        f"<style>{STYLE}</style></head><body><h1>Evaluation of portraits</h1>{''.join(parts)}</body></html>\n"
    )


def _table(facts: dict[str, Any]) -> str:
    heads = [f"<th>{escape(METRICS[name].title)} {METRICS[name].arrow}</th>" for name in SCORES]
    lines = []
    for method, of in facts["methods"].items():
        kind = ' class="baseline"' if of["baseline"] else ""
        states = "; ".join(f"{count} {state}" for state, count in of["rows"].items() if count and state != OK)
        found = f"{of['rows'][OK]} of {sum(of['rows'].values())}"
        cells = [f"<td>{_interval(of['metrics'][name])}</td>" for name in SCORES]
        ratios = [f"<td>{_interval(of['against_no_control'][name])}</td>" for name in ("exp", "lms")]
        name = f"{escape(method)}{' <small>(no control)</small>' if method == NO_CONTROL else ''}"
        lines.append(
            f"<tr{kind}><td>{name}</td><td>{found}<br><small>{escape(states)}</small></td>"
            f"{''.join(ratios)}{''.join(cells)}</tr>"
        )
    return (
        '<div class="wide"><table><tr><th>method</th><th>faces found</th><th>Exp ÷ no control</th>'
        f"<th>LMS ÷ no control</th>{''.join(heads)}</tr>{''.join(lines)}</table></div>"
    )


def _differences(facts: dict[str, Any]) -> str:
    rows = facts["paired_differences"]
    if not rows:
        return ""
    lines = []
    for row in rows:
        sure = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        text = _interval(row)
        lines.append(
            f"<tr><td>{escape(row['methods'][0])} − {escape(row['methods'][1])}</td>"
            f"<td>{escape(METRICS[row['metric']].title)} {METRICS[row['metric']].arrow}</td>"
            f"<td>{f'<b>{text}</b>' if sure else text}</td><td>{row['rows']}</td></tr>"
        )
    return (
        "<h2>Paired differences</h2><p>Over the rows where both have a face; bold where the interval leaves "
        'out 0.</p><div class="wide"><table><tr><th>methods</th><th>metric</th><th>difference</th>'
        "<th>rows</th></tr>"
        f"{''.join(lines)}</table></div>"
    )


def _interval(of: dict[str, Any]) -> str:
    if of["value"] is None:
        return "–"
    return f"{of['value']:.3f}<br><small>{of['low']:.3f} to {of['high']:.3f}</small>"


def _chart(evaluation: Evaluation) -> str:
    """Distributions of the identity score as outlined histograms: methods and the two baselines."""
    series: list[tuple[str, str, FloatArray]] = [("other people", "#999999", evaluation.other_person)]
    if len(evaluation.same_person):
        series.append(("same person, other photograph", "#222222", evaluation.same_person))
    for index, method in enumerate(m for m in evaluation.methods if m not in evaluation.baselines):
        series.append((method, COLOURS[index % len(COLOURS)], evaluation.values(method, "id")))
    series = [(name, colour, values) for name, colour, values in series if len(values)]
    if not series:
        return "<p>No identity score could be measured.</p>"
    low = min(values.min() for _, _, values in series)
    high = max(values.max() for _, _, values in series)
    edges = np.linspace(low, high if high > low else low + 1e-3, BINS + 1)
    width, height, left, bottom = 900, 260, 10, 30
    step = (width - 2 * left) / BINS
    drawn, legend = [], []
    for name, colour, values in series:
        share = np.histogram(values, edges)[0] / len(values)
        tops = height - bottom - share / max(share.max(), 1e-9) * (height - bottom - 10)
        points = [f"{left},{height - bottom}"]
        for i, top in enumerate(tops):
            points += [f"{left + i * step:.1f},{top:.1f}", f"{left + (i + 1) * step:.1f},{top:.1f}"]
        points.append(f"{width - left},{height - bottom}")
        drawn.append(
            f'<polyline points="{" ".join(points)}" fill="{colour}" fill-opacity=".08" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        legend.append(
            f'<span style="color:{colour}">■</span> {escape(name)} (n = {len(values)}, '
            f"mean {values.mean():.3f})"
        )
    ticks = [
        f'<text x="{left + (value - edges[0]) / (edges[-1] - edges[0]) * (width - 2 * left):.1f}" '
        f'y="{height - 10}" font-size="12" text-anchor="middle">{value:.2f}</text>'
        for value in np.linspace(edges[0], edges[-1], 9)[1:-1]
    ]
    return (
        "<p>Cosine of embeddings with the identity picture, each curve scaled to its own height. Other "
        "people: pictures of different rows, taken to show different people.</p>"
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" aria-label="identity score">'
        f"{''.join(drawn)}{''.join(ticks)}</svg><p>{' &nbsp; '.join(legend)}</p>"
    )


def _examples(evaluation: Evaluation, method: str) -> str:
    parts = [f"<h3>{escape(method)}</h3>"]
    for metric in EXAMPLES_BY:
        strips = [_strip(name, verdict, metric) for name, verdict in examples(evaluation, method, metric)]
        parts.append(
            f"<p>by {escape(METRICS[metric].title)} {METRICS[metric].arrow}</p><div>{''.join(strips)}</div>"
        )
    lost = [verdict for verdict in evaluation.of(method) if verdict.state != OK]
    if lost:
        rows = ", ".join(f"{verdict.row.number} ({escape(verdict.state)})" for verdict in lost[:50])
        parts.append(f"<p>Rows without scores: {rows}{' …' if len(lost) > 50 else ''}</p>")
    return "".join(parts)


def _strip(name: str, verdict: Verdict, metric: str) -> str:
    pictures = [verdict.row.identity, verdict.row.expression, verdict.picture]
    thumbnails = [_thumbnail(path) for path in pictures if path is not None]
    strip = Image.new("RGB", (sum(t.width for t in thumbnails), THUMBNAIL))
    x = 0
    for thumbnail in thumbnails:
        strip.paste(thumbnail, (x, 0))
        x += thumbnail.width
    data = io.BytesIO()
    strip.save(data, "JPEG", quality=88)
    source = base64.b64encode(data.getvalue()).decode("ascii")
    caption = f"{name}: row {verdict.row.number}, {METRICS[metric].title} {verdict.scores[metric]:.3f}"
    return (
        f'<div class="strip"><img src="data:image/jpeg;base64,{source}" alt="{escape(caption)}">'
        f"<small>{escape(caption)}</small></div>"
    )


def _thumbnail(path: Path) -> Image.Image:
    """A picture at the strip's height; grey if it has gone since it was judged."""
    try:
        image = read_image(path)
    except InputError:
        return Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")
    return image.resize(
        (max(1, round(image.width * THUMBNAIL / image.height)), THUMBNAIL), Image.Resampling.LANCZOS
    )


def _glossary() -> str:
    lines = [
        f"<tr><td>{escape(m.title)} {m.arrow}</td><td>{escape(m.unit) or '–'}</td>"
        f'<td>{m.low:g} to {m.high:.4g}</td><td style="text-align:left;white-space:normal">'
        f"{escape(m.meaning)} <small>{escape(m.source)}</small></td></tr>"
        for m in (METRICS[name] for name in SCORES)
    ]
    return f"<table><tr><th>metric</th><th>unit</th><th>range</th><th></th></tr>{''.join(lines)}</table>"
