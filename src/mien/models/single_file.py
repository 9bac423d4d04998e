"""A checkpoint of SD1.5's or SDXL's family in one file (CompVis' layout, as ComfyUI and Civitai have it), by diffusers'
own conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mien.models.folder import quiet
from mien.types import InputError
from mien.weights.adapters import header

INPUT = "model.diffusion_model.input_blocks.0.0.weight"


def load_single_file(
    path: Path,
    configs: Path,
    sdxl: bool,
    precision: torch.dtype,
    vae_precision: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """Networks, tokenizers and scheduler of a checkpoint, by diffusers' names, frozen and in evaluation mode. Raises
    `InputError`: the file is damaged, incomplete, or not of this family.

    Args:
        path: ``.safetensors``. configs: a diffusers folder of the family whose weights need not be there.
        precision, vae_precision: of UNet and text encoders, and of the autoencoder.
    """
    import diffusers

    channels = header(path).get(INPUT, [0, 0])[1]
    kind = f"StableDiffusion{'XL' if sdxl else ''}{'Inpaint' if channels == 9 else ''}Pipeline"
    shared = {"config": str(configs), "local_files_only": True, "torch_dtype": precision}
    unsafe = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    try:
        with quiet():
            unet = diffusers.UNet2DConditionModel.from_single_file(
                str(path), subfolder="unet", in_channels=channels, **shared
            )
            pipe = getattr(diffusers, kind).from_single_file(
                str(path), unet=unet, **shared, **({} if sdxl else unsafe)
            )
    except Exception as error:  # a damaged file makes the loaders raise many kinds
        raise InputError(
            f"{path}: could not be loaded: it is damaged, incomplete or of another family: use another copy"
        ) from error
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            if any(not value.isfinite().all() for value in part.parameters()):
                raise InputError(f"{path}: its {name} holds NaN or infinite weights: use another copy")
            part.requires_grad_(False).eval().to(device, vae_precision if name == "vae" else precision)
    return parts
