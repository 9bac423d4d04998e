"""Pages of HTML that need nothing else, from the templates of `pages/`: style, pictures and charts are inside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
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
    return _environment().get_template(template).render(**values) + "\n"


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

    def at(value: float) -> float:
        return float((value - edges[0]) / (edges[-1] - edges[0]))

    drawn = []
    for name, colour, values in series:
        counts = np.histogram(values, edges)[0]
        tops = HEIGHT - counts / counts.max() * (HEIGHT - 4)
        outline = zip(np.arange(BINS + 1).repeat(2)[1:-1] * WIDTH / BINS, tops.repeat(2), strict=True)
        mean, count = float(values.mean()), len(values)
        drawn.append(
            {"name": name, "colour": colour, "mean": mean, "at": at(mean), "count": count, "outline": outline}
        )
    return render(
        "ridges.html.jinja",
        axis=axis,
        drawn=drawn,
        ticks=[{"value": value, "at": at(value)} for value in ticks(edges[0], edges[-1])],
        width=WIDTH,
        height=HEIGHT,
    )


def ticks(low: float, high: float) -> list[float]:
    """Round values between low and high, some five of them."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999))
    return [round(i * step, 10) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
