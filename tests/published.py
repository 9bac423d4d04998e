"""A machine on which all that is published for SD1.5 or SDXL has been fetched: the real layouts, tiny and random."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from mien import weights
from mien.models.e_adapter import EAdapter
from tests import tiny
from tests.encoders import test_onnx

CLIP_WIDTH = 24
FILES = {
    "sd15": ("ip-adapter-faceid_sd15.bin", "ip-adapter_sd15.safetensors"),
    "sdxl": ("ip-adapter-faceid_sdxl.bin", "ip-adapter_sdxl_vit-h.safetensors"),
}


def unsealed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry without checksums and sizes, whose models lie in `folder`; the hub is empty and forbidden."""
    content = json.loads(weights.FOREIGN.read_text(encoding="utf-8"))
    for entry in content["entries"]:
        for file in entry["files"]:
            file.pop("sha256", None), file.pop("size", None)
    copy = folder.with_name(f"{folder.name}.json")
    copy.write_text(json.dumps(content))
    monkeypatch.setattr(weights, "FOREIGN", copy)
    monkeypatch.setenv("MIEN_MODELS", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "no-hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("MIEN_COMFYUI", raising=False)


def save_base(folder: Path, family: str) -> Path:
    """A base model of the family's cross-attention width, its weights in float16 under the names of that variant."""
    torch.manual_seed(3)
    shared = {"vae": tiny.autoencoder(), "tokenizer": tiny.tokenizer(), "scheduler": tiny.scheduler()}
    if family == "sd15":
        unet = UNet2DConditionModel.from_config({**tiny.sd15_unet().config, "cross_attention_dim": 768})
        pipe = StableDiffusionPipeline(
            unet=unet,
            text_encoder=CLIPTextModel(tiny.text_config(768)),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **shared,
        )
    else:
        unet = UNet2DConditionModel.from_config({**tiny.sdxl_unet().config, "cross_attention_dim": 2048})
        pipe = StableDiffusionXLPipeline(
            unet=unet,
            text_encoder=CLIPTextModel(tiny.text_config(768)),
            text_encoder_2=CLIPTextModelWithProjection(tiny.text_config(1280)),
            tokenizer_2=tiny.tokenizer(),
            **shared,
        )
    pipe.to(torch.float16).save_pretrained(folder, variant="fp16")
    for place in folder.glob("tokenizer*"):  # the repositories are older than tokenizer.json
        (place / "tokenizer.json").unlink()
        (place / "vocab.json").write_text(json.dumps(tiny.tokenizer().get_vocab()))
        (place / "merges.txt").write_text("#version: 0.2\n")
        (place / "special_tokens_map.json").write_text("{}")
    return folder


def save_adapters(folder: Path, unet: UNet2DConditionModel, family: str) -> None:
    """FaceID with its low-rank layers, pickled as published, and the image prompt as safetensors."""
    torch.manual_seed(5)
    adapter = EAdapter.create(unet, 512, CLIP_WIDTH)
    for parameter in adapter.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    assert adapter.identity is not None and adapter.expression is not None
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, value in adapter.identity.state_dict().items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    for k, name in enumerate(unet.attn_processors):
        attn = unet.get_submodule(name.removesuffix(".processor"))
        linears = {"to_q": attn.to_q, "to_k": attn.to_k, "to_v": attn.to_v, "to_out": attn.to_out[0]}
        for part, linear in linears.items():
            down, up = torch.randn(3, linear.in_features), torch.randn(linear.out_features, 3)
            parts["ip_adapter"][f"{k}.{part}_lora.down.weight"] = 0.05 * down
            parts["ip_adapter"][f"{k}.{part}_lora.up.weight"] = 0.05 * up
    torch.save(parts, folder / FILES[family][0])
    save_file(adapter.expression.state_dict(), folder / FILES[family][1])


def save_clip(folder: Path) -> None:
    """CLIP's image encoder as one file, and its configuration beside it."""
    torch.manual_seed(7)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
        projection_dim=CLIP_WIDTH,
        hidden_act="gelu",
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)


@cache
def published(family: str) -> TemporaryDirectory[str]:
    """All of the bundle, made once a process."""
    made = TemporaryDirectory()
    folder = Path(made.name)
    save_base(folder / family, family)
    unet = UNet2DConditionModel.from_pretrained(folder / family / "unet", variant="fp16")
    save_adapters(folder, unet, family)
    save_clip(folder / "clip_vit_h")
    test_onnx.write(folder / "w600k_r50.onnx")
    return made


def fetch_all(folder: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of the bundle, in `folder`."""
    shutil.copytree(published(family).name, folder)
    unsealed(folder, monkeypatch)
    return folder
