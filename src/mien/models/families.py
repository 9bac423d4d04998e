"""The published configurations of SD1.5 and SDXL, as networks without weights: what a plan counts and measures.

Sources: the ``config.json`` files of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.files import read_json
from mien.models.folder import COMPONENTS
from mien.types import InputError

UNETS: dict[str, dict[str, Any]] = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64},
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "sample_size": 128,
    },
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_BIGG = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
TEXTS: dict[str, dict[str, dict[str, int]]] = {
    "sd15": {"text_encoder": _CLIP_L},
    "sdxl": {"text_encoder": _CLIP_L, "text_encoder_2": _BIGG},
}


def published(family: str) -> dict[str, nn.Module]:
    """UNet, autoencoder and text encoders of "sd15" or "sdxl" on the meta device."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "unet": UNet2DConditionModel(**UNETS[family]),
            "vae": AutoencoderKL(**VAE),
        }
        for name, settings in TEXTS[family].items():
            make = CLIPTextModel if name == "text_encoder" else CLIPTextModelWithProjection
            parts[name] = make(CLIPTextConfig(**settings))
    return parts


def of_folder(folder: Path) -> dict[str, nn.Module]:
    """The networks of a diffusers folder on the meta device, by their own configurations.

    Raises:
        InputError: the folder is not complete, or of another family.
    """
    import importlib

    from transformers import CLIPTextConfig

    parts: dict[str, nn.Module] = {}
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if name.startswith("text_encoder") and not (folder / name).is_dir():
            continue
        config = read_json(folder / name / "config.json")
        kind = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
        if kind not in COMPONENTS:
            raise InputError(
                f"{folder / name}: is of the kind {kind}: use a model of SD1.5's or SDXL's family"
            )
        make = getattr(importlib.import_module(COMPONENTS[kind]), kind)
        with torch.device("meta"):
            is_text = name.startswith("text_encoder")
            parts[name] = make(CLIPTextConfig(**config)) if is_text else make.from_config(config)
    return parts
