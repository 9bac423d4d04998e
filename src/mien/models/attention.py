"""Decoupled cross-attention: text + identity + expression (EmojiDiff, section 3.1; after IP-Adapter).

    Z = Attn(Q, K_text, V_text) + lambda_id * Attn(Q, K_id, V_id) + lambda_exp * Attn(Q, K_exp, V_exp)

That is the method, ``"parallel"``. Of the ablation's other injections (EmojiDiff, supplement, Fig. 1) ``"serial"`` and
``"self_attention"`` are here too, see :class:`DecoupledAttention`.

The conditions travel through the UNet as one :class:`Injected` value in the place of ``encoder_hidden_states``: two
calls with different conditions may be in flight at once, and gradient checkpointing recomputes with what it first saw.
A UNet called with a plain text tensor runs its own processor.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.types import InputError

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


def times(scale: Scale, factor: float) -> Scale:
    """The scale, everywhere and at all times so much larger."""

    def larger(value: BlockScale) -> BlockScale:
        if isinstance(value, Mapping):
            return {block: one * factor for block, one in value.items()}
        return value * factor

    if not callable(scale):
        return larger(scale)
    of_time = scale
    return lambda t: larger(of_time(t))


Injection = Literal["parallel", "serial", "self_attention"]
"""How the expression enters a UNet's attention."""


