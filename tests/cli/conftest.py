"""What the tests of several verbs look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.backbones import Backbone, load_backbone
from mien.making import model
from mien.weights.bases import find_folder

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
LOADED: dict[Any, Backbone] = {}


def load_once(name: str, *how: Any) -> Backbone:
    """`load_backbone`, by which a process reads the embedded model once, as the studio does."""
    if name != str(find_folder("mini")):
        return load_backbone(name, *how)
    asked = (name, *how)
    if asked not in LOADED:
        LOADED[asked] = load_backbone(*asked)
    return LOADED[asked]


@pytest.fixture(autouse=True, scope="module")
def one_model() -> Iterator[None]:
    """A third of these tests' time was the embedded model, read anew by every command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "load_backbone", load_once)
        yield


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Two people in one picture: the examples' identity, large, on the left, and the other one on the right."""
    picture = Image.new("RGB", (640, 360), (120, 130, 140))
    for name, side, place in (("identity", 300, (10, 30)), ("expression", 200, (400, 80))):
        picture.paste(Image.open(EXAMPLES / f"{name}.png").convert("RGB").resize((side, side)), place)
    picture.save(tmp_path / "crowd.png")
    return tmp_path / "crowd.png"
