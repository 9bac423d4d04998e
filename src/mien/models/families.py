"""The published configurations of SD1.5 and SDXL, as networks without weights: what a plan counts and measures.

Sources: the ``config.json`` files of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.models.folder import class_of, component

PUBLISHED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
"""Family → network → its configuration."""


KINDS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "CLIPTextModelWithProjection",
}
"""Network → its class in `PUBLISHED`."""


def published(family: str) -> dict[str, nn.Module]:
    """UNet, autoencoder and text encoders of "sd15" or "sdxl" on the meta device."""
    return {name: _empty(component(KINDS[name]), config) for name, config in PUBLISHED[family].items()}


def of_folder(folder: Path) -> dict[str, nn.Module]:
    """The networks of a diffusers folder on the meta device, by their own configurations. Raises `InputError`: the
    folder is not complete, or of another family."""
    texts = [name for name in ("text_encoder", "text_encoder_2") if (folder / name).is_dir()]
    return {name: _empty(*class_of(folder, name)) for name in ("unet", "vae", *texts)}


def _empty(make: Any, config: dict[str, Any]) -> nn.Module:
    from transformers import CLIPTextConfig

    with torch.device("meta"):
        is_text = make.__module__.startswith("transformers")
        made: nn.Module = make(CLIPTextConfig(**config)) if is_text else make.from_config(config)
    return made
