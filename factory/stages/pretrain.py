"""Trains the embedded default's base: UNet and text encoder, together with both adapter branches.

Stable Diffusion's users start from a base and a FaceID adapter that others trained. The embedded default has neither,
so this stage makes both at once: in part of the samples a branch is switched off (the UNet must work without it) or
its embedding is zero (what guidance subtracts). The E-Adapter's own stages then start from a frozen base, as the paper
does. The loss is DDPM's epsilon mean squared error (Ho et al. 2020, Eq. 14), weighted towards high noise, where a
face's structure is settled (`Schedule.velocity_weight`): a short run otherwise spends itself on texture.

One UNet serves both methods: it is an inpainting UNet (DiffSFSR, background conditioning), told in part of the samples
what surrounds the face, and in the rest that nothing is known (EmojiDiff's portraits).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image
from torch import Tensor, nn

from factory.training.conditions import ConditionSampler, build_set
from factory.training.mini import (
    all_captions,
    create_scheduler,
    create_text_encoder,
    create_tokenizer,
    create_unet,
)
from mien.backbones import load_backbone
from mien.diffusion.losses import expression_loss, identity_loss, noise_error
from mien.diffusion.schedule import Schedule
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import COLOURS as APPEARANCE_WIDTH
from mien.encoders.identity import Recogniser, load_recogniser
from mien.face.network import load_analyser
from mien.models.autoencoder import PatchAutoencoder
from mien.models.e_adapter import EAdapter
from mien.models.latents import empty_background
from mien.models.sfsr import background_conditions, widen_input
from mien.models.text import tokenize
from mien.pixels import to_bytes, to_pixels
from mien.training.adapter import share_of
from mien.types import Conditions

IDENTITY = 128  # the recogniser's part of the identity's numbers
IDENTITY_WIDTH, EXPRESSION_WIDTH = IDENTITY + APPEARANCE_WIDTH, 57
FACE_TIMES, FACE_SHARE = (300, 850), 0.5  # L_id and L_exp: where, and on which share of the samples there
WEIGHT_LIMIT = 80.0  # of the error of v: reached at t = 905
# Probabilities of what a sample is told: (text alone, nothing, text and identity, text and expression); else all.
_MODES = (0.15, 0.05, 0.06, 0.10)
# Of samples with a background: share without a caption, and share whose identity has no colours, since a photograph's
# own light and skin must then come from its surroundings.
_UNTOLD, _COLOURLESS = 0.6, 0.5


class PretrainStage:
    """See the module.

    Args:
        autoencoder: folder of the trained autoencoder.
        weights: prepared set → how often it is drawn, relative.
        start: folder of an earlier result to go on from, instead of new networks.
        background: share of the samples that are told what surrounds the face.
        widths: channels of the UNet's two levels.
        identity_tokens, expression_tokens: of the adapter's branches.
        encoders: folder of the trained analyser and recogniser, whose numbers then are the conditions; None: the
            teachers' labels, for a start before those two are trained.
        identity_weight, expression_weight: of L_id and L_exp (DiffSFSR Eqs. 5-6), measured by those two networks on
            one-step estimates of half of the samples at t in 300 to 850; need `encoders`.
        sheet: whether validation draws pictures.
        emphasis, shift: see ``ConditionSampler``.
    """

    def __init__(
        self,
        autoencoder: str,
        weights: dict[str, float],
        start: str | None = None,
        background: float = 0.4,
        widths: tuple[int, int] = (128, 256),
        identity_tokens: int = 8,
        expression_tokens: int = 4,
        encoders: str | None = None,
        identity_weight: float = 0.0,
        expression_weight: float = 0.0,
        sheet: bool = True,
        emphasis: float = 0.0,
        shift: int = 0,
    ) -> None:
        torch.manual_seed(0)
        self.vae = PatchAutoencoder.from_pretrained(autoencoder).requires_grad_(False)
        self.scheduler = create_scheduler()
        self.schedule = Schedule.from_config(self.scheduler.config)
        channels = self.vae.config.latent_channels
        if start is None:
            self.tokenizer = create_tokenizer(all_captions())
            self.text_encoder = create_text_encoder(self.tokenizer)
            self.unet = create_unet(channels, (widths[0], widths[1]))
            self.adapter = EAdapter.create(
                self.unet,
                IDENTITY_WIDTH,
                EXPRESSION_WIDTH,
                identity_tokens=identity_tokens,
                expression_tokens=expression_tokens,
                expression_projection="mlp",
            )
        else:
            earlier = load_backbone(start, device="cpu", dtype="float32")
            self.tokenizer, self.text_encoder = earlier.prompts.tokenizers[0], earlier.prompts.encoders[0]
            self.unet, self.adapter = earlier.unet, earlier.load_adapter()
        self.untold = tokenize(self.tokenizer, [""])[0]
        self.unet = widen_input(self.unet, channels)
        self.adapter.attach(self.unet)
        self.background = background
        folder = None if encoders is None else Path(encoders)
        self.sampler = ConditionSampler(
            dict(weights), self.tokenizer, encoders=folder, emphasis=emphasis, shift=shift
        )
        self.judges: tuple[Recogniser, EmbeddedExpression] | None = None
        if folder is not None and (identity_weight or expression_weight):
            analyser = load_analyser(folder / "analyser.safetensors")
            self.judges = load_recogniser(folder / "recogniser.safetensors"), EmbeddedExpression(analyser)
        self.identity_weight, self.expression_weight = identity_weight, expression_weight
        self.sheet = sheet
        self.held = build_set("utkface-adults", held_out=True, encoders=folder)
        self.references = build_set("renders-holdout", held_out=False, encoders=folder)

    def modules(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "text_encoder": self.text_encoder, "adapter": self.adapter}

    def trainable(self) -> Iterable[nn.Parameter]:
        self.adapter.trainable_parameters("all")
        for module in (self.unet, self.text_encoder):  # a loaded model comes frozen
            module.requires_grad_(True)
        return [p for module in self.modules().values() for p in module.parameters()]

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return self.sampler(size, rng)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = batch["x"]
        b, device = len(x), x.device
        self.vae.to(device)
        mode = torch.bucketize(torch.rand(b, generator=rng), torch.tensor(_MODES).cumsum(0), right=True).to(
            device
        )
        surrounded = (torch.rand(b, generator=rng) < self.background).to(device) & (mode != 0)
        told = torch.rand(b, 2, generator=rng).to(device) >= torch.tensor(
            [_UNTOLD, _COLOURLESS], device=device
        )
        with torch.no_grad():
            z = self.vae.encode(x).latents.float()
            region = torch.where(surrounded.view(b, 1, 1, 1), batch["face"], 1.0)
            background, mask = background_conditions(self.vae, x, region)
        # One t of each b-th of the range: less noise in the loss than b independent ones.
        slot = torch.randperm(b, generator=rng)
        t = ((slot + torch.rand(b, generator=rng)) * (1000 / b)).long().clamp_max(999).to(device)
        eps = torch.randn(z.shape, generator=rng).to(device)
        ids = batch["ids"].clone()
        ids[(mode == 1) | (surrounded & ~told[:, 0])] = self.untold.to(device)
        text = self.text_encoder(ids)[0]
        identity = batch["identity"].clone()
        identity[surrounded & ~told[:, 1], IDENTITY:] = 0.0
        no_identity, no_expression = (mode == 1) | (mode == 3), (mode == 1) | (mode == 2)
        conditions = self.adapter.project(
            identity,
            batch["expression"],
            text,
            drop_identity=no_identity,
            drop_expression=no_expression,
        )
        conditions = replace(conditions, background=background, mask=mask)
        # A missing branch is sometimes zero (guidance), sometimes off (no adapter at all).
        off = torch.rand(b, generator=rng).to(device) < 0.3
        id_scale = 1.0 - ((mode == 0) | (no_identity & off)).float()
        expression_scale = 1.0 - ((mode == 0) | (no_expression & off)).float()
        z_t = self.schedule.add_noise(z, eps, t)
        predicted = self.adapter.predict_noise(self.unet, id_scale, expression_scale)(z_t, t, conditions)
        importance = self.schedule.error_weight(t, z, WEIGHT_LIMIT).flatten()
        loss = noise_error(predicted, eps, batch["valid"].clamp_min(0.1), importance)
        logs = {"loss": loss.item()}
        telling = (t >= FACE_TIMES[0]) & (t <= FACE_TIMES[1])  # below, z_t shows the face already
        telling &= (torch.rand(b, generator=rng) < FACE_SHARE).to(device)
        chosen = torch.nonzero(telling & (mode == len(_MODES)))[:, 0]
        if self.judges is not None and len(chosen):
            z0 = self.schedule.one_step(z_t[chosen], predicted[chosen].float(), t[chosen])
            identity, expression = self._judge(z0, batch, chosen)
            share = share_of(len(chosen), b, FACE_SHARE * (1 - sum(_MODES)) * np.ptp(FACE_TIMES) / 1000)
            loss = loss + share * (self.identity_weight * identity + self.expression_weight * expression)
            logs |= {"identity": identity.item(), "expression": expression.item()}
        return loss, logs

    def _judge(self, z0: Tensor, batch: dict[str, Tensor], chosen: Tensor) -> tuple[Tensor, Tensor]:
        """L_id and L_exp of estimated latents z0 [k, c, h, w], against what their samples were told."""
        assert self.judges is not None
        recogniser, expression = self.judges
        recogniser.to(z0.device)
        expression.analyser.to(z0.device)
        x = self.vae.decode(z0).sample.clamp(-1.2, 1.2)
        return (
            identity_loss(recogniser(x), batch["identity"][chosen, :IDENTITY]),
            expression_loss(expression.embed(x), batch["expression"][chosen]),
        )

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        self.vae.to(self.unet.device)
        rng = torch.Generator().manual_seed(7)
        rows = self.held.rows[:256]
        losses = []
        for part in np.array_split(rows, min(8, len(rows))):
            x = to_pixels(np.stack([self.held.faces.crops[i] for i in part]))
            z = self.vae.encode(x.to(self.unet.device)).latents.float()
            t = torch.randint(0, 1000, (len(z),), generator=rng)
            eps = torch.randn(z.shape, generator=rng)
            empty = self._encode([""] * len(z))
            conditions = self._portrait(
                self.held.identity[0, part].to(z), self.held.expression[0, part].to(z), empty
            )
            predict = self.adapter.predict_noise(self.unet)
            eps, t = eps.to(z), t.to(z.device)
            predicted = predict(self.schedule.add_noise(z, eps, t), t, conditions)
            losses.append(noise_error(predicted, eps).item())
        with torch.autocast(self.unet.device.type, enabled=False):
            sheet = self._sheet() if self.sheet else None
        return {"held_out_loss": float(np.mean(losses))}, sheet

    def _encode(self, prompts: list[str]) -> Tensor:
        ids = tokenize(self.tokenizer, prompts)
        return self.text_encoder(ids.to(self.text_encoder.device))[0]

    def _portrait(self, identity: Tensor, expression: Tensor, text: Tensor) -> Conditions:
        """Of a portrait: everything is to be generated, nothing known of the surroundings."""
        side = 16 * self.unet.config.sample_size
        background, mask = empty_background(self.vae, len(identity), side, side)
        conditions = self.adapter.project(identity, expression, text)
        return replace(conditions, background=background, mask=mask)

    def _sheet(self, people: int = 5, expressions: int = 8) -> Image.Image:
        """Top row: expression references; left column: identities; the rest: what comes out."""
        who = self.held.rows[:: max(1, len(self.held.rows) // people)][:people]
        how = self.references.rows[:: max(1, len(self.references.rows) // (expressions - 2))][
            : expressions - 2
        ]
        other = self.held.rows[3:5]
        expression = torch.cat([self.references.expression[0, how], self.held.expression[0, other]])
        top = [np.asarray(self.references.faces.crops[i]) for i in how]
        top += [np.asarray(self.held.faces.crops[i]) for i in other]
        n = people * expressions
        device = self.unet.device
        conditions = self._portrait(
            self.held.identity[0, who].repeat_interleave(expressions, 0).to(device),
            expression.repeat(people, 1).to(device),
            self._encode([""] * n),
        )
        nothing = self._portrait(
            torch.zeros(n, IDENTITY_WIDTH, device=device),
            torch.zeros(n, EXPRESSION_WIDTH, device=device),
            self._encode([""] * n),
        )
        predict = self.adapter.predict_noise(self.unet)
        solver = DPMSolverMultistepScheduler.from_config(self.scheduler.config)
        solver.set_timesteps(15, device=device)
        shape, rng = (1, self.vae.config.latent_channels, 8, 8), torch.Generator().manual_seed(0)
        z = torch.randn(shape, generator=rng).repeat(n, 1, 1, 1).to(device)
        for t in solver.timesteps:
            steps = t.repeat(n).to(device)
            plain = predict(z, steps, nothing).float()
            eps = plain + 2.0 * (predict(z, steps, conditions).float() - plain)
            z = solver.step(eps, t, z, generator=rng).prev_sample
        results = to_bytes(self.vae.decode(z).sample).reshape(people, expressions, 128, 128, 3)
        corner = np.full((128, 128, 3), 255, np.uint8)
        lines = [np.concatenate([corner, *top], axis=1)]
        for i, person in enumerate(who):
            lines.append(np.concatenate([np.asarray(self.held.faces.crops[person]), *results[i]], axis=1))
        return Image.fromarray(np.concatenate(lines))

    def export(self, folder: Path) -> None:
        """An ordinary diffusers folder, plus ``adapter/`` with both branches."""
        self.unet.save_pretrained(folder / "unet")
        self.vae.save_pretrained(folder / "vae")
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")
        self.adapter.save(folder / "adapter")
