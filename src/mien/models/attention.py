"""Parallel decoupled cross-attention: text + identity + expression (PAPERS 1.1, EmojiDiff; after IP-Adapter).

    Z = Attn(Q, K_text, V_text) + lambda_id * Attn(Q, K_id, V_id) + lambda_exp * Attn(Q, K_exp, V_exp)

The conditions travel through the UNet as one :class:`Injected` value in the place of
``encoder_hidden_states``, so they are part of the call and not of some shared state: two calls with
different conditions may be in flight at once, and gradient checkpointing recomputes with what it first saw.
A UNet called with a plain text tensor runs its own processor.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention

LayerScale = float | Tensor
"""lambda of one layer: a number, or one number a sample, [b]."""

BlockScale = LayerScale | Mapping[str, LayerScale]
"""lambda of all layers, or by the beginning of the layer's name (``"down_blocks.1"``, ``"mid_block"``,
``"up_blocks.0.attentions.2"``); the longest name that fits counts, a layer that none fits gets 0, ``""``
fits all."""

LINEAR = ("to_q", "to_k", "to_v", "to_out")

Scale = BlockScale | Callable[[Tensor], BlockScale]
"""A :data:`BlockScale`, or a function of the timestep t [b] that gives one."""


class Injected(NamedTuple):
    """What a UNet with an attached adapter takes as ``encoder_hidden_states``.

    Attributes:
        text: [b, n_t, d]. identity: [b, n_i, d] or None. expression: [b, n_e, d] or None.
        id_scale, expression_scale: lambda_id and lambda_exp.
    """

    text: Tensor
    identity: Tensor | None
    expression: Tensor | None
    id_scale: BlockScale = 1.0
    expression_scale: BlockScale = 1.0


class LowRank(nn.Module):
    """A low-rank addition to a linear layer (LoRA), as FaceID has it: [.., width] -> [.., hidden]."""

    def __init__(self, width: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x.to(self.down.weight.dtype))).to(x.dtype)


class KeyValue(nn.Module):
    """Keys and values of one branch in one layer: [b, n, d] -> two of [b, n, hidden]. No bias."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(width, hidden, bias=False)
        self.to_v_ip = nn.Linear(width, hidden, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = tokens.to(self.to_k_ip.weight.dtype)
        return self.to_k_ip(tokens), self.to_v_ip(tokens)


@dataclass
class _Cached:
    tokens: weakref.ref[Tensor]
    stamp: tuple[object, ...]
    key_value: tuple[Tensor, Tensor]


class DecoupledAttention:
    """One attention layer's processor. Owns no parameters: the UNet's ``state_dict`` stays its own.

    ``identity`` and ``expression`` hold what the branches have for this layer: :class:`KeyValue` in a
    cross-attention layer, and in any layer perhaps low-rank additions ``to_q_lora``, ``to_k_lora``,
    ``to_v_lora``, ``to_out_lora`` (FaceID). The additions act in every call, the scales are not theirs.

    Without gradients, keys and values are kept while the very same token tensor comes back (one generation),
    and made anew when the tensor, its content or the weights change. A write through ``.data`` is invisible
    to autograd's version counter: call :meth:`forget` after one.
    """

    def __init__(
        self,
        layer: str,
        base: Callable[..., Tensor],
        identity: nn.Module | None,
        expression: nn.Module | None,
    ) -> None:
        self.layer = layer
        self.base = base
        self.identity = identity
        self.expression = expression
        self._additions: dict[str, list[LowRank]] = {
            name: [getattr(w, f"{name}_lora") for w in (identity, expression) if hasattr(w, f"{name}_lora")]
            for name in LINEAR
        }
        self._cache: dict[int, _Cached] = {}

    def forget(self) -> None:
        """Drop the kept keys and values."""
        self._cache.clear()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Injected | Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """hidden_states [b, s, hidden] -> [b, s, hidden]; attention_mask is over the text tokens only."""
        given = encoder_hidden_states
        if not isinstance(given, Injected):
            if not any(self._additions.values()):
                return self.base(attn, hidden_states, given, attention_mask, temb)
            given = Injected(hidden_states if given is None else given, None, None)
        b, n_text, _ = given.text.shape
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, n_text, b)
            attention_mask = attention_mask.view(b, attn.heads, -1, attention_mask.shape[-1])

        def heads(x: Tensor) -> Tensor:  # [b, n, hidden] -> [b, h, n, hidden / h]
            return x.view(*x.shape[:2], attn.heads, -1).transpose(1, 2)

        query = heads(self._linear("to_q", attn.to_q, hidden_states))
        key = heads(self._linear("to_k", attn.to_k, given.text))
        value = heads(self._linear("to_v", attn.to_v, given.text))
        z = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        for weights, tokens, scale in (
            (self.identity, given.identity, given.id_scale),
            (self.expression, given.expression, given.expression_scale),
        ):
            scale = layer_scale(scale, self.layer)
            if tokens is None or not isinstance(weights, KeyValue) or is_zero(scale):
                continue
            key, value = (heads(x.to(query.dtype)) for x in self._keys_values(weights, tokens, query.dtype))
            branch = F.scaled_dot_product_attention(query, key, value)
            if isinstance(scale, Tensor):
                z = z + scale.to(z).view(-1, 1, 1, 1) * branch  # [b] or [1] over [b, h, s, hidden / h]
            else:
                z = torch.add(z, branch, alpha=scale)
        z = z.transpose(1, 2).flatten(2)  # [b, s, hidden]
        return attn.to_out[1](self._linear("to_out", attn.to_out[0], z))

    def _linear(self, name: str, linear: nn.Module, x: Tensor) -> Tensor:
        y = linear(x)
        for addition in self._additions[name]:
            y = y + addition(x)
        return y

    def _keys_values(self, weights: KeyValue, tokens: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        k, v = weights.to_k_ip.weight, weights.to_v_ip.weight
        if torch.is_grad_enabled() or any(x.is_inference() for x in (tokens, k, v)):
            return weights(tokens)  # inference tensors carry no version: what has changed could not be seen
        stamp = (tokens._version, k._version, k.data_ptr(), v._version, v.data_ptr(), dtype)
        kept = self._cache.get(id(weights))
        if kept is None or kept.tokens() is not tokens or kept.stamp != stamp:
            kept = self._cache[id(weights)] = _Cached(weakref.ref(tokens), stamp, weights(tokens))
        return kept.key_value


def is_zero(scale: LayerScale) -> bool:
    """Whether a branch can be left out; a tensor's content is not looked at, which would wait for a GPU."""
    return not isinstance(scale, Tensor) and scale == 0


def layer_scale(scale: BlockScale, layer: str) -> LayerScale:
    """lambda of the layer with this name, e.g. ``"up_blocks.1.attentions.0.transformer_blocks.0.attn2"``."""
    if not isinstance(scale, Mapping):
        return scale
    fitting = [block for block in scale if in_block(layer, block)]
    return scale[max(fitting, key=len)] if fitting else 0.0


def in_block(layer: str, block: str) -> bool:
    """Whether ``block`` is the beginning of the layer's name, up to a dot or the end; ``""`` always is."""
    return block == "" or layer == block or layer.startswith(block + ".")
