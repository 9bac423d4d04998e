"""Prompts as text tokens, in Stable Diffusion's way (one CLIP text encoder) and SDXL's (two)."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mien.models.folder import place

_ALONE = threading.Lock()  # padding and truncation are settings of a tokenizer, not of a call


@dataclass(frozen=True)
class EncodedText:
    """tokens: [b, n_t, d]. pooled: [b, p] of SDXL's second encoder, else None."""

    tokens: Tensor
    pooled: Tensor | None

    def part(self, rows: slice) -> EncodedText:
        """The same of some of the batch."""
        return EncodedText(self.tokens[rows], None if self.pooled is None else self.pooled[rows])

    def to(self, device: torch.device, dtype: torch.dtype) -> EncodedText:
        """The same elsewhere."""
        return EncodedText(
            self.tokens.to(device, dtype), None if self.pooled is None else self.pooled.to(device, dtype)
        )


@dataclass(frozen=True)
class PromptEncoder:
    """Tokenizers with their text encoders: one pair (last layer's output, SD1.5), or two (SDXL: the layer
    before the last of both, side by side, and the second's pooled projection)."""

    tokenizers: Sequence[Any]
    encoders: Sequence[Any]

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> EncodedText:
        """Encode b prompts. What is too long for the tokenizer is cut, with a warning that quotes it."""
        return self.encode(self.ids(prompts))

    def ids(self, prompts: Sequence[str]) -> list[Tensor]:
        """[b, n_t] of each tokenizer, on the CPU."""
        return [tokenize(tokenizer, list(prompts)) for tokenizer in self.tokenizers]

    @torch.no_grad()
    def encode(self, ids: Sequence[Tensor]) -> EncodedText:
        """Encode what `ids` gave."""
        layers, pooled = [], None
        for one, encoder in zip(ids, self.encoders, strict=True):
            if len(self.encoders) == 1:
                return EncodedText(encoder(one.to(place(encoder)))[0], None)
            output = encoder(one.to(place(encoder)), output_hidden_states=True)
            layers.append(output.hidden_states[-2])
            pooled = output[0]  # of the last encoder: CLIPTextModelWithProjection's text_embeds
        return EncodedText(torch.cat(layers, dim=-1), pooled)


def tokenize(tokenizer: Any, prompts: list[str], tell: bool = True) -> Tensor:
    """[b, n_t] ids, padded to the tokenizer's full length. Threads may share a tokenizer through this function. tell:
    whether to warn of what is cut."""
    length = tokenizer.model_max_length
    with _ALONE:
        whole = tokenizer(prompts, add_special_tokens=True, verbose=False).input_ids
        full = {"padding": "max_length", "max_length": length, "truncation": True}
        padded = tokenizer(prompts, **full, return_tensors="pt")
    for prompt, ids in zip(prompts, whole, strict=True):
        if tell and len(ids) > length:
            lost = tokenizer.decode(ids[length - 1 : -1]).strip()
            warnings.warn(
                f'the prompt "{prompt[:40]}…" is longer than {length - 2} tokens, this part has no effect: '
                f'"{lost}"',
                stacklevel=5,
            )
    return padded.input_ids
