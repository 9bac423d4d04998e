"""Base E-Adapter, EmojiDiff's first stage: same-identity triples {S_i^¬e, R_i^e, T_i^e}, the base model frozen.

Trained are the whole expression branch and the identity branch's projection (EmojiDiff, E-Adapter), with DDPM's noise
error, by Adam with β = (0.5, 0.999) at 2e-5 unless a recipe says otherwise. What it learns leaks the reference's
identity; the next stage is there for that. All stages of the E-Adapter run on any backbone (`mien.backbones`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from mien.diffusion.losses import network_error
from mien.diffusion.schedule import Schedule
from mien.models.controllers import change_controller
from mien.models.folder import recompute_activations
from mien.pipelines.diffusers_names import to_pil
from mien.pipelines.portrait import PortraitPipeline
from mien.sheets import sheet as draw_sheet
from mien.training.adapter import (
    PAPER_LOOP,
    AdapterStart,
    Noised,
    draw_modes,
    open_backbone,
    with_wider_projection,
)
from mien.training.examples import Batch, DataConfig
from mien.types import Conditions, InputError, NoisePredictor


class BaseStage:
    """See the module.

    Args:
        backbone: "mini", "sd15", "sdxl", a diffusers folder or a hub id.
        data: see `DataConfig`.
        adapter: where the adapter starts: None: the backbone's own; a folder; or identity and expression as files or
            names of `mien models` (IP-Adapter FaceID and the image-prompt IP-Adapter, as in the paper).
        encoders: folder of the analyser and recogniser that read prepared sets and judge; None: the shipped ones.
        dtype: precision of the frozen base: "float32", "bfloat16", "float16" or "auto"; the adapter is float32.
        drop: probability of dropping the identity, the expression, and both with the text (IP-Adapter's 5% each).
        checkpointing: recompute activations in the backward pass. people: of the validation sheet's sides; 0: no sheet.
        controller: how the expression enters, of ``models.controllers`` (the paper's ablation); None: as the adapter's
            files say. Where they are for another, the identity and the expression's projection are taken from them.
        untold: how often the caption alone is left out, for bases that were trained with terse captions.
        weight_limit: weight the noise error by min(1 / ᾱ_t, weight_limit) over its mean (`Schedule.error_weight`), as
            the embedded base was trained; None: the papers' plain error of what the network gives.
        expression: "pixels": the branch hears the reference's pixels (`encoders.pixels`), through a projection
            that starts as what the adapter says by numbers; None: the adapter's own encoder and projection.
    """

    LOOP = PAPER_LOOP
    another = False  # whether references must be of another person
    person_target = False  # whether batches say who the source is

    def __init__(
        self,
        backbone: str,
        data: dict[str, Any],
        adapter: AdapterStart = None,
        encoders: str | None = None,
        dtype: str = "float32",
        drop: tuple[float, float, float] = (0.05, 0.05, 0.05),
        checkpointing: bool = False,
        people: int = 5,
        controller: str | None = None,
        untold: float = 0.0,
        weight_limit: float | None = None,
        expression: str | None = None,
    ) -> None:
        if len(drop) != 3 or min(drop) < 0 or sum(drop) > 1:
            raise InputError(f"drop {tuple(drop)} must be three probabilities whose sum is at most 1")
        if not 0 <= untold <= 1:
            raise InputError(f"untold must be a probability, not {untold}")
        if weight_limit is not None and weight_limit < 1:
            raise InputError(f"weight_limit must be at least 1, not {weight_limit}")
        config = DataConfig.read(data)
        self.backbone, self.spec = open_backbone(backbone, adapter, dtype)
        heard = self.spec.expression_encoder
        if expression is not None:
            if (expression, heard) != ("pixels", "embedded"):
                raise InputError(
                    f"expression={expression} cannot start from {heard}: use pixels, from embedded"
                )
            self.spec = self.backbone.adapter = replace(self.spec, expression_encoder=expression)
        self.examples = config.open(self.backbone, encoders, self.another, self.person_target)
        self.untold, self.weight_limit, self.people = untold, weight_limit, people
        made = self.backbone.load_controller()
        if controller is not None:
            torch.manual_seed(0)  # new layers: the same in every run
            made = change_controller(controller, self.backbone.unet, made)
        if expression is not None:
            width = self.backbone.encoder("expression").width
            torch.manual_seed(0)
            made = with_wider_projection(made, width)
        self.adapter = made.to(self.backbone.device, torch.float32)
        self.pipeline = PortraitPipeline(self.backbone, self.adapter)
        self.schedule = Schedule.from_config(self.backbone.scheduler.config)
        self.drop = torch.tensor([float(p) for p in drop]).cumsum(0)
        if checkpointing:
            recompute_activations(self.backbone.unet, self.backbone.vae)

    def modules(self) -> dict[str, nn.Module]:
        return {"adapter": self.adapter}

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return self.examples(size, rng)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        noised = self.noised(batch, rng)
        loss = self.error(self.predict(noised), noised)
        return loss, {"loss": loss.item()}

    def trainable(self) -> Iterable[nn.Parameter]:
        """The paper's: all of the expression branch and the identity branch's projection (EmojiDiff, E-Adapter)."""
        return self.adapter.trainable_parameters("base")

    def noised(self, batch: Batch, rng: torch.Generator, whole: bool = False) -> Noised:
        """Encode, drop conditions for guidance (unless they are to be `whole`), draw t and ε, noise."""
        backbone = self.backbone
        device = backbone.device
        batch = {key: value.to(device) for key, value in batch.items()}
        with torch.no_grad():
            z = batch["z"].float() if "z" in batch else backbone.encode(batch["x"])
        b = len(z)
        mode = draw_modes(b, torch.zeros(3) if whole else self.drop, rng).to(device)
        t = torch.randint(0, len(self.schedule.alpha_bar), (b,), generator=rng).to(device)
        eps = torch.randn(z.shape, generator=rng).to(device)
        silent = mode == 2
        if self.untold and not whole:
            silent |= (torch.rand(b, generator=rng) < self.untold).to(device)
        conditions, added = self._conditions(batch, z, mode, silent)
        z_t = self.schedule.add_noise(z, eps, t)
        return Noised(z, eps, t, z_t, conditions, added, batch.get("valid"), mode)

    def error(self, predicted: Tensor, noised: Noised) -> Tensor:
        """The noise error of `predicted` [b, c, h, w], weighted as `weight_limit` says; a scalar."""
        return network_error(predicted, noised.eps, noised.t, self.schedule, noised.weight, self.weight_limit)

    def predictor(self, noised: Noised, expression_scale: float = 1.0) -> NoisePredictor:
        """The UNet with the adapter, in float32; 0 is without expression control."""
        unet, precision = self.backbone.unet, self.backbone.precision
        given = self.adapter.predict_noise(unet, expression_scale=expression_scale, **noised.added)
        predict = self.schedule.as_noise(given)
        return lambda z_t, t, conditions: predict(z_t.to(precision), t, conditions).float()

    def predict(self, noised: Noised, expression_scale: float = 1.0) -> Tensor:
        """ε_θ(z_t, t, C), [b, c, h, w] float32."""
        return self.predictor(noised, expression_scale)(noised.z_t, noised.t, noised.conditions)

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
        total = 0.0
        for first in range(0, len(batch["identity"]), 8):
            part = {key: value[first : first + 8] for key, value in batch.items()}
            noised = self.noised(part, rng, whole=True)
            total += self.error(self.predict(noised), noised).item() * len(noised.z)
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
        self.spec.write(folder / "adapter")


class RefinedStage(BaseStage):
    """Refined E-Adapter, EmojiDiff's second stage: `BaseStage` from its adapter, on a folder of IDI's triples {S_i^¬e,
    R_¬i^e, T_i^e} (``mien data idi``), whose references show other people."""

    another = True
