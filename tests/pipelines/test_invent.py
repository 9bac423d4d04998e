"""People who do not exist, on a tiny model and on what ships."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.encoders import people
from mien.face.blendshapes import INDEX
from mien.pipelines.diffusers_names import to_pil
from mien.pipelines.invent import TRIES, invent
from mien.pipelines.portrait import PortraitPipeline
from mien.types import Face, InputError
from tests.pipelines.test_inputs import Looks, one_face


class Blind:
    """Sees no face in the first `misses` pictures it is shown."""

    def __init__(self, misses: int) -> None:
        self.misses = misses

    def __call__(self, image: Image.Image) -> Sequence[Face]:
        self.misses -= 1
        return [] if self.misses >= 0 else one_face(image)


class Pixels(Looks):
    """Knows people by their first pixels."""

    name, width = "pixels", 12

    def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image, np.float32).ravel()[:12] / 128 - 1)


def test_everybody_comes_from_their_own_seed(pipe: PortraitPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pipe._encoders, "identity", Pixels())
    both = invent(pipe, 2, seed=5)
    assert [one.seed for one in both] == [5, 6]
    (alone,) = invent(pipe, seed=6)
    np.testing.assert_array_equal(both[1].image, alone.image)
    assert np.asarray(both[0].image).tobytes() != np.asarray(alone.image).tobytes()
    (other,) = invent(pipe, seed=6, prompt="render")
    assert np.asarray(other.image).tobytes() != np.asarray(alone.image).tobytes()


def test_both_halves_of_somebody_are_told_of(pipe: PortraitPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pipe._encoders, "identity", Pixels())
    told: list[tuple[int, int]] = []
    invent(pipe, 1, seed=5, callback=lambda step, total, _: told.append((step, total)))
    total = told[0][1]
    assert told == 2 * [(step, total) for step in range(1, total + 1)]


def test_seeds_without_a_face_are_passed_over(
    pipe: PortraitPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted,) = invent(pipe, seed=7)
    monkeypatch.setattr(pipe, "_analyze", Blind(2))
    (found,) = invent(pipe, seed=5)
    assert found.seed == 7
    np.testing.assert_array_equal(found.image, wanted.image)
    monkeypatch.setattr(pipe, "_analyze", Blind(TRIES))
    with pytest.raises(InputError, match="drew no face in 10 samples"):
        invent(pipe, seed=5)
    with pytest.raises(InputError, match="at least 1"):
        invent(pipe, 0)


@pytest.mark.slow
def test_the_embedded_model_draws_who_they_are() -> None:
    model = mien.load("mini", device="cpu")
    told: list[tuple[int, int]] = []
    (one,) = invent(model, seed=7, callback=lambda step, total, _: told.append((step, total)))
    assert told == [(step, model.steps) for step in range(1, model.steps + 1)]
    rest = model.embed(None, "neutral")["expression"]
    pixels = model.generate(people.draw(7)[None], rest, prompts=[""], seeds=[7])
    np.testing.assert_array_equal(one.image, to_pil(pixels)[0])
    (grey,) = invent(model, seed=7, prompt="black and white photo of an old woman")
    colourful, faded = (np.asarray(x.image, float).std(axis=2).mean() for x in (one, grey))
    assert faded < 0.5 * colourful


@pytest.mark.slow
def test_the_embedded_model_invents_two_people_at_rest() -> None:
    from mien.metrics.scoring import load_scorer

    model, scorer = mien.load("mini", device="cpu"), load_scorer()
    both = invent(model, 2)
    first, second = (scorer.observe(one.image) for one in both)
    assert first is not None and second is not None
    scores = scorer.compare(first, second, second)
    assert scores["id"] < 0.6
    for seen in (first, second):
        shapes = seen.face.blendshapes
        assert shapes[INDEX["jawOpen"]] < 0.2 and shapes[INDEX["mouthSmileLeft"]] < 0.4
