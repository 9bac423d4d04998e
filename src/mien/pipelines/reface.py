"""DiffSFSR's generation: a photo + an identity and / or an expression -> the photo with that face (DiffSFSR, Fig. 2).

What the photo gives is everything but the face: pose, hair, light, surroundings. Swap all: both are given. Face
swapping: the identity is given, the expression is read off the photo. Reenactment: the expression is given, the person
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.backbones import AdapterSpec, Backbone, FaceEncoder, load_backbone
from mien.face.align import invert, transform_points, warp
from mien.face.colour import match_colour
from mien.face.paste import feather, paste_back
from mien.face.subject import Subject
from mien.images import read_image, to_rgb
from mien.models.attention import times
from mien.models.sfsr import FRAMINGS, background_conditions, face_region
from mien.pipelines.batches import in_batches
from mien.pipelines.inputs import Embedder, FaceChoice, Picture, Wish, as_list, choose_face
from mien.pipelines.portrait import PortraitPipeline, to_pil
from mien.pipelines.schedulers import PLAIN_SCHEDULERS
from mien.pixels import to_pixels
from mien.types import ByteImage, Face, FloatArray, InputError

if TYPE_CHECKING:
    from mien.models.attention import Scale
    from mien.models.e_adapter import EAdapter
    from mien.pipelines.batches import Callback

STEPS = 50  # DiffSFSR, implementation details: PNDM, 50 steps
FEATHER = 0.06  # of the crop's side: how wide the generated face fades into the photo
LEAST_INSIDE = 0.75  # share of the face's region that must lie in the photo
MIN_CONFIDENCE = 0.8  # a face believed in less is refused, not processed


@dataclass(frozen=True)
class Scene:
    """A photo and the face in it that is to be replaced.

    Attributes:
        photo: [H, W, 3] uint8. face: in its pixels. matrix: [2, 3] photo px -> px of the crop.
        crop: [s, s, 3] uint8. region: [s, s] float32 in [0, 1], where the crop is generated anew.
    """

    photo: ByteImage
    face: Face
    matrix: FloatArray
    crop: ByteImage
    region: FloatArray

    @cached_property
    def subject(self) -> Subject:
        """The photo's own person."""
        return Subject(Image.fromarray(self.photo), self.face)


@dataclass(frozen=True)
class Refaced:
    """A result: the photo's scene and the crop [s, s, 3] uint8 that was generated for it."""

    scene: Scene
    crop: ByteImage

    def image(self) -> Image.Image:
        """The photo with the new face, in the photo's colours and fading out inside the region. PIL RGB."""
        matched = match_colour(self.crop, self.scene.crop, self.scene.region)
        return Image.fromarray(paste_back(self.scene.photo, matched, self.scene.matrix, self._shown()))

    def mask(self) -> FloatArray:
        """[H, W] float32 in [0, 1]: how much of the new face shows. Where it is 0 the photo keeps every bit."""
        white, black = np.full_like(self.crop, 255), np.zeros_like(self.scene.photo)
        shown = paste_back(black, white, self.scene.matrix, self._shown())
        return shown[..., 0].astype(np.float32) / 255

    def _shown(self) -> FloatArray:
        return feather(self.scene.region, FEATHER * self.scene.region.shape[0])


