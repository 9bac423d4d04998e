"""How lips of one skin come to another's, on flat colours."""

from __future__ import annotations

import numpy as np
import pytest

from mien.types import ByteImage, FloatArray
from mien.warping import complexion

SIDE = 120


def face(skin: tuple[int, ...], lips: tuple[int, ...]) -> ByteImage:
    picture = np.full((SIDE, SIDE, 3), skin, np.uint8)
    picture[80:90, 40:80] = lips
    return picture


def redder(picture: FloatArray) -> float:
    lips, skin = (np.log(picture[y, 60, :2].astype(float)) for y in (85, 30))
    return float(lips[0] - skin[0] - lips[1] + skin[1])


@pytest.mark.parametrize("other", [(60, 42, 36), (180, 140, 130)])
def test_red_lips_on_darker_skin_do_not_fade(other: tuple[int, ...]) -> None:
    """Lips without a red of their own leave those of the new person as red as lips are."""
    own = face((205, 165, 150), (175, 110, 110))
    back = face(other, other)
    lips = np.zeros((SIDE, SIDE), np.float32)
    lips[80:90, 40:80] = 1
    none = np.zeros_like(lips)
    skins = complexion.complexion(own, back, 1 - lips, lips)
    result = skins.apply(own, lips, none, 1 - lips, none)
    assert redder(own.astype(np.float32)) > 0.2
    assert 0.13 < redder(result) < redder(own.astype(np.float32))


def test_lips_that_both_have_pale_stay_pale() -> None:
    pale = face((205, 165, 150), (180, 143, 132))
    lips = np.zeros((SIDE, SIDE), np.float32)
    lips[80:90, 40:80] = 1
    none = np.zeros_like(lips)
    darker = (0.8 * pale).astype(np.uint8)  # lips get red on darker skin alone
    result = complexion.complexion(pale, darker, 1 - lips, lips).apply(pale, lips, none, 1 - lips, none)
    assert redder(result) == pytest.approx(redder(pale.astype(np.float32)), abs=0.01)


@pytest.mark.parametrize(("other", "deeper"), [(60, True), (170, False)])
def test_shades_are_deeper_on_much_darker_skin_alone(other: int, deeper: bool) -> None:
    own = face((205, 165, 150), (205, 165, 150))
    own[40:60] = (164, 132, 120)  # four fifths of the light
    none = np.zeros((SIDE, SIDE), np.float32)
    skin = none + 1
    back = np.asarray(own.astype(float) * other / 175, np.uint8)
    skins = complexion.complexion(own, back, skin, none)
    result = skins.apply(own, none, none, skin, none)
    shade = float(np.log(result[50, 60] / result[20, 60]).mean())
    assert shade == pytest.approx(np.log(0.8), abs=0.03) if not deeper else shade < 1.4 * np.log(0.8)
