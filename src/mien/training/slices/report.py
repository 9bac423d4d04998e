"""The page of a run in slices: what each brought, what had been expected of it, and the curve."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import write_text
from mien.training.slices.expect import expect, points
from mien.types import InputError

BEGIN, END = "<!-- slices: {name} -->", "<!-- end of slices: {name} -->"
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 260, 64, 34
INK, FAINT, LINE = "#2f62c9", "#777", "#ddd"
BENCHMARK = "portrait_benchmark.json"  # of benchmarks/portrait_benchmark.py, beside a state that it scored


def table(history: Sequence[Mapping[str, Any]], archive: Path) -> str:
    """Markdown: one row a slice.

    Args:
        archive: folder with ``NNNN/portrait_benchmark.json`` of slices that were scored.
    """
    scored = [_scores(archive / f"{entry['slice']:04d}" / BENCHMARK) for entry in history]
    measures = list(dict.fromkeys(name for scores in scored for name in scores))
    watch = history[0]["watch"].replace("_", " ") if history else "held out"
    heads = [
        "slice",
        "on",
        "minutes",
        "steps",
        "pictures",
        "pictures/s",
        "rate",
        f"{watch}: start → kept",
        "change",
    ]
    heads += ["expected (80%)", *measures]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for k, (entry, scores) in enumerate(zip(history, scored, strict=True)):
        start = entry["curve"][0][1][entry["watch"]]
        kept = _kept(entry)
        said = expect(history[:k], entry["images"])
        cells = [
            str(entry["slice"]),
            entry["device"].removeprefix("NVIDIA "),
            f"{entry['seconds'] / 60:.1f}",
            f"{entry['steps']:,}",
            f"{entry['images']:,}",
            f"{entry['images'] / entry['seconds']:,.0f}",
            f"{entry['lr']:g}",
            f"{start:.4g} → {kept:.4g}",
            f"{kept - start:+.2g}",
            "–" if said is None else f"{said.change[0]:+.2g} to {said.change[2]:+.2g}",
            *(scores.get(name, "–") for name in measures),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _kept(entry: Mapping[str, Any]) -> float:
    at = entry["kept_step"] * entry["batch"]
    return next(numbers[entry["watch"]] for images, numbers in reversed(entry["curve"]) if images == at)


def _scores(path: Path) -> dict[str, str]:
    """Measure → value of a benchmark's rows, if it was run."""
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {row["what"]: format(row["value"]["value"], row["spec"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not what benchmarks/portrait_benchmark.py writes ({error}).") from error


def curve(history: Sequence[Mapping[str, Any]]) -> str:
    """SVG: the watched number over the pictures seen, one line a slice; a ring marks the state that was kept."""
    known = points(history)
    watch = history[0]["watch"].replace("_", " ")
    low, high = known[:, 1].min(), known[:, 1].max()
    margin = max((high - low) * 0.08, 1e-6)
    low, high, most = low - margin, high + margin, max(known[:, 0].max(), 1.0)

    def place(images: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 12) * images / most
        return across, (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - 10) * (value - low) / (high - low)

    drawn = []
    for value in np.linspace(low + margin, high - margin, 4):
        y = place(0, value)[1]
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for images in np.linspace(0, most, 5):
        x = place(images, low)[0]
        anchor, y = "end" if images == most else "middle", HEIGHT - BOTTOM + 16
        drawn.append(f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{images:,.0f}</text>')
    for entry in history:
        ours = known[known[:, 2] == entry["slice"]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(n, v) for n, v, _ in ours))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="2"/>')
        seen = ours[0, 0] + entry["kept_step"] * entry["batch"]
        x, y = place(seen, _kept(entry))
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#fff" stroke="{INK}" stroke-width="2"/>')
        x = place(ours[:, 0].mean(), low)[0]
        drawn.append(f'<text x="{x:.1f}" y="14" text-anchor="middle">slice {entry["slice"]}</text>')
    middle, label = (
        (LEFT + WIDTH) / 2,
        f"{escape(watch)} over pictures seen; rings: what the next went on from",
    )
    drawn.append(f'<text x="{middle}" y="{HEIGHT - 2}" text-anchor="middle">{label}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="11" fill="{FAINT}" role="img" aria-label="{label}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def forecast(history: Sequence[Mapping[str, Any]], images: float | None = None) -> str:
    """One or two sentences on the next slice."""
    said = expect(history, images)
    if said is None:
        return "Too few validations to say what another slice would bring: run one."
    last = history[-1]
    count = last["images"] if images is None else images
    verdict = "likely" if said.improves >= 0.8 else "unlikely" if said.improves < 0.2 else "as likely as not"
    low, median, high = said.change
    return (
        f"{last['watch'].replace('_', ' ')} is {said.now:.4g}. After {count:,.0f} more pictures: {said.then[1]:.4g} "
        f"({said.then[0]:.4g} to {said.then[2]:.4g} with 80%), a change of {median:+.2g} ({low:+.2g} to {high:+.2g}); "
        f"an improvement is {verdict} (probability {said.improves:.2f})."
    )


def write_page(history: Sequence[Mapping[str, Any]], archive: Path, name: str, page: Path) -> None:
    """Put table, forecast and curve between the page's marks, and the curve's picture beside the page.

    Raises:
        InputError: the page is missing or has no such marks, or there is no slice yet.
    """
    if not history:
        raise InputError("There is nothing to report: no slice has been run.")
    begin, end = BEGIN.format(name=name), END.format(name=name)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if begin not in text or end not in text.split(begin, 1)[1]:
        raise InputError(f"{page} has no lines {begin} and {end}: add them where the table should be.")
    picture = page.with_name(f"{page.stem}_{name}.svg")
    next_one = textwrap.fill(f"Next: {forecast(history)}", 120)
    inner = f"{table(history, archive)}\n![{name}]({picture.name})\n\n{next_one}\n"
    head, rest = text.split(begin, 1)
    write_text(picture, curve(history))
    write_text(page, f"{head}{begin}\n{inner}{end}{rest.split(end, 1)[1]}")
