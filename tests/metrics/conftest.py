"""A world small enough to know every answer: pictures of one colour, whose red level says which face they
show.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from mien.metrics.scoring import Scorer
from mien.types import Face


def number_of(image: Image.Image) -> int:
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


@pytest.fixture
def face() -> Callable[[int], Face]:
    """The face of a number."""

    def make(number: int) -> Face:
        rng = np.random.default_rng(number)
        landmarks = rng.uniform(10, 50, (478, 3))
        pose = rng.uniform(-20, 20, 3)
        return Face(np.array([10, 10, 50, 50.0]), landmarks, rng.uniform(0, 1, 52), pose, 1.0)

    return make


@pytest.fixture
def picture() -> Callable[[int], Image.Image]:
    """The picture of a number; 0 shows no face."""
    return lambda number: Image.new("RGB", (64, 64), (number, number * 50 % 255, 90))


@pytest.fixture
def scorer(face: Callable[[int], Face]) -> Scorer:
    """Knows the face of every picture, and finds it twice."""

    def analyse(image: Image.Image) -> list[Face]:
        return [face(number_of(image))] * 2 if number_of(image) else []

    def recognise(image: Image.Image, found: Face) -> torch.Tensor:
        return torch.tensor(np.random.default_rng(number_of(image) + 1000).normal(size=8))

    return Scorer(analyse, recognise, "world", "world", 0.6)
