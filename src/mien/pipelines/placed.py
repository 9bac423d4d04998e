""" "[ID] looks [word] in [place]" on public weights alone: DiffSFSR's framework (Fig. 2) with nothing trained.

Its converting module makes the scene from words by the base model as it is, asking for a person; seeds are tried until
one face is found. What its face model does is done by the photo engine, at the scene's own size: the person, then the
expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from mien.backbones import Backbone
from mien.expressions.spec import Expression
from mien.face.analyze import analyze
from mien.face.subject import Subject
from mien.models.sfsr import FRAMINGS
from mien.pipelines.arguments import check_seed, check_text, whole
from mien.pipelines.photo import MOST_TURNED, SMALLEST
from mien.pipelines.photo_swap import SwapPipeline
from mien.pipelines.scenes import MIN_CONFIDENCE, Scene, find_scene
from mien.pipelines.schedulers import choose_scheduler
from mien.types import Face, InputError

TRIES, STEPS = 8, 30
GUIDANCE = {False: 7.5, True: 5.0}  # of SD1.5 and of SDXL, as diffusers has them
ASKED = "a photo of one person {}, head and shoulders, looking at the camera, natural light, sharp focus"
NEGATIVE = "crowd, two people, from behind, sunglasses, hands in front of the face, drawing, blurred"
PERSON = re.compile(r"\b((wo)?m[ae]n|person|people|boy|girl|lady|gentleman|portrait|selfie)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Placed:
    """A result: the scene as the base model made it, with its face; the seed it is of; PIL RGB with the person and the
    expression."""

    scene: Scene
    seed: int
    image: Image.Image


class PlacedPipeline:
    """People with expressions in scenes made from words, by a base model without any adapter.

    Args:
        backbone: of SD1.5's or SDXL's family. scheduler: see ``pipelines.schedulers.choose_scheduler``.
        analyze: picture -> faces, largest first. tell: is told which seeds were passed over.
    """

    def __init__(
        self,
        backbone: Backbone,
        scheduler: Any = None,
        analyze: Callable[[Image.Image], Sequence[Face]] = analyze,
        tell: Callable[[str], object] = lambda message: None,
    ) -> None:
        if backbone.unet.config.out_channels != 4 or backbone.takes_background:
            raise InputError(
                f"{backbone.name} makes no scenes from words: use sd15, sdxl or another of their families"
            )
        self.backbone, self.analyze, self.tell = backbone, analyze, tell
        self.engine = SwapPipeline(analyze)
        self.scheduler = choose_scheduler(scheduler, backbone.scheduler)
        self.steps, self.guidance = STEPS, GUIDANCE[backbone.is_sdxl]
        self._last: tuple[tuple[Any, ...], tuple[Scene, int] | InputError] | None = None

    def __call__(
        self, prompt: str, identity: Subject | None, expression: Expression | None, seed: int = 0, **how: Any
    ) -> Placed:
        """A person, or whoever the scene shows, with an expression, or the scene's own, in the scene of `find`.

        Args:
            prompt: the place, as "in front of a lighthouse"; or all of it, if it names a person. seed: the first one
                tried. how: other arguments of `find`.

        Raises:
            InputError: no scene of these seeds shows one face that can be used, or a photo cannot.
        """
        scene, seed = self.find(prompt, seed, **how)
        image = scene.subject.image
        if identity is not None or expression is not None:
            image = self.engine(scene.subject, identity, expression)
        return Placed(scene, seed, image)

    def find(
        self,
        prompt: str,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        tries: int = TRIES,
        callback: Callable[[int, int, Any], None] | None = None,
    ) -> tuple[Scene, int]:
        """The first scene that shows one face, looking this way, and its seed; arguments and errors as of a call. The
        last answer is kept: many expressions in one scene cost one."""
        if not check_text("prompt", prompt).strip():
            raise InputError("there is no scene: give a prompt, as --prompt 'in front of a lighthouse'")
        first = check_seed(seed, whole("tries", tries))
        asked, why = (prompt, seed, steps, guidance, tries), ""
        if self._last is not None and self._last[0] == asked:
            if isinstance(self._last[1], InputError):
                raise self._last[1]
            return self._last[1]
        for k in range(tries):
            image = self.draw(prompt, first + k, steps, guidance, callback)
            faces = [face for face in self.analyze(image) if face.confidence >= MIN_CONFIDENCE]
            why = _unfit(faces)
            if not why:
                if k:
                    self.tell(f"the scene is of seed {first + k}: of {k} before it none showed one face.")
                framing = FRAMINGS["canonical"]
                scene = find_scene(image, self.analyze, False, "largest", "the scene", framing, 128)
                self._last = asked, (scene, first + k)
                return scene, first + k
        failure = InputError(
            f"{tries} seeds from {first} made no scene of {prompt!r} with one face that can be used (the last {why}): "
            "try another --seed, or say in the prompt how near the person is"
        )
        self._last = asked, failure
        raise failure

    @torch.no_grad()
    def draw(
        self,
        prompt: str,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        callback: Callable[[int, int, Any], None] | None = None,
    ) -> Image.Image:
        """One scene, by stock diffusers: PIL RGB of the model's own size."""
        pipe, total = self.backbone.as_diffusers(), self.steps if steps is None else steps
        pipe.scheduler = type(self.scheduler).from_config(self.scheduler.config)
        pipe.set_progress_bar_config(disable=True)

        def step_end(_: Any, i: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if callback is not None:
                callback(i + 1, total, tensors["latents"])
            return tensors

        made = pipe(
            prompt=prompt if PERSON.search(prompt) else ASKED.format(prompt.strip()),
            negative_prompt=NEGATIVE,
            num_inference_steps=total,
            guidance_scale=self.guidance if guidance is None else guidance,
            height=self.backbone.size,
            width=self.backbone.size,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=step_end,
        )
        image: Image.Image = made.images[0]
        return image.convert("RGB")


def _unfit(faces: Sequence[Face]) -> str:
    """Why a scene with these faces will not do; "": it will."""
    if len(faces) != 1:
        return f"shows {len(faces)} faces" if faces else "shows no face"
    face = faces[0]
    if float(np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2])) < 2 * SMALLEST:
        return "shows a small one"
    return "shows one turned away" if float(np.abs(face.pose[:2]).max()) > MOST_TURNED else ""
