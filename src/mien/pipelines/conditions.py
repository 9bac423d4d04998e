"""What a batch's UNet is told; and prompts that a caller has encoded, diffusers' ``prompt_embeds`` and companions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mien.backbones import Backbone
from mien.models.e_adapter import EAdapter
from mien.models.text import EncodedText
from mien.types import Conditions, InputError


@dataclass(frozen=True)
class Texts:
    """What stands in place of a batch's prompts; ``negative``: None: the negative prompts stand."""

    positive: EncodedText
    negative: EncodedText | None

    def part(self, rows: slice) -> Texts:
        """The same of some of the batch."""
        return Texts(self.positive.part(rows), None if self.negative is None else self.negative.part(rows))


NAMES = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


def given_texts(
    backbone: Backbone,
    prompts: Sequence[str],
    negatives: Sequence[str],
    texts: Sequence[Tensor | None],
    n: int,
    copies: int,
) -> Texts | None:
    """What was given in place of prompts, for n × copies images; None: nothing was. Raises `InputError`: both a text
    and its tokens, tokens of another shape, or SDXL without its pooled ones. prompts, negatives: the texts beside,
    empty where tokens are given. texts: in the order of `NAMES`, [1 or n, tokens, d] and pooled [1 or n, d']."""
    if all(text is None for text in texts):
        return None
    if texts[0] is None:
        raise InputError("negative_prompt_embeds need prompt_embeds: give both, or texts")
    if any(prompts) or (texts[1] is not None and any(negatives)):
        raise InputError("prompt_embeds stand in place of the prompt: give one of them")
    found: list[Tensor | None] = []
    for name, text in zip(NAMES, texts, strict=True):
        dims = 2 if "pooled" in name else 3
        if text is not None:
            if not isinstance(text, Tensor) or text.ndim != dims or len(text) not in (1, n):
                raise InputError(f"{name} must be a tensor of {dims} dimensions, the first of them 1 or {n}")
            if not text.isfinite().all():
                raise InputError(f"{name} holds NaN or infinite numbers: encode the prompt again")
            width = backbone.unet.config.cross_attention_dim
            if dims == 3 and text.shape[-1] != width:
                raise InputError(
                    f"{name} is {text.shape[-1]} wide, this model's text {width}: encode it with its own"
                )
            text = text.expand(n, *text.shape[1:]).repeat_interleave(copies, 0)
        found.append(text)
    tokens, negative, pooled, negative_pooled = found
    assert tokens is not None
    if backbone.is_sdxl and (pooled is None or (negative is not None and negative_pooled is None)):
        raise InputError("SDXL needs pooled_prompt_embeds beside prompt_embeds, and negative ones too")
    if negative is not None and negative.shape[1] != tokens.shape[1]:
        raise InputError("prompt_embeds and negative_prompt_embeds need as many tokens: encode both alike")
    other = None if negative is None else EncodedText(negative, negative_pooled)
    return Texts(EncodedText(tokens, pooled), other)


def conditions_of(
    backbone: Backbone,
    adapter: EAdapter,
    embeds: tuple[Tensor | None, Tensor | None],
    prompts: Sequence[str],
    negative_prompts: Sequence[str] | None,
    size: tuple[int, int],
    background: tuple[Tensor, Tensor] | None,
    texts: Texts | None,
) -> tuple[Conditions, dict[str, Any]]:
    """Tokens of the batch, and what else the UNet takes; under guidance (negative prompts given) [2b, …], the
    unconditional half first. embeds: of identity and expression, [b, w] or [b, k, w]. size: height, width in pixels.
    The others are those of ``PortraitPipeline.generate``."""
    if texts is None:
        text = backbone.prompts([*(negative_prompts or ()), *prompts])
    else:
        sides = [texts.positive]
        if negative_prompts is not None:
            sides.insert(0, texts.negative or backbone.prompts(negative_prompts))
        sides = [side.to(backbone.device, backbone.precision) for side in sides]
        pooled = [side.pooled for side in sides if side.pooled is not None]
        text = EncodedText(torch.cat([side.tokens for side in sides]), torch.cat(pooled) if pooled else None)
    own = texts is not None and texts.negative is not None
    if negative_prompts is not None and backbone.empty_negative_is_zero and not own:
        empty = [i for i, negative in enumerate(negative_prompts) if negative == ""]
        for tensor in (text.tokens, text.pooled):
            if tensor is not None:
                tensor[empty] = 0.0

    def both(vectors: Tensor | None) -> Tensor | None:
        if vectors is None:
            return None
        vectors = vectors.to(backbone.device, backbone.precision)
        return vectors if negative_prompts is None else torch.cat([torch.zeros_like(vectors), vectors])

    conditions = adapter.project(both(embeds[0]), both(embeds[1]), text.tokens)
    if background is not None:
        copies = (1 if negative_prompts is None else 2, 1, 1, 1)
        conditions.background, conditions.mask = (part.repeat(copies) for part in background)
    elif backbone.takes_background:
        conditions.background, conditions.mask = backbone.empty_background(1, *size)
    return conditions, backbone.added_conditions(text, *size)
