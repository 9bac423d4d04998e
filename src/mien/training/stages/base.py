"""Base E-Adapter, EmojiDiff's first stage: same-identity triples {S_i^¬e, R_i^e, T_i^e}, the base model frozen.

Trained are the whole expression branch and the identity branch's projection (EmojiDiff, E-Adapter), with DDPM's noise
error, by Adam with β = (0.5, 0.999) at 2e-5 unless a recipe says otherwise. What it learns leaks the reference's
identity; the next stage is there for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from mien.training.adapter import PAPER_LOOP, AdapterStart, AdapterTraining, open_backbone
from mien.training.examples import DataConfig
from mien.types import InputError


class BaseStage:
    """See the module.

    Args:
        backbone: "mini", "sd15", "sdxl", a diffusers folder or a hub id.
        data: see `DataConfig`.
        adapter: where the adapter starts: None: the backbone's own; a folder; or identity and expression as files or
            names of `mien models` (IP-Adapter FaceID and the image-prompt IP-Adapter, as in the paper).
        encoders: folder of the analyser and recogniser that read prepared sets and judge; None: the shipped ones.
        dtype: precision of the frozen base: "float32", "bfloat16", "float16" or "auto"; the adapter is float32.
        drop, checkpointing, people, controller, untold, weight_limit: see `AdapterTraining`.
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
        config = DataConfig.read(data)
        opened = open_backbone(backbone, adapter, dtype)
        width = None
        if expression is not None:
            assert opened.adapter is not None  # open_backbone sees to it
            if (expression, heard := opened.adapter.expression_encoder) != ("pixels", "embedded"):
                raise InputError(
                    f"expression={expression} cannot start from {heard}: use pixels, from embedded"
                )
            opened.adapter = replace(opened.adapter, expression_encoder=expression)
            width = opened.encoder("expression").width
        examples = config.open(opened, encoders, self.another, self.person_target)
        self.training = AdapterTraining(
            opened, examples, drop, checkpointing, people, controller, untold, weight_limit, width
        )

    def modules(self) -> dict[str, nn.Module]:
        return {"adapter": self.training.adapter}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.training.trainable()

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return self.training.examples(size, rng)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        noised = self.training.noised(batch, rng)
        loss = self.training.error(self.training.predict(noised), noised)
        return loss, {"loss": loss.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        return self.training.validate()

    def export(self, folder: Path) -> None:
        self.training.export(folder)


class RefinedStage(BaseStage):
    """Refined E-Adapter, EmojiDiff's second stage: `BaseStage` from its adapter, on a folder of IDI's triples {S_i^¬e,
    R_¬i^e, T_i^e} (``mien data idi``), whose references show other people."""

    another = True
