"""The embedded encoders: colours against NumPy, standardising, differentiability, widths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mien.encoders.standardise as standardise_module
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import COLOURS as WIDTH
from mien.encoders.identity import EmbeddedIdentity, Recogniser, colours
from mien.encoders.standardise import LIMITS, standardise
from tests.face.test_network import small


def test_colours_against_numpy() -> None:
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    got = colours(x).numpy()
    pixels = x.numpy()
    coarse = pixels.reshape(2, 3, 4, 32, 4, 32).mean((3, 5)).reshape(2, -1)
    fine = pixels[:, :, :32].reshape(2, 3, 2, 16, 8, 16).mean((3, 5)).reshape(2, -1)
    np.testing.assert_allclose(got, np.concatenate([coarse, fine], 1), atol=1e-5)
    assert got.shape == (2, WIDTH)


def test_standardising_is_the_file_s_numbers() -> None:
    path = Path(standardise_module.__file__).with_name("statistics.json")
    content = json.loads(path.read_text())["expression"]
    mean, std = torch.tensor(content["mean"]), torch.tensor(content["std"])
    assert standardise(mean[None], "expression").abs().max() < 1e-4
    torch.testing.assert_close(
        standardise((mean + std)[None], "expression"), torch.ones(1, 57), atol=1e-3, rtol=0
    )
    assert standardise((mean + 1e3)[None], "expression").max() == LIMITS["expression"]


def test_encoders_are_differentiable_and_as_wide_as_they_say() -> None:
    x = (torch.rand(2, 3, 128, 128) * 2 - 1).requires_grad_()
    identity = EmbeddedIdentity(Recogniser(widths=(8, 8, 16, 16), blocks=(0, 0, 1, 1)).eval())
    expression = EmbeddedExpression(small())
    who, how = identity.embed(x), expression.embed(x)
    assert who.shape == (2, identity.width) and how.shape == (2, expression.width)
    (who.sum() + how.sum()).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0


def test_a_face_and_its_mirror_image_are_one_person() -> None:
    identity = EmbeddedIdentity(Recogniser(widths=(8, 8, 16, 16), blocks=(0, 0, 1, 1)).eval())
    x = torch.rand(3, 3, 128, 128) * 2 - 1
    torch.testing.assert_close(identity.person(x), identity.person(x.flip(3)), atol=1e-5, rtol=1e-4)
    apart = (identity.recogniser(x) + identity.recogniser(x.flip(3))) / 2
    torch.testing.assert_close(identity.person(x), apart, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [EmbeddedIdentity, EmbeddedExpression])
def test_an_encoder_elsewhere_leaves_the_one_here(kind: type[EmbeddedIdentity | EmbeddedExpression]) -> None:
    """A pipeline on a GPU and a scorer on the CPU share a process ("meta" is a device that every machine has)."""
    here = kind()
    elsewhere = kind(device="meta")
    crops = torch.zeros(1, 3, 128, 128)
    assert here.embed(crops).device.type == "cpu"
    network = elsewhere.recogniser if isinstance(elsewhere, EmbeddedIdentity) else elsewhere.analyser
    assert all(p.device.type == "meta" for p in network.parameters())
    assert kind().embed(crops).equal(here.embed(crops))
