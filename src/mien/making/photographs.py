"""The person's own photographs with other expressions: looked at, made by the photo engine, scored and recorded."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from PIL import Image

from mien.expressions.everyday import names_tongue
from mien.expressions.spec import Expression
from mien.face.subject import Subject
from mien.images import changed_pixels
from mien.making.made import Drawn, Progress
from mien.making.scoring import Judge, Scores
from mien.making.subjects import Looked, Looker, Target
from mien.making.telling import Tell, Telling, silent
from mien.making.wishes import PhotoWish
from mien.pipelines.photo import Expressed, PhotoPipeline, Sitter, focused
from mien.provenance.hashes import hash_files
from mien.types import InputError
from mien.weights import path as weights_path
from mien.weights.bases import find_folder

if TYPE_CHECKING:
    from mien.pipelines.finish import Finisher


class PhotoEngine:
    """What the metadata say of the engine: its networks and the machine under it (as `mien.making.model.Model`).
    ``finish``: the folder or file of the model that finishes, if one does."""

    def __init__(self, finish: Path | None = None) -> None:
        self._finish = finish

    settings: dict[str, Any] = {
        "engine": "photo",
        "backbone": "mini",
        "adapter": None,
        "device": "cpu",
        "dtype": "float32",
    }

    @cached_property
    def hashes(self) -> dict[str, str]:
        """sha256 of the networks that look at faces."""
        names = ("detector", "analyser", "occlusion", "recogniser")
        found = {"face": hash_files((name, weights_path(name)) for name in names)}
        if self._finish is not None:
            from mien.making.model import hash_model

            found["finish"] = hash_model(self._finish)
        return found

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last bits of a picture depend on beside its settings."""
        versions = {"torch": torch.__version__, "opencv": cv2.__version__}
        return {**versions, "threads": torch.get_num_threads(), "processor": platform.machine()}


@dataclass(frozen=True)
class Photographed(Drawn):
    """`expressed`: how it came about."""

    expressed: Expressed | None = None


class Photographs:
    """The photo engine for many pictures (`mien.making.made.Maker`): portraits, or photos of their own size. Raises
    `InputError`: there is no such model. wish: of every picture. tell: is told, once, which of several faces was taken,
    what hides a mouth, and which other picture would serve better. device, dtype: of the model that finishes,
    if one does."""

    def __init__(
        self, wish: PhotoWish, tell: Tell = silent, device: str = "auto", dtype: str = "auto"
    ) -> None:
        self.kind, self.wish = wish.kind, wish
        self._finisher: Finisher | None = None
        if wish.finish is not None:
            from mien.pipelines.finish import Finisher

            self._finisher = Finisher.from_backbone(wish.finish, device, dtype, wish.finish_strength)
        self.model = PhotoEngine(None if wish.finish is None else find_folder(wish.finish))
        self.scorer = Judge(None)
        self.pipe = PhotoPipeline(self.scorer.analyse)
        self._telling = Telling(tell, ("hides the mouth", "serves better", "drawn ones"))
        self._looker = Looker(self.scorer.analyse, wish, "face", tell)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Maker`; of the photo with teeth no more than whether there was one, of a model's folder its name."""
        finish = self.wish.finish
        if finish is not None:
            from mien.making.model import model_name

            finish = model_name(finish)
        told = {"teeth": self.wish.teeth is not None, "finish": finish}
        return {**asdict(self.wish), **told, **self.model.settings}

    def look(self, request: Any) -> Looked:
        """See `Maker`; the person is the photo's, in a portrait too."""
        photo = request.identity if self.kind == "portrait" else request.photo
        if photo is None or request.expression is None:
            raise InputError("the photo engine needs a photo of the person and an expression: give both")
        looked = self._looker(request)
        return Looked(request, None, looked.how, self.look_at(photo))

    def look_at(self, photo: Any) -> Subject:
        """The face that is meant in a photo, a path or a PIL picture."""
        return self._looker.subject(photo, "identity")

    def target(self, expression: Expression) -> Target:
        """What an expression comes to."""
        return self._looker.target(expression)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        drawn: list[Drawn] = []
        for slot, one in enumerate(looked):
            assert one.photo is not None and one.how is not None
            result = self.express(one.photo, one.how.expression)
            image = result.image()
            if self._finisher is not None:
                image = self._finisher(result, one.request.seed)
            changed = changed_pixels(np.asarray(image), result.sitter.image)
            drawn.append(
                Photographed(
                    one, image, slot, len(looked), one.photo, result.sitter.face, changed, expressed=result
                )
            )
            if callback is not None:
                callback(slot + 1, len(looked), None)
        return drawn

    def express(self, who: Subject, expression: Expression) -> Expressed:
        """One photo with one expression, by the wish."""
        wish = self.wish
        how = (wish.strength, wish.relative, wish.region, wish.turn)
        with self._telling():
            return self.pipe.express(self.sit(who), expression, *how)

    def sit(self, who: Subject) -> Sitter:
        """The person, framed for a portrait."""
        sitter = self.pipe.sit(who, teeth=self.wish.teeth)
        return sitter.framed() if self.kind == "portrait" else sitter

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: id, exp, pose."""
        assert isinstance(drawn, Photographed) and drawn.expressed is not None
        assert drawn.photo is not None and drawn.looked.how is not None
        return self.judge(drawn.image, drawn.expressed.sitter, drawn.photo, drawn.looked.how)

    def judge(self, image: Image.Image, sitter: Sitter, who: Subject, how: Target) -> Scores:
        """The scores of a photo of `who` that got the expression `how` by the wish."""
        wish = self.wish
        whole = self.pipe.wanted(sitter, how.expression, wish.relative)
        with self._telling():
            wanted = focused(sitter, whole, wish.strength, wish.region)
        own = sitter.own[:52]
        asked = np.clip(own + wanted.weight[:52] * (wanted.value[:52] - own), 0, 1)
        told = None if names_tongue(how.expression.text) else asked  # the most of that is not made
        return self.scorer.photo(image, sitter, who, how.blendshapes, told)
