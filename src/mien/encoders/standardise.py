"""Fixed means and deviations of the embedded encoders' numbers, so that every input of an adapter has unit scale.

`statistics.json` is written by ``python -m factory.faces.statistics`` from the training part of the prepared faces.
Zero, which guidance uses for "no condition", is then the average face.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

# Standard deviations; further off is clamped. Few numbers of photographs are beyond 3, and what a base is told beyond
# what it was shown comes out as blots (docs/diary/2026-11-embedded-models.md).
LIMITS = {"identity": 5.0, "expression": 3.0}


@cache
def _statistics() -> dict[str, tuple[Tensor, Tensor]]:
    path = Path(__file__).with_name("statistics.json")
    content = json.loads(path.read_text())
    return {key: (torch.tensor(value["mean"]), torch.tensor(value["std"])) for key, value in content.items()}


def standardise(values: Tensor, kind: str, limit: float | None = None) -> Tensor:
    """(values - mean) / std, clamped to ±limit. `kind`: "identity" [b, 128] or "expression" [b, 57]; limit None:
    ``LIMITS[kind]``."""
    limit = LIMITS[kind] if limit is None else limit
    mean, std = (x.to(values) for x in _statistics()[kind])
    return ((values - mean) / std).clamp(-limit, limit)


def restore(values: Tensor, kind: str) -> Tensor:
    """The inverse of `standardise`, but for what it clamped: values * std + mean."""
    mean, std = (x.to(values) for x in _statistics()[kind])
    return values * std + mean
