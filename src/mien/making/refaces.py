"""The refacing pipeline as the command line uses it: one model for many photos, and scores of what it made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
from PIL import Image

from mien.backbones import SPECS, find_folder, load_backbone
from mien.cli.console import choice, nearest, passed_on
from mien.cli.making import Maker, describe, model_name
from mien.cli.reface.wish import RefaceWish, Request
from mien.expressions.faces import illustrate
from mien.expressions.spec import Expression, parse
from mien.images import read_image
from mien.metrics import face as metrics
from mien.metrics.scoring import load_scorer
from mien.pipelines.inputs import choose_face
from mien.pipelines.reface import Refaced, RefacePipeline, Scene
from mien.pipelines.schedulers import scheduler_names
from mien.provenance import PARTLY_GENERATED, save_image
from mien.provenance.hashes import hash_pixels
from mien.sheets import sheet
from mien.types import Face, InputError


class Refaces:
    """One pipeline for many photos.

    Args:
        wish: of every photo. scheduler: the name of a diffusers scheduler without its ending; None: the model's. The
            others are those of ``mien.load_reface``.

    Raises:
        InputError: no such backbone or scheduler, or the backbone takes no background.
    """

    def __init__(
        self,
        wish: RefaceWish,
        backbone: str,
        device: str,
        dtype: str,
        adapter: str | None,
        scheduler: str | None,
    ) -> None:
        if "/" not in backbone and not Path(backbone).is_dir():
            choice(backbone, SPECS, "backbone")
        kind = None if scheduler is None else find_scheduler(scheduler)
        diffusers.utils.logging.disable_progress_bar()  # loading takes a second
        folder = find_folder(backbone)
        loaded = load_backbone(str(folder), device, dtype, adapter)
        loaded.name = model_name(backbone)
        self.wish = wish
        self.maker = Maker(loaded, folder, adapter)
        self.pipe = RefacePipeline(loaded, loaded.load_adapter())
        if kind is not None and not isinstance(self.pipe.scheduler, kind):
            self.pipe.scheduler = kind.__name__
        self._scorer = load_scorer()

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that all photos of the run share, as JSON values."""
        steps, guidance = self.wish.steps, self.wish.guidance
        return {
            "kind": "reface",
            **asdict(self.wish),
            "steps": self.pipe.portraits.steps if steps is None else steps,
            "guidance": self.pipe.portraits.guidance if guidance is None else guidance,
            **self.maker.settings,
            "scheduler": type(self.pipe.scheduler).__name__,
        }

    def record(
        self, request: Request, result: Refaced, image: Image.Image, salt: str, slot: int, batch: int
    ) -> dict[str, Any]:
        """What a photo's metadata say beyond `settings`, for it to be made again.

        Args:
            request, result: what it was made of; pictures leave nothing but salted fingerprints.
            image: the photo with its new face. slot, batch: which image of how many in one batch it was.
        """
        photo, who, how = request.photo, request.identity, request.expression
        inputs = {
            "salt": salt,
            "photo": None if photo is None else hash_pixels(Image.fromarray(result.scene.photo), salt),
            "identity": None if who is None else hash_pixels(_read(who), salt),
            "expression": None if how is None else describe(parse(how), salt),
        }
        own = {"prompt": request.prompt, "seed": request.seed, "task": self.task(request)}
        return {**own, **self.maker.record(inputs, image, slot, batch)}

    def task(self, request: Request) -> str:
        """What is done, by the paper's names."""
        if request.identity is None:
            return "reenactment"
        return "face swapping" if request.expression is None else "swap all"

    def make(
        self,
        requests: Sequence[Request],
        callback: Callable[[int, int, Any], None] | None = None,
        said: set[str] | None = None,
    ) -> list[Refaced]:
        """The results of requests, in one batch; says which face was taken, and what of a prompt has no effect.

        `said`: sentences of earlier batches, which are not said again.

        Raises:
            InputError: a picture cannot be used.
        """
        with passed_on(["faces", "the prompt "], set() if said is None else said):
            return self.pipe.reface(
                [request.photo for request in requests],
                [request.identity for request in requests],
                [request.expression for request in requests],
                prompt=[request.prompt for request in requests],
                seed=[request.seed for request in requests],
                batch_size=len(requests),
                callback=callback,
                **asdict(self.wish),
            )

    def given(self, request: Request) -> list[tuple[str, Image.Image]]:
        """The pictures of a request beside its photo, labelled for a contact sheet; a word's is the shipped one."""
        pictures = []
        if request.identity is not None:
            pictures.append(("identity", _read(request.identity)))
        if request.expression is not None:
            pictures.append(("expression", _read(illustrate(parse(request.expression)))))
        return pictures

    def score(self, image: Image.Image, scene: Scene, request: Request) -> dict[str, float | None]:
        """id: cosine against the wanted person; exp: against the wanted expression (None if it is no picture); pose:
        degrees against the photo. All None if the result shows no face there."""
        place = (scene.face.box[:2] + scene.face.box[2:]) / 2
        near = [face for face in self._scorer.analyse(image) if _holds(face, place)]
        if not near:
            return {"id": None, "exp": None, "pose": None}
        photo = Image.fromarray(scene.photo)
        seen = self._scorer.observe_face(image, near[0])
        who = (photo, scene.face)
        if request.identity is not None:
            who = self._face(_read(request.identity), self.wish.identity_face)
        how: tuple[Image.Image, Face] | None = (photo, scene.face)
        if request.expression is not None:
            shown = _picture(request.expression)
            how = None if shown is None else self._face(shown, self.wish.expression_face)
        wanted = self._scorer.observe_face(*who)
        exp = None if how is None else float(metrics.exp(how[1].blendshapes, seen.face.blendshapes))
        return {
            "id": float(metrics.id_similarity(seen.direction, wanted.direction)),
            "exp": exp,
            "pose": float(metrics.pose_error(seen.face.pose, scene.face.pose)),
        }

    def _face(self, image: Image.Image, which: Any) -> tuple[Image.Image, Face]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the pipeline has said it
            return image, choose_face(self._scorer.analyse(image), which, "the picture")


