"""What all generation by a diffusion model shares: the model with its adapter, what a call may be given, and the loop
from noise to pixels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from mien.backbones import Backbone, load_backbone
from mien.pipelines import arguments, schedulers
from mien.pipelines.conditions import Texts, conditions_of, given_texts
from mien.pipelines.diffusers_names import DiffusersNames
from mien.pipelines.inputs import Embedder, ExpressionLike, FaceChoice, Person, Picture, as_list
from mien.pipelines.lead import first_latents
from mien.types import Face, FaceEncoder, InputError
from mien.weights.adapters import AdapterSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from mien.models.attention import Scale
    from mien.models.e_adapter import EAdapter


Callback = Callable[[int, int, Tensor], None]
"""``callback(step, total, latents)``: after step 1 … total of the whole call; latents [b, c, h, w] of the batch in
work, which ``pipe.backbone.decode`` turns into pixels for a preview."""


def in_batches(n: int, size: int, callback: Callback | None) -> Iterator[tuple[slice, Callback]]:
    """Slices of n images, each with a callback for its batch that counts the steps of the whole call."""
    count = -(-n // size)
    for k in range(count):

        def report(step: int, total: int, latents: Tensor, k: int = k) -> None:
            if callback is not None:
                callback(k * total + step, count * total, latents)

        yield slice(k * size, min(n, (k + 1) * size)), report


@dataclass(frozen=True)
class Asked:
    """What a call asks of each image, in lists of one length. each: by the arguments' names. generators, tokens: None:
    the seeds and the prompts count."""

    each: dict[str, list[Any]]
    seeds: list[int]
    generators: list[torch.Generator] | None
    tokens: Texts | None

    def part(self, rows: slice) -> dict[str, Any]:
        """Of some images, what ``generate`` takes."""
        return {
            "prompts": self.each["prompt"][rows],
            "negative_prompts": self.each["negative_prompt"][rows],
            "seeds": self.seeds[rows],
            "generators": self.generators and self.generators[rows],
            "texts": self.tokens and self.tokens.part(rows),
        }


class GenerationPipeline(DiffusersNames):
    """A backbone with its adapter. ``scheduler`` may be set to any scheduler of diffusers, by name ("ddim") or as an
    object. Noise is drawn on the CPU, one generator an image, so the same seed gives the same image in any batch, at
    batch size 1 bit for bit, in larger ones up to rounding."""

    def __init__(
        self,
        backbone: Backbone,
        adapter: EAdapter,
        scheduler: Any = None,
        analyze: Callable[[Image.Image], Sequence[Face]] | None = None,
        identity_encoder: FaceEncoder | None = None,
        expression_encoder: FaceEncoder | None = None,
    ) -> None:
        """Args: backbone: a loaded model. adapter: fits its UNet; is attached here. scheduler: see
        ``pipelines.schedulers.choose_scheduler``; None: from the backbone's. analyze: picture -> faces, largest first;
        None: the embedded analyser. identity_encoder, expression_encoder: None: those that the adapter names.
        """
        self.backbone = backbone
        self.adapter = adapter
        self.scheduler = scheduler  # before the UNet is touched: it may be refused
        if not adapter.is_attached_to(backbone.unet):  # else another pipeline of this backbone has done it
            adapter.attach(backbone.unet)
        self._loras: dict[str, float] = {}
        self._interrupt = False  # diffusers' name: `callback_on_step_end` may set it to end after its step
        spec = backbone.adapter or AdapterSpec(None, None)
        self.steps, self.guidance, self.lead = spec.steps, spec.guidance, spec.lead
        self._analyze = analyze
        self._encoders = {"identity": identity_encoder, "expression": expression_encoder}

    @classmethod
    def from_backbone(
        cls,
        name: str = "mini",
        device: str = "auto",
        dtype: str = "auto",
        adapter: str | Path | AdapterSpec | None = None,
        offload: str = "none",
        scheduler: Any = None,
    ) -> Self:
        """Load a model and its adapter; the arguments are those of ``mien.backbones.load_backbone``, and a
        scheduler as of the class."""
        backbone = load_backbone(name, device, dtype, adapter, offload)
        return cls(backbone, backbone.load_controller(), scheduler)

    @property
    def scheduler(self) -> Any:
        """An object of diffusers; every call works on a copy of it."""
        return self._scheduler

    @scheduler.setter
    def scheduler(self, which: Any) -> None:
        self._scheduler = schedulers.choose_scheduler(which, self.backbone.scheduler)

    def asked(
        self,
        num_images: Any,
        generator: Any,
        texts: Sequence[Tensor | None],
        **given: Any,
    ) -> Asked:
        """What was given, one for all n or a list of n, as a list with an entry for each of n × num_images images.
        texts: as of `given_texts`. given: ``prompt``, ``negative_prompt``, ``seed`` and others. Raises `InputError`:
        arguments are of other kinds, or do not fit each other."""
        arguments.whole("num_images", num_images)
        lists = [value for value in given.values() if isinstance(value, (list, tuple))]
        tensors = [text for text in texts if isinstance(text, Tensor)]
        n = max((len(value) for value in (*lists, *tensors)), default=1)
        each = {
            name: [one for one in as_list(value, n, name) for _ in range(num_images)]
            for name, value in given.items()
        }
        for name in ("prompt", "negative_prompt"):
            for text in each[name]:
                arguments.check_text(name, text)
        seeds = [
            arguments.check_seed(seed, num_images) + i % num_images for i, seed in enumerate(each["seed"])
        ]
        generators = arguments.as_generators(generator, len(seeds))
        written = each["prompt"], each["negative_prompt"]
        return Asked(each, seeds, generators, given_texts(self.backbone, *written, texts, n, num_images))

    def check(
        self, steps: Any = None, guidance: Any = None, id_scale: Any = 1.0, expression_scale: Any = 1.0
    ) -> None:
        """What can be said of a call's numbers before it begins; None is the default of the first two. Raises
        `InputError`: one is of another kind, out of range, or not finite."""
        if steps is not None and arguments.whole("steps", steps) > (
            most := schedulers.most_steps(self.scheduler)
        ):
            raise InputError(f"{type(self.scheduler).__name__} takes at most {most} steps here, not {steps}")
        if guidance is not None:
            arguments.number("guidance", guidance)
        arguments.check_scale("id_scale", id_scale)
        arguments.check_scale("expression_scale", expression_scale)

    def embed(
        self,
        identity: Picture | Person | Sequence[Picture | Person] | None,
        expression: ExpressionLike | Sequence[ExpressionLike] | None,
        n: int = 1,
        face: FaceChoice = "largest",
        expression_face: FaceChoice = "largest",
    ) -> dict[str, Tensor]:
        """ "identity" and "expression" as the adapter takes them, those that are given: [n, w] float32.

        Stock diffusers takes each as ``ip_adapter_image_embeds``: ``torch.stack([0 * e, e])``, unconditional first.
        """
        embeds = {}
        for branch, given, which in (
            ("identity", identity, face),
            ("expression", expression, expression_face),
        ):
            if given is not None:
                embedder = Embedder(self.encoder(branch), self.analyzer(), which, branch)
                embeds[branch] = embedder(as_list(given, n, branch))
        return embeds

    @torch.no_grad()
    def generate(
        self,
        identity_embeds: Tensor | None,
        expression_embeds: Tensor | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        height: int | None = None,
        width: int | None = None,
        callback: Callback | None = None,
        background: tuple[Tensor, Tensor] | None = None,
        known: Tensor | None = None,
        grain: bool = True,
        after: Callable[[int, Tensor, Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
        texts: Texts | None = None,
        decode: bool = True,
        start: Tensor | None = None,
        lead: float = 0.0,
    ) -> Tensor:
        """One batch from embeddings [b, w] (or [b, k, w]): pixels [b, 3, H, W] float32 on the CPU, in [-1, 1].

        Args:
            background: latent [b, c, h, w] and mask [b, 1, h, w] of what surrounds the face, for a UNet that takes them
                (``models.sfsr.background_conditions``); None: nothing is given.
            known: latents [b, c, h, w] of a picture that stays where that mask is 0; None: everything is drawn.
            grain: whether an autoencoder that leaves detail out may draw it (``models.grain``).
            after: (i, t, latents) -> latents, after every step. generators: b that draw, in place of ``seeds``. texts:
                the prompts' and, or None, the negative ones' tokens, in place of the prompts.
            decode: False: latents [b, c, h, w] in place of pixels. start, lead: see ``pipelines.lead.first_latents``.
        """
        steps = self.steps if steps is None else steps
        guidance = self.guidance if guidance is None else guidance
        self.check(steps, guidance, id_scale, expression_scale)
        height, width = self._size(height), self._size(width)
        b, backbone = len(prompts), self.backbone
        distilled = backbone.unet.config.time_cond_proj_dim  # under guidance, whose strength it is told
        guided = guidance > 1.0 and distilled is None
        conditions, added = conditions_of(
            backbone,
            self.adapter,
            (identity_embeds, expression_embeds),
            prompts,
            (negative_prompts or [""] * b) if guided else None,
            (height, width),
            background,
            texts,
        )
        if distilled is not None:
            told = schedulers.guidance_embedding(guidance, b, distilled)
            added["timestep_cond"] = told.to(backbone.device, backbone.precision)
        predict = self.adapter.predict_noise(backbone.unet, id_scale, expression_scale, **added)
        scheduler = copy.deepcopy(self.scheduler)  # its state belongs to this call
        if generators is None:
            generators = [torch.Generator().manual_seed(arguments.check_seed(seed)) for seed in seeds]
        else:
            seeds = [generator.initial_seed() for generator in generators]
        shape = (backbone.unet.config.out_channels, height // backbone.factor, width // backbone.factor)
        z, times = first_latents(backbone, scheduler, steps, shape, generators, start, lead)
        noise = z / scheduler.init_noise_sigma
        drawn = None if known is None or background is None else (background[1] > 0).float()
        extra = schedulers.own_noise(scheduler, list(seeds), list(generators))
        self._interrupt = False
        try:
            for i, t in enumerate(times):
                z_in = scheduler.scale_model_input(torch.cat([z, z]) if guided else z, t)
                eps = predict(z_in.to(backbone.precision), t.expand(len(z_in)), conditions).float()
                if guided:
                    unconditional, conditional = eps.chunk(2)
                    eps = unconditional + guidance * (conditional - unconditional)
                z = scheduler.step(eps, t, z, **extra, return_dict=False)[0]
                if known is not None and drawn is not None:
                    z = schedulers.keep_outside(scheduler, i, z, noise, known, drawn)
                if callback is not None:
                    callback(i + 1, len(times), z)
                if after is not None:
                    z = after(i, t, z)
                if self._interrupt:
                    break
            if not decode:
                return z.float().cpu()
            pixels = backbone.decode(z, generators if grain else None).cpu()
        finally:
            self.adapter.forget()
            backbone.release()
        if not torch.isfinite(pixels).all():
            precision = str(backbone.precision).removeprefix("torch.")
            raise InputError(f'the image left the range of {precision} (it is black): use dtype="float32"')
        return pixels.clamp(-1, 1)

    def _size(self, pixels: int | None) -> int:
        if pixels is None:
            return self.backbone.size
        arguments.whole("height and width", pixels)
        unit = self.backbone.factor * 2 ** (len(self.backbone.unet.config.block_out_channels) - 1)
        if pixels < unit or pixels % unit:
            raise InputError(
                f"height and width are multiples of {unit} for {self.backbone.name}, not {pixels}"
            )
        return pixels

    def encoder(self, branch: str) -> FaceEncoder:
        """The encoder of "identity" or "expression" that the adapter goes with."""
        fits = getattr(self.adapter, branch)
        if fits is None:
            raise InputError(f"the adapter has no {branch} branch: leave {branch} out (None)")
        encoder = self._encoders[branch] or self.backbone.encoder(branch)
        if encoder.width != fits.width:
            raise InputError(
                f"the {branch} encoder {encoder.name} gives {encoder.width} numbers, the adapter takes {fits.width}: "
                'name the encoder it was trained with in its "adapter.json"'
            )
        return encoder

    def analyzer(self) -> Callable[[Image.Image], Sequence[Face]]:
        """Picture -> faces, largest first."""
        from mien.face.analyze import analyze

        return self._analyze or analyze
