"""Trains the embedded default on its own pictures: drawn as they are at use, judged, and the judgement taken back.

A base that has only seen photographs noised has never been shown its own mistakes, which pile up over the steps of a
sampler, and it has only been asked for people who are there and for the expressions they had. Here portraits are drawn
by the shipped sampler, with gradients through its last steps (`training.rollout`, DRaFT: Clark et al. 2024, arXiv
2309.17400), of people who may be mixtures of two, with somebody else's expression or a word's. They are judged by L_id
and L_exp (DiffSFSR Eqs. 5-6), measured by the embedded recogniser and analyser, and by how far the
distributions of their latents and of their embeddings are from the photographs' (`training.energy`): a portrait that is
the mean of what it might be is too near to everybody. And they have the colours that were told. An adversary may join
(`training.adversary`), which tells the latents of what was drawn from photographs'.

The noise error of `PretrainStage` stays in the loss, as ReFL's pretraining term (Xu et al. 2023, arXiv 2304.05977,
Algorithm 1), and keeps what is not judged: prompts, surroundings, guidance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from factory.stages.pretrain import IDENTITY, PretrainStage
from factory.training.adversary import Contest, LatentDiscriminator, LatentFeatures, contest
from factory.training.augment import similarity_matrices, warp_pixels
from factory.training.conditions import ConditionSampler, build_set
from factory.training.energy import energy_distance
from factory.training.rollout import Settings, rollout
from mien.backbones import load_backbone
from mien.diffusion.losses import expression_loss, identity_loss
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import colours, load_recogniser
from mien.expressions.faces import named
from mien.expressions.labels import labels
from mien.expressions.reading import numbers
from mien.expressions.spec import Part
from mien.expressions.turning import predicted_pose, turned
from mien.face.network import load_analyser
from mien.models.sfsr import background_conditions
from mien.types import Conditions, InputError

NOISED = 150  # times below which an adversary looks: later ones show little of how a face is drawn
STRENGTH = 0.5  # of a word, at least: weaker ones are hardly told from rest
JITTER = (3.0, 0.03, 0.015)  # degrees, e-folds, sides: judges look twice at nothing


@dataclass(frozen=True)
class Asked:
    """What is drawn: identity [b, 224], expression [b, 57], background [b, c, h, w], mask [b, 1, h, w]; usual [b]: the
    expression is one that these photographs have, so that what is drawn may be held against them."""

    identity: Tensor
    expression: Tensor
    background: Tensor
    mask: Tensor
    usual: Tensor


def colour_loss(x: Tensor, told: Tensor) -> Tensor:
    """Mean squared difference of the colours of x [k, 3, H, W] and those told, [k, 96]; a scalar. Who is told none (all
    0), being in a photograph, does not count. Without it a recogniser is pleased by caricature: dark skin gets darker.
    """
    known = told.any(1)
    error = (colours(x) - told).square().mean(1)
    return (error * known).sum() / known.sum().clamp(min=1)


class RewardStage:
    """See the module.

    Args:
        base: arguments of `PretrainStage`, among them ``start`` and ``encoders``.
        people: prepared set of photographs → how often its people are drawn, relative.
        strong: prepared set of whose pictures the share `wild` of the expressions is.
        worded: share of the expressions that are told in words, at strengths of `STRENGTH` to 1.
        mixed: share of the people who are mixtures of two.
        surrounded: share of the portraits that are drawn into somebody's surroundings.
        emphasis: see ``ConditionSampler``.
        steps, guidance: of the sampler, least and most; by chance any between them, since a base that is
            trained on one number of steps alone fails with others, and with one guidance it exaggerates at another.
        depth: how many of the sampler's last steps gradients flow through; 0: all.
        identity_weight, expression_weight, energy_weight, colour_weight, noise_weight: of the losses.
        adversarial_weight: of the base's side of `training.adversary.contest`; 0: no adversary.
        judged: how many of a step's portraits are decoded and judged, and how many photographs noised, since both cost
            more than drawing; None: all.
    """

    def __init__(
        self,
        base: dict[str, Any],
        people: dict[str, float],
        strong: str = "renders-train",
        wild: float = 0.2,
        worded: float = 0.2,
        mixed: float = 0.5,
        surrounded: float = 0.3,
        emphasis: float = 0.1,
        steps: tuple[int, int] = (5, 9),
        guidance: tuple[float, float] = (1.0, 1.75),
        depth: int = 0,
        identity_weight: float = 1.0,
        expression_weight: float = 0.3,
        energy_weight: float = 0.3,
        colour_weight: float = 3.0,
        noise_weight: float = 4.0,
        adversarial_weight: float = 0.0,
        judged: int | None = None,
    ) -> None:
        if judged is not None and judged < 2:
            raise InputError(
                f"judged must be at least 2, not {judged}: an energy distance needs two pictures"
            )
        for name, (least, most) in {"steps": steps, "guidance": guidance}.items():
            if not 1 <= least <= most:
                raise InputError(
                    f"{name} must be two numbers from 1, the smaller first, not {least} and {most}"
                )
        if not 0 <= depth <= steps[0]:
            raise InputError(
                f"depth must be 0 to steps ({steps[0]}), not {depth}: gradients flow through that many"
            )
        if not base.get("encoders") or not base.get("start"):
            raise InputError(
                "base needs start and encoders: folders of what is trained on and of what judges"
            )
        self.base = PretrainStage(**base)
        encoders = Path(base["encoders"])
        self.recogniser = load_recogniser(encoders / "recogniser.safetensors")
        self.analyser = EmbeddedExpression(load_analyser(encoders / "analyser.safetensors"))
        self.people = ConditionSampler(
            dict(people), self.base.tokenizer, grey=0.0, encoders=encoders, emphasis=emphasis
        )
        part = build_set(strong, encoders=encoders)
        self.strong = part.expression[:, torch.from_numpy(part.rows)].flatten(0, 1)
        self.words = torch.stack([numbers(named(Part(1.0, word=word))) for word in labels()])
        self.rest = numbers({})
        self.wild, self.worded, self.mixed, self.surrounded = wild, worded, mixed, surrounded
        self.steps, self.guidance, self.depth = steps, guidance, depth or steps[1]
        self.identity_weight, self.expression_weight = identity_weight, expression_weight
        self.energy_weight, self.colour_weight, self.noise_weight = energy_weight, colour_weight, noise_weight
        self.adversarial_weight = adversarial_weight
        self.eyes: LatentFeatures | None = None
        self.discriminator: LatentDiscriminator | None = None
        if adversarial_weight:
            self.eyes = LatentFeatures(load_backbone(base["start"], device="cpu", dtype="float32"))
            self.discriminator = LatentDiscriminator(self.base.vae.config.latent_channels, self.eyes.channels)
        self.judged = judged

    def modules(self) -> dict[str, nn.Module]:
        adversary = {} if self.discriminator is None else {"discriminator": self.discriminator}
        return {**self.base.modules(), **adversary}

    def trainable(self) -> Iterable[nn.Parameter]:
        adversary = [] if self.discriminator is None else self.discriminator.parameters()
        return [*self.base.trainable(), *adversary]

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        """Of `PretrainStage`, and, as ``people.…``, those whose portraits are drawn."""
        drawn = self.people(size, rng)
        noised = self.base.batch(min(size, self.judged or size), rng)
        return {**noised, **{f"people.{key}": value for key, value in drawn.items()}}

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        noise, _ = self.base.step(
            {key: value for key, value in batch.items() if not key.startswith("people.")}, rng
        )
        people = {key.removeprefix("people."): value for key, value in batch.items() if key[:7] == "people."}
        with torch.no_grad():
            real = self.base.vae.encode(people["x"]).latents.float()
            asked = self.ask(people, rng)
        z = self.draw(asked, self.settings_of(rng), rng)
        x = self.base.vae.decode(z[: self.judged]).sample.float().clamp(-1.2, 1.2)
        who, how = self.see(x, rng)
        told = asked.identity[: len(x)]
        identity = identity_loss(who, told[:, :IDENTITY])
        expression = expression_loss(how, asked.expression[: len(x)])
        colour = colour_loss(x, told[:, IDENTITY:])
        valid = people["valid"][:, None]  # what repeats a photograph's edge is hidden on both sides
        cells = [(latents * valid).flatten(2).permute(2, 0, 1) for latents in (z, real)]
        energy = energy_distance(*cells) + energy_distance(who, people["identity"][:, :IDENTITY])
        loss = self.noise_weight * noise + self.energy_weight * energy
        loss = loss + self.identity_weight * identity + self.expression_weight * expression
        loss = loss + self.colour_weight * colour
        logs = {"loss": loss, "noise": noise, "identity": identity, "expression": expression}
        logs |= {"colour": colour, "energy": energy}
        if self.discriminator is not None and (usual := asked.usual).any():
            found = self.contest(real[usual], z[usual], valid[usual], rng)
            loss = loss + self.adversarial_weight * found.generator + found.adversary
            logs |= {"loss": loss, "generator": found.generator, "adversary": found.adversary}
        return loss, {key: value.item() for key, value in logs.items()}

    def contest(self, real: Tensor, fake: Tensor, valid: Tensor, rng: torch.Generator) -> Contest:
        """Photographs' latents and drawn ones [b, c, 8, 8], noised alike, before the adversary."""
        assert self.eyes is not None and self.discriminator is not None
        self.eyes.to(real.device)
        t = torch.randint(NOISED, (len(real),), generator=rng).to(real.device)
        eps = torch.randn(real.shape, generator=rng).to(real)
        with torch.no_grad():
            photographs = real, valid, *self.eyes(real, valid, t, eps)
        return contest(self.discriminator, photographs, (fake, valid, *self.eyes(fake, valid, t, eps)))

    def ask(self, people: dict[str, Tensor], rng: torch.Generator) -> Asked:
        """Of a batch of photographs: its people or mixtures of them, with somebody else's expression each."""
        x = people["x"]
        b, device = len(x), x.device
        identity = people["identity"].clone()
        who = identity[:, :IDENTITY]
        share = (0.2 + 0.6 * torch.rand(b, 1, generator=rng)).to(device)
        mixture = (share * who + (1 - share) * who.roll(1, 0)) / (
            share.square() + (1 - share).square()
        ).sqrt()
        chosen = (torch.rand(b, 1, generator=rng) < self.mixed).to(device)
        identity[:, :IDENTITY] = torch.where(chosen, mixture, who)
        expression = people["expression"].roll(2, 0)
        rows = torch.randint(len(self.strong), (b,), generator=rng)
        wild = (torch.rand(b, 1, generator=rng) < self.wild).to(device)
        expression = torch.where(wild, self.strong[rows].to(device), expression)
        worded = (torch.rand(b, 1, generator=rng) < self.worded).to(device)
        expression = torch.where(worded, self.word(b, rng).to(device), expression)
        inside = (torch.rand(b, generator=rng) < self.surrounded).to(device)
        region = torch.where(inside.view(b, 1, 1, 1), people["face"], 1.0)
        background, mask = background_conditions(self.base.vae, x, region)
        # In a photograph: somebody else, at its pose and in its light.
        identity = torch.where(inside[:, None], identity.roll(1, 0), identity)
        identity[inside, IDENTITY:] = 0.0
        at_pose = turned(expression.cpu(), predicted_pose(people["expression"].cpu()).numpy()).to(expression)
        expression = torch.where(inside[:, None], at_pose, expression)
        return Asked(identity, expression, background, mask, ~(wild | worded)[:, 0])

    def word(self, size: int, rng: torch.Generator) -> Tensor:
        """Expressions [size, 57] told in words, as `mien.pipelines.inputs` tells them: neutral and a word."""
        rows = torch.randint(len(self.words), (size,), generator=rng)
        strength = STRENGTH + (1 - STRENGTH) * torch.rand(size, 1, generator=rng)
        return self.rest + strength * (self.words[rows] - self.rest)

    def settings_of(self, rng: torch.Generator) -> Settings:
        """How is drawn, this time."""
        steps = int(torch.randint(self.steps[0], self.steps[1] + 1, (), generator=rng))
        least, most = self.guidance
        return Settings(steps, least + (most - least) * float(torch.rand((), generator=rng)))

    def draw(self, asked: Asked, settings: Settings, rng: torch.Generator) -> Tensor:
        """Their latents [b, c, 8, 8], as the portrait pipeline draws them with an empty prompt."""
        base, b = self.base, len(asked.identity)
        device = asked.identity.device
        noise = torch.randn(asked.background.shape, generator=rng).to(device)
        with torch.no_grad():
            text = base._encode([""] * b)

        def conditions(identity: Tensor, expression: Tensor) -> Conditions:
            told = base.adapter.project(identity, expression, text)
            return Conditions(text, told.identity, told.expression, asked.background, asked.mask)

        given = conditions(asked.identity, asked.expression)
        with torch.no_grad():
            nothing = conditions(torch.zeros_like(asked.identity), torch.zeros_like(asked.expression))
        return rollout(
            base.adapter.predict_noise(base.unet),
            base.scheduler,
            settings,
            noise,
            given,
            nothing,
            self.depth,
            rng,
        )

    def see(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Who is in the pictures x [k, 3, 128, 128], [k, 128], and what they do, [k, 57]. The pictures are moved a
        little, so that no single pixel is what pleases."""
        x = warp_pixels(x, similarity_matrices(len(x), x.shape[-1], *JITTER, rng).to(x))
        self.recogniser.to(x.device)
        self.analyser.analyser.to(x.device)
        flip = (torch.rand(len(x), 1, 1, 1, generator=rng) < 0.5).to(x.device)
        return self.recogniser(torch.where(flip, x.flip(3), x)), self.analyser.embed(x)

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        return self.base.validate()

    def export(self, folder: Path) -> None:
        self.base.export(folder)
