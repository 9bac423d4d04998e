"""What every number is: which way is better, its range, unit and source; the metrics are in ``registry.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as in tables and files. title: for people.
        better: which way is better; "neither" where zero is best or it depends on the task.
        low, high: the range of its values, inclusive; the file's null is infinite.
        unit: of its values; "" has none.
        source: paper and equation, or "ours". meaning: one sentence.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "neither"]
    low: float
    high: float
    unit: str
    source: str
    meaning: str

    @property
    def arrow(self) -> str:
        """↑, ↓ or → (zero is best)."""
        return {"higher": "↑", "lower": "↓", "neither": "→0"}[self.better]


def _read() -> dict[str, Metric]:
    content = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    metrics = {}
    for name, entry in content.items():
        low, high = entry.pop("range")
        low, high = -inf if low is None else low, inf if high is None else high
        metrics[name] = Metric(name, low=low, high=high, **entry)
    return metrics


METRICS = _read()
