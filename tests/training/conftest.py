"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mien.backbones import Backbone, load_backbone
from mien.training import adapter, judge
from mien.training.stages import sfsr
from tests import tiny


def load(name: str, device: str, dtype: str, start: Any = None) -> Backbone:
    """`load_backbone`, by which a process reads a tiny model once; every stage has a copy of its own."""
    if (device, dtype, start) == ("cpu", "float32", None) and Path(name).is_dir():
        return tiny.load(Path(name))
    return load_backbone(name, device, dtype, start)


@pytest.fixture(autouse=True, scope="module")
def read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (adapter, sfsr):
            patch.setattr(module, "load_backbone", load)
        for name in ("load_analyser", "load_recogniser"):  # frozen: all judges may share them
            patch.setattr(judge, name, cache(getattr(judge, name)))
        yield
