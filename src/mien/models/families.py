"""The published configurations of SD1.5 and SDXL, as networks without weights: what a plan counts and measures.

Sources: the ``config.json`` files of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.files import read_json
from mien.models.folder import COMPONENTS
from mien.types import InputError

PUBLISHED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
"""Family → network → its configuration."""


def published(family: str) -> dict[str, nn.Module]:
    """UNet, autoencoder and text encoders of "sd15" or "sdxl" on the meta device."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with torch.device("meta"):
        makers: dict[str, Callable[..., nn.Module]] = {
            "unet": UNet2DConditionModel,
            "vae": AutoencoderKL,
            "text_encoder": lambda **settings: CLIPTextModel(CLIPTextConfig(**settings)),
            "text_encoder_2": lambda **settings: CLIPTextModelWithProjection(CLIPTextConfig(**settings)),
        }
        return {name: makers[name](**settings) for name, settings in PUBLISHED[family].items()}


def of_folder(folder: Path) -> dict[str, nn.Module]:
    """The networks of a diffusers folder on the meta device, by their own configurations. Raises `InputError`: the
    folder is not complete, or of another family."""
    import importlib

    from transformers import CLIPTextConfig

    parts: dict[str, nn.Module] = {}
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if name.startswith("text_encoder") and not (folder / name).is_dir():
            continue
        config = read_json(folder / name / "config.json")
        kind = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
        if kind not in COMPONENTS:
            raise InputError(f"{folder / name}: is a {kind}: use a model of the SD1.5 or SDXL family")
        make = getattr(importlib.import_module(COMPONENTS[kind]), kind)
        with torch.device("meta"):
            is_text = name.startswith("text_encoder")
            parts[name] = make(CLIPTextConfig(**config)) if is_text else make.from_config(config)
    return parts
