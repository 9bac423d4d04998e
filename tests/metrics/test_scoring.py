from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.metrics.registry import METRICS
from mien.metrics.scoring import Scorer, load_scorer
from mien.types import Face, InputError


def face(seed: int) -> Face:
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(10, 50, (478, 3))
    return Face(np.array([10, 10, 50, 50.0]), landmarks, rng.uniform(0, 1, 52), rng.uniform(-20, 20, 3), 1.0)


class World:
    """Pictures of one colour; the red level is the number of the face that is found there, 0 is none."""

    def analyse(self, image: Image.Image) -> list[Face]:
        number = image.getpixel((0, 0))[0]
        return [face(number)] * 2 if number else []

    def recognise(self, image: Image.Image, face: Face) -> torch.Tensor:
        return torch.tensor(np.random.default_rng(image.getpixel((0, 0))[0] + 1000).normal(size=8))


@pytest.fixture
def scorer() -> Scorer:
    world = World()
    return Scorer(world.analyse, world.recognise, "world", "world")


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (64, 64), (number, number * 50 % 255, 90))


def test_no_face_is_none_and_several_are_counted(scorer: Scorer) -> None:
    assert scorer.observe(picture(0)) is None
    seen = scorer.observe(picture(3))
    assert seen is not None
    assert seen.faces == 2
    assert seen.identity.shape == (8,)


def test_the_identity_picture_itself_and_the_reference_itself(scorer: Scorer) -> None:
    identity, reference = scorer.observe(picture(1)), scorer.observe(picture(2))
    assert identity and reference
    unchanged = scorer.compare(identity, identity, reference)
    copied = scorer.compare(reference, identity, reference)
    assert unchanged["id"] == pytest.approx(1)
    assert (unchanged["same_person"], unchanged["nearer_identity"], unchanged["pose"]) == (1, 1, 0)
    assert unchanged["exp"] == pytest.approx(np.abs(face(1).blendshapes - face(2).blendshapes).mean())
    assert [unchanged[f"copy_{what}"] for what in ("expression", "identity", "pose", "appearance")] == [
        1,
        -1,
        -1,
        -1,
    ]
    assert (copied["exp"], copied["exp_sum"], copied["lms"]) == (0, 0, 0)
    assert (copied["same_person"], copied["nearer_identity"]) == (0, 0)
    assert [copied[f"copy_{what}"] for what in ("expression", "identity", "pose", "appearance")] == [
        -1,
        1,
        1,
        1,
    ]


def test_values_are_in_the_ranges_that_are_declared(scorer: Scorer) -> None:
    seen = [scorer.observe(picture(number)) for number in range(1, 9)]
    for result in seen:
        for name, value in scorer.compare(result, seen[0], seen[1]).items():  # type: ignore[arg-type]
            assert METRICS[name].low <= value <= METRICS[name].high


def test_unknown_scorers_are_bad_input() -> None:
    with pytest.raises(InputError, match="choose embedded or mediapipe"):
        load_scorer(analyser="openface")
    with pytest.raises(InputError, match="choose embedded or dlib"):
        load_scorer(recogniser="arcface")
