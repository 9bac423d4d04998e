"""What the embedded default is told of blendshapes: a conditional mean, checked against its definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.encoders.expression import EmbeddedExpression
from mien.encoders.standardise import LIMITS, restore, standardise
from mien.expressions import faces as shipped
from mien.expressions import reading
from mien.expressions.labels import get
from mien.expressions.spec import Part
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX, NAMES
from mien.face.landmarks import LMS_NAMES


def ratios(shapes: dict[str, float]) -> dict[str, float]:
    restored = restore(reading.numbers(shapes), "expression")
    return dict(zip(LMS_NAMES, restored[52:].tolist(), strict=True))


def test_what_is_not_named_rests() -> None:
    vector = reading.complete({"jawOpen": 0.8, "mouthPressLeft": 0.0})
    rest = reading.at_rest()
    assert vector[INDEX["jawOpen"]] == 0.8 and vector[INDEX["mouthPressLeft"]] == 0.0
    assert vector[INDEX["eyeSquintLeft"]] == rest[INDEX["eyeSquintLeft"]] > 0.1
    assert (
        vector[INDEX["mouthPressRight"]] == 0.0 < rest[INDEX["mouthPressRight"]]
    )  # an open jaw presses no lips
    assert np.array_equal(reading.complete({}), rest) and rest.max() < 0.5


def test_the_numbers_are_the_gaussians_conditional_mean() -> None:
    """Against the information form: (S⁻¹ + Hᵀ R⁻¹ H)⁻¹ (S⁻¹ mu + Hᵀ R⁻¹ y), which shares no line with it."""
    shapes = {"jawOpen": 0.5, "mouthSmileLeft": 0.3, "noseSneerLeft": 0.3}
    _, mean, covariance = reading._fitted()
    statistics = json.loads(Path(standardise.__code__.co_filename).with_name("statistics.json").read_text())
    average, std = (np.array(statistics["expression"][key][:52]) for key in ("mean", "std"))
    y = (reading.complete(shapes) - average) / std
    sigma = np.array([0.05 if name in shapes else 0.15 for name in NAMES]) / std
    ridge = covariance + 1e-9 * np.eye(57)  # blendshapes that never move have no variance to be inverted
    h = np.eye(57)[:52]
    precision = np.linalg.inv(ridge) + h.T @ np.diag(sigma**-2.0) @ h
    wanted = np.linalg.solve(precision, np.linalg.solve(ridge, mean) + h.T @ (y / sigma**2))
    limit = LIMITS["expression"]
    assert (np.abs(wanted) > limit).any()
    assert reading.numbers(shapes).numpy() == pytest.approx(wanted.clip(-limit, limit), abs=2e-2)


def test_covariance_is_one_and_comes_from_real_faces() -> None:
    _, mean, covariance = reading._fitted()
    assert np.allclose(covariance, covariance.T) and np.linalg.eigvalsh(covariance).min() > -1e-3
    assert np.abs(mean).max() < 0.3 and covariance[INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]] > 0.5


def test_a_face_does_what_it_is_told() -> None:
    rest = ratios({})
    assert ratios({"jawOpen": 0.8})["mouth"] > rest["mouth"] + 0.2
    closed = ratios({"eyeBlinkLeft": 0.7, "eyeBlinkRight": 0.7})
    assert closed["leye"] < 0.7 * rest["leye"] and closed["reye"] < 0.7 * rest["reye"]
    sneer = reading.numbers(
        {"noseSneerLeft": 1.0}
    )  # no photograph is read as sneering: it says next to nothing
    assert (sneer - reading.numbers({})).abs().max() < 1
    numbers = restore(reading.numbers({"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}), "expression")
    assert numbers[INDEX["mouthSmileLeft"]] > 0.75
    assert torch.equal(reading.numbers({}), reading.numbers({}))


@pytest.mark.parametrize("word", ["joy", "disgust", "relief", "envy"])
def test_words_are_told_as_their_faces_are_read(word: str) -> None:
    """The numbers of a word are nearer to what the encoder reads of its shipped face than those of neutral are."""
    image: Image.Image = shipped.picture(word)
    read = EmbeddedExpression()(image, analyze(image)[0])
    told = reading.numbers(shipped.named(Part(1.0, word=word)))
    neutral = reading.numbers({})
    assert (told - read).norm() < 0.9 * (neutral - read).norm()
    assert get(word).prototype.max() > 0
