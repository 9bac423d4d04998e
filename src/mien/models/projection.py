"""Tokens from embeddings, in the two layouts of IP-Adapter that diffusers tells apart by their keys.

Glossary: C embedding width, n tokens, D the UNet's cross-attention width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mien.types import InputError

ProjectionKind = Literal["linear", "mlp"]
LINEAR_TOKENS = 4  # fixed by the image-prompt layout: readers take D as rows / 4


class LinearProjection(nn.Module):
    """Image-prompt layout: ``proj`` [4D, C] and ``norm`` [D]. Embeddings [b, C] -> tokens [b, 4, D]."""

    def __init__(self, width: int, dim: int, tokens: int = LINEAR_TOKENS) -> None:
        super().__init__()
        if tokens != LINEAR_TOKENS:
            raise InputError(
                f"a linear projection has {LINEAR_TOKENS} tokens in IP-Adapter's layout, not {tokens}: "
                'use the "mlp" projection for another number'
            )
        self.width, self.dim, self.tokens = width, dim, tokens
        self.proj = nn.Linear(width, tokens * dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, embeds: Tensor) -> Tensor:
        x = self.proj(embeds.to(self.proj.weight.dtype))  # [b, 4D]
        return self.norm(x.view(-1, self.tokens, self.dim))


class MLPProjection(nn.Module):
    """FaceID layout: ``proj.0`` [kC, C], GELU, ``proj.2`` [nD, kC], ``norm`` [D]: [b, C] -> [b, n, D]. The hidden width
    is a whole multiple k of C, because readers of the layout work it out as one."""

    def __init__(self, width: int, dim: int, tokens: int = 4, mult: int = 2) -> None:
        super().__init__()
        self.width, self.dim, self.tokens = width, dim, tokens
        hidden = mult * width
        self.proj = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, tokens * dim))
        self.norm = nn.LayerNorm(dim)

    def forward(self, embeds: Tensor) -> Tensor:
        x = self.proj(embeds.to(self.norm.weight.dtype))  # [b, n D]
        return self.norm(x.view(-1, self.tokens, self.dim))


class UnitsProjection(nn.Module):
    """FineFace's layout (``models.fineface``): intensities [b, n] -> one token [b, 1, D], they themselves and a
    linear map of them in the places that are left."""

    tokens = 1

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.width, self.dim = width, dim
        self.au_encoder = nn.Linear(width, dim - width)

    def forward(self, embeds: Tensor) -> Tensor:
        embeds = embeds.to(self.au_encoder.weight.dtype)
        return torch.cat([embeds, self.au_encoder(embeds)], dim=-1)[:, None]


Projection = LinearProjection | MLPProjection | UnitsProjection


PROJECTIONS: dict[ProjectionKind, type[LinearProjection] | type[MLPProjection]] = {
    "linear": LinearProjection,
    "mlp": MLPProjection,
}
"""The image-prompt layout and FaceID's."""


def projection_from_state(state: Mapping[str, Tensor], source: str) -> Projection:
    """The projection that these ``image_proj`` weights belong to, told by the keys as diffusers does. state: keys
    without the prefix ``image_proj.``. source: the file's name, for errors."""
    if "au_encoder.weight" in state:
        return units_projection(state, source)
    norm = state.get("norm.weight")
    linear, first, second = state.get("proj.weight"), state.get("proj.0.weight"), state.get("proj.2.weight")
    projection: Projection
    if "perceiver_resampler.proj_in.weight" in state or "latents" in state or "proj.3.weight" in state:
        raise InputError(
            f"{source}: is a FaceID-Plus, Plus or full-face adapter: use a plain FaceID or "
            f"image-prompt adapter"
        )
    if norm is None or norm.ndim != 1 or (linear is None and (first is None or second is None)):
        raise InputError(f"{source}: its image_proj has neither the image-prompt nor the FaceID layout")
    dim = norm.shape[0]
    if linear is not None:
        if linear.shape[:1] != (LINEAR_TOKENS * dim,):
            raise InputError(f"{source}: image_proj.proj.weight is of the wrong shape {tuple(linear.shape)}")
        projection = LinearProjection(linear.shape[-1], dim, linear.shape[0] // dim)
    else:
        assert first is not None and second is not None
        width = first.shape[-1]
        projection = MLPProjection(width, dim, second.shape[0] // dim, max(1, first.shape[0] // width))
    load_exactly(projection, state, f"{source}: image_proj")
    return projection


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], source: str, assign: bool = False) -> None:
    """Load weights of just the module's names and shapes; `InputError` otherwise. source: the file and part.
    assign: take the tensors themselves, as modules on the meta device need."""
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if expected != found:
        wrong = sorted(set(expected.items()) ^ set(found.items()))[0]
        raise InputError(f"{source}.{wrong[0]} is missing, unexpected or of the wrong shape {wrong[1]}")
    module.load_state_dict(dict(state), assign=assign)


def units_projection(state: Mapping[str, Tensor], source: str) -> UnitsProjection:
    """The projection of these weights, ``au_encoder.weight`` [D - n, n] and ``au_encoder.bias`` [D - n]. Raises
    `InputError`: they are not of that shape."""
    weight, bias = state.get("au_encoder.weight"), state.get("au_encoder.bias")
    if len(state) != 2 or weight is None or bias is None or weight.ndim != 2 or len(bias) != len(weight):
        raise InputError(f"{source}: is not an encoder of action units of FineFace's kind for SD1.5")
    projection = UnitsProjection(weight.shape[1], weight.shape[0] + weight.shape[1])
    projection.load_state_dict({name: value.float() for name, value in state.items()})
    return projection
