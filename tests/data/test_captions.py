"""Captions say what is there, in words that the tokenizer has."""

from __future__ import annotations

import numpy as np
import pytest

from factory.faces.captions import age_words, caption
from factory.faces.sources import Label, read_label
from mien.data.ingest import background_colour, light_words


def test_whole_caption() -> None:
    label = Label("x", age=25, gender="woman", ethnicity="asian")
    whole = caption("colour photo", label, "light from the left", "white", (True, True, True, True))
    assert whole == "colour photo of a young asian woman, light from the left, white background"
    assert caption("3d render", Label("x"), "", "blue", (True, True, True, False)) == "3d render of a person"
    assert caption("3d render", label, "", "blue", (False, False, False, False)) == ""
    assert caption("photo", Label("x", age=70), "", "", (False, True, False, False)) == "an old person"


@pytest.mark.parametrize(
    ("age", "word"), [(18, "young"), (29, "young"), (30, "adult"), (59, "middle-aged"), (90, "old")]
)
def test_ages(age: int, word: str) -> None:
    assert age_words(age) == word


def test_background_and_light() -> None:
    crop = np.full((128, 128, 3), 120, np.uint8)
    crop[:16] = (70, 105, 170)
    assert background_colour(crop) == "blue"
    landmarks = np.zeros((478, 3))
    landmarks[50, :2], landmarks[280, :2] = (40, 80), (90, 80)
    assert light_words(crop, landmarks) == ""
    crop[:, :64] = 220
    assert light_words(crop, landmarks) == "light from the left"
    assert light_words(crop[:, ::-1], landmarks) == "light from the right"
    assert light_words(np.full((128, 128, 3), 30, np.uint8), landmarks) == "dark light"


def test_labels_from_names() -> None:
    full = read_label("utkface-adults", "36_1_3_20170117153823071.jpg")
    assert (full.age, full.gender, full.ethnicity) == (36, "woman", "indian")
    short = read_label("utkface-adults", "61_1_20170109150557335.jpg")
    assert (short.age, short.gender, short.ethnicity) == (61, None, None)
    assert read_label("lfw-gray", "Anna_Maria_Jones_0002.jpg").person == "Anna_Maria_Jones"
