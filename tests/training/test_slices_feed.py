"""Batches made on the device: unchanged they are the sampler's; changed, everything told of a picture still fits."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.data.dataset import load_faces, to_pixels
from mien.encoders.appearance import colours
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import EmbeddedIdentity, load_recogniser
from mien.face.network import load_analyser
from mien.models.mini import create_tokenizer
from mien.training.augment import warp_pixels
from mien.training.conditions import valid_cells
from mien.training.loop import make_rng
from mien.training.slices.feed import (
    LUMA,
    Jitter,
    Pixels,
    Portraits,
    axis_matrices,
    compose,
    inside,
    recolour,
)
from mien.training.slices.pictures import LOSSLESS, Pictures, read_shards, write_shards
from tests.training.slices_set import FACE, save_sets

CPU = torch.device("cpu")
STILL = Jitter(1.0, 0, 0, 0, 0, 0, 0, 0, 0, grey=0.0)
WEIGHTS = {"utkface-adults": 0.6, "lfw-gray": 0.4}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Pictures]:
    root = tmp_path_factory.mktemp("sets")
    save_sets(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_CACHE", str(root))
        return read_shards(
            [p for s, n in (("utkface-adults", 40), ("lfw-gray", 12)) for p in shards(s, n, root)]
        )


def shards(source: str, count: int, root: Path) -> list[Path]:
    return write_shards(source, np.arange(count), root / "shards", LOSSLESS)


@pytest.fixture(scope="module")
def tokenizer():
    return create_tokenizer(
        ["colour photo of a young black woman, white background", "black and white photo"]
    )


def feed(sets: list[Pictures], tokenizer, jitter: Jitter) -> Portraits:
    identity = EmbeddedIdentity(load_recogniser(FACE / "recogniser.safetensors"))
    expression = EmbeddedExpression(load_analyser(FACE / "analyser.safetensors"))
    return Portraits(sets, WEIGHTS, tokenizer, identity, expression, CPU, jitter)


def match(x: Tensor, sets: list[Pictures]) -> tuple[int, int, bool, float]:
    """Set, row, whether mirrored, and largest difference of the picture nearest to x [3, S, S]."""
    found = []
    for s, one in enumerate(sets):
        for flip in (False, True):
            y = to_pixels(one.crops)
            apart = ((y.flip(3) if flip else y) - x).abs().amax(dim=(1, 2, 3))
            found.append((float(apart.min()), s, int(apart.argmin()), flip))
    apart_, s, row, flip = min(found)
    return s, row, flip, apart_


def test_unchanged_pictures_are_the_sets_own(sets: list[Pictures], tokenizer) -> None:
    """Each is a picture or its mirror image, and what is told of it is right."""
    made = feed(sets, tokenizer, STILL)
    batch = made.batch(12, make_rng(0, 0, 1))
    assert batch["x"].shape == (12, 3, 128, 128) and batch["identity"].shape == (12, 224)
    assert batch["ids"].shape == (12, 24) and batch["valid"].shape == (12, 8, 8)
    flips = set()
    for i in range(12):
        s, row, flip, apart = match(batch["x"][i], sets)
        assert apart < 1e-3
        flips.add(flip)
        words = tokenizer.decode(batch["ids"][i], skip_special_tokens=True)
        if s == 1:
            assert "black and white photo" in words or "photo" not in words
        centre = sets[s].outline[row].mean(0)
        weight = batch["face"][i, 0]
        x_of_region = float((weight.sum(0) * (torch.arange(128) + 0.5)).sum() / weight.sum())
        assert x_of_region == pytest.approx(128 - centre[0] if flip else centre[0], abs=4)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            read = made.expression.embed(batch["x"][i : i + 1])[0].float()
        assert (read - batch["expression"][i]).abs().max() < 0.3
    assert flips == {False, True}


def test_identity_is_of_the_same_person_often_in_another_picture(sets: list[Pictures], tokenizer) -> None:
    made = feed(sets[1:], tokenizer, replace(STILL, partner=1.0))
    batch = made.batch(24, make_rng(0, 0, 2))
    tints = colours(to_pixels(sets[1].crops)), colours(to_pixels(sets[1].crops).flip(3))
    for i in range(24):
        _, row, _, _ = match(batch["x"][i], sets[1:])
        apart = torch.stack([(t - batch["identity"][i, 128:]).abs().amax(1) for t in tints]).amin(0)
        source = int(apart.argmin())
        assert float(apart.min()) < 1e-3
        assert sets[1].person[source] == sets[1].person[row]
        assert source != row  # of three pictures a person two are others


def test_what_changes_a_person_changes_both_pictures(sets: list[Pictures], tokenizer) -> None:
    """With no partners, a picture's own coarse colours (mirrored or not) are those its identity tells."""
    jitter = Jitter(still=1.0, partner=0.0, grey=0.0)
    batch = feed(sets, tokenizer, jitter).batch(10, make_rng(0, 0, 3))
    own = torch.stack([colours(batch["x"]), colours(batch["x"].flip(3))])
    apart = (own - batch["identity"][:, 128:]).abs().amax(2).amin(0)
    assert apart.max() < 1e-3
    assert min(match(x, sets)[3] for x in batch["x"]) > 0.02  # and they were changed


