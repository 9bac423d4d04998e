"""The analyser's network: shapes and ranges, its files, and what a damaged one says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.face.network import AnalyserNet, load_analyser, save_network
from mien.types import InputError


def small() -> AnalyserNet:
    torch.manual_seed(0)
    return AnalyserNet(widths=(8, 8, 16, 16), blocks=(0, 0, 1, 1), features=32).eval()


def test_shapes_and_ranges() -> None:
    out = small()(torch.rand(3, 3, 128, 128) * 2 - 1)
    assert {key: tuple(value.shape) for key, value in out.items()} == {
        "landmarks": (3, 478, 3),
        "blendshapes": (3, 52),
        "pose": (3, 3),
        "confidence": (3,),
    }
    assert out["blendshapes"].min() >= 0 and out["blendshapes"].max() <= 1


def test_gradients_reach_the_pixels() -> None:
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    out = small()(x)
    (out["blendshapes"].sum() + out["landmarks"].sum()).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_file_round_trip_in_half_precision(tmp_path: Path) -> None:
    network = small()
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
