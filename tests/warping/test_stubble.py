"""Stubble on the jaw and throat of people who are nobody, and what is left of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.types import ByteImage, FloatArray
from mien.warping import matte, stubble
from mien.warping.swap import swap

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE = 512


def looked_at(name: str) -> tuple[ByteImage, FloatArray]:
    image = Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((SIDE, SIDE))
    return np.asarray(image), analyze(image)[0].landmarks


def grown(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    """Single dark hairs on jaw and neck, two px wide, that leave skin between them."""
    hairs = np.kron(np.random.default_rng(0).random((SIDE // 2, SIDE // 2)) < 0.25, np.ones((2, 2)))
    where = matte.neck(image.shape, landmarks) * hairs
    return np.asarray(image * (1 - 0.5 * where[..., None]), np.uint8)


@pytest.fixture(scope="module")
def bare() -> tuple[ByteImage, FloatArray]:
    return looked_at("ana_rest")


def test_stubble_is_told_from_bare_skin_and_shade(bare: tuple[ByteImage, FloatArray]) -> None:
    image, points = bare
    lower = matte.throat(image.shape, points)[..., None]
    shaded = np.where(lower, image * 0.6, image).astype(np.uint8)
    assert stubble.stubbly(image, points) == stubble.stubbly(shaded, points) == 0
    assert stubble.stubbly(grown(image, points), points) == 1


def test_skin_between_the_hairs_stays_and_nothing_else_changes(bare: tuple[ByteImage, FloatArray]) -> None:
    image, points = bare
    hairy = grown(image, points)
    below = np.arange(SIDE)[:, None] > points[152, 1]
    where = (matte.neck(image.shape, points) * below).astype(np.float32)
    wide = float(np.linalg.norm(points[234, :2] - points[454, :2]))
    result = stubble.shaven(hairy, where, wide)
    assert np.array_equal(result[where == 0], hairy[where == 0])
    inside = cv2.erode(where, np.ones((9, 9))) > 0
    off = [np.abs(p.astype(float) - image)[inside].mean() for p in (hairy, result)]
    assert off[1] < 0.65 * off[0]


def test_stubble_beside_a_new_bare_face_goes_and_beside_a_bearded_one_stays(
    bare: tuple[ByteImage, FloatArray],
) -> None:
    image, points = bare
    hairy = grown(image, points)
    identity, theirs = looked_at("may_rest")
    throat = matte.neck(image.shape, points) * (np.arange(SIDE)[:, None] > points[152, 1] + 12) > 0

    def rough(picture: ByteImage) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2))[throat].mean())

    gone, kept = (
        rough(swap(hairy, points, who, theirs).image) for who in (identity, grown(identity, theirs))
    )
    assert gone < 0.4 * rough(hairy) < kept
