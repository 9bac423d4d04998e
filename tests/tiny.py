"""Tiny real models with random weights, in the layouts of SD1.5 and SDXL: seconds to build, no download."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel


def sd15_unet(seed: int = 0) -> UNet2DConditionModel:
    """SD1.5's layout: cross-attention down, mid and up; sample 8x8, 4 channels, cross-attention width 32."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
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


def sdxl_added(b: int) -> dict[str, torch.Tensor]:
    """``added_cond_kwargs`` that :func:`sdxl_unet` needs: pooled text [b, 32] and time ids [b, 6]."""
    generator = torch.Generator().manual_seed(7)
    return {
        "text_embeds": torch.randn(b, 32, generator=generator),
        "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(b, 1),
    }
