"""Contact sheets hold every picture, whole, in its place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mien.sheets import sheet


def test_pictures_stand_side_by_side_in_order() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    drawn = sheet([[(f"label {c}", Image.new("RGB", (64, 64), c)) for c in colours]], side=128)
    pixels = np.asarray(drawn)
    places = [int(np.where((pixels == c).all(-1).any(0))[0].mean()) for c in colours]
    assert places == sorted(places)
    for colour in colours:
        assert (pixels == colour).all(-1).sum() == 128 * 128
    assert (pixels[:12] < 128).all(-1).any(), "no words above the pictures"


def test_odd_shapes_and_long_labels_fit() -> None:
    wide = Image.new("RGB", (400, 100), (9, 9, 9))
    drawn = sheet([[("a very long label " * 10, wide), ("two\nlines", wide)], [("", wide)]], side=96)
    assert (np.asarray(drawn) == 9).all(-1).sum() >= 3 * 96 * 24
    assert np.asarray(drawn)[:, -1].min() == 255


def test_no_picture() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sheet([])
