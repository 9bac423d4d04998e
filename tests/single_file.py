"""A tiny SD1.5 in one file: the keys of CompVis' layout, which ComfyUI and Civitai have checkpoints in."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

# diffusers' name -> CompVis', for a UNet of two blocks with one layer, of which the first down and the second up attend
BLOCKS = {
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.attentions.0": "output_blocks.2.1",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "up_blocks.1.attentions.1": "output_blocks.3.1",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE = [
    (r"encoder\.down_blocks\.(\d)\.resnets\.(\d)", r"encoder.down.\1.block.\2"),
    (r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample"),
    (r"decoder\.up_blocks\.0\.resnets\.(\d)", r"decoder.up.1.block.\1"),
    (r"decoder\.up_blocks\.1\.resnets\.(\d)", r"decoder.up.0.block.\1"),
    (r"decoder\.up_blocks\.0\.upsamplers\.0", r"decoder.up.1.upsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_(q|k|v)\.", r"mid.attn_1.\1."),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"),
]


def of_unet(name: str) -> str:
    block = next(block for block in BLOCKS if name.startswith(f"{block}."))
    rest = name[len(block) + 1 :]
    if ".resnets." in block:
        layer, _, end = rest.partition(".")
        rest = f"{RESNET[layer]}.{end}"
    return f"model.diffusion_model.{BLOCKS[block]}.{rest}"


def of_vae(name: str) -> str:
    for pattern, other in VAE:
        name = re.sub(pattern, other, name)
    return f"first_stage_model.{name}"


def save(folder: Path, path: Path) -> Path:
    """The networks of a tiny diffusers folder (fp16 variant) as one file at `path`."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", variant="fp16").state_dict()
    vae = AutoencoderKL.from_pretrained(folder / "vae", variant="fp16").state_dict()
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", variant="fp16").state_dict()
    state: dict[str, torch.Tensor] = {of_unet(name): value for name, value in unet.items()}
    for name, value in vae.items():
        other = of_vae(name)
        matrix = "attn_1" in other and value.ndim == 2
        state[other] = value[..., None, None] if matrix else value
    for name, value in text.items():
        whole = name if name.startswith("text_model.") else f"text_model.{name}"
        state[f"cond_stage_model.transformer.{whole}"] = value
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path
