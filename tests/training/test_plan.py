"""Plans count the published networks right, and say what memory they take, without any weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from mien.models.families import published
from mien.training.plan import _counted, network_parts
from mien.training.recipe import run
from mien.types import InputError
from tests.published import unsealed
from tests.training.tiny_set import save_model


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def gib(text: str, what: str) -> float:
    found = re.search(rf"{what} (?:average )?([\d.]+)", text)
    assert found is not None, text
    return float(found[1])


def test_published_sizes_of_sd15() -> None:
    """The sizes that the checkpoints themselves have."""
    parts = published("sd15")
    assert {name: count(part) for name, part in parts.items()} == {
        "unet": 859_520_964,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
    }
    assert all(p.is_meta for part in parts.values() for p in part.parameters())


@pytest.mark.slow
def test_published_sizes_of_sdxl() -> None:
    parts = published("sdxl")
    assert {name: count(part) for name, part in parts.items()} == {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }


def test_a_refacing_model_is_planned_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours, disk, data, files and terms, without network, weights or data."""
    unsealed(tmp_path / "models", monkeypatch)
    monkeypatch.chdir(tmp_path)
    text = run("sd15_sfsr", ["loop.steps=1000"], out=tmp_path / "runs", dry_run=True)
    # SD1.5's UNet is 0.80 TFLOP at 64 x 64, its decoder 2.5; three passes of the one and two of the other
    found = re.search(r"about ([\d.]+) x 10\^18 FLOP.*H100 (\d+) h", text)
    assert found is not None and float(found[1]) == pytest.approx(0.064 * (3 * 0.80 + 2 * 2.5), rel=0.06)
    assert "859,535,364 trained" in text and "data/faces is not there: `mien data ingest`" in text
    assert "mien models fetch sd15 arcface_w600k_r50 auraface dlib_recogniser clip_vit_h" in text
    assert "not for commercial use, by arcface_w600k_r50" in text and "order: data ingest, this" in text
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd15_base", "sdxl_refined", "sdxl_ica"])
def test_a_plan_needs_no_weights(name: str, tmp_path: Path) -> None:
    text = run(name, out=tmp_path, dry_run=True)
    assert ("859,520,964" if name.startswith("sd15") else "2,567,463,684") in text
    weights, state, activations = (gib(text, what) for what in ("weights", "moments and", "activations"))
    assert weights > 2 and state > 0.3 and activations > 1
    assert gib(text, "about") == pytest.approx(weights + state + activations, abs=0.1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mini_base", "mini_refined", "mini_ica"])
def test_the_embedded_default_is_planned_by_its_own_adapter(name: str, tmp_path: Path) -> None:
    text = run(name, out=tmp_path, dry_run=True)
    adapter = re.search(r"adapter +([\d,]+) parameters, +([\d,]+) trained", text)
    assert adapter is not None and "FaceID" not in text
    whole, trained = (int(number.replace(",", "")) for number in adapter.groups())
    assert 0 < trained < whole


def test_a_folder_is_planned_by_its_own_files(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", "sd15")
    arguments = [f"args.backbone={model}", "args.adapter=null", "args.data.size=16"]
    plain = run("sd15_base", arguments, dry_run=True)
    unet = network_parts(str(model))["unet"]
    assert f"{count(unet):,}" in plain and "100,000 steps x 8" in plain
    with pytest.raises(InputError, match="not on this machine"):
        run("sd15_base", ["args.backbone=somebody/model"], dry_run=True)


def test_saved_bytes_by_hand() -> None:
    """exp keeps its output, a product both factors, a frozen layer nothing but what its input's gradient needs."""
    x = torch.zeros(1000, requires_grad=True, device="meta")
    with _counted([]) as counts:
        (x.exp() * torch.zeros(1000, device="meta")).sum()
    assert counts()[0] == 2 * 4000
    layer = nn.Linear(1000, 10, device="meta").requires_grad_(False)
    with _counted([layer]) as counts:
        layer(x)
    assert counts()[0] == 0