def test_batches_are_their_generators(sets: list[Pictures], tokenizer) -> None:
    one, two = (feed(sets, tokenizer, Jitter()).batch(4, make_rng(0, 0, 4)) for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = feed(sets, tokenizer, Jitter()).batch(4, make_rng(0, 0, 5))
    assert not torch.equal(one["x"], other["x"])


def test_grey_is_grey_and_said(sets: list[Pictures], tokenizer) -> None:
    batch = feed(sets[:1], tokenizer, Jitter(grey=1.0)).batch(6, make_rng(0, 0, 6))
    assert (batch["x"][:, 0] - batch["x"][:, 2]).abs().max() < 1e-5
    for ids in batch["ids"]:
        assert "black and white photo" in tokenizer.decode(ids, skip_special_tokens=True)
    told = batch["identity"][:, 128:].view(6, -1)[:, :48].view(6, 3, 16)
    assert (told[:, 0] - told[:, 2]).abs().max() > 0.05  # the identity keeps its colours


def test_composed_frames_are_one_after_the_other() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 144, 144, generator=rng), 17, 1)
    first = axis_matrices(128, torch.tensor([1.02, -1.0]), torch.tensor([0.97, 1.0]))
    second = axis_matrices(128, torch.tensor([0.98, 1.0]), torch.tensor([1.0, 1.03]))
    at_once = warp_pixels(x, compose(second, first))
    in_turn = warp_pixels(warp_pixels(x, first), second)
    assert (at_once - in_turn)[..., 8:-8, 8:-8].abs().max() < 1e-2
    mirrored = warp_pixels(x, axis_matrices(128, torch.tensor([-1.0, -1.0]), torch.ones(2)))
    assert (mirrored - x.flip(3)).abs().max() < 1e-4


def test_valid_cells_are_those_of_the_sampler(sets: list[Pictures], tmp_path: Path) -> None:
    save_sets(tmp_path)
    expected = valid_cells(load_faces("utkface-adults", tmp_path))[:5]
    matrix = torch.from_numpy(load_faces("utkface-adults", tmp_path).crop_matrix[:5])
    found = inside(matrix, torch.full((5,), 160.0), 128)
    assert torch.equal(found, expected) and expected.min() < 1


def test_recolour_does_what_it_says() -> None:
    luma, one = torch.from_numpy(LUMA), torch.ones(1)
    x = torch.rand(1, 3, 4, 4) - 0.5
    none = torch.zeros(1)
    same = recolour(x, none, one, torch.ones(1, 3), one, luma)
    torch.testing.assert_close(same, x)
    grey = recolour(x, none, one, torch.ones(1, 3), none, luma)
    torch.testing.assert_close(grey[:, 0], (x * luma.view(1, 3, 1, 1)).sum(1))
    lighter = recolour(x, 0.1 * one, one, torch.ones(1, 3), one, luma)
    torch.testing.assert_close(lighter, x + 0.1)


def test_pixels_are_moved_and_mirrored_never_blurred(sets: list[Pictures]) -> None:
    batch = Pixels(sets, WEIGHTS, CPU, shift=3).batch(6, make_rng(0, 0, 0))["x"]
    known = torch.cat([to_pixels(one.crops) for one in sets])
    known = torch.cat([known, known.flip(3)])
    for x in batch:
        middle = x[:, 32:96, 32:96]
        best = min(
            float(
                (known[:, :, 32 + dy : 96 + dy, 32 + dx : 96 + dx] - middle).abs().amax(dim=(1, 2, 3)).min()
            )
            for dy in range(-3, 4)
            for dx in range(-3, 4)
        )
        assert best == 0.0


def test_nothing_stays_on_another_device(
    sets: list[Pictures], tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the device that computes nothing, where a tensor left on the CPU is refused as on a GPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    meta = torch.device("meta")
    identity = EmbeddedIdentity(load_recogniser(FACE / "recogniser.safetensors"), meta)
    expression = EmbeddedExpression(load_analyser(FACE / "analyser.safetensors"), meta)
    portraits = Portraits(sets, WEIGHTS, tokenizer, identity, expression, meta)
    for made in (portraits, Pixels(sets, WEIGHTS, meta)):
        batch = made.batch(3, make_rng(0, 0, 0))
        assert {value.device.type for value in batch.values()} == {"meta"}
    with pytest.raises(RuntimeError, match="not on the expected device"):
        batch["x"] + torch.ones(3, 3, 128, 128)
