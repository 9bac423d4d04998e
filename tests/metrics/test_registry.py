from __future__ import annotations

import pytest

from mien.metrics.registry import METRICS


def test_every_metric_says_what_it_is() -> None:
    assert len(METRICS) == 20
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.low < metric.high
        assert metric.source
        assert metric.meaning.endswith(".")
        assert metric.arrow


@pytest.mark.parametrize(("name", "better"), [("exp", "lower"), ("lms", "lower"), ("id", "higher")])
def test_the_papers_directions(name: str, better: str) -> None:
    assert METRICS[name].better == better
