"""DiffSFSR's training: the UNet learns to put a face of given identity and expression into given surroundings.

L = L_DM + λ1 L_id + λ2 L_exp (DiffSFSR Eq. 7), λ1 = 0.003, λ2 = 0.01. L_DM is the noise error (Eq. 3). L_id and L_exp
(Eqs. 5-6) judge the picture decoded from an estimate z0* (``diffusion.x0``) against the training picture. E_id is the
embedded recogniser, E_exp the embedded analyser's 57 standardised numbers. Everything is trained: UNet, projections,
their keys and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mien.backbones import autoencoder_precision, load_backbone
from mien.diffusion.losses import expression_loss, identity_loss, network_error, noise_error
from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import ESTIMATORS
from mien.encoders.expression import expression_vector
from mien.errors import InputError, choice
from mien.models.compound import CompoundProjection
from mien.models.e_adapter import EAdapter
from mien.models.folder import choose_precision, recompute_activations
from mien.models.projection import MLPProjection
from mien.models.sfsr import FRAMINGS, background_conditions, create_adapter, widen_input
from mien.training.adapter import EVERYTHING, Noised, draw_modes, share_of, training_device
from mien.training.judge import FaceJudge, canonical
from mien.training.surroundings import Surroundings
from mien.types import Conditions, FaceEncoder
from mien.weights.adapters import AdapterSpec
from mien.weights.bases import find_folder

TRAINED = 4  # tokens of each new embedding


class SfsrStage:
    """See the module.

    Args:
        backbone: folder or name of a text-to-image or inpainting model; where it has no adapter, or `recognisers` are
            named, new branches are made (``models.sfsr.create_adapter``).
        manifest: folder of a face set (``mien data ingest``), seen at the backbone's own resolution.
        encoders: folder of the analyser and recogniser that condition and judge; None: the shipped ones.
        recognisers: a compound identity's parts, by name or as encoders (``encoders.compound``); None: the adapter's
            own.
        background: False: the model is not told what surrounds the face (DiffSFSR, Table 4).
        estimator: of ``diffusion.x0.ESTIMATORS``; None: no L_id and L_exp (DiffSFSR, Table 3).
        identity_weight, expression_weight: λ1, λ2. judged: samples of a step on which L_id and L_exp are measured; 0:
            all (the paper's). framing: of the faces, of ``models.sfsr.FRAMINGS``.
        drop: probability of dropping the identity, the expression, both: what guidance compares with.
        dtype: precision of what stays frozen: "float32", "bfloat16", "float16" or "auto"; the rest is float32.
        checkpointing: recompute activations in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        backbone: str,
        manifest: str,
        encoders: str | None = None,
        recognisers: Sequence[str | FaceEncoder] | None = None,
        background: bool = True,
        estimator: str | None = "improved-midpoint",
        identity_weight: float = 0.003,
        expression_weight: float = 0.01,
        judged: int = 0,
        framing: str = "canonical",
        drop: tuple[float, float, float] = (0.05, 0.05, 0.05),
        dtype: str = "float32",
        checkpointing: bool = False,
    ) -> None:
        choice(estimator, (None, *ESTIMATORS), "estimator")
        choice(framing, FRAMINGS, "framing")
        device = training_device()
        precision = choose_precision(dtype, device)
        self.backbone = load_backbone(backbone, str(device), "float32")
        unet = widen_input(self.backbone.unet, self.backbone.unet.config.out_channels)
        self.unet = unet.requires_grad_(True)
        self.data = Surroundings(manifest, self.backbone, recognisers, framing)
        torch.manual_seed(0)  # new layers: the same in every run
        adapter = self._adapter(self.data.recognisers, self.data.expression_width)
        self.adapter = adapter.to(device, torch.float32)
        self.adapter.attach(self.unet)
        self.schedule = Schedule.from_config(self.backbone.scheduler.config)
        self.judge = None if estimator is None else FaceJudge(encoders, device)
        self.background, self.estimator, self.judged = background, estimator, judged
        self.identity_weight, self.expression_weight = identity_weight, expression_weight
        self.drop = torch.tensor([float(p) for p in drop]).cumsum(0)
        self.spec = replace(
            self.backbone.adapter or AdapterSpec(None, None),
            identity_encoder=self.data.identity_encoder,
            expression_encoder=self.data.expression_encoder,
            framing=framing,
        )
        self.dtype = precision
        self.backbone.vae.to(autoencoder_precision(find_folder(backbone) / "vae", precision))
        for encoder in self.backbone.prompts.encoders:
            encoder.to(precision)
        if checkpointing:
            recompute_activations(self.unet, self.backbone.vae)
        with torch.no_grad():
            self.empty = self.backbone.prompts([""]).tokens.float()  # [1, n, d]: no text beside faces

    def modules(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "adapter": self.adapter}

    def trainable(self) -> Iterable[nn.Parameter]:
        self.adapter.trainable_parameters("all")
        return [p for module in self.modules().values() for p in module.parameters()]

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return self.data(size, rng)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = batch["x"]
        b = len(x)
        self.backbone.vae.to(x.device)
        noised = self._noised(batch, draw_modes(b, self.drop, rng).to(x.device), rng)
        predict = self.schedule.as_noise(self.adapter.predict_noise(self.unet))
        predicted = predict(noised.z_t, noised.t, noised.conditions)
        loss = network_error(predicted, noised.eps, noised.t, self.schedule, noised.weight)
        logs = {"noise": loss.item()}
        told = torch.nonzero(noised.mode == EVERYTHING)[:, 0]
        share = share_of(len(told), b, 1 - float(self.drop[-1])) if len(told) else 0.0
        if self.judged:
            told = told[: self.judged]
        if self.estimator is not None and len(told):
            part = noised.of(told)
            estimate = ESTIMATORS[self.estimator]
            z0 = part.estimated(estimate, predict, self.schedule, rng, predicted[told])
            matrices = batch.get("face_matrix")
            at = None if matrices is None else matrices[told]
            identity, expression = self._judge(self.backbone.decode(z0), x[told], at)
            loss = loss + share * (self.identity_weight * identity + self.expression_weight * expression)
            logs |= {"identity": identity.item(), "expression": expression.item()}
        return loss, logs | {"loss": loss.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Noise error on held-out pictures, from the same noise at every call."""
        self.backbone.vae.to(self.unet.device)
        rng = torch.Generator().manual_seed(7)
        losses = []
        for batch in self.data.held_out():
            batch = {name: value.to(self.unet.device) for name, value in batch.items()}
            whole = torch.full((len(batch["x"]),), EVERYTHING, device=self.unet.device)
            noised = self._noised(batch, whole, rng)
            predict = self.schedule.as_noise(self.adapter.predict_noise(self.unet))
            predicted = predict(noised.z_t, noised.t, noised.conditions)
            losses.append(noise_error(predicted, noised.eps).item())
        return ({"held_out_loss": float(np.mean(losses))} if losses else {}), None

    def export(self, folder: Path) -> None:
        """An ordinary diffusers folder of an inpainting model, plus ``adapter/`` with both branches."""
        backbone = self.backbone
        if self.dtype != torch.float32:  # the frozen parts as they were, not rounded
            backbone = load_backbone(backbone.name, "cpu", "float32")
        self.unet.save_pretrained(folder / "unet")
        backbone.vae.save_pretrained(folder / "vae")
        backbone.scheduler.save_pretrained(folder / "scheduler")
        for name, part in backbone.text_parts().items():
            part.save_pretrained(folder / name)
        self.adapter.save(folder / "adapter")
        self.spec.write(folder / "adapter")

    def _adapter(self, recognisers: Mapping[str, int] | None, expression_width: int) -> EAdapter:
        """The backbone's own, or, for named recognisers, one with a projection of each. The recogniser that the
        backbone's adapter already takes keeps its projection. The others' tokens start at zero, so that training starts
        from what the adapter can do."""
        own = self.backbone.load_adapter() if self.backbone.adapter is not None else None
        if recognisers is None:
            if own is None:
                raise InputError(f"{self.backbone.name} has no adapter to start from: name recognisers")
            return own
        if own is None:
            return create_adapter(self.unet, recognisers, expression_width, TRAINED)
        if own.identity is None or own.expression is None:  # the branch that there is stays
            new = create_adapter(self.unet, recognisers, expression_width, TRAINED)
            own.expression = own.expression or new.expression
            if own.identity is None:
                own.identity = new.identity
                return own
        dim, known = self.unet.config.cross_attention_dim, own.identity.image_proj
        told = self.backbone.adapter.identity_encoder if self.backbone.adapter else None
        if not isinstance(known, MLPProjection) or recognisers.get(told or "") != known.width:
            projection = CompoundProjection(recognisers, dim, TRAINED)
        else:
            projection = CompoundProjection(recognisers, dim, known.tokens)
            for name, part in projection.of.items():
                if name == told:
                    part.load_state_dict(known.state_dict())
                else:
                    nn.init.zeros_(part.norm.weight)  # type: ignore[arg-type,union-attr]
        own.identity.image_proj = projection  # its keys, values and additions stay
        return own

    def _noised(self, batch: dict[str, Tensor], mode: Tensor, rng: torch.Generator) -> Noised:
        """A batch on its way through a step; `mode`: as of `Noised`."""
        z, conditions = self._conditions(batch, (mode == 0) | (mode == 2), (mode == 1) | (mode == 2))
        t = torch.randint(0, len(self.schedule.alpha_bar), (len(z),), generator=rng).to(z.device)
        eps = torch.randn(z.shape, generator=rng).to(z.device)
        weight = batch["valid"].clamp_min(0.1) if "valid" in batch else None
        return Noised(z, eps, t, self.schedule.add_noise(z, eps, t), conditions, {}, weight, mode)

    def _conditions(
        self, batch: dict[str, Tensor], no_identity: Tensor, no_expression: Tensor
    ) -> tuple[Tensor, Conditions]:
        """Latents of the pictures, and what the model is told of them (DiffSFSR Eq. 4)."""
        x, region = batch["x"], batch["face"]
        with torch.no_grad():
            z = self.backbone.encode(x)
            background, mask = background_conditions(self.backbone.vae, x, region)
            if not self.background:
                background = self.backbone.encode(torch.zeros_like(x))
        conditions = self.adapter.project(
            batch["identity"],
            batch["expression"],
            self.empty.to(x.device).expand(len(x), -1, -1),
            drop_identity=no_identity,
            drop_expression=no_expression,
        )
        conditions.background, conditions.mask = background, mask
        return z, conditions

    def _judge(self, made: Tensor, x: Tensor, matrices: Tensor | None) -> tuple[Tensor, Tensor]:
        """L_id and L_exp of decoded estimates against the pictures they estimate, [k, 3, H, W] both."""
        assert self.judge is not None
        judge = self.judge

        def look(pixels: Tensor) -> tuple[Tensor, Tensor]:
            crops = canonical(pixels, matrices).clamp(-1.2, 1.2)
            out: Any = judge.analyser(crops)
            does = expression_vector(out["blendshapes"], out["landmarks"])
            return judge.identity(crops), does

        with torch.no_grad():
            wanted = look(x)
        seen = look(made)
        return identity_loss(seen[0], wanted[0]), expression_loss(seen[1], wanted[1])
