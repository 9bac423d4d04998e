"""DiffSFSR's generation: a photo + an identity and / or an expression -> the photo with that face (DiffSFSR, Fig. 2).

What the photo gives is everything but the face: pose, hair, light, surroundings. Swap all: both are given. Face
swapping: the identity is given, the expression is read off the photo. Reenactment: the expression is given, the person
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.backbones import Backbone
from mien.errors import InputError, choice
from mien.models.attention import Scale, times
from mien.models.e_adapter import EAdapter
from mien.models.sfsr import FRAMINGS, background_conditions
from mien.pipelines.arguments import one_of, whole
from mien.pipelines.diffusers_names import (
    OUTPUTS,
    StepEnd,
    check_output,
    pictures_as,
    refuse,
    step_end,
    to_pil,
)
from mien.pipelines.generation import Asked, Callback, GenerationPipeline, in_batches
from mien.pipelines.inputs import Embedder, ExpressionLike, FaceChoice, Person, Picture, opened
from mien.pipelines.scenes import Refaced, Scene, find_scene
from mien.pipelines.schedulers import PLAIN_SCHEDULERS, reface_scheduler
from mien.pixels import to_pixels
from mien.provenance import remember
from mien.types import ByteImage
from mien.weights.adapters import AdapterSpec

STEPS = 50  # DiffSFSR, implementation details: PNDM, 50 steps


class RefacePipeline(GenerationPipeline):
    """Photos with another face, expression or both; pixels outside the feathered mask are those of the photo, bit for
    bit.

    ``background`` may be set to False for a model that was trained without (DiffSFSR, Table 4), which is told only
    where the face is. ``turn`` set to False leaves in the embedded expression what the reference's pose put there
    (``mien.expressions.turning``).
    """

    def __init__(self, backbone: Backbone, adapter: EAdapter, scheduler: Any = None, **looking: Any) -> None:
        """Args:
        backbone: a loaded model that takes a background. adapter: fits its UNet; is attached here.
        scheduler: None: PNDM (Liu et al. 2022) on the schedule that the model was trained with, as the paper; a model
            that comes with a sampler of its own kind (mini) keeps it, and its number of steps.
        looking: analyze, identity_encoder and expression_encoder, as of ``GenerationPipeline``.

        Raises:
            InputError: the model takes no background, or its adapter lacks a branch.
        """
        if not backbone.takes_background:
            raise InputError(
                f"{backbone.name} takes no background, so it cannot put a face into a photo: use a model that "
                "`mien train` made with the stage sfsr, or mini"
            )
        if adapter.controller == "controlnet":
            raise InputError(f"the adapter of {backbone.name} is a ControlNet: use an E-Adapter")
        for branch in ("identity", "expression"):
            if getattr(adapter, branch) is None:
                raise InputError(f"refacing needs both branches: {backbone.name} has no {branch}")
        spec = backbone.adapter or AdapterSpec(None, None)
        self._matrix = FRAMINGS[choice(spec.framing, FRAMINGS, "the adapter's framing")]
        chosen = reface_scheduler(backbone.scheduler) if scheduler is None else scheduler
        super().__init__(backbone, adapter, chosen, **looking)
        if spec.reface_steps is not None:
            self.steps = spec.reface_steps
        elif type(backbone.scheduler).__name__ in PLAIN_SCHEDULERS:
            self.steps = STEPS  # else it comes with its sampler and its steps
        if spec.reface_guidance is not None:
            self.guidance = spec.reface_guidance
        self._identity = spec.reface_identity
        self.background = True
        self.turn = True

    def __call__(
        self,
        photo: Picture | Sequence[Picture | None] | None = None,
        identity: Picture | Person | Sequence[Picture | Person | None] | None = None,
        expression: ExpressionLike | Sequence[ExpressionLike | None] | None = None,
        prompt: str | Sequence[str] = "",
        seed: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        face: FaceChoice = "largest",
        identity_face: FaceChoice = "largest",
        expression_face: FaceChoice = "largest",
        batch_size: int = 8,
        callback: Callback | None = None,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        **others: Any,
    ) -> Any:
        """The photos with their new faces, n × num_images_per_prompt of them, PIL RGB of the photos' own sizes. Raises
        `InputError`: a picture shows no face (which one is said), the face leaves the photo, nothing is to be changed,
        or arguments do not fit each other.

        Args:
            photo: a picture (path or PIL), or a list of n. None: a scene made from `prompt` by the same model
                (DiffSFSR's converting module).
            identity: whose face: a picture, a `Person` of several pictures, or a list of n. None, or an entry of None:
                the photo's own.
            expression: anything of ``mien.expressions.spec``, or a list of n. None: the photo's own.
            prompt: what the scene shows; with a photo, what the face's picture should look like. One, or n.
            seed: one for all n, or a list of n. steps: None: 50, or the model's own. guidance: None: the adapter's own.
            id_scale, expression_scale: see ``EAdapter.predict_noise``; an id_scale of 1 is the adapter's own.
            face, identity_face, expression_face: which face is meant in a photo and in the others' pictures.
            batch_size: photos in work at a time. callback: see `mien.pipelines.generation`.
            output_type: "pil", "np" or "pt"; the last two need photos of one size.
            num_inference_steps and the others: as of ``PortraitPipeline``'s call.
        """
        refuse(others)
        check_output(output_type, OUTPUTS[:3])
        asked = self.asked(
            num_images_per_prompt,
            generator,
            (prompt_embeds, negative_prompt_embeds, pooled_prompt_embeds, negative_pooled_prompt_embeds),
            photo=photo,
            identity=identity,
            expression=expression,
            prompt=prompt,
            negative_prompt="",
            seed=seed,
        )
        numbers = {
            "steps": one_of(("steps", "num_inference_steps"), steps, num_inference_steps),
            "guidance": one_of(("guidance", "guidance_scale"), guidance, guidance_scale),
            "id_scale": id_scale,
            "expression_scale": expression_scale,
        }
        after = step_end(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        which = face, identity_face, expression_face
        results = self._refaced(asked, which, batch_size, callback, after, **numbers)
        told = {"engine": "diffusion", "backbone": Path(self.backbone.name).name}
        return pictures_as([remember(one.image(), told, one.mask()) for one in results], output_type)

    def reface(
        self,
        photo: Picture | Sequence[Picture | None] | None = None,
        identity: Picture | Person | Sequence[Picture | Person | None] | None = None,
        expression: ExpressionLike | Sequence[ExpressionLike | None] | None = None,
        prompt: str | Sequence[str] = "",
        seed: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        face: FaceChoice = "largest",
        identity_face: FaceChoice = "largest",
        expression_face: FaceChoice = "largest",
        batch_size: int = 8,
        callback: Callback | None = None,
        num_images: int = 1,
    ) -> list[Refaced]:
        """The photos with their new faces, not yet put together, num_images of each; arguments and errors as of a
        call."""
        each = {
            "photo": photo,
            "identity": identity,
            "expression": expression,
            "prompt": prompt,
            "seed": seed,
        }
        asked = self.asked(num_images, None, (None,) * 4, negative_prompt="", **each)
        numbers = {
            "steps": steps,
            "guidance": guidance,
            "id_scale": id_scale,
            "expression_scale": expression_scale,
        }
        return self._refaced(
            asked, (face, identity_face, expression_face), batch_size, callback, None, **numbers
        )

    def _refaced(
        self,
        asked: Asked,
        which: tuple[FaceChoice, FaceChoice, FaceChoice],
        batch_size: int,
        callback: Callback | None,
        after: Callable[[int, Tensor, Tensor], Tensor] | None,
        **numbers: Any,
    ) -> list[Refaced]:
        """What is asked for. which: of a photo's, an identity's and an expression's faces."""
        self.check(**numbers)
        whole("batch_size", batch_size)
        each = asked.each
        for who, how in zip(each["identity"], each["expression"], strict=True):
            if who is None and how is None:
                raise InputError("nothing is to be changed: give an identity, an expression or both")
        embedders = {
            branch: Embedder(self.encoder(branch), self.analyzer(), chosen, branch)
            for branch, chosen in zip(("identity", "expression"), which[1:], strict=True)
        }
        results: list[Refaced] = []
        found: dict[Any, Scene] = {}
        of_scene = {name: numbers[name] for name in ("steps", "guidance")}
        for part, report in in_batches(len(asked.seeds), batch_size, callback):
            scenes = self._scenes(asked, part, which[0], found, **of_scene)
            wanted = ((embedders[branch], each[branch][part]) for branch in embedders)
            who, how = (
                torch.stack([self._embed(one, wish, scene) for wish, scene in zip(of, scenes, strict=True)])
                for one, of in wanted
            )
            crops = self.crops(scenes, who, how, **asked.part(part), callback=report, after=after, **numbers)
            results += [Refaced(scene, crop) for scene, crop in zip(scenes, crops, strict=True)]
            if self._interrupt:
                break
        return results

    def _embed(self, embedder: Embedder, wish: Any, scene: Scene) -> Tensor:
        """[w] float32 of a wish, an expression at the pose of the scene's face; of None what the photo itself says."""
        if wish is None:
            return scene.subject.vector(embedder.encoder)
        return embedder([wish], scene.face.pose if self.turn else None)[0]

    def look(self, photo: Image.Image, which: FaceChoice = "largest", name: str = "the photo") -> Scene:
        """Find the face of a PIL RGB photo that is meant, and cut out what the model sees. Raises `InputError`: there
        is no such face, it is believed in too little, or most of it lies outside the photo."""
        own, size = self._analyze is None, self.backbone.size
        return find_scene(photo, self.analyzer(), own, which, name, self._matrix, size)

    @torch.no_grad()
    def crops(
        self,
        scenes: Sequence[Scene],
        identity_embeds: Tensor,
        expression_embeds: Tensor,
        id_scale: Scale = 1.0,
        **how: Any,
    ) -> list[ByteImage]:
        """The crops [s, s, 3] uint8 of one batch of scenes, for embeddings [b, w], not yet pasted back. how: other
        arguments of :meth:`generate`."""
        x = to_pixels(np.stack([scene.crop for scene in scenes]))
        region = torch.from_numpy(np.stack([scene.region for scene in scenes]))[:, None]
        background, mask = background_conditions(
            self.backbone.vae, x.to(self.backbone.device), region.to(self.backbone.device)
        )
        if not self.background:
            background = self.backbone.encode(torch.zeros_like(x)).to(background)
        pixels = self.generate(
            identity_embeds,
            expression_embeds,
            id_scale=times(id_scale, self._identity),
            background=(background, mask),
            known=self.backbone.encode(x),
            grain=False,  # the photo has its own, at its own size
            **how,
        )
        return [np.asarray(image) for image in to_pil(pixels)]

    def _scenes(
        self, asked: Asked, part: slice, face: FaceChoice, found: dict[Any, Scene], **how: Any
    ) -> list[Scene]:
        """Every photo read, or made from its prompt, and its face found; a photo that comes again is in `found`. how:
        arguments of :meth:`generate`."""
        photos, prompts, seeds = asked.each["photo"][part], asked.each["prompt"][part], asked.seeds[part]
        wanted = [i for i, photo in enumerate(photos) if photo is None]
        if any(not prompts[i].strip() for i in wanted):
            raise InputError("there is neither a photo nor a prompt: give one of them")
        made: list[Image.Image] = []
        if wanted:
            of_scenes, their_seeds = [prompts[i] for i in wanted], [seeds[i] for i in wanted]
            made = to_pil(self.generate(None, None, of_scenes, their_seeds, **how))
        scenes = []
        for i, photo in enumerate(photos):
            if photo is None:
                name = f"the scene made from {prompts[i]!r} (try another seed)"
                scenes.append(self.look(made[wanted.index(i)], face, name))
                continue
            key = id(photo) if isinstance(photo, Image.Image) else str(photo)
            if key not in found:
                picture, name = opened(photo, "photo", "the photo")
                name = name if isinstance(photo, Image.Image) else f"the photo {name}"
                found[key] = self.look(picture, face, name)
            scenes.append(found[key])
        return scenes
