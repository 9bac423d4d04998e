"""EmojiDiff's generation: identity + expression + prompt -> portraits (EmojiDiff, section 3)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.backbones import AdapterSpec, Backbone, FaceEncoder, load_backbone
from mien.models.attention import by_block
from mien.pipelines.batches import in_batches
from mien.pipelines.inputs import Embedder, FaceChoice, Picture, Wish, as_list
from mien.pipelines.lora import load_lora
from mien.pipelines.schedulers import choose_scheduler, guidance_embedding, most_steps, own_noise
from mien.types import Conditions, Face, InputError

if TYPE_CHECKING:
    from mien.models.attention import Scale
    from mien.models.controllers import Controller
    from mien.pipelines.batches import Callback


class PortraitPipeline:
    """Portraits of people with expressions.

    ``scheduler`` may be set to any scheduler of diffusers, by name ("ddim") or as an object; the default is
    DPM-Solver++ (2M), which needs few steps.

    An image depends on its own inputs and its own seed only: noise is drawn on the CPU, one generator an
    image, so the same seed gives the same image in any batch, at batch size 1 bit for bit, in larger batches
    up to the rounding of the device's matrix products.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapter: Controller,
        scheduler: Any = None,
        analyze: Callable[[Image.Image], Sequence[Face]] | None = None,
        identity_encoder: FaceEncoder | None = None,
        expression_encoder: FaceEncoder | None = None,
    ) -> None:
        """Args:
        backbone: a loaded model. adapter: fits its UNet; is attached here.
        scheduler: see ``pipelines.schedulers.choose_scheduler``; None: from the backbone's.
        analyze: picture -> faces, largest first; None: the embedded analyser.
        identity_encoder, expression_encoder: None: those that the adapter names.
        """
        self.backbone = backbone
        self.adapter = adapter
        self.scheduler = scheduler  # before the UNet is touched: it may be refused
        if not adapter.is_attached_to(backbone.unet):  # else another pipeline of this backbone has done it
            adapter.attach(backbone.unet)
        self._loras: dict[str, float] = {}
        self.steps = backbone.adapter.steps if backbone.adapter else AdapterSpec.steps
        self.guidance = backbone.adapter.guidance if backbone.adapter else AdapterSpec.guidance
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
    ) -> PortraitPipeline:
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
        self._scheduler = choose_scheduler(which, self.backbone.scheduler)

    def enable_attention_slicing(self, slice_size: str | int | None = "auto") -> None:
        """Attention in slices of heads, for less memory (diffusers' "auto", "max" or a number; None: off)."""
        self.adapter.detach()
        try:
            self.backbone.unet.set_attention_slice(slice_size)
        except ValueError as error:
            raise InputError(
                f"attention slices of {slice_size!r} do not fit this UNet: use 'auto'"
            ) from error
        finally:
            self.adapter.attach(self.backbone.unet)

    def enable_vae_slicing(self) -> None:
        """Decode one picture of a batch at a time, for less memory."""
        self._enable_vae("slicing")

    def enable_vae_tiling(self) -> None:
        """Decode a picture tile by tile, for less memory at large sizes."""
        self._enable_vae("tiling")

    def _enable_vae(self, what: str) -> None:
        enable = getattr(self.backbone.vae, f"enable_{what}", None)
        if enable is None:
            raise InputError(
                f"the autoencoder of {self.backbone.name} has no {what}, it is small: leave it out"
            )
        enable()

    def load_lora(self, path: str | Path, weight: float = 1.0) -> None:
        """Add a LoRA of the ecosystem (diffusers', kohya's or peft's layout), LCM's too; several add up.

        Args:
            path: a ``.safetensors`` file, a folder or a hub id.

        Raises:
            InputError: it is not there, not whole, damaged, of another kind (LyCORIS) or for another model; or the
                extra ``lora`` is not installed. Then nothing has changed.
        """
        load_lora(self.backbone, path, weight, self._loras)

    def unload_loras(self) -> None:
        """Take all LoRAs out again."""
        if self._loras:
            self.backbone.as_diffusers().unload_lora_weights()
            self._loras.clear()

    def __call__(
        self,
        identity: Picture | Sequence[Picture | Sequence[Picture]] | None,
        expression: Wish | Sequence[Wish] | None,
        prompt: str | Sequence[str] = "",
        negative_prompt: str | Sequence[str] = "",
        seed: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        num_images: int = 1,
        face: FaceChoice = "largest",
        expression_face: FaceChoice = "largest",
        height: int | None = None,
        width: int | None = None,
        batch_size: int = 8,
        callback: Callback | None = None,
    ) -> list[Image.Image]:
        """Portraits, PIL RGB; n × num_images of them, the images of one pair next to each other.

        Args:
            identity: a picture (path or PIL), or a list of n; an entry that is itself a list holds several
                pictures of one person, whose embeddings are averaged. None: nobody in particular.
            expression: a picture, a word, blendshapes … (``mien.expressions.spec``), or a list of n. None: no
                expression control.
            prompt, negative_prompt, seed: one for all n, or a list of n. Image j of a pair has seed + j.
            steps, guidance: None: the adapter's own. Guidance above 1 costs a second UNet evaluation a step;
                its unconditional side has the negative prompt and zero embeddings, as in IP-Adapter.
            id_scale, expression_scale: lambda_id, lambda_exp, the same for every image; see ``EAdapter.predict_noise``.
            face, expression_face: which face of an identity's and an expression's picture is meant.
            height, width: pixels; None: the model's size. batch_size: images in work at a time.
            callback: see `mien.pipelines.batches`.

        Raises:
            InputError: a picture cannot be used, or arguments do not fit each other.
        """
        lists = [value for value in (identity, expression, prompt, negative_prompt, seed) if _is_list(value)]
        n = max((len(value) for value in lists), default=1)  # type: ignore[arg-type]
        if num_images < 1:
            raise InputError("num_images must be at least 1")
        embeds = {
            branch: vectors.repeat_interleave(num_images, dim=0)
            for branch, vectors in self.embed(identity, expression, n, face, expression_face).items()
        }
        seeds = [s + j for s in as_list(seed, n, "seed") for j in range(num_images)]
        prompts = [p for p in as_list(prompt, n, "prompt") for _ in range(num_images)]
        negatives = [p for p in as_list(negative_prompt, n, "negative_prompt") for _ in range(num_images)]
        images: list[Image.Image] = []
        for part, report in in_batches(len(seeds), batch_size, callback):
            pixels = self.generate(
                embeds["identity"][part] if "identity" in embeds else None,
                embeds["expression"][part] if "expression" in embeds else None,
                prompts=prompts[part],
                negative_prompts=negatives[part],
                seeds=seeds[part],
                steps=steps,
                guidance=guidance,
                id_scale=id_scale,
                expression_scale=expression_scale,
                height=height,
                width=width,
                callback=report,
            )
            images += to_pil(pixels)
        return images

    def embed(
        self,
        identity: Picture | Sequence[Picture | Sequence[Picture]] | None,
        expression: Wish | Sequence[Wish] | None,
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
        grain: bool = True,
    ) -> Tensor:
        """One batch from embeddings [b, w] (or [b, k, w]): pixels [b, 3, H, W] float32 on the CPU, in [-1,
        1].

        ``background``: latent [b, c, h, w] and mask [b, 1, h, w] of what surrounds the face, for a UNet that
        takes them (``models.sfsr.background_conditions``); None: nothing is given. ``grain``: whether an
        autoencoder that leaves detail out may draw it (``models.grain``).
        """
        steps = self.steps if steps is None else steps
        guidance = self.guidance if guidance is None else guidance
        if steps < 1:
            raise InputError(f"steps must be at least 1, not {steps}")
        if steps > (most := most_steps(self.scheduler)):
            raise InputError(f"{type(self.scheduler).__name__} takes at most {most} steps here, not {steps}")
        for scale in (id_scale, expression_scale):
            if any(isinstance(one, Tensor) and one.ndim for one in by_block(scale)):
                raise InputError(
                    "a scale is the same for every image of a call: give a number, not a tensor of them"
                )
        height, width = self._size(height), self._size(width)
        b, backbone = len(prompts), self.backbone
        distilled = backbone.unet.config.time_cond_proj_dim  # under guidance, whose strength it is told
        guided = guidance > 1.0 and distilled is None
        conditions, added = self._conditions(
            identity_embeds,
            expression_embeds,
            prompts,
            (negative_prompts or [""] * b) if guided else None,
            height,
            width,
            background,
        )
        if distilled is not None:
            told = guidance_embedding(guidance, b, distilled)
            added["timestep_cond"] = told.to(backbone.device, backbone.precision)
        predict = self.adapter.predict_noise(backbone.unet, id_scale, expression_scale, **added)
        scheduler = copy.deepcopy(self.scheduler)  # its state belongs to this call
        scheduler.set_timesteps(steps, device=backbone.device)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (backbone.unet.config.out_channels, height // backbone.factor, width // backbone.factor)
        z = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        z = z.to(backbone.device) * scheduler.init_noise_sigma
        extra = own_noise(scheduler, list(seeds), generators)
        try:
            for i, t in enumerate(scheduler.timesteps):
                z_in = scheduler.scale_model_input(torch.cat([z, z]) if guided else z, t)
                eps = predict(z_in.to(backbone.precision), t.expand(len(z_in)), conditions).float()
                if guided:
                    unconditional, conditional = eps.chunk(2)
                    eps = unconditional + guidance * (conditional - unconditional)
                z = scheduler.step(eps, t, z, **extra, return_dict=False)[0]
                if callback is not None:
                    callback(i + 1, len(scheduler.timesteps), z)
            pixels = backbone.decode(z, generators if grain else None).cpu()
        finally:
            self.adapter.forget()
            backbone.release()
        if not torch.isfinite(pixels).all():
            precision = str(backbone.precision).removeprefix("torch.")
            raise InputError(
                f'the image left the range of {precision} (it would be black): use dtype="float32"'
            )
        return pixels.clamp(-1, 1)

    def _conditions(
        self,
        identity_embeds: Tensor | None,
        expression_embeds: Tensor | None,
        prompts: Sequence[str],
        negative_prompts: Sequence[str] | None,
        height: int,
        width: int,
        background: tuple[Tensor, Tensor] | None,
    ) -> tuple[Conditions, dict[str, Any]]:
        """Tokens of the batch; under guidance (negative prompts given) [2b, …], the unconditional half
        first."""
        backbone = self.backbone
        text = backbone.prompts([*(negative_prompts or ()), *prompts])
        if negative_prompts is not None and backbone.empty_negative_is_zero:
            empty = [i for i, negative in enumerate(negative_prompts) if negative == ""]
            for tensor in (text.tokens, text.pooled):
                if tensor is not None:
                    tensor[empty] = 0.0

        def both(embeds: Tensor | None) -> Tensor | None:
            if embeds is None:
                return None
            embeds = embeds.to(backbone.device, backbone.precision)
            return embeds if negative_prompts is None else torch.cat([torch.zeros_like(embeds), embeds])

        conditions = self.adapter.project(both(identity_embeds), both(expression_embeds), text.tokens)
        if background is not None:
            copies = (1 if negative_prompts is None else 2, 1, 1, 1)
            conditions.background, conditions.mask = (part.repeat(copies) for part in background)
        elif backbone.takes_background:
            conditions.background, conditions.mask = backbone.empty_background(1, height, width)
        return conditions, backbone.added_conditions(text, height, width)

    def _size(self, pixels: int | None) -> int:
        if pixels is None:
            return self.backbone.size
        unit = self.backbone.factor * 2 ** (len(self.backbone.unet.config.block_out_channels) - 1)
        if pixels < unit or pixels % unit:
            raise InputError(
                f"height and width must be multiples of {unit} for {self.backbone.name}, not {pixels}"
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
                f"the {branch} encoder {encoder.name} gives {encoder.width} numbers, the "
                f"adapter takes {fits.width}: "
                'name the encoder it was trained with in its "adapter.json"'
            )
        return encoder

    def analyzer(self) -> Callable[[Image.Image], Sequence[Face]]:
        """Picture -> faces, largest first."""
        if self._analyze is None:
            from mien.face.analyze import analyze

            self._analyze = analyze
        return self._analyze


def to_pil(pixels: Tensor) -> list[Image.Image]:
    """[b, 3, H, W] in [-1, 1] -> b pictures, RGB."""
    levels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return [Image.fromarray(np.asarray(image.permute(1, 2, 0))) for image in levels]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
