"""Tokens of a compound identity: a two-layer MLP for each recogniser, side by side (DiffSFSR, section 3.1, "Identity").

Glossary: C_k width of recogniser k's embedding, n tokens of each, D the UNet's cross-attention width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mien.models.projection import MLPProjection, projection_from_state
from mien.types import InputError

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class CompoundProjection(nn.Module):
    """Embeddings {name: [b, C_k]} -> tokens [b, Σ n, D], recogniser after recogniser in the order of `widths`.

    Each has a projection of its own in FaceID's layout (`MLPProjection`), under ``of.NAME``. In an adapter's branch the
    embeddings travel as one vector [b, Σ C], in alphabetical order of the names (`encoders.compound.JoinedIdentity`).
    ``width``: Σ C.
    """

    def __init__(self, widths: Mapping[str, int], dim: int, tokens: int = 4, mult: int = 2) -> None:
        """widths: recogniser → C. dim: D. tokens: n of each. mult: hidden width / C."""
        super().__init__()
        if not widths:
            raise InputError("a compound projection of no recogniser has no tokens: name at least one")
        for name in widths:
            if not _NAME.fullmatch(name):
                raise InputError(f"{name!r} cannot name a recogniser: use letters, digits, _ and -")
        self.widths = dict(widths)
        self.width = sum(widths.values())
        self.dim, self.tokens = dim, tokens * len(widths)
        self.config: dict[str, Any] = {"widths": self.widths, "dim": dim, "tokens": tokens, "mult": mult}
        self.of = nn.ModuleDict({name: MLPProjection(c, dim, tokens, mult) for name, c in widths.items()})

    def forward(self, embeds: Mapping[str, Tensor] | Tensor) -> Tensor:
        """{name: [b, C_k]}, or [b, Σ C] in alphabetical order of the names -> [b, Σ n, D]. Raises `InputError`: a
        recogniser is missing, unknown, or of another width. A recogniser of zeros is one that says nothing, as guidance
        uses it."""
        if isinstance(embeds, Tensor):
            names = sorted(self.widths)
            parts = embeds.split([self.widths[name] for name in names], dim=-1)
            embeds = dict(zip(names, parts, strict=True))
        if set(embeds) != set(self.widths):
            wrong = sorted(set(embeds) ^ set(self.widths))[0]
            raise InputError(
                f"the embedding of {wrong!r} is {'missing' if wrong in self.widths else 'not expected'}: "
                f"this projection takes {', '.join(self.widths)}"
            )
        for name, width in self.widths.items():
            if embeds[name].ndim != 2 or embeds[name].shape[1] != width:
                raise InputError(f"{name}: embeddings are [b, {width}], not {list(embeds[name].shape)}")
        return torch.cat([project(embeds[name]) for name, project in self.of.items()], dim=1)


def compound_projection_from_state(state: Mapping[str, Tensor], source: str) -> CompoundProjection:
    """The compound projection that these weights belong to; widths and tokens are read off their shapes. Raises
    `InputError`: a key is missing or unexpected, or the recognisers' parts do not go together. state: keys
    ``of.NAME.proj.0.weight`` and so on. source: the file's name, for errors."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        pieces = key.split(".", 2)
        if len(pieces) != 3 or pieces[0] != "of":
            raise InputError(f"{source}: {key} does not belong to a compound projection")
        parts.setdefault(pieces[1], {})[pieces[2]] = value
    made = {name: projection_from_state(part, f"{source}, {name}") for name, part in parts.items()}
    mlps = {name: part for name, part in made.items() if isinstance(part, MLPProjection)}
    if not made or len(mlps) != len(made):
        raise InputError(f"{source}: does not hold a two-layer projection of each recogniser")
    shapes = {(p.dim, p.tokens, p.proj[0].out_features // p.width) for p in mlps.values()}  # type: ignore[operator]
    if len(shapes) != 1:
        raise InputError(f"{source}: its recognisers' projections differ in width or tokens")
    dim, tokens, mult = shapes.pop()
    whole = CompoundProjection({name: part.width for name, part in mlps.items()}, dim, tokens, int(mult))
    whole.load_state_dict(dict(state))
    return whole
