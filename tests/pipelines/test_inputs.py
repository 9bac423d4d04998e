"""Expressions as a pipeline's vectors: words, mixes, intensities, blendshapes and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from mien.expressions import faces as shipped
from mien.expressions import reading
from mien.expressions.spec import parse
from mien.pipelines.inputs import Embedder
from mien.types import Face, InputError


class Numbers:
    """An encoder like the embedded one in name and width; of a picture it tells the colour."""

    name, width = "embedded", 57

    def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
        return torch.full((57,), float(np.asarray(image).mean() / 255))


class Looks(Numbers):
    """An encoder that only looks at pictures, as CLIP does."""

    name, width = "clip", 3

    def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image.convert("RGB"), float).mean((0, 1)) / 255).float()


def one_face(image: Image.Image) -> Sequence[Face]:
    return [Face(np.array([0, 0, 20.0, 20.0]), np.zeros((478, 3)), np.zeros(52), np.zeros(3), 1.0)]


def express(encoder: Numbers, *wishes: object) -> torch.Tensor:
    return Embedder(encoder, one_face, "largest", "expression")(list(wishes))


GREY = Image.new("RGB", (20, 20), (51, 51, 51))


def test_the_embedded_encoder_is_told_numbers() -> None:
    joy, neutral, half, mixed = express(Numbers(), "joy", "neutral", "joy:0.25", "joy:0.6+fear:0.4")
    fear = express(Numbers(), "fear")[0]
    assert torch.equal(joy, reading.numbers(shipped.named(parse("joy").parts[0])))
    assert torch.equal(neutral, reading.numbers({}))
    assert torch.allclose(half, 0.25 * joy + 0.75 * neutral, atol=1e-6)
    assert torch.allclose(mixed, 0.6 * joy + 0.4 * fear, atol=1e-6)
    given = express(Numbers(), {"jawOpen": 0.8}, '{"jawOpen": 0.8}')
    assert torch.equal(given[0], given[1]) and torch.equal(given[0], reading.numbers({"jawOpen": 0.8}))


def test_other_encoders_look_at_the_shipped_faces() -> None:
    joy, neutral, half, mixed = express(Looks(), "joy", "neutral", "joy:0.25", "joy:0.6+fear:0.4")
    colour = {word: Looks()(shipped.picture(word), one_face(GREY)[0]) for word in ("joy", "fear", "neutral")}
    assert torch.allclose(joy, colour["joy"]) and torch.allclose(neutral, colour["neutral"])
    assert torch.allclose(half, 0.25 * colour["joy"] + 0.75 * colour["neutral"])
    assert torch.allclose(mixed, 0.6 * colour["joy"] + 0.4 * colour["fear"])
    weights = shipped.mix({"jawOpen": 0.8})
    wanted = torch.stack(
        [w * Looks()(shipped.picture(word), one_face(GREY)[0]) for word, w in weights.items()]
    )
    assert torch.allclose(express(Looks(), {"jawOpen": 0.8})[0], wanted.sum(0))


def test_pictures_are_looked_at_and_mix_with_words() -> None:
    for encoder in (Numbers(), Looks()):
        grey = express(encoder, GREY)[0]
        assert grey == pytest.approx(0.2)
        mixed = express(encoder, parse(GREY))[0]
        assert torch.equal(mixed, grey)


def test_a_chosen_face_is_of_the_given_pictures_only() -> None:
    """ "--expression-face 1" is about a photograph of two; the shipped face, alone in its picture, has no number 1."""
    both = Embedder(
        Looks(), lambda image: one_face(image) * (2 if image.size == (20, 20) else 1), 1, "expression"
    )
    assert both([GREY, "joy"]).shape == (2, 3)
    with pytest.raises(InputError, match="no face 1"):
        Embedder(Looks(), one_face, 1, "expression")([GREY])


def test_an_identity_is_never_a_word() -> None:
    with pytest.raises(InputError, match="joy does not exist"):
        Embedder(Numbers(), one_face, "largest", "identity")(["joy"])


def test_an_expression_that_says_nothing() -> None:
    with pytest.raises(InputError, match="did you mean joy"):
        express(Numbers(), "jooy")
