"""Adapters that cannot be loaded or are misused: one sentence each, and nothing in a pickle runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.models.e_adapter import EAdapter
from mien.types import Conditions, InputError
from tests import tiny
from tests.models.test_e_adapter import T, make


class Evil:
    def __reduce__(self):
        return (print, ("code in a pickle ran",))


def test_bad_files_are_one_sentence(tmp_path, capsys) -> None:
    from safetensors.torch import load_file, save_file

    unet, adapter = make("sd15")
    good = adapter.save(tmp_path)[0]
    weights = load_file(good)

    def refused(path: Path, match: str, for_unet=unet) -> None:
        with pytest.raises(InputError, match=match) as caught:
            EAdapter.load(for_unet, path, None)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)

    def altered(name: str, change) -> Path:
        copy = dict(weights)
        change(copy)
        save_file(copy, tmp_path / name)
        return tmp_path / name

    refused(good, "32, this UNet has .* of width 64", tiny.sdxl_unet())
    refused(tmp_path / "nowhere.safetensors", "no such")
    refused(
        altered("missing.safetensors", lambda w: w.pop("ip_adapter.1.to_v_ip.weight")),
        "lacks ip_adapter.1.to_v",
    )
    refused(altered("gap.safetensors", lambda w: w.pop("image_proj.norm.bias")), "norm.bias")
    refused(
        altered("extra.safetensors", lambda w: w.update({"ip_adapter.1.surprise": torch.zeros(1)})),
        "unexpected",
    )
    refused(altered("foreign.safetensors", lambda w: w.update({"unet.conv": torch.zeros(1)})), "unet.conv")
    refused(altered("nan.safetensors", lambda w: w["image_proj.norm.bias"].fill_(float("nan"))), "NaN")
    half = tmp_path / "half.safetensors"
    half.write_bytes(good.read_bytes()[:1000])
    refused(half, "not a complete")
    torch.save({"image_proj": Evil(), "ip_adapter": {}}, tmp_path / "evil.bin")
    refused(tmp_path / "evil.bin", "is not loaded")
    assert "ran" not in capsys.readouterr().out
    torch.save([1, 2], tmp_path / "list.bin")
    refused(tmp_path / "list.bin", "not an IP-Adapter")
    (tmp_path / "half.bin").write_bytes((tmp_path / "list.bin").read_bytes()[:100])
    refused(tmp_path / "half.bin", "half.bin")
    (tmp_path / "text.txt").write_text("hello")
    refused(tmp_path / "text.txt", "safetensors or .bin")


def test_misuse_is_told() -> None:
    unet, adapter = make("sd15")
    with pytest.raises(InputError, match="not attached"):
        adapter.predict_noise(unet)
    adapter.attach(unet)
    with pytest.raises(InputError, match="attached already"):
        adapter.attach(unet)
    with pytest.raises(InputError, match="has an adapter already"):
        make("sd15")[1].attach(unet)
    with pytest.raises(InputError, match="width 24"):
        adapter.project(torch.zeros(1, 25))
    with pytest.raises(InputError, match="no text"):
        adapter.predict_noise(unet)(torch.zeros(2, 4, 8, 8), T, Conditions())
    with pytest.raises(InputError, match="4 tokens"):
        EAdapter.create(unet, 8, 8, expression_tokens=5)
