"""Identities drawn from how people's are spread, and how that is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.data.dataset import load_faces, split_rows
from mien.encoders import people
from mien.encoders.appearance import colours
from mien.encoders.identity import EMBEDDING, EmbeddedIdentity
from mien.training.people import EVEN, spread, usable
from mien.types import InputError


@pytest.mark.parametrize("kind", people.KINDS)
def test_draws_are_spread_as_what_ships_says(kind: str) -> None:
    mean, factor = people._spread()[kind]
    draws = torch.stack([people.draw(kind, seed) for seed in range(2000)]).double().numpy()
    assert draws.shape[1] == EmbeddedIdentity.width
    deviation = np.sqrt(np.diag((factor @ factor.T).double().numpy()))
    off = (draws.mean(0) - mean.numpy()) / deviation
    assert np.abs(off).max() < 5 / np.sqrt(2000)
    np.testing.assert_allclose(draws.std(0) / deviation, 1, atol=0.1)


def test_a_draw_is_its_seeds_and_a_woman_is_no_man() -> None:
    assert torch.equal(people.draw("woman", 3), people.draw("woman", 3))
    assert not torch.equal(people.draw("woman", 3), people.draw("woman", 4))
    women, men = (torch.stack([people.draw(kind, seed) for seed in range(200)]) for kind in people.KINDS)
    apart = (women.mean(0) - men.mean(0))[:EMBEDDING]
    score = [(who[:, :EMBEDDING] @ apart).numpy() for who in (women, men)]
    middle = (score[0].mean() + score[1].mean()) / 2
    assert (score[0] > middle).mean() > 0.9 and (score[1] < middle).mean() > 0.9


def test_the_spread_is_numpys_covariance_with_calmer_colours() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 224)) @ rng.normal(size=(224, 224)) + rng.normal(size=224)
    mean, factor = spread(torch.from_numpy(values))
    calm = np.where(np.arange(224) < EMBEDDING, 1.0, EVEN)
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-9)
    np.testing.assert_allclose(factor @ factor.T, calm[:, None] * np.cov(values.T) * calm, atol=1e-6)
    assert torch.equal(factor, factor.tril())


@pytest.mark.shared
def test_only_frontal_colour_photographs_of_the_training_part_count() -> None:
    try:
        faces = load_faces("utkface-adults")
    except InputError as error:
        pytest.skip(str(error))
    crops = torch.from_numpy(np.asarray(faces.crops[:2000])).permute(0, 3, 1, 2) / 127.5 - 1
    tint = torch.zeros(len(faces), 96)
    tint[:2000] = colours(crops)  # the others are grey
    rows = usable(faces, tint)
    assert len(rows) > 500 and rows.max() < 2000
    assert set(rows) <= set(split_rows(faces, held_out=False))
    centre = faces.crops[rows][:, 32:96, 32:96].astype(float).mean((1, 2))
    assert (centre[:, 0] > centre[:, 2] + 10).all()
