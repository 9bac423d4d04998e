"""Identities of people who do not exist, drawn from how those of photographs are spread.

The 224 numbers of women's photographs, and of men's, are taken as normally distributed. A draw is somebody as unlike
everybody as a stranger is (`benchmarks/invented.py` measures it); no photograph is kept, only a mean and a covariance.
`mien.training.people` writes both.
"""

from __future__ import annotations

from functools import cache

import torch
from safetensors.torch import load_file
from torch import Tensor

from mien import weights

KINDS = ("woman", "man")


def draw(kind: str, seed: int) -> Tensor:
    """[224] float32: an identity of `EmbeddedIdentity`, the same on every machine up to rounding.

    Args:
        kind: of `KINDS`.
    """
    mean, factor = _spread()[kind]
    z = torch.randn(len(mean), generator=torch.Generator().manual_seed(seed))
    return mean + factor @ z


@cache
def _spread() -> dict[str, tuple[Tensor, Tensor]]:
    """Of each kind: mean [224] and a lower triangle L [224, 224], L Lᵀ the covariance."""
    tensors = load_file(weights.path("people"))
    return {kind: (tensors[f"{kind}.mean"].float(), tensors[f"{kind}.factor"].float()) for kind in KINDS}
