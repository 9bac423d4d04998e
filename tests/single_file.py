"""Checkpoints in one file, tiny and random: the keys of CompVis' and Stability's layout, as ComfyUI and Civitai have
them for SD1.5 and SDXL, with what else lies in the real files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection

State = dict[str, torch.Tensor]
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
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
OPEN_CLIP = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def of_unet(unet: UNet2DConditionModel, name: str) -> str:
    """diffusers' name of a UNet's parameter -> CompVis'."""
    count = unet.config.layers_per_block + 1  # of input or output blocks, of one of diffusers' blocks
    found = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", name)
    if found is None:
        block = next(block for block in ENDS if name.startswith(f"{block}."))
        place, part, rest = ENDS[block], block, name[len(block) + 1 :]
    else:
        side, i, part, j, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        attends = "Attn" in unet.config[f"{side}_block_types"][i]
        if part == "downsamplers":
            return f"model.diffusion_model.input_blocks.{count * (i + 1)}.0.op.{rest.removeprefix('conv.')}"
        if part == "upsamplers":
            return f"model.diffusion_model.output_blocks.{count * (i + 1) - 1}.{1 + attends}.{rest}"
        number = count * i + j + (side == "down")
        place = f"{'input' if side == 'down' else 'output'}_blocks.{number}.{int(part == 'attentions')}"
    if "resnets" in part:
        layer, _, end = rest.partition(".")
        rest = f"{RESNET[layer]}.{end}"
    return f"model.diffusion_model.{place}.{rest}"


def of_vae(name: str) -> str:
    for pattern, other in VAE:
        name = re.sub(pattern, other, name)
    return f"first_stage_model.{name}"


def of_clip(state: State, prefix: str) -> State:
    whole = {n if n.startswith("text_model.") else f"text_model.{n}": v for n, v in state.items()}
    length = whole["text_model.embeddings.position_embedding.weight"].shape[0]
    whole["text_model.embeddings.position_ids"] = torch.arange(length)[None]
    return {f"{prefix}{name}": value for name, value in whole.items()}


def of_open_clip(state: State, prefix: str) -> State:
    """As OpenCLIP has it: queries, keys and values in one, the projection transposed."""
    out, own = {}, {name.removeprefix("text_model."): value for name, value in state.items()}
    for name, value in own.items():
        layer, _, rest = name.removeprefix("encoder.layers.").partition(".")
        part, _, kind = rest.rpartition(".")
        if part == "self_attn.q_proj":
            three = [own[f"encoder.layers.{layer}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
            out[f"transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(three)
        elif part in OPEN_CLIP:
            out[f"transformer.resblocks.{layer}.{OPEN_CLIP[part]}.{kind}"] = value
    out["token_embedding.weight"] = own["embeddings.token_embedding.weight"]
    out["positional_embedding"] = own["embeddings.position_embedding.weight"]
    out |= {f"ln_final.{kind}": own[f"final_layer_norm.{kind}"] for kind in ("weight", "bias")}
    out["text_projection"], out["logit_scale"] = own["text_projection.weight"].T, torch.tensor(4.6)
    return {f"{prefix}{name}": value for name, value in out.items()}


def save(folder: Path, path: Path, variant: str | None = "fp16") -> Path:
    """The networks of a tiny diffusers folder as one file at `path`."""
    net = UNet2DConditionModel.from_pretrained(folder / "unet", variant=variant)
    state: State = {of_unet(net, name): value for name, value in net.state_dict().items()}
    for name, value in AutoencoderKL.from_pretrained(folder / "vae", variant=variant).state_dict().items():
        other = of_vae(name)
        matrix = "attn_1" in other and value.ndim == 2
        state[other] = value[..., None, None] if matrix else value
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", variant=variant).state_dict()
    if (folder / "text_encoder_2").is_dir():
        second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2", variant=variant)
        state |= of_clip(text, "conditioner.embedders.0.transformer.")
        state |= of_open_clip(second.state_dict(), "conditioner.embedders.1.model.")
        state["denoiser.sigmas"] = torch.linspace(0.03, 14.6, 1000)
    else:
        state |= of_clip(text, "cond_stage_model.transformer.")
        state |= {"betas": torch.linspace(0.00085, 0.012, 1000), "alphas_cumprod": torch.ones(1000)}
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path
