"""Pages of HTML that need nothing else, from the templates of `pages/`: style, pictures and charts are inside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from mien.types import FloatArray

COLOURS = ("#2f62c9", "#c2620b", "#1f8a45", "#9c36a8", "#b83333", "#0e7f93")  # of methods, on white
DARK = ("#7ea6ff", "#f0994a", "#5cc982", "#d98be3", "#f07f7f", "#4fc3d6")  # the same on black
BINS = 48
WIDTH, HEIGHT = 1000, 100  # of a ridge's own grid, which is stretched to the page


def render(template: str, **values: Any) -> str:
    """A page: `title`, `heading` and what else the template asks for; all text is escaped."""
    shared: dict[str, Any] = {"style": "", "body": ""}
    return _environment().get_template(template).render(**{**shared, **values}) + "\n"


def figure(picture: Image.Image, caption: str) -> str:
    """A picture with its caption, as HTML."""
    macros: Any = _environment().get_template("figure.html.jinja").module
    return str(macros.figure(picture, caption))


def inside(picture: Image.Image) -> str:
    """A picture as JPEG, for the source of an image."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("pages")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inside"] = inside
    for name, colours in (("light", COLOURS), ("dark", DARK)):
        environment.globals[name] = Markup(";".join(f"--m{i}:{colour}" for i, colour in enumerate(colours)))
    return environment


def ridges(series: Sequence[tuple[str, str, FloatArray]], axis: str) -> str:
    """Histograms that share bins, each scaled to its own height, one below the other; "" if there are none. series:
    (name, CSS colour, values [n ≥ 1]). axis: what the values are."""
    if not series:
        return ""
    everything = np.concatenate([values for _, _, values in series])
    low, high = float(everything.min()), float(everything.max())
    margin = max((high - low) * 0.04, 1e-3)
    edges = np.linspace(low - margin, high + margin, BINS + 1)

    def share(value: float) -> float:
        return float((value - edges[0]) / (edges[-1] - edges[0]))

    round_values = ticks(edges[0], edges[-1])
    lines = "".join(
        f'<line x1="{share(tick) * WIDTH:.1f}" x2="{share(tick) * WIDTH:.1f}" y1="0" y2="{HEIGHT}" '
        'stroke="var(--line)"/>'
        for tick in round_values
    )
    drawn = []
    for name, colour, values in series:
        counts = np.histogram(values, edges)[0]
        tops = HEIGHT - counts / counts.max() * (HEIGHT - 4)
        points = [f"0,{HEIGHT}"]
        for i, top in enumerate(tops):
            points += [f"{i * WIDTH / BINS:.1f},{top:.1f}", f"{(i + 1) * WIDTH / BINS:.1f},{top:.1f}"]
        points.append(f"{WIDTH},{HEIGHT}")
        mean = float(values.mean())
        x = share(mean) * WIDTH
        drawn.append(
            f'<div class="ridge"><b>{escape(name)}</b> <small>mean {mean:.3f}, n = {len(values)}</small>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
            f'aria-label="{escape(axis)} of {escape(name)}">{lines}'
            f'<polyline points="{" ".join(points)}" fill="{colour}" fill-opacity=".25" stroke="{colour}" '
            f'stroke-width="1.5"/><line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}" stroke="{colour}" '
            'stroke-width="2.5"/></svg></div>'
        )
    numbers = "".join(f'<span style="left:{share(tick):.2%}">{tick:g}</span>' for tick in round_values)
    return f'{"".join(drawn)}<div class="axis">{numbers}</div>'


def ticks(low: float, high: float) -> list[float]:
    """Round values between low and high, some five of them."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999))
    return [round(i * step, 10) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
