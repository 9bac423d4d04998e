"""Line charts inside a page, as wide as it is: y over x."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from mien.metrics.document import COLOURS, HEIGHT, WIDTH, ticks
from mien.types import FloatArray

MARKED = 24  # points of a curve up to which each is a dot


@dataclass(frozen=True)
class Curve:
    """A line of a chart: its name, x and y [n], and, where they are known, y's intervals [n] each."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def lines(curves: Sequence[Curve], x_axis: str, y_axis: str, log: bool = False) -> str:
    """Curves on common axes, the first in the pages' first colour and so on; "" if no curve has a point.

    Args:
        log: y on a logarithmic scale; all of it must be above 0.
    """
    coloured = [(f"var(--m{i % len(COLOURS)})", curve) for i, curve in enumerate(curves) if len(curve.x)]
    if not coloured:
        return ""
    across = _scale(np.concatenate([np.asarray(curve.x, float) for _, curve in coloured]))
    heights = [part for _, curve in coloured for part in (curve.y, curve.low, curve.high) if part is not None]
    up = _scale(np.concatenate([np.asarray(part, float) for part in heights]), log)

    def points(x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(
            f"{across.share(a) * WIDTH:.1f},{(1 - up.share(b)) * HEIGHT:.2f}"
            for a, b in zip(x, y, strict=True)
        )

    drawn = [
        f'<line x1="0" x2="{WIDTH}" y1="{y:.2f}" y2="{y:.2f}" stroke="var(--line)"/>'
        for y in ((1 - up.share(tick)) * HEIGHT for tick in up.ticks)
    ]
    for colour, curve in coloured:
        if curve.low is not None and curve.high is not None:
            band = f"{points(curve.x, curve.high)} {points(curve.x[::-1], curve.low[::-1])}"
            drawn.append(f'<polygon points="{band}" fill="{colour}" fill-opacity=".15"/>')
        path = points(curve.x, curve.y)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(curve.x) <= MARKED:
            dots = "".join(f"M{point}h0" for point in path.split())
            drawn.append(
                f'<path d="{dots}" stroke="{colour}" stroke-width="6" stroke-linecap="round" fill="none"/>'
            )
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(curve.name)}</span>' for colour, curve in coloured
    )
    left = "".join(f'<span style="top:{1 - up.share(tick):.2%}">{tick:g}</span>' for tick in up.ticks)
    below = "".join(f'<span style="left:{across.share(tick):.2%}">{tick:g}</span>' for tick in across.ticks)
    kind = " (logarithmic)" if log else ""
    return (
        f'<div class="block"><p><b>{escape(y_axis)}</b><small>{kind}</small></p><div class="legend">{legend}</div>'
        f'<div class="plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(y_axis)} over {escape(x_axis)}">{"".join(drawn)}</svg>{left}</div>'
        f'<div class="under"><div class="axis">{below}</div><p>{escape(x_axis)}</p></div></div>'
    )


@dataclass(frozen=True)
class _Scale:
    """Where values lie on an axis, as shares of its length; and its round values."""

    share: Callable[[float], float]
    ticks: list[float]


def _scale(values: FloatArray, log: bool = False) -> _Scale:
    if log:
        low, high = (float(np.log10(end)) for end in (values.min(), values.max()))
        powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
        values_shown = [m * 10.0**power for power in powers for m in (1, 2, 5)]
    else:
        low, high = float(values.min()), float(values.max())
        values_shown = ticks(low, high) if high > low else [low]
    margin = (high - low) * 0.04 or 1e-3 * max(abs(high), 1e-3)
    low, high = low - margin, high + margin

    def share(value: float) -> float:
        return float(((np.log10(value) if log else value) - low) / (high - low))

    return _Scale(share, [tick for tick in values_shown if 0 <= share(tick) <= 1])
