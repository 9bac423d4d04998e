"""An E-Adapter in a model of ComfyUI's: patches of its attention layers, for any sampler, beside LoRA and ControlNet.

IP-Adapter numbers attention layers as diffusers lists them, down, up, middle; ComfyUI names a layer by its block and
its place in it. What a patch computes is what `mien.models.attention` does:

    Z = Attn(Q, K_text, V_text) + lambda_id * Attn(Q, K_id, V_id) + lambda_exp * Attn(Q, K_exp, V_exp)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CROSS = re.compile(
    r"(diffusion_model\.(input|output|middle)_blocks?\.(\d+)\..*?transformer_blocks\.(\d+))\.attn2\.to_k\.weight"
)
ORDER = ("input", "output", "middle")
LINEAR = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}


@dataclass(frozen=True)
class Layer:
    """A transformer block. ``name``: of its weights; ``block``: ("input", 4, 0), as patches are told; ``shape``:
    (hidden, width) of its cross-attention's keys."""

    name: str
    block: tuple[str, int, int]
    shape: tuple[int, int]


@dataclass(frozen=True)
class LoadedAdapter:
    """``spec``: of `mien.weights.adapters`. ``branches``: by name, those there are, on the CPU."""

    spec: Any
    branches: dict[str, Any]


def layers_of(model: Any) -> list[Layer]:
    """The blocks of a model of SD1.5's or SDXL's family, in IP-Adapter's order."""
    found = []
    for name, value in model.model_state_dict("diffusion_model.").items():
        if match := CROSS.fullmatch(name):
            kind, index = match[2], int(match[3])
            block = (kind, 0 if kind == "middle" else index, int(match[4]))
            found.append(Layer(match[1], block, tuple(value.shape)))
    return sorted(found, key=lambda layer: (ORDER.index(layer.block[0]), *layer.block[1:]))


def load(model: Any, adapter: str) -> LoadedAdapter:
    """A folder, "published" or "fineface" (which is refused), checked against the model.

    Raises:
        InputError: it is not there, its encoders are not, or it is for another family.
    """
    from mien import preflight
    from mien.models.adapter_files import read_controller
    from mien.models.branch import read_branch
    from mien.types import InputError
    from mien.weights.adapters import by_name, read_adapter_spec

    if "folder_paths" in sys.modules:  # ComfyUI's own: its models are looked through too
        os.environ.setdefault("MIEN_COMFYUI", str(sys.modules["folder_paths"].models_dir))
    layers = layers_of(model)
    width = layers[0].shape[1] if layers else None
    spec = by_name(adapter, width, "this model") or read_adapter_spec(Path(adapter))
    preflight.refuse(
        list(preflight.of_adapter(spec, adapter in preflight.NAMES)), f"for the adapter {adapter}"
    )
    branches = {}
    for name in ("identity", "expression"):
        path = getattr(spec, name)
        if path is None:
            continue
        if path.is_dir() or read_controller(path) != "parallel":
            raise InputError(f"{path}: only adapters in IP-Adapter's layout go into ComfyUI's models")
        branch = read_branch(path)
        shapes = [(one.to_k_ip.out_features, one.to_k_ip.in_features) for one in branch.layers]
        if shapes != [layer.shape for layer in layers]:
            raise InputError(f"{path}: is not made for this model: use an adapter of its family")
        branches[name] = branch.requires_grad_(False).eval()
    return LoadedAdapter(spec, branches)


def attach(model: Any, adapter: LoadedAdapter, embeds: dict[str, Tensor], scales: dict[str, float]) -> Any:
    """A clone of the model with the adapter in it.

    Args:
        embeds: [n, w] by branch; picture i of a batch is conditioned on row i modulo n. scales: lambda_id, lambda_exp.
    """
    model = model.clone()
    tokens = {
        name: torch.stack([branch.tokens(embeds[name]), branch.tokens(torch.zeros_like(embeds[name]))])
        for name, branch in adapter.branches.items()
        if name in embeds
    }
    replaced = model.model_options.get("transformer_options", {}).get("patches_replace", {}).get("attn2", {})
    layers = layers_of(model)
    for i, layer in enumerate(layers):
        before = replaced.get(layer.block, replaced.get(layer.block[:2]))
        parts = [(adapter.branches[name].layers[i], tokens[name], scales[name]) for name in tokens]
        model.set_model_attn2_replace(Patch(parts, before), *layer.block)
    low_rank = dict(_low_rank(layers, (adapter.branches[name] for name in tokens)))
    if low_rank:
        import comfy.lora  # type: ignore[import-not-found]

        names = {name.rpartition(".lora_")[0] for name in low_rank}
        model.add_patches(comfy.lora.load_lora(low_rank, {name: f"{name}.weight" for name in names}), 1.0)
    return model


def _low_rank(layers: list[Layer], branches: Iterable[Any]) -> Iterable[tuple[str, Tensor]]:
    """FaceID's additions to the model's own layers, in the names that ComfyUI's LoRA loader looks for."""
    for branch in branches:
        for k, weights in branch.ip_adapter.items():
            place = f"{layers[int(k) // 2].name}.attn{int(k) % 2 + 1}"
            for ours, theirs in LINEAR.items():
                if (addition := getattr(weights, f"{ours}_lora", None)) is not None:
                    yield f"{place}.{theirs}.lora_up.weight", addition.up.weight
                    yield f"{place}.{theirs}.lora_down.weight", addition.down.weight


class Patch:
    """One layer's ``attn2`` replacement: (q [b, s, hidden], k, v, what ComfyUI tells) -> [b, s, hidden].

    Args:
        parts: keys and values, tokens [2, n, m, width] (conditioned, unconditioned), and scale of each branch.
        before: the replacement that there was, whose result is added to; None: the model's own attention.
    """

    def __init__(
        self, parts: list[tuple[Any, Tensor, float]], before: Callable[..., Tensor] | None = None
    ) -> None:
        self.parts, self.before = parts, before
        self._made: dict[Any, list[tuple[Tensor, Tensor]]] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, told: dict[str, Any]) -> Tensor:
        from mien.models.attention import add_branches

        def heads(x: Tensor) -> Tensor:  # [b, n, hidden] -> [b, h, n, d]
            return x.view(*x.shape[:2], told["n_heads"], -1).transpose(1, 2)

        query, sides = heads(q), told["cond_or_uncond"]
        if self.before is None:
            z = F.scaled_dot_product_attention(query, heads(k), heads(v))
        else:
            z = heads(self.before(q, k, v, told))
        picture = torch.arange(len(q) // len(sides), device=q.device)
        branches = []
        for made, (_, _, scale) in zip(self._keys_values(q), self.parts, strict=True):
            key, value = (torch.cat([x[side][picture % x.shape[1]] for side in sides]) for x in made)
            branches.append((heads(key), heads(value), scale))
        return add_branches(z, query, branches).transpose(1, 2).flatten(2)

    def _keys_values(self, q: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of every branch, made once for a device and precision."""
        at = (q.device, q.dtype)
        if at not in self._made:
            self._made = {
                at: [tuple(x.to(*at) for x in layer(tokens)) for layer, tokens, _ in self.parts]  # type: ignore[misc]
            }
        return self._made[at]
