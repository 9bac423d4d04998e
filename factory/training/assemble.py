"""Puts what the recipes of the embedded default exported into the package: float16, in small shards.

python -m factory.training.assemble --base runs/mini_pretrain/export --adapter runs/mini_base/export/adapter \\
    --autoencoder runs/mini_autoencoder/export --analyser runs/mini_analyser/export \\
    --recogniser runs/mini_recogniser/export

Parts that are not named stay as they are. With ``--share`` what is written is a mean of what was there and of the
export: where training went on from what ships, it is often better than either ("model soups", Wortsman et al. 2022,
arXiv 2203.05482). Writes the manifest of the weights afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from factory.training import manifest
from factory.training.rollout import Settings
from mien.models.adapter_files import read_adapter, write_adapter
from mien.models.autoencoder import PatchAutoencoder
from mien.types import InputError
from mien.weights import SHIPPED_FOLDER

SHARD = "14MB"
REFACE = {
    "reface_steps": 5,
    "reface_guidance": 1.75,
    "reface_identity": 1.3,
}  # docs/reface.md, "Measuring it"
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.0",
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["mien.models.autoencoder", "PatchAutoencoder"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
}


def mean(new: Mapping[str, Tensor], old: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """share * new + (1 - share) * old of two states with the same tensors, in new's order; float32.

    Raises:
        InputError: they are of different networks.
    """
    if {k: v.shape for k, v in new.items()} != {k: v.shape for k, v in old.items()}:
        raise InputError(
            "the export and what ships are different networks, which have no mean: leave out --share"
        )
    return {key: torch.lerp(old[key].float(), value.float(), share) for key, value in new.items()}


def assemble_base(source: Path, target: Path, share: float = 1.0) -> None:
    """UNet, text encoder, tokenizer and schedule of a pretraining export; a mean keeps the last two as they are."""
    unet = UNet2DConditionModel.from_pretrained(source / "unet", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(source / "text_encoder", dtype=torch.float32)
    if share != 1.0:
        old = UNet2DConditionModel.from_pretrained(target / "unet", torch_dtype=torch.float32)
        unet.load_state_dict(mean(unet.state_dict(), old.state_dict(), share))
        before = CLIPTextModel.from_pretrained(target / "text_encoder", dtype=torch.float32)
        text.load_state_dict(mean(text.state_dict(), before.state_dict(), share))
    copied = ("tokenizer", "scheduler") if share == 1.0 else ()
    for part in ("unet", "text_encoder", *copied):
        shutil.rmtree(target / part, ignore_errors=True)
    unet.half().save_pretrained(target / "unet", max_shard_size=SHARD)
    text.half().save_pretrained(target / "text_encoder")
    for part in copied:
        shutil.copytree(source / part, target / part)
    (target / "model_index.json").write_text(json.dumps(INDEX, indent=1) + "\n")


def assemble_autoencoder(source: Path, target: Path, grain: float) -> None:
    """The autoencoder; its encoder must be the one that the base was trained with."""
    vae = PatchAutoencoder.from_pretrained(source, torch_dtype=torch.float16)
    vae.register_to_config(grain=grain)
    shutil.rmtree(target / "vae", ignore_errors=True)
    vae.save_pretrained(target / "vae", max_shard_size=SHARD)


def assemble_adapter(
    source: Path, target: Path, sampler: Settings, id_scale: float, share: float = 1.0
) -> None:
    """Both branches in IP-Adapter's layout, with the encoders and settings they go with.

    `id_scale` becomes part of the identity's values, so that a lambda_id of 1 means it: what a branch adds to attention
    is linear in them.
    """
    for branch in ("identity", "expression"):
        image_proj, ip_adapter = read_adapter(source / f"{branch}.safetensors")
        if share != 1.0:
            before = read_adapter(target / "adapter" / f"{branch}.safetensors")
            image_proj, ip_adapter = mean(image_proj, before[0], share), mean(ip_adapter, before[1], share)
        state = {f"image_proj.{k}": v.half() for k, v in image_proj.items()}
        scale = id_scale if branch == "identity" else 1.0
        for key, value in ip_adapter.items():
            folded = value.float() * scale if key.endswith("to_v_ip.weight") else value
            state[f"ip_adapter.{key}"] = folded.half()
        (target / "adapter").mkdir(parents=True, exist_ok=True)
        write_adapter(target / "adapter" / f"{branch}.safetensors", state, None)
    settings = {
        "identity_encoder": "embedded",
        "expression_encoder": "embedded",
        **sampler._asdict(),
        **REFACE,
    }
    (target / "adapter" / "adapter.json").write_text(json.dumps(settings, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Assemble the embedded default from exports.")
    parser.add_argument("--target", type=Path, default=SHIPPED_FOLDER / "mini")
    for name in ("base", "autoencoder", "adapter", "analyser", "recogniser", "detector"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--steps", type=int, default=6, help="default sampling steps")
    parser.add_argument("--guidance", type=float, default=1.25, help="default guidance")
    parser.add_argument("--id-scale", type=float, default=1.0, help="of the identity, into its weights")
    parser.add_argument("--share", type=float, default=1.0, help="of the base's and adapter's new weights")
    parser.add_argument(
        "--grain", type=float, default=0.5, help="of the autoencoder (factory.training.grain)"
    )
    given = parser.parse_args()
    if given.base:
        assemble_base(given.base, given.target, given.share)
    if given.autoencoder:
        assemble_autoencoder(given.autoencoder, given.target, given.grain)
    if given.adapter:
        sampler = Settings(given.steps, given.guidance)
        assemble_adapter(given.adapter, given.target, sampler, given.id_scale, given.share)
    for name in ("analyser", "recogniser", "detector"):
        if getattr(given, name):
            (given.target / "face").mkdir(parents=True, exist_ok=True)
            shutil.copy(
                getattr(given, name) / f"{name}.safetensors", given.target / "face" / f"{name}.safetensors"
            )
    for config in given.target.glob("*/config.json"):  # diffusers writes where it had loaded a model from
        content = json.loads(config.read_text())
        if content.pop("_name_or_path", None) is not None:
            config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    if given.target == SHIPPED_FOLDER / "mini":
        manifest.main()


if __name__ == "__main__":
    main()
