"""Identities drawn from how people's are spread, and how that is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from factory.faces import captions
from factory.faces.dataset import load_faces, split_rows
from factory.training.people import EVEN, spread, usable
from mien.encoders import people
from mien.encoders.identity import EMBEDDING, EmbeddedIdentity, colours
from mien.types import FloatArray, InputError


def draws(count: int, prompt: str) -> FloatArray:
    return torch.stack([people.draw(seed, prompt) for seed in range(count)]).double().numpy()


@pytest.mark.parametrize("kind", people.KINDS)
def test_draws_are_spread_as_what_ships_says(kind: str) -> None:
    shares, means, factor = (part.double().numpy() for part in people._spread()[kind])
    assert means.shape == (4, EmbeddedIdentity.width) and shares.sum() == pytest.approx(1, abs=1e-3)
    middle = shares @ means
    between = (means - middle).T @ np.diag(shares) @ (means - middle)
    for prompt, mean, covariance in (
        (f"an old {kind}", means[3], factor @ factor.T),
        (kind, middle, factor @ factor.T + between),
    ):
        made, deviation = draws(2000, prompt), np.sqrt(np.diag(covariance))
        assert np.abs((made.mean(0) - mean) / deviation).max() < 5 / np.sqrt(2000)
        np.testing.assert_allclose(made.std(0) / deviation, 1, atol=0.1)


def test_a_draw_is_its_seeds_and_a_woman_is_no_man() -> None:
    assert torch.equal(people.draw(4), people.draw(4)) and not torch.equal(people.draw(4), people.draw(6))
    assert torch.equal(people.draw(4), people.draw(4, "Photo of a lady"))
    assert torch.equal(people.draw(5), people.draw(5, "3d render of a man"))
    women, men = (draws(200, kind)[:, :EMBEDDING] for kind in people.KINDS)
    apart = women.mean(0) - men.mean(0)
    middle = (women.mean(0) + men.mean(0)) @ apart / 2
    assert (women @ apart > middle).mean() > 0.9 and (men @ apart < middle).mean() > 0.9


def test_what_a_prompt_says() -> None:
    assert people.said("") == people.said("a snowman in a young-ish mood") == (None, None)
    assert people.said("Middle-aged WOMAN, with an old man") == ("woman", "middle-aged")
    assert people.said("elderly gentleman.") == ("man", "old")
    assert tuple(word for _, word in captions.AGES) == people.AGES  # the bounds are those of captions


def test_the_spread_is_numpys_within_groups_with_calmer_colours() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(224, 224))
    groups = [rng.normal(size=(n, 224)) @ mixing + 9 * rng.normal(size=224) for n in (200, 300)]
    got = spread([torch.from_numpy(group) for group in groups])
    np.testing.assert_allclose(got["shares"], [0.4, 0.6])
    np.testing.assert_allclose(got["means"], [group.mean(0) for group in groups], atol=1e-9)
    within = sum(np.cov(group.T) * (len(group) - 1) for group in groups) / (500 - 2)
    calm = np.where(np.arange(224) < EMBEDDING, 1.0, EVEN)
    np.testing.assert_allclose(
        got["factor"] @ got["factor"].T, calm[:, None] * within * calm, atol=1e-6 * np.abs(within).max()
    )
    assert torch.equal(got["factor"], got["factor"].tril())


@pytest.mark.shared
def test_only_frontal_colour_photographs_of_the_training_part_count() -> None:
    try:
        faces = load_faces("utkface-adults")
    except InputError as error:
        pytest.skip(str(error))
    crops = torch.from_numpy(np.array(faces.crops[:2000])).permute(0, 3, 1, 2) / 127.5 - 1
    tint = torch.zeros(len(faces), 96)
    tint[:2000] = colours(crops)  # the others are grey
    rows = usable(faces, tint)
    assert len(rows) > 500 and rows.max() < 2000
    assert set(rows) <= set(split_rows(faces, held_out=False))
    centre = faces.crops[rows][:, 32:96, 32:96].astype(float).mean((1, 2))
    assert (centre[:, 0] > centre[:, 2] + 10).all()


def test_what_the_embedded_model_does_not_know_of_a_prompt() -> None:
    assert people.unknown("an oil painting") == ["oil", "painting"]
    assert people.unknown("black and white photo of a person") == []
    assert people.unknown("an old woman") == ["old", "woman"]
    assert people.unknown("Black and white photo of an elderly lady with a beard", invented=True) == ["beard"]
