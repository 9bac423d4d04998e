"""What the E-Adapter's stages share: a frozen backbone with an adapter, noised examples, validation, export.

`base`, `refined` and `ica` differ in their examples and in what they add to the noise error; the rest is here. It runs
on any backbone (`mien.backbones`): the embedded default, SD1.5, SDXL, a diffusers folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from PIL import Image
from torch import Tensor, nn

from mien.backbones import Backbone, load_backbone
from mien.diffusion.losses import network_error
from mien.diffusion.schedule import Schedule
from mien.files import write_text
from mien.models.branch import AdapterBranch
from mien.models.controllers import change_controller
from mien.models.e_adapter import EAdapter
from mien.models.folder import recompute_activations
from mien.models.projection import MLPProjection
from mien.pipelines.diffusers_names import to_pil
from mien.pipelines.portrait import PortraitPipeline
from mien.sheets import sheet as draw_sheet
from mien.training.examples import Batch, Examples
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

        def pick(value: Tensor | None) -> Tensor | None:
            return value if value is None or len(value) != len(self.z) else value[chosen]

        given = self.conditions
        conditions = replace(given, **{name: pick(getattr(given, name)) for name in vars(given)})
        added = {
            key: {name: value[chosen] for name, value in kwargs.items()} for key, kwargs in self.added.items()
        }
        tensors = (self.z[chosen], self.eps[chosen], self.t[chosen], self.z_t[chosen])
        return Noised(*tensors, conditions, added, pick(self.weight), self.mode[chosen])


class AdapterTraining:
    """See the module.

    Args:
        backbone: see `open_backbone`; its adapter becomes float32 and is attached. examples: draws batches.
        drop: probability of dropping the identity, the expression, and both with the text (IP-Adapter's 5% each).
        checkpointing: recompute activations in the backward pass. people: of the validation sheet's sides; 0: no sheet.
        controller: how the expression enters, of ``models.controllers`` (the paper's ablation); None: as the adapter's
            files say. Where they are for another, the identity and the expression's projection are taken from them.
        untold: how often the caption alone is left out, for bases that were trained with terse captions.
        weight_limit: weight the noise error by min(1 / ᾱ_t, weight_limit) over its mean (`Schedule.error_weight`), as
            the embedded base was trained; None: the papers' plain error of what the network gives.
        width: of expression embeddings that end in those which the files' projection takes (`with_wider_projection`).
            None: the files' projection.
    """

    def __init__(
        self,
        backbone: Backbone,
        examples: Examples,
        drop: tuple[float, float, float] = (0.05, 0.05, 0.05),
        checkpointing: bool = False,
        people: int = 5,
        controller: str | None = None,
        untold: float = 0.0,
        weight_limit: float | None = None,
        width: int | None = None,
    ) -> None:
        if len(drop) != 3 or min(drop) < 0 or sum(drop) > 1:
            raise InputError(f"drop {tuple(drop)} must be three probabilities whose sum is at most 1")
        if not 0 <= untold <= 1:
            raise InputError(f"untold must be a probability, not {untold}")
        if weight_limit is not None and weight_limit < 1:
            raise InputError(f"weight_limit must be at least 1, not {weight_limit}")
        self.untold, self.weight_limit = untold, weight_limit
        self.backbone, self.examples, self.people = backbone, examples, people
        adapter = backbone.load_controller()
        if controller is not None:
            torch.manual_seed(0)
            adapter = change_controller(controller, backbone.unet, adapter)
        if width is not None:
            torch.manual_seed(0)
            adapter = with_wider_projection(adapter, width)
        self.adapter = adapter.to(backbone.device, torch.float32)
        self.pipeline = PortraitPipeline(backbone, self.adapter)
        self.schedule = Schedule.from_config(backbone.scheduler.config)
        self.drop = torch.tensor([float(p) for p in drop]).cumsum(0)
        if checkpointing:
            recompute_activations(backbone.unet, backbone.vae)

    def trainable(self) -> Iterable[nn.Parameter]:
        """The paper's: all of the expression branch and the identity branch's projection (EmojiDiff, E-Adapter)."""
        return self.adapter.trainable_parameters("base")

    def noised(self, batch: Batch, rng: torch.Generator) -> Noised:
        """Encode, drop conditions for guidance, draw t and ε, noise."""
        backbone = self.backbone
        device = backbone.device
        batch = {key: value.to(device) for key, value in batch.items()}
        with torch.no_grad():
            z = batch["z"].float() if "z" in batch else backbone.encode(batch["x"])
        b = len(z)
        mode = draw_modes(b, self.drop, rng).to(device)
        t = torch.randint(0, len(self.schedule.alpha_bar), (b,), generator=rng).to(device)
        eps = torch.randn(z.shape, generator=rng).to(device)
        silent = mode == 2
        if self.untold:
            silent |= (torch.rand(b, generator=rng) < self.untold).to(device)
        conditions, added = self._conditions(batch, z, mode, silent)
        z_t = self.schedule.add_noise(z, eps, t)
        return Noised(z, eps, t, z_t, conditions, added, batch.get("valid"), mode)

    def error(self, predicted: Tensor, noised: Noised) -> Tensor:
        """The noise error of `predicted` [b, c, h, w], weighted as `weight_limit` says; a scalar."""
        return network_error(predicted, noised.eps, noised.t, self.schedule, noised.weight, self.weight_limit)

    def predictor(self, noised: Noised, expression_scale: float = 1.0) -> NoisePredictor:
        """The UNet with the adapter; 0 is without expression control."""
        unet = self.backbone.unet
        predict = self.adapter.predict_noise(unet, expression_scale=expression_scale, **noised.added)
        return self.schedule.as_noise(predict)

    def predict(self, noised: Noised, expression_scale: float = 1.0) -> Tensor:
        """ε_θ(z_t, t, C), [b, c, h, w] float32."""
        predict = self.predictor(noised, expression_scale)
        return predict(noised.z_t.to(self.backbone.precision), noised.t, noised.conditions).float()

    def _conditions(
        self, batch: Batch, z: Tensor, mode: Tensor, silent: Tensor
    ) -> tuple[Conditions, dict[str, Any]]:
        backbone = self.backbone
        empty = backbone.prompts.ids([""])
        ids = []
        for name, nothing in zip(("ids", "ids_2"), empty, strict=False):
            ids.append(torch.where(silent.view(-1, 1), nothing.to(mode.device), batch[name]))
        text = backbone.prompts.encode(ids)
        conditions = self.adapter.project(
            batch["identity"],
            batch["expression"],
            text.tokens,
            drop_identity=(mode == 0) | (mode == 2),
            drop_expression=(mode == 1) | (mode == 2),
        )
        height, width = (side * backbone.factor for side in z.shape[-2:])
        if backbone.takes_background:
            conditions.background, conditions.mask = backbone.empty_background(1, height, width)
        added = backbone.added_conditions(text, height, width)
        if added and "time_ids" in batch:
            added["added_cond_kwargs"]["time_ids"] = batch["time_ids"].to(backbone.precision)
        return conditions, added

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Noise error on held-out examples at fixed t and ε, and portraits of them."""
        batch = self.examples.held_out()
        if batch is None:
            return {}, None
        rng = torch.Generator().manual_seed(7)
        drop, untold = self.drop, self.untold
        self.drop, self.untold = torch.zeros(3), 0.0  # of held-out examples nothing is dropped
        try:
            total = 0.0
            for first in range(0, len(batch["identity"]), 8):
                noised = self.noised({key: value[first : first + 8] for key, value in batch.items()}, rng)
                total += self.error(self.predict(noised), noised).item() * len(noised.z)
        finally:
            self.drop, self.untold = drop, untold
        numbers = {"held_out_loss": total / len(batch["identity"])}
        with torch.autocast(self.backbone.device.type, enabled=False):
            return numbers, self._sheet(batch)

    def _sheet(self, batch: Batch) -> Image.Image | None:
        """Top row: who shows the expression; left column: the person; the rest: what comes out."""
        n = min(self.people, len(batch["identity"]) // 2)
        if n == 0:
            return None
        pixels = self.backbone.decode(batch["z"][: 2 * n]) if "z" in batch else batch["x"][: 2 * n]
        shown = to_pil(pixels.float().clamp(-1, 1).cpu())
        made = []
        for i in range(n):
            made += to_pil(
                self.pipeline.generate(
                    batch["identity"][i].expand(n, -1),
                    batch["expression"][n : 2 * n],
                    prompts=[""] * n,
                    seeds=[0] * n,
                    steps=12,
                    height=pixels.shape[-2],
                    width=pixels.shape[-1],
                )
            )
        rows = []
        for i in range(n):
            rows.append([("person", shown[i]), *(("", image) for image in made[i * n : (i + 1) * n])])
        blank = Image.new("RGB", shown[0].size, "white")
        top = [("", blank), *(("expression", image) for image in shown[n:])]
        return draw_sheet([top, *rows], min(256, pixels.shape[-1]))

    def export(self, folder: Path) -> None:
        """``adapter/``: both branches and ``adapter.json``, what `mien.load(…, adapter=FOLDER)` takes."""
        self.adapter.save(folder / "adapter")
        spec = self.backbone.adapter
        assert spec is not None  # load_adapter has asked for it
        write_text(folder / "adapter" / "adapter.json", json.dumps(spec.settings, indent=1) + "\n")


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


def open_backbone(name: str, adapter: AdapterStart, dtype: str) -> Backbone:
    """A frozen backbone on this process's device, with the adapter that training starts from. Raises `InputError`: no
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
    return backbone


def _file(name: str | None) -> Path | None:
    """A file of an adapter, or a name in the registry of weights."""
    if name is None or Path(name).is_file():
        return None if name is None else Path(name)
    from mien import weights

    return weights.path(name)
