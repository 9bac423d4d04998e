"""What is assembled for the package: a weight of the identity that became part of its values, means of two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from factory.training.assemble import assemble_adapter, assemble_autoencoder, assemble_base, mean
from factory.training.rollout import Settings
from mien.models.adapter_files import read_adapter
from mien.models.autoencoder import PatchAutoencoder
from mien.models.e_adapter import EAdapter
from mien.types import InputError
from tests import tiny
from tests.factory.prepared_set import save_autoencoder, save_base


def test_a_folded_weight_is_lambda_id(tmp_path: Path) -> None:
    """The assembled adapter at lambda_id 1 predicts what its source does at 2 (a power of two is exact in float16)."""
    unet = tiny.sd15_unet()
    torch.manual_seed(0)
    EAdapter.create(unet, 24, 20).half().float().save(tmp_path / "source")
    assemble_adapter(tmp_path / "source", tmp_path / "mini", Settings(6, 1.5), id_scale=2.0)
    settings = json.loads((tmp_path / "mini" / "adapter" / "adapter.json").read_text())
    assert settings["steps"] == 6 and settings["guidance"] == 1.5
    z_t, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 32)
    who, how, t = torch.randn(2, 24), torch.randn(2, 20), torch.tensor([10, 500])

    def predicted(folder: Path, id_scale: float) -> torch.Tensor:
        files = [folder / f"{branch}.safetensors" for branch in ("identity", "expression")]
        adapter = EAdapter.load(unet, *files).float()
        adapter.attach(unet)
        with torch.no_grad():
            eps = adapter.predict_noise(unet, id_scale)(z_t, t, adapter.project(who, how, text))
        adapter.detach()
        return eps

    folded = predicted(tmp_path / "mini" / "adapter", 1.0)
    torch.testing.assert_close(folded, predicted(tmp_path / "source", 2.0), rtol=1e-5, atol=1e-6)
    assert (folded - predicted(tmp_path / "source", 1.0)).abs().max() > 1e-4


def test_a_share_of_the_new_and_the_rest_of_the_old(tmp_path: Path) -> None:
    """Every tensor of UNet, text encoder and adapter lies at a quarter of the way."""
    old, new = save_base(tmp_path / "old"), save_base(tmp_path / "new")
    unet = UNet2DConditionModel.from_pretrained(new / "unet")
    text = CLIPTextModel.from_pretrained(new / "text_encoder")
    with torch.no_grad():
        for parameter in [*unet.parameters(), *text.parameters()]:
            parameter += 0.1 * torch.randn_like(parameter)
    unet.save_pretrained(new / "unet")
    text.save_pretrained(new / "text_encoder")
    EAdapter.create(unet, 224, 57, expression_projection="mlp").save(new / "adapter")

    def states_of(folder: Path) -> dict[str, torch.Tensor]:
        state = dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())
        state |= CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict()
        for branch in ("identity", "expression"):
            for part in read_adapter(folder / "adapter" / f"{branch}.safetensors"):
                state |= {f"{branch}.{key}": value.float() for key, value in part.items()}
        return state

    states = {"old": states_of(old), "new": states_of(new)}
    assemble_base(new, old, share=0.25)
    assemble_adapter(new / "adapter", old, Settings(6, 1.5), id_scale=1.0, share=0.25)
    made = states_of(old)
    assert made.keys() == states["new"].keys()
    for key, value in made.items():
        wanted = 0.75 * states["old"][key] + 0.25 * states["new"][key]
        torch.testing.assert_close(value.float(), wanted, rtol=2e-3, atol=1e-4)  # float16


def test_different_networks_have_no_mean() -> None:
    with pytest.raises(InputError, match="share"):
        mean({"a": torch.zeros(2)}, {"a": torch.zeros(3)}, 0.5)


def test_grain_goes_into_the_autoencoder_s_settings(tmp_path: Path) -> None:
    save_autoencoder(tmp_path / "made")
    assemble_autoencoder(tmp_path / "made", tmp_path / "mini", grain=0.6)
    assert PatchAutoencoder.from_pretrained(tmp_path / "mini" / "vae").config.grain == 0.6
