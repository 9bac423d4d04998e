"""Line charts: where points lie, and that nothing breaks on the smallest input."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks.laboratory.chart import Curve, lines
from mien.metrics.document import HEIGHT, WIDTH


def drawn(html: str, tag: str) -> list[ElementTree.Element]:
    """Elements of the chart's picture."""
    found = re.search(r"<svg.*</svg>", html)
    assert found
    return list(ElementTree.fromstring(found[0]).iter(tag))


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = element.attrib["points"].split()
    return [(float(pair.split(",")[0]), float(pair.split(",")[1])) for pair in pairs]


def test_the_extremes_lie_a_margin_from_the_edges_and_the_middle_in_the_middle() -> None:
    html = lines([Curve("a", [0, 5, 10], [2.0, 3.0, 4.0])], "x", "y")
    (line,) = drawn(html, "polyline")
    margin = 0.04 / 1.08
    assert points(line) == [
        pytest.approx((margin * WIDTH, (1 - margin) * HEIGHT), abs=0.1),
        pytest.approx((WIDTH / 2, HEIGHT / 2), abs=0.1),
        pytest.approx(((1 - margin) * WIDTH, margin * HEIGHT), abs=0.1),
    ]


def test_a_logarithmic_axis_puts_equal_ratios_at_equal_distances() -> None:
    html = lines([Curve("a", [0, 1, 2], [1.0, 10.0, 100.0])], "x", "y", log=True)
    (line,) = drawn(html, "polyline")
    heights = [y for _, y in points(line)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.1)
    assert {"1", "10", "100"} <= set(re.findall(r'<span style="top[^>]*>([^<]*)<', html))


def test_a_band_goes_along_the_upper_ends_and_back_along_the_lower() -> None:
    html = lines([Curve("a", [0, 1], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5])], "x", "y")
    (band,) = drawn(html, "polygon")
    corners = points(band)
    assert corners[0][1] < corners[3][1] and corners[1][1] < corners[2][1]  # y grows downwards
    assert corners[0][0] == corners[3][0] < corners[1][0] == corners[2][0]


@pytest.mark.parametrize("x, y", [([3], [0.0]), ([3, 3], [7.0, 7.0])])
def test_one_place_is_enough(x: list[float], y: list[float]) -> None:
    html = lines([Curve("a", x, y)], "x", "y")
    for place in points(drawn(html, "polyline")[0]):
        assert place == pytest.approx((WIDTH / 2, HEIGHT / 2), abs=0.1)


def test_names_are_escaped_and_nothing_gives_nothing() -> None:
    assert "<b>&amp;" in lines([Curve("<i>", [1], [1.0])], "x", "&").replace("<b>& ", "")
    assert "<i>" not in lines([Curve("<i>", [1], [1.0])], "x", "y").replace("<i style", "")
    assert lines([], "x", "y") == "" == lines([Curve("a", [], [])], "x", "y")
