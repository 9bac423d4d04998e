"""Tiny real models with random weights, in the layouts of SD1.5 and SDXL: seconds to build, no download."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from mien.backbones import Backbone, load_backbone
from mien.models.autoencoder import PatchAutoencoder
from mien.models.e_adapter import EAdapter
from mien.models.families import PUBLISHED


def sd15_unet(seed: int = 0, in_channels: int = 4, channels: int = 4) -> UNet2DConditionModel:
    """SD1.5's layout: cross-attention down, mid and up; sample 8x8, 4 channels, cross-attention width 32."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=in_channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()


def sdxl_unet(seed: int = 0) -> UNet2DConditionModel:
    """SDXL's layout: several transformer layers a block, text and time embeddings; width 64."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
        norm_num_groups=8,
    ).eval()


def inpainting_unet(seed: int = 0) -> UNet2DConditionModel:
    """SD1.5-inpainting's layout: z_t, mask and background in (9 channels), 4 out."""
    return sd15_unet(seed, in_channels=9)


def mini_unet(seed: int = 0) -> UNet2DConditionModel:
    """The embedded default's layout: an inpainting UNet on 16 latent channels (33 in)."""
    return sd15_unet(seed, in_channels=33, channels=16)


def sdxl_added(b: int) -> dict[str, torch.Tensor]:
    """``added_cond_kwargs`` that :func:`sdxl_unet` needs: pooled text [b, 32] and time ids [b, 6]."""
    generator = torch.Generator().manual_seed(7)
    return {
        "text_embeds": torch.randn(b, 32, generator=generator),
        "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(b, 1),
    }


def tokenizer(length: int = 12) -> CLIPTokenizer:
    """Spells words out in bytes."""
    letters = [chr(c) for c in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocabulary = {word: i for i, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def text_config(width: int, length: int = 12, projection: int = 32) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer(length)),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=length,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def autoencoder() -> AutoencoderKL:
    """AutoencoderKL that halves the size once: 16x16 pixels <-> latents [4, 8, 8]."""
    torch.manual_seed(11)
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.18215,
    ).eval()


def patch_autoencoder() -> PatchAutoencoder:
    """The embedded default's autoencoder in small: 128x128 pixels <-> latents [16, 8, 8]."""
    torch.manual_seed(11)
    return PatchAutoencoder(widths=(16, 16, 16, 16), blocks=(1, 1, 1, 1)).eval()


def scheduler() -> DDIMScheduler:
    """SD1.5's noise schedule."""
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)


def save_folder(folder: Path, family: str) -> Path:
    """A whole model in the layout of "sd15", "sd15-inpainting", "mini" or "sdxl", as stock diffusers reads it."""
    torch.manual_seed(13)
    if family != "sdxl":
        kind = StableDiffusionInpaintPipeline if family == "sd15-inpainting" else StableDiffusionPipeline
        unet = {"sd15": sd15_unet, "sd15-inpainting": inpainting_unet, "mini": mini_unet}[family]
        pipe = kind(
            unet=unet(),
            vae=patch_autoencoder() if family == "mini" else autoencoder(),
            text_encoder=CLIPTextModel(text_config(32)),
            tokenizer=tokenizer(),
            scheduler=scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    else:
        pipe = StableDiffusionXLPipeline(
            unet=sdxl_unet(),
            vae=autoencoder(),
            text_encoder=CLIPTextModel(text_config(32)),
            text_encoder_2=CLIPTextModelWithProjection(text_config(32)),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            scheduler=scheduler(),
        )
    pipe.save_pretrained(folder)
    return folder


def add_adapter(folder: Path) -> Path:
    """Gives a saved model an adapter with random weights, for identities of 12 numbers and expressions of 9."""
    torch.manual_seed(1)
    adapter = EAdapter.create(UNet2DConditionModel.from_pretrained(folder / "unet"), 12, 9)
    for parameter in adapter.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    adapter.save(folder / "adapter")
    (folder / "adapter" / "adapter.json").write_text('{"steps": 3, "guidance": 2.0}')
    return folder


def load(folder: Path) -> Backbone:
    """``load_backbone(folder, "cpu")``: a copy for every caller, as copying takes a third of reading."""
    states = ((file, file.stat()) for file in sorted(folder.rglob("*")))
    return copy.deepcopy(
        _read(folder, tuple((file, state.st_mtime_ns, state.st_size) for file, state in states))
    )


@lru_cache(maxsize=8)
def _read(folder: Path, files: object) -> Backbone:
    """The model of a folder as long as its files are these."""
    return load_backbone(str(folder), "cpu")


def full_unet(family: str) -> UNet2DConditionModel:
    """The published configuration of "sd15" (0.86e9 parameters) or "sdxl" (2.6e9), random, float32."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLISHED[family]["unet"])
    # Weights are slices, each at its own place, of a few random arrays (one a fan-in): values of all layers
    # differ, and 2.6e9 of them take the memory of the largest layers only.
    generator = torch.Generator().manual_seed(0)
    shapes = {name: p.shape for name, p in unet.named_parameters()}
    largest: dict[int, int] = {}
    for shape in shapes.values():
        if len(shape) > 1:
            fan_in = shape[1:].numel()
            largest[fan_in] = max(largest.get(fan_in, 0), shape.numel())
    pools = {
        fan_in: torch.empty(size + 4096).uniform_(-1, 1, generator=generator) * (3 / fan_in) ** 0.5
        for fan_in, size in largest.items()  # variance 1 / fan-in
    }
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            weights[name] = torch.full(shape, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            start = 16 * int(torch.randint(256, (1,), generator=generator))
            weights[name] = pools[shape[1:].numel()][start : start + shape.numel()].view(shape)
    unet.load_state_dict(weights, assign=True)
    return unet.requires_grad_(False).eval()
