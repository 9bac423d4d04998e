"""EmojiDiff's first stage, the Base E-Adapter (PAPERS 1.2): same-identity triples {S_i^¬e, R_i^e, T_i^e}, base frozen.

Trained are the whole expression branch and the identity branch's projection (PAPERS 1.1). The reference R is another
view of T's expression: T itself, mirrored and re-read by the expression encoder. Learning rate and betas of the paper
(Adam, β = (0.5, 0.999), 2e-5) are what the recipe says.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mien.backbones import load_backbone
from mien.data.dataset import to_pixels
from mien.diffusion.losses import noise_mse
from mien.diffusion.schedule import Schedule
from mien.training.conditions import ConditionSampler, build_set


class BaseStage:
    """Args:
    backbone: folder of a trained base with an ``adapter/`` to start from.
    encoders: folder of the trained analyser and recogniser.
    weights: prepared set → how often it is drawn, relative. Sets with several pictures of a person make triples.
    drop: probability of dropping the identity, of dropping the expression, and of dropping both and the text.
    """

    def __init__(
        self,
        backbone: str,
        encoders: str,
        weights: dict[str, float],
        drop: tuple[float, float, float] = (0.05, 0.05, 0.05),
    ) -> None:
        self.backbone = load_backbone(backbone, device="cpu", dtype="float32")
        self.adapter = self.backbone.load_adapter()
        self.adapter.attach(self.backbone.unet)
        self.schedule = Schedule.from_config(self.backbone.scheduler.config)
        self.drop = torch.tensor([float(p) for p in drop]).cumsum(0)
        folder = Path(encoders)
        self.tokenizer = self.backbone.prompts.tokenizers[0]
        self.text_encoder = self.backbone.prompts.encoders[0]
        self.sampler = ConditionSampler(dict(weights), self.tokenizer, partner=1.0, encoders=folder)
        self.held = build_set("lfw-gray", held_out=True, encoders=folder)

    def modules(self) -> dict[str, nn.Module]:
        return {"adapter": self.adapter}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.adapter.trainable_parameters("base")

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return self.sampler(size, rng)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = batch["x"]
        b = len(x)
        for module in (self.backbone.unet, self.backbone.vae, self.text_encoder):
            module.to(x.device)
        mode = torch.bucketize(torch.rand(b, generator=rng), self.drop).to(x.device)  # 3: nothing is dropped
        with torch.no_grad():
            z = self.backbone.encode(x)
            ids = batch["ids"].clone()
            ids[mode == 2] = torch.tensor(self.tokenizer("", padding="max_length").input_ids, device=x.device)
            text = self.text_encoder(ids)[0]
        t = torch.randint(0, len(self.schedule.alpha_bar), (b,), generator=rng).to(x.device)
        eps = torch.randn(z.shape, generator=rng).to(x.device)
        conditions = self.adapter.project(
            batch["identity"],
            batch["expression"],
            text,
            drop_identity=(mode == 0) | (mode == 2),
            drop_expression=(mode == 1) | (mode == 2),
        )
        predict = self.adapter.predict_noise(self.backbone.unet)
        loss = noise_mse(predict, z, eps, t, conditions, self.schedule, batch["valid"].clamp_min(0.1))
        return loss, {"loss": loss.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Noise error on held-out people, identity from another picture of theirs."""
        rng = torch.Generator().manual_seed(7)
        losses = []
        for part in np.array_split(self.held.rows[:256], 8):
            others = [int(self.held.partners[i][-1]) for i in part]
            x = to_pixels(np.stack([self.held.faces.crops[i] for i in part])).to(self.backbone.unet.device)
            z = self.backbone.encode(x)
            t = torch.randint(0, len(self.schedule.alpha_bar), (len(z),), generator=rng).to(z.device)
            eps = torch.randn(z.shape, generator=rng).to(z.device)
            text = self.backbone.prompts(["black and white photo"] * len(z)).tokens
            conditions = self.adapter.project(
                self.held.identity[0, others].to(z), self.held.expression[0, part].to(z), text
            )
            predict = self.adapter.predict_noise(self.backbone.unet)
            weight = self.held.valid[part].to(z).clamp_min(0.1)
            losses.append(noise_mse(predict, z, eps, t, conditions, self.schedule, weight).item())
        return {"held_out_loss": float(np.mean(losses))}, None

    def export(self, folder: Path) -> None:
        self.adapter.save(folder / "adapter")
