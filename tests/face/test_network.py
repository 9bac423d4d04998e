"""The analyser's network: shapes and ranges, its files, and what a damaged one says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from factory.training.networks import save_network
from mien import weights
from mien.face import network as network_module
from mien.face.network import CROP, AnalyserNet, fold, halve, load_analyser
from mien.types import InputError


def small() -> AnalyserNet:
    torch.manual_seed(0)
    return AnalyserNet(widths=(8, 8, 16, 16), blocks=(0, 0, 1, 1), features=32).eval()


# A symmetric face: eyes' corners 24 px apart around (40, 45) and (88, 45), and the mouth's four ends.
CORNERS = {33: (28, 45), 133: (52, 45), 362: (76, 45), 263: (100, 45)}
MOUTH = {0: (64, 84), 17: (64, 100), 61: (48, 92), 291: (80, 92)}
EYES = [[33, 133, 159], [263, 362, 386]]


def whole() -> AnalyserNet:
    """A small network with patches, whose first reading of anything is nearly the symmetric face."""
    mean = np.full((478, 3), 64.0)
    for index, place in {**CORNERS, **MOUTH, 159: (40, 41), 386: (88, 41)}.items():
        mean[index, :2] = place
    torch.manual_seed(0)
    made = AnalyserNet((8, 8, 16, 16), (0, 0, 1, 1), 32, mean, EYES, list(MOUTH)).eval()
    nn.init.zeros_(made.to_landmarks.weight)
    return made


@pytest.mark.parametrize("make", [small, whole])
def test_shapes_and_ranges(make: Callable[[], AnalyserNet]) -> None:
    out = make()(torch.rand(3, 3, 128, 128) * 2 - 1)
    assert {key: tuple(value.shape) for key, value in out.items()} == {
        "landmarks": (3, 478, 3),
        "blendshapes": (3, 52),
        "pose": (3, 3),
        "confidence": (3,),
    }
    assert out["blendshapes"].min() >= 0 and out["blendshapes"].max() <= 1


def test_patches_lie_where_the_first_reading_saw_eyes_and_mouth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture whose red is its column and green its row: each patch's pixels say where they were taken."""
    seen: list[torch.Tensor] = []
    original = network_module._patches

    def spy(*arguments: Any) -> tuple[torch.Tensor, ...]:
        seen.extend(original(*arguments))
        return tuple(seen)

    monkeypatch.setattr(network_module, "_patches", spy)
    place = (torch.arange(CROP) + 0.5) / 64 - 1
    x = torch.stack([place.expand(CROP, CROP), place[:, None].expand(CROP, CROP), torch.zeros(CROP, CROP)])
    whole()(x[None])
    left, right, mouth = ((patch[0, :2] + 1) * 64 for patch in seen)
    wide, tall = 48 * 0.9, 48 * 0.9 * 40 / 48  # the eyes are 48 px apart
    column, row = np.meshgrid((np.arange(48) + 0.5) / 48 - 0.5, (np.arange(40) + 0.5) / 40 - 0.5)
    middle = 45 - 0.06 * 48
    np.testing.assert_allclose(left.numpy(), [40 + column * wide, middle + row * tall], atol=1e-3)
    np.testing.assert_allclose(
        right.numpy(), [88 - column * wide, middle + row * tall], atol=1e-3
    )  # mirrored
    square = (np.arange(48) + 0.5) / 48 - 0.5
    expected = np.stack(np.meshgrid(64 + square * 48 * 1.3, 92 + square * 48 * 1.3))
    np.testing.assert_allclose(mouth.numpy(), expected, atol=1e-3)


def test_offsets_move_the_points_of_their_patch_and_no_others() -> None:
    made = whole()
    with torch.no_grad():
        made.eye.to_offsets.bias.copy_(
            torch.tensor([1.0, 0.5] * 3)
        )  # in tenths of the patch's width, 43.2 px
        made.mouth.to_offsets.bias.copy_(torch.tensor([-1.0, 0.0] * 4))
    x = torch.zeros(2, 3, CROP, CROP)
    moved = (made(x)["landmarks"] - made.mean_landmarks)[1]
    expected = torch.zeros(478, 3)
    expected[EYES[0], :2] = torch.tensor([4.32, 2.16])
    expected[EYES[1], :2] = torch.tensor([-4.32, 2.16])
    expected[list(MOUTH), :2] = torch.tensor([-6.24, 0.0])
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)


def test_a_first_reading_in_one_point_is_survived() -> None:
    made = whole()
    made.mean_landmarks.fill_(64.0)
    x = torch.rand(1, 3, CROP, CROP, requires_grad=True)
    out = made(x)
    (out["landmarks"].sum() + out["blendshapes"].sum()).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e30])
def test_a_first_reading_nowhere_does_not_crash(place: float) -> None:
    made = whole()
    made.mean_landmarks.fill_(place)
    x = torch.rand(1, 3, CROP, CROP, requires_grad=True)
    made(x)["blendshapes"].sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


def test_folding_changes_nothing() -> None:
    made = whole()
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    nn.init.normal_(made.eye.to_offsets.weight, std=0.1)
    nn.init.normal_(made.correct_blendshapes[2].weight, std=0.1)
    x = torch.rand(3, 3, CROP, CROP) * 2 - 1
    before = made(x)
    folded = fold(made)
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in folded.modules())
    for key, value in before.items():
        torch.testing.assert_close(folded(x)[key], value, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("supported", [True, False, None])
def test_a_halved_analyser_reads_the_same(monkeypatch: pytest.MonkeyPatch, supported: bool | None) -> None:
    """In bfloat16 where the processor multiplies that; as it was where it does not, or torch does not say."""
    crops = torch.rand(2, 3, CROP, CROP, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = load_analyser(weights.path("analyser"))
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    if supported is not None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported, raising=False)
    half = halve(load_analyser(weights.path("analyser")))
    with torch.no_grad():
        before, after = whole(crops)["blendshapes"], half(crops)["blendshapes"]
    assert after.dtype == torch.float32 and (before - after).abs().max() < 0.05
    assert torch.equal(before, after) != bool(supported)


@pytest.mark.parametrize("make", [small, whole])
def test_gradients_reach_the_pixels(make: Callable[[], AnalyserNet]) -> None:
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    out = make()(x)
    (out["blendshapes"].sum() + out["landmarks"].sum()).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


@pytest.mark.parametrize("make", [small, whole])
def test_file_round_trip_in_half_precision(make: Callable[[], AnalyserNet], tmp_path: Path) -> None:
    network = make()
    save_network(network, tmp_path / "a.safetensors", network.config)
    again = load_analyser(tmp_path / "a.safetensors")
    x = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(again(x)["blendshapes"], network(x)["blendshapes"], atol=2e-3, rtol=0)
    assert not any(p.requires_grad for p in again.parameters())


def test_damaged_or_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing.safetensors"):
        load_analyser(tmp_path / "missing.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"\x00" * 50)
    with pytest.raises(InputError, match="b.safetensors"):
        load_analyser(tmp_path / "b.safetensors")