class Injected(NamedTuple):
    """What a UNet with an attached adapter takes as ``encoder_hidden_states``. text: [b, n_t, d]. identity: [b, n_i, d]
    or None. expression: [b, n_e, d] or None. id_scale, expression_scale: lambda_id and lambda_exp."""

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

    ``identity`` and ``expression`` hold what the branches have for this layer: :class:`KeyValue` in a cross-attention
    layer, and in any layer perhaps low-rank additions ``to_q_lora``, ``to_k_lora``, ``to_v_lora``, ``to_out_lora``
    (FaceID), which act in every call.

    The identity is always parallel. With Z_id = Attn(Q, K_text, V_text) + lambda_id * Attn(Q, K_id, V_id), of h:

    - ``"parallel"``: Z = Z_id + lambda_exp * Attn(Q, K_exp, V_exp).
    - ``"serial"``: Z = Z_id + lambda_exp * Attn(Q', K_exp, V_exp), Q' = W_q (h + W_out Z_id).
    - ``"self_attention"``, in the self-attention layers, where :class:`KeyValue` then is:
      Z = softmax([Q K^T, Q K_exp^T + log lambda_exp]) [V; V_exp], lambda_exp >= 0; scores are divided by sqrt(d).

    Without gradients, keys and values are kept while the very same token tensor comes back (one generation), and made
    anew when the tensor, its content or the weights change. A write through ``.data`` is invisible to autograd's
    version counter: call :meth:`forget` after one. Where ``base`` is diffusers' sliced attention, this too is sliced.
    """

    def __init__(
        self,
        layer: str,
        base: Callable[..., Tensor],
        identity: nn.Module | None,
        expression: nn.Module | None,
        injection: Injection = "parallel",
    ) -> None:
        self.layer = layer
        self.base = base
        self.identity = identity
        self.expression = expression
        self.injection = injection
        self._additions: dict[str, list[LowRank]] = {
            name: [getattr(w, f"{name}_lora") for w in (identity, expression) if hasattr(w, f"{name}_lora")]
            for name in LINEAR
        }
        self._slice: int | None = getattr(base, "slice_size", None)
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
        ip_hidden_states: Injected | None = None,
    ) -> Tensor:
        """hidden_states [b, s, hidden] -> [b, s, hidden]. encoder_hidden_states: the conditions in a cross-attention
        layer, None in a self-attention layer. attention_mask: over the text tokens, or the picture's own, only.
        ip_hidden_states: the conditions for a self-attention layer (a name that diffusers lets through)."""
        given = encoder_hidden_states
        if not isinstance(given, Injected):
            if ip_hidden_states is None and not any(self._additions.values()):
                return self.base(attn, hidden_states, given, attention_mask, temb)
            beside = ip_hidden_states if given is None else None
            given = Injected(hidden_states if given is None else given, None, None)
            if beside is not None and self.injection == "self_attention":
                given = given._replace(expression=beside.expression, expression_scale=beside.expression_scale)
        b, n_text, _ = given.text.shape
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, n_text, b)
            attention_mask = attention_mask.view(b, attn.heads, -1, attention_mask.shape[-1])

        def heads(x: Tensor) -> Tensor:  # [b, n, hidden] -> [b, h, n, hidden / h]
            return x.view(*x.shape[:2], attn.heads, -1).transpose(1, 2)

        def branch(
            weights: nn.Module | None, tokens: Tensor | None, scale: LayerScale
        ) -> tuple[Tensor, Tensor] | None:
            if tokens is None or not isinstance(weights, KeyValue) or is_zero(scale):
                return None
            key, value = self._keys_values(weights, tokens, query.dtype)
            return heads(key.to(query.dtype)), heads(value.to(query.dtype))

        query = heads(self._linear("to_q", attn.to_q, hidden_states))
        key = heads(self._linear("to_k", attn.to_k, given.text))
        value = heads(self._linear("to_v", attn.to_v, given.text))
        id_scale = layer_scale(given.id_scale, self.layer)
        expression_scale = layer_scale(given.expression_scale, self.layer)
        expression = branch(self.expression, given.expression, expression_scale)
        if expression is not None and self.injection == "self_attention":
            tokens = expression[0].shape[2]
            attention_mask = _beside(attention_mask, expression_scale, n_text, tokens, query)
            key, value = (
                torch.cat([own, new.expand(b, -1, -1, -1)], dim=2)
                for own, new in zip((key, value), expression, strict=True)
            )
            expression = None
        z = self._attend(query, key, value, attention_mask)
        identity = branch(self.identity, given.identity, id_scale)
        added: list[Added] = [] if identity is None else [(*identity, id_scale)]
        if expression is not None:
            if self.injection == "serial":
                z, added = add_branches(z, query, added), []
                seen = hidden_states + self._linear("to_out", attn.to_out[0], z.transpose(1, 2).flatten(2))
                query = heads(self._linear("to_q", attn.to_q, seen))
            added.append((*expression, expression_scale))
        z = add_branches(z, query, added)
        z = z.transpose(1, 2).flatten(2)  # [b, s, hidden]
        return attn.to_out[1](self._linear("to_out", attn.to_out[0], z))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """softmax(Q K^T / sqrt(d) + mask) V: [b, h, s, d] of query [b, h, s, d], key and value [b or 1, h, n, d]."""
        if self._slice is None:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        parts = []
        for i in range(0, query.shape[1], self._slice):
            part = slice(i, i + self._slice)
            masked = mask if mask is None or mask.shape[1] == 1 else mask[:, part]
            parts.append(
                F.scaled_dot_product_attention(query[:, part], key[:, part], value[:, part], attn_mask=masked)
            )
        return torch.cat(parts, dim=1)

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


Added = tuple[Tensor, Tensor, LayerScale]
"""A branch's key and value, [b or 1, h, n, d], and scale, one or [b or 1]."""


def add_branches(z: Tensor, query: Tensor, branches: Sequence[Added]) -> Tensor:
    """z + sum over branches of scale * softmax(Q K^T / sqrt(d)) V, all of them in two products. z, query: [b, h, s, d].
    Scores are [b, h, n, s], tokens first: a softmax over four rows is far faster than one over rows of four."""
    if not branches:
        return z
    keys, values, scales = zip(*branches, strict=True)
    key, value = (torch.cat([x.expand(len(query), -1, -1, -1) for x in xs], dim=2) for xs in (keys, values))
    scores = key * key.shape[-1] ** -0.5 @ query.transpose(-1, -2)
    weights = []
    for part, scale in zip(scores.split([key.shape[2] for key in keys], dim=2), scales, strict=True):
        factor = scale.to(z).view(-1, 1, 1, 1) if isinstance(scale, Tensor) else scale
        weights.append(factor * part.softmax(2))
    return z + torch.cat(weights, dim=2).transpose(-1, -2) @ value


def _beside(mask: Tensor | None, scale: LayerScale, own: int, tokens: int, query: Tensor) -> Tensor | None:
    """The mask [b or 1, h or 1, s or 1, own + tokens] that lets `tokens` beside `own` count `scale` times."""
    if mask is None and not isinstance(scale, Tensor) and scale == 1:
        return None
    if not isinstance(scale, Tensor) and scale < 0:
        raise InputError(f"the expression's scale must be at least 0 in self-attention, not {scale}")
    # in float32: log(0) = -inf is "not there"
    counts = torch.as_tensor(scale, dtype=torch.float32, device=query.device)
    weight = counts.log().view(-1, 1, 1, 1).to(query.dtype)
    before = query.new_zeros(1, 1, 1, own) if mask is None else mask
    shape = torch.broadcast_shapes(before.shape[:3], weight.shape[:3])
    return torch.cat([before.expand(*shape, -1), weight.expand(*shape, tokens)], dim=-1)


def resolve_scale(scale: Scale, t: Tensor, layers: Sequence[str]) -> BlockScale:
    """The scale of this step. t: [b]. Raises `InputError`: it names a block in which none of the layers is."""
    value = scale(t) if callable(scale) and not isinstance(scale, Tensor) else scale
    if isinstance(value, Mapping):
        for block in value:
            if not any(in_block(layer, block) for layer in layers):
                raise InputError(f"no layer that the adapter acts on is in the block {block!r} of this UNet")
    return value


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
