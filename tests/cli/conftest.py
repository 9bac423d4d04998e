"""What the tests of several verbs look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Two people in one picture: the examples' identity, large, on the left, and the other one on the right."""
    picture = Image.new("RGB", (640, 360), (120, 130, 140))
    for name, side, place in (("identity", 300, (10, 30)), ("expression", 200, (400, 80))):
        picture.paste(Image.open(EXAMPLES / f"{name}.png").convert("RGB").resize((side, side)), place)
    picture.save(tmp_path / "crowd.png")
    return tmp_path / "crowd.png"
