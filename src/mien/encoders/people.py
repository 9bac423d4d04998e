"""Identities of people who do not exist, drawn from how those of photographs are spread.

The 224 numbers of photographs of women, and of men, of an age are taken as normally distributed. A draw is somebody as
unlike everybody as a stranger is (`benchmarks/invented.py` measures it); no photograph is kept, only means and
covariances. `factory.training.people` writes them.
"""

from __future__ import annotations

import re
from functools import cache

import torch
from safetensors.torch import load_file
from torch import Tensor

from mien import weights

KINDS = ("woman", "man")
AGES = ("young", "adult", "middle-aged", "old")
_SYNONYMS = {"lady": "woman", "female": "woman", "gentleman": "man", "male": "man", "elderly": "old"}
_PLAIN = frozenset(
    "a an and black color colour face in of person photo photograph portrait the white with".split()
)


def draw(seed: int, prompt: str = "") -> Tensor:
    """[224] float32: an identity of `EmbeddedIdentity`, the same on every machine up to rounding. Words of `KINDS` and
    `AGES` in the prompt are obeyed; else it is a woman of every even seed and a man of every odd one, of any age."""
    kind, age = said(prompt)
    rng = torch.Generator().manual_seed(seed)
    shares, means, factor = _spread()[kind or KINDS[seed % 2]]
    # drawn though an age is told: so the rest of the draw stays the same
    some = int(torch.multinomial(shares, 1, generator=rng))
    mean = means[some if age is None else AGES.index(age)]
    return mean + factor @ torch.randn(len(mean), generator=rng)


def said(prompt: str) -> tuple[str | None, str | None]:
    """The first of `KINDS` and the first of `AGES` that a prompt names, None if it does not."""
    words = [_SYNONYMS.get(word, word) for word in re.findall(r"[\w-]+", prompt.lower())]
    kind, age = (next((word for word in words if word in known), None) for known in (KINDS, AGES))
    return kind, age


def unknown(prompt: str, invented: bool = False) -> list[str]:
    """The words of a prompt that the embedded model does not know, in their order. It knows black and white photos; of
    people who are invented also `KINDS` and `AGES`."""
    known = {*_PLAIN, *KINDS, *AGES, *_SYNONYMS} if invented else _PLAIN
    return [word for word in re.findall(r"[\w'-]+", prompt) if word.lower() not in known]


@cache
def _spread() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Of each kind: shares [4] of the ages, their means [4, 224] and a lower triangle L [224, 224] with L Lᵀ the
    covariance within an age."""
    tensors = {name: tensor.float() for name, tensor in load_file(weights.path("people")).items()}
    return {
        kind: (tensors[f"{kind}.shares"], tensors[f"{kind}.means"], tensors[f"{kind}.factor"])
        for kind in KINDS
    }
