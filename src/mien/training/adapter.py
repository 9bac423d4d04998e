"""What the E-Adapter's stages start from, and examples on their way through a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor

from mien.backbones import Backbone, load_backbone
from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import Estimator
from mien.models.branch import AdapterBranch
from mien.models.e_adapter import EAdapter
from mien.models.projection import MLPProjection
from mien.types import Conditions, InputError, NoisePredictor
from mien.weights.adapters import AdapterSpec

AdapterStart = str | dict[str, str] | None
"""Where an adapter starts: None: the backbone's own; a folder; or a file (or registry name) a branch."""

PAPER_LOOP = {"optimizer": "adam", "lr": 2e-5, "betas": [0.5, 0.999]}  # EmojiDiff, training details
EVERYTHING = 3  # mode of a sample of which nothing is dropped


@dataclass(frozen=True)
class Noised:
    """Examples on their way through a step: everything [b, …] on the backbone's device. `mode`: 0 identity dropped, 1
    expression dropped, 2 both and the text dropped, 3 nothing dropped."""

    z: Tensor
    eps: Tensor
    t: Tensor
    z_t: Tensor
    conditions: Conditions
    added: dict[str, Any]
    weight: Tensor | None
    mode: Tensor

    def of(self, chosen: Tensor) -> Noised:
        """The same of some samples [k]."""
        added = {
            key: {name: value[chosen] for name, value in kwargs.items()} for key, kwargs in self.added.items()
        }
        tensors = (self.z[chosen], self.eps[chosen], self.t[chosen], self.z_t[chosen])
        weight = None if self.weight is None else self.weight[chosen]
        return Noised(*tensors, self.conditions.of(chosen), added, weight, self.mode[chosen])

    def estimated(
        self,
        estimate: Estimator,
        predict: NoisePredictor,
        schedule: Schedule,
        rng: torch.Generator,
        predicted: Tensor,
    ) -> Tensor:
        """Their ẑ0 [b, c, h, w]; `predicted`: what `predict` says of them as they are."""
        where = (predict, self.z_t, self.t, self.conditions, schedule)
        return estimate(*where, eps=self.eps, rng=rng, predicted=predicted)


def with_wider_projection(adapter: EAdapter, width: int) -> EAdapter:
    """The adapter with an expression branch for embeddings of `width` numbers, the last of which are what it takes now.
    It starts as what it was: the hidden units that are new are random, and nothing hears them yet. Keys and values are
    the adapter's own. Raises `InputError`: it has no expression branch of a two-layer projection, or a wider one."""
    branch = adapter.expression
    old = branch.image_proj if isinstance(branch, AdapterBranch) else None
    if not isinstance(branch, AdapterBranch) or not isinstance(old, MLPProjection):
        raise InputError("a wider projection needs an E-Adapter with an expression branch to start from")
    was = old.state_dict()
    known = len(was["proj.0.bias"])
    if width < max(old.width, known):
        raise InputError(f"a projection of {old.width} numbers cannot become one of {width}")
    new = MLPProjection(width, old.dim, old.tokens, mult=1)
    state = new.state_dict()
    state["proj.0.weight"][:known] = 0
    state["proj.0.weight"][:known, -old.width :] = was["proj.0.weight"]
    state["proj.0.bias"][:known] = was["proj.0.bias"]
    state["proj.2.weight"].zero_()[:, :known] = was["proj.2.weight"]
    new.load_state_dict(state | {name: was[name] for name in ("proj.2.bias", "norm.weight", "norm.bias")})
    return EAdapter(
        adapter.identity, AdapterBranch(new, branch.layers, first=branch.first), adapter.injection
    )


def draw_modes(b: int, drop: Tensor, rng: torch.Generator) -> Tensor:
    """[b] int64, which part of [0, 1) each of b draws falls into: i where drop[i-1] <= u < drop[i]. drop: cumulative
    probabilities, rising; one of 0 never comes, and len(drop) is what is left."""
    return torch.bucketize(torch.rand(b, generator=rng), drop, right=True)


def share_of(found: int, b: int, probability: float) -> float:
    """How many of b samples a term was measured on, over how many are expected: a mean over the found times this
    averages, over parts of a batch, to the whole, and a part without any adds nothing."""
    return found / (b * probability)


def training_device() -> torch.device:
    """This process's own: its GPU under `accelerate launch`, else a GPU if there is one, else the CPU."""
    return PartialState(cpu=not torch.cuda.is_available()).device


def open_backbone(name: str, adapter: AdapterStart, dtype: str) -> tuple[Backbone, AdapterSpec]:
    """A frozen backbone on this process's device, and the adapter that training starts from. Raises `InputError`: no
    such model or adapter, or the model has no adapter and none was named."""
    start: str | AdapterSpec | None
    if isinstance(adapter, dict):
        if unknown := sorted(set(adapter) - set(AdapterSpec.__dataclass_fields__)):
            raise InputError(f"the adapter to start from has no {unknown[0]!r}: name identity and expression")
        files = {branch: _file(adapter.get(branch)) for branch in ("identity", "expression")}
        start = AdapterSpec(**{**adapter, **files})  # type: ignore[arg-type]
    else:
        start = adapter
    backbone = load_backbone(name, str(training_device()), dtype, start)
    if backbone.adapter is None:
        raise InputError(f"{name} has no adapter to start from: name a folder or a file a branch, as adapter")
    return backbone, backbone.adapter


def _file(name: str | None) -> Path | None:
    """A file of an adapter, or a name in the registry of weights."""
    if name is None or Path(name).is_file():
        return None if name is None else Path(name)
    from mien import weights

    return weights.path(name)
