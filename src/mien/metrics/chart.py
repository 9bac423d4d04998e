"""Charts inside a page, as wide as it is: ridges (distributions, one above the other) and lines (y over x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from mien.types import FloatArray

COLOURS = ("#2f62c9", "#c2620b", "#1f8a45", "#9c36a8", "#b83333", "#0e7f93")  # of methods, on white
DARK = ("#7ea6ff", "#f0994a", "#5cc982", "#d98be3", "#f07f7f", "#4fc3d6")  # the same on black
BINS = 48
MARKED = 24  # points of a curve up to which each is a dot
WIDTH, HEIGHT = 1000, 100  # of a ridge's own grid, which is stretched to the page

STYLE = """
.ridge{position:relative;margin:.3rem 0}.ridge svg,.axis{display:block;width:100%;height:52px}
.axis{position:relative;height:1.4rem;border-top:1px solid var(--line)}
.axis span{position:absolute;transform:translateX(-50%);color:var(--faint);font-size:.82rem}
.ridge polyline,.ridge line,.plot *{vector-effect:non-scaling-stroke}
.plot{position:relative;margin:.3rem 0 0 3.6rem}.plot svg{display:block;width:100%;height:220px;overflow:visible}
.plot>span{position:absolute;right:100%;transform:translateY(-50%);margin-right:.5rem;color:var(--faint);
font-size:.82rem;white-space:nowrap}
.under{margin-left:3.6rem}.under p{color:var(--faint);font-size:.82rem;text-align:center;margin:.1rem 0;max-width:none}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;font-size:.88rem}
.legend i{display:inline-block;width:1.1rem;height:.22rem;margin-right:.4rem;vertical-align:middle}
"""


@dataclass(frozen=True)
class Curve:
    """A line of a chart: its name, x and y [n], and, where they are known, y's intervals [n] each."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def ridges(series: Sequence[tuple[str, str, FloatArray]], axis: str) -> str:
    """Histograms that share bins, each scaled to its own height, one below the other; "" if there are none.

    Args:
        series: (name, CSS colour, values [n ≥ 1]). axis: what the values are.
    """
    if not series:
        return ""
    everything = np.concatenate([values for _, _, values in series])
    low, high = float(everything.min()), float(everything.max())
    margin = max((high - low) * 0.04, 1e-3)
    edges = np.linspace(low - margin, high + margin, BINS + 1)

    def share(value: float) -> float:
        return float((value - edges[0]) / (edges[-1] - edges[0]))

    ticks = _ticks(edges[0], edges[-1])
    lines = "".join(
        f'<line x1="{share(tick) * WIDTH:.1f}" x2="{share(tick) * WIDTH:.1f}" y1="0" y2="{HEIGHT}" '
        'stroke="var(--line)"/>'
        for tick in ticks
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
    numbers = "".join(f'<span style="left:{share(tick):.2%}">{tick:g}</span>' for tick in ticks)
    return f'{"".join(drawn)}<div class="axis">{numbers}</div>'


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
        ticks = [m * 10.0**power for power in powers for m in (1, 2, 5)]
    else:
        low, high = float(values.min()), float(values.max())
        ticks = _ticks(low, high) if high > low else [low]
    margin = (high - low) * 0.04 or 1e-3 * max(abs(high), 1e-3)
    low, high = low - margin, high + margin

    def share(value: float) -> float:
        return float(((np.log10(value) if log else value) - low) / (high - low))

    return _Scale(share, [tick for tick in ticks if 0 <= share(tick) <= 1])


def _ticks(low: float, high: float) -> list[float]:
    """Round values between low and high, some five of them."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999))
    return [round(i * step, 10) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
