"""What a photo may be given as, in Python."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import mien
from mien.images import given_image
from mien.types import InputError


def test_an_array_of_bytes_is_a_picture() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(given_image(levels), levels)
    assert np.array_equal(given_image(Image.fromarray(levels)), levels)


@pytest.mark.parametrize(
    "wrong", [None, 3, np.zeros((20, 30)), np.zeros((20, 30, 3)), np.zeros((20, 30, 4), np.uint8)]
)
def test_what_is_no_picture_is_told_in_a_sentence(wrong: object) -> None:
    with pytest.raises(InputError, match=r"\[H, W, 3\] of uint8"):
        mien.load_photo()(wrong, "joy")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\[H, W, 3\] of uint8"):
        mien.load_swap()(wrong, "friend.jpg")  # type: ignore[arg-type]


def test_a_mistyped_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean mini"):
        mien.load("minii")