def find_scheduler(name: str) -> Any:
    """A scheduler class of diffusers by its name, with or without "Scheduler" at the end, in any case.

    Raises:
        InputError: there is none of that name.
    """
    known = scheduler_names()
    wanted = name.lower().removesuffix("scheduler")
    if wanted not in known:
        hint = nearest(wanted, known)
        raise InputError(f"There is no scheduler {name}{hint}: PNDM, DDIM, DPMSolverMultistep are some.")
    return getattr(diffusers, known[wanted])


def _read(picture: Path | Image.Image) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else read_image(picture)


def save_strip(place: Path, refaces: Refaces, request: Request, results: Sequence[Refaced]) -> None:
    """Write photo | what was given | result; it says of itself that a part of it was generated."""
    photo = Image.fromarray(results[0].scene.photo)
    pictures = [("photo" if request.photo else "scene", photo), *refaces.given(request)]
    drawn = sheet([[*pictures, *[("result", result.image()) for result in results]]])
    settings = {**refaces.settings, "kind": "strip", "prompt": request.prompt, "seed": request.seed}
    save_image(drawn, place, settings, PARTLY_GENERATED)


def _picture(expression: str | Expression) -> Image.Image | None:
    """The picture of an expression that is one picture and nothing else."""
    parts = parse(expression).parts
    if len(parts) != 1 or parts[0].picture is None or parts[0].weight != 1.0:
        return None
    return _read(parts[0].picture)


def _holds(face: Face, place: Any) -> bool:
    return bool(np.all(place >= face.box[:2]) and np.all(place <= face.box[2:]))