class RefacePipeline:
    """Photos with another face, expression or both; the rest of the photo keeps every pixel.

    ``scheduler`` may be set to any scheduler of diffusers. Pixels outside the feathered mask are those of the photo,
    bit for bit. Noise is drawn as in ``PortraitPipeline``: same seed, same result, in any batch.

    ``background`` may be set to False for a model that was trained without (DiffSFSR, Table 4): it is then told where
    the face is, and what surrounds it comes from the photo alone, at the end. ``turn`` set to False leaves in the
    embedded expression what the reference's own pose put there (``mien.expressions.turning``).
    """

    def __init__(
        self,
        backbone: Backbone,
        adapter: EAdapter,
        scheduler: Any = None,
        analyze: Callable[[Image.Image], Sequence[Face]] | None = None,
        identity_encoder: FaceEncoder | None = None,
        expression_encoder: FaceEncoder | None = None,
    ) -> None:
        """Args:
        backbone: a loaded model that takes a background. adapter: fits its UNet; is attached here.
        scheduler: None: PNDM (Liu et al. 2022) on the schedule that the model was trained with, as the paper; a model
            that comes with a sampler of its own kind (mini) keeps it, and its number of steps.
        analyze: picture -> faces, largest first; None: the embedded analyser.
        identity_encoder, expression_encoder: None: those that the adapter names.

        Raises:
            InputError: the model takes no background, or its adapter lacks a branch.
        """
        if not backbone.takes_background:
            raise InputError(
                f"{backbone.name} takes no background, so it cannot put a face into a photo: use a model that "
                "`mien train` made with the stage sfsr, or mini"
            )
        for branch in ("identity", "expression"):
            if getattr(adapter, branch) is None:
                raise InputError(
                    f"refacing needs both branches: the adapter of {backbone.name} has no {branch}"
                )
        framing = backbone.adapter.framing if backbone.adapter else AdapterSpec.framing
        if framing not in FRAMINGS:
            raise InputError(f"the adapter asks for the framing {framing!r}: known are {', '.join(FRAMINGS)}")
        self._matrix = FRAMINGS[framing]
        self.backbone = backbone
        self.portraits = PortraitPipeline(
            backbone,
            adapter,
            reface_scheduler(backbone.scheduler) if scheduler is None else scheduler,
            analyze,
            identity_encoder,
            expression_encoder,
        )
        if (
            type(backbone.scheduler).__name__ in PLAIN_SCHEDULERS
        ):  # else it comes with its sampler and its steps
            self.portraits.steps = STEPS
        spec = backbone.adapter
        if spec is not None and spec.reface_steps is not None:
            self.portraits.steps = spec.reface_steps
        if spec is not None and spec.reface_guidance is not None:
            self.portraits.guidance = spec.reface_guidance
        self._identity = 1.0 if spec is None else spec.reface_identity
        self._own_analyser = analyze is None
        self.background = True
        self.turn = True

    @classmethod
    def from_backbone(
        cls,
        name: str = "mini",
        device: str = "auto",
        dtype: str = "auto",
        adapter: str | Path | AdapterSpec | None = None,
    ) -> RefacePipeline:
        """Load a model and its adapter; the arguments are those of ``mien.backbones.load_backbone``."""
        backbone = load_backbone(name, device, dtype, adapter)
        return cls(backbone, backbone.load_adapter())

    @property
    def scheduler(self) -> Any:
        """Samples; may be set."""
        return self.portraits.scheduler

    @scheduler.setter
    def scheduler(self, scheduler: Any) -> None:
        self.portraits.scheduler = scheduler

    def __call__(self, *arguments: Any, **options: Any) -> list[Image.Image]:
        """The photos with their new faces, PIL RGB of the photos' own sizes; the arguments are `reface`'s."""
        return [result.image() for result in self.reface(*arguments, **options)]

    def reface(
        self,
        photo: Picture | Sequence[Picture | None] | None,
        identity: Picture | Sequence[Picture | Sequence[Picture] | None] | None = None,
        expression: Wish | Sequence[Wish | None] | None = None,
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
    ) -> list[Refaced]:
        """n photos with their new faces, not yet put together.

        Args:
            photo: a picture (path or PIL), or a list of n. None: a scene made from `prompt` by the same model
                (DiffSFSR's converting module).
            identity: whose face: a picture, or a list of n; an entry that is itself a list holds several pictures of
                one person. None, or an entry of None: the photo's own.
            expression: anything of ``mien.expressions.spec``, or a list of n. None: the photo's own.
            prompt: what the scene shows; with a photo, what the face's picture should look like. One, or n.
            seed: one for all n, or a list of n. steps: None: 50, or the model's own. guidance: None: the adapter's own.
            id_scale, expression_scale: see ``EAdapter.predict_noise``; an id_scale of 1 is the adapter's own.
            face, identity_face, expression_face: which face is meant in a photo and in the others' pictures.
            batch_size: photos in work at a time. callback: see `mien.pipelines.batches`.

        Raises:
            InputError: a picture shows no face (which one is said), the face leaves the photo, nothing is to be
                changed, or arguments do not fit each other.
        """
        given = (photo, identity, expression, prompt, seed)
        n = max((len(value) for value in given if isinstance(value, (list, tuple))), default=1)
        photos, prompts = as_list(photo, n, "photo"), as_list(prompt, n, "prompt")
        seeds = as_list(seed, n, "seed")
        wishes = {
            "identity": as_list(identity, n, "identity"),
            "expression": as_list(expression, n, "expression"),
        }
        for who, how in zip(wishes["identity"], wishes["expression"], strict=True):
            if who is None and how is None:
                raise InputError("nothing is to be changed: give an identity, an expression or both")
        choices = {"identity": identity_face, "expression": expression_face}
        embedders = {
            branch: Embedder(self.portraits.encoder(branch), self.portraits.analyzer(), which, branch)
            for branch, which in choices.items()
        }
        results: list[Refaced] = []
        found: dict[Any, Scene] = {}
        for part, report in in_batches(n, batch_size, callback):
            scenes = self._scenes(photos[part], prompts[part], seeds[part], steps, guidance, face, found)
            embeds = {
                branch: torch.stack(
                    [
                        self._embed(embedder, wish, scene)
                        for wish, scene in zip(wishes[branch][part], scenes, strict=True)
                    ]
                )
                for branch, embedder in embedders.items()
            }
            crops = self.generate(
                scenes,
                embeds["identity"],
                embeds["expression"],
                prompts[part],
                seeds[part],
                steps,
                guidance,
                id_scale,
                expression_scale,
                report,
            )
            results += [Refaced(scene, crop) for scene, crop in zip(scenes, crops, strict=True)]
        return results

    def _embed(self, embedder: Embedder, wish: Any, scene: Scene) -> Tensor:
        """[w] float32 of a wish, an expression at the pose of the scene's face; of None what the photo itself says."""
        if wish is None:
            return scene.subject.vector(embedder.encoder)
        return embedder([wish], scene.face.pose if self.turn else None)[0]

    def look(self, photo: Image.Image, which: FaceChoice = "largest", name: str = "the photo") -> Scene:
        """Find the face of a PIL RGB photo that is meant, and cut out what the model sees.

        Raises:
            InputError: there is no such face, it is believed in too little, or most of it lies outside the photo.
        """
        faces = self.portraits.analyzer()(photo)
        if not faces and self._own_analyser:
            from mien.face.analyze import analyze

            faces = analyze(photo, min_confidence=0.3)
        # what another analyser calls its confidence has another scale
        sure = [face for face in faces if face.confidence >= MIN_CONFIDENCE or not self._own_analyser]
        if faces and not sure:
            best = max(face.confidence for face in faces)
            raise InputError(
                f"{name}: what looks most like a face is believed to be one by {best:.2f}, less than "
                f"{MIN_CONFIDENCE}: use a photo in which the face is larger or clearer"
            )
        face = choose_face(sure, which, name)
        size = self.backbone.size
        pixels = np.asarray(photo)
        matrix = self._matrix(face.landmarks, size)
        landmarks = transform_points(face.landmarks, matrix)
        region = face_region(torch.from_numpy(landmarks)[None], size)[0, 0].numpy()
        _check_inside(region, matrix, pixels, name)
        return Scene(pixels, face, matrix, warp(pixels, matrix, size), region)

    @torch.no_grad()
    def generate(
        self,
        scenes: Sequence[Scene],
        identity_embeds: Tensor,
        expression_embeds: Tensor,
        prompts: Sequence[str],
        seeds: Sequence[int],
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        callback: Callback | None = None,
    ) -> list[ByteImage]:
        """The crops [s, s, 3] uint8 of one batch of scenes, for embeddings [b, w], not yet pasted back."""
        x = to_pixels(np.stack([scene.crop for scene in scenes]))
        region = torch.from_numpy(np.stack([scene.region for scene in scenes]))[:, None]
        background, mask = background_conditions(
            self.backbone.vae, x.to(self.backbone.device), region.to(self.backbone.device)
        )
        if not self.background:
            background = self.backbone.encode(torch.zeros_like(x)).to(background)
        pixels = self.portraits.generate(
            identity_embeds,
            expression_embeds,
            prompts,
            seeds,
            steps=steps,
            guidance=guidance,
            id_scale=times(id_scale, self._identity),
            expression_scale=expression_scale,
            height=self.backbone.size,
            width=self.backbone.size,
            callback=callback,
            background=(background, mask),
            grain=False,  # the photo has its own, at its own size
        )
        return [np.asarray(image) for image in to_pil(pixels)]

    def _scenes(
        self,
        photos: Sequence[Any],
        prompts: Sequence[str],
        seeds: Sequence[int],
        steps: int | None,
        guidance: float | None,
        face: FaceChoice,
        found: dict[Any, Scene],
    ) -> list[Scene]:
        """Every photo read, or made from its prompt, and its face found; a photo that comes again is in `found`."""
        wanted = [i for i, photo in enumerate(photos) if photo is None]
        if any(not prompts[i].strip() for i in wanted):
            raise InputError("there is neither a photo nor a prompt: give one of them")
        made: dict[int, Image.Image] = {}
        if wanted:
            pixels = self.portraits.generate(
                None, None, [prompts[i] for i in wanted], [seeds[i] for i in wanted], guidance=guidance,
                steps=steps,
            )  # fmt: skip
            made = dict(zip(wanted, to_pil(pixels), strict=True))
        scenes = []
        for i, photo in enumerate(photos):
            if photo is None:
                scenes.append(
                    self.look(made[i], face, f"the scene made from {prompts[i]!r} (try another seed)")
                )
                continue
            key = id(photo) if isinstance(photo, Image.Image) else str(photo)
            if key not in found:
                if isinstance(photo, Image.Image):
                    found[key] = self.look(to_rgb(photo, "the photo"), face)
                elif isinstance(photo, (str, Path)):
                    found[key] = self.look(read_image(photo), face, f"the photo {photo}")
                else:
                    raise InputError(f"{photo!r} was given as photo: give a file's path or a PIL image")
            scenes.append(found[key])
        return scenes


def reface_scheduler(trained: Any) -> Any:
    """PNDM without its Runge-Kutta start, as Stable Diffusion runs it, on the schedule of a trained model; the model's
    own sampler where it comes with one."""
    if type(trained).__name__ not in PLAIN_SCHEDULERS:
        return trained
    from diffusers import PNDMScheduler

    return PNDMScheduler.from_config(trained.config, skip_prk_steps=True)


def _check_inside(region: FloatArray, matrix: FloatArray, photo: ByteImage, name: str) -> None:
    rows, columns = np.nonzero(region > 0.5)
    points = transform_points(np.stack([columns, rows], axis=1) + 0.5, invert(matrix))
    inside = np.all((points >= 0) & (points <= (photo.shape[1], photo.shape[0])), axis=1)
    share = float(inside.mean()) if len(points) else 0.0
    if share < LEAST_INSIDE:
        raise InputError(
            f"{name}: only {share:.0%} of the face lies inside the picture: use a photo that shows all of it"
        )
