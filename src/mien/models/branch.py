"""One condition's part of an E-Adapter: a projection and each layer's weights; IP-Adapter's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.models.adapter_files import read_adapter
from mien.models.attention import LINEAR, KeyValue, LowRank
from mien.models.compound import CompoundProjection, compound_projection_from_state
from mien.models.projection import Projection, load_exactly, projection_from_state
from mien.types import InputError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import Attention


class Branch(nn.Module):
    """The projection of one condition; what its tokens enter by is added by others."""

    def __init__(self, projection: Projection | CompoundProjection) -> None:
        super().__init__()
        self.image_proj = projection

    @property
    def width(self) -> int:
        """Length of the embedding it takes."""
        return self.image_proj.width

    def tokens(self, embeds: Tensor) -> Tensor:
        """[b, w] -> [b, n, d]; several pictures a sample, [b, k, w] -> [b, k n, d], as IP-Adapter does."""
        if embeds.ndim not in (2, 3) or embeds.shape[-1] != self.width:
            raise InputError(
                f"an embedding of shape {tuple(embeds.shape)} does not fit an adapter for width {self.width}: use the "
                "encoder that the adapter was trained with"
            )
        tokens = self.image_proj(embeds.reshape(-1, self.width))  # [b k, n, d]
        return tokens.reshape(embeds.shape[0], -1, tokens.shape[-1])

    def at(self, k: int) -> nn.Module | None:
        """What there is for layer number k of ``unet.attn_processors``."""
        return None


class AdapterBranch(Branch):
    """Projection and per-layer weights of one condition. Its ``state_dict`` is IP-Adapter's file.

    Args:
        projection: embeddings -> tokens. layers: keys and values, one a cross-attention layer, in the order of
            ``unet.attn_processors``; first: 1, or 0, where they are the self-attention's.
        additions: FaceID's low-rank additions by the layer's number in ``unet.attn_processors``, each a module with
            ``to_q_lora``, ``to_k_lora``, ``to_v_lora``, ``to_out_lora``.
    """

    def __init__(
        self,
        projection: Projection | CompoundProjection,
        layers: list[KeyValue],
        additions: dict[int, nn.Module] | None = None,
        first: int = 1,
    ) -> None:
        super().__init__(projection)
        self.layers = layers
        self.first = first
        modules: dict[int, nn.Module] = {2 * i + first: layer for i, layer in enumerate(layers)}
        for k, addition in (additions or {}).items():
            for name, low_rank in addition.named_children():
                modules.setdefault(k, nn.Module()).add_module(name, low_rank)
        self.ip_adapter = nn.ModuleDict({str(k): modules[k] for k in sorted(modules)})

    def at(self, k: int) -> nn.Module | None:
        return dict(self.ip_adapter.items()).get(str(k))


def attention_layers(unet: UNet2DConditionModel, first: int = 1) -> dict[str, Attention]:
    """Cross-attention layers by name (first = 1), or self-attention layers (0), in the order of
    ``unet.attn_processors`` (down, up, mid)."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    layers: dict[str, Any] = {name: unet.get_submodule(name) for name in names}
    plain = all(
        attn.group_norm is None
        and attn.spatial_norm is None
        and not attn.norm_cross
        and attn.norm_q is None
        and not attn.residual_connection
        and attn.rescale_output_factor == 1.0
        for attn in layers.values()
    )
    # IP-Adapter's numbers mean what diffusers takes them for only if the two kinds alternate
    alternate = names[1::2] == [name for name in names if name.endswith("attn2")]
    if not layers or not plain or not alternate:
        raise InputError("this UNet has no cross-attention of the SD1.5 or SDXL kind: use another")
    return {name: layers[name] for name in names[first::2]}


def check_fit(branch: AdapterBranch, unet: UNet2DConditionModel, source: str) -> None:
    """Refuse a branch whose weights are not shaped for the UNet's layers."""
    pairs = zip(attention_layers(unet).values(), attention_layers(unet, branch.first).values(), strict=True)
    wants = [(cross.to_k.in_features, attn.to_k.out_features) for cross, attn in pairs]
    has = [(layer.to_k_ip.in_features, layer.to_k_ip.out_features) for layer in branch.layers]
    if wants != has:
        raise InputError(
            f"{source} is made for {len(has)} layers of cross-attention width {has[0][0]}, this "
            f"UNet has {len(wants)} of width {wants[0][0]}: use an adapter of this UNet's family"
        )
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    for k, weights in branch.ip_adapter.items():
        for name in LINEAR:
            low_rank = getattr(weights, f"{name}_lora", None)
            if low_rank is None:
                continue
            attn: Any = unet.get_submodule(names[int(k)]) if int(k) < len(names) else None
            linear = None if attn is None else attn.to_out[0] if name == "to_out" else getattr(attn, name)
            shape = (low_rank.down.in_features, low_rank.up.out_features)
            if linear is None or (linear.in_features, linear.out_features) != shape:
                raise InputError(
                    f"{source}: ip_adapter.{k}.{name}_lora does not fit: use this family's adapter"
                )


def load_branch(unet: UNet2DConditionModel, path: str | Path) -> AdapterBranch:
    """One adapter file as a branch for this UNet, in float32. Raises `InputError`: the file is damaged, of a kind that
    is not supported, incomplete, or for another UNet."""
    branch = read_branch(path)
    check_fit(branch, unet, str(path))
    return branch


def read_branch(path: str | Path) -> AdapterBranch:
    """One adapter file as a branch for whatever it fits, in float32. Raises `InputError`: the file is damaged, of a
    kind that is not supported, or incomplete."""
    image_proj, ip_adapter = read_adapter(path)
    state = {k: v.float() for k, v in image_proj.items()}
    several = any(name.startswith("of.") for name in state)  # a compound identity's, one for each recogniser
    make = compound_projection_from_state if several else projection_from_state
    projection = make(state, str(path))
    count = sum(name.endswith(".to_k_ip.weight") for name in ip_adapter)
    first = 0 if "0.to_k_ip.weight" in ip_adapter else 1
    numbers = {name.split(".")[0] for name in ip_adapter if "_lora." in name}
    expected = {f"{2 * i + first}.to_{x}_ip.weight" for i in range(count) for x in "kv"}
    expected |= {f"{k}.{name}_lora.{x}.weight" for k in numbers for name in LINEAR for x in ("down", "up")}
    if wrong := sorted(expected ^ ip_adapter.keys()):
        is_missing = "lacks" if wrong[0] in expected else "has the unexpected"
        raise InputError(f"{path}: {is_missing} ip_adapter.{wrong[0]}: use another copy of the file")
    for name, value in ip_adapter.items():
        if value.ndim != 2 or not name.split(".")[0].isdigit():
            raise InputError(
                f"{path}: ip_adapter.{name} is of the shape {tuple(value.shape)}: use another copy"
            )
    additions: dict[int, nn.Module] = {}
    with torch.device("meta"):
        layers = [
            KeyValue(projection.dim, len(ip_adapter[f"{2 * i + first}.to_k_ip.weight"])) for i in range(count)
        ]
        for k in numbers:
            addition = additions[int(k)] = nn.Module()
            for name in LINEAR:
                down, up = (ip_adapter[f"{k}.{name}_lora.{x}.weight"] for x in ("down", "up"))
                addition.add_module(f"{name}_lora", LowRank(down.shape[1], len(up), len(down)))
    branch = AdapterBranch(projection, layers, additions, first)
    weights = {name: value.float() for name, value in ip_adapter.items()}
    load_exactly(branch.ip_adapter, weights, f"{path}: ip_adapter", assign=True)
    return branch
