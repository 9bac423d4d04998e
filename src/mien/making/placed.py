"""People with expressions in scenes made from words, by nothing trained: looked at, made, scored and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.making.made import Drawn, Progress
from mien.making.model import Model
from mien.making.scoring import Judge, Scores
from mien.making.subjects import Looked, Looker
from mien.making.telling import Tell, silent
from mien.making.wishes import RefaceWish
from mien.pipelines.placed import PlacedPipeline
from mien.types import InputError


class PlacedPeople:
    """One base model for many scenes (`mien.making.made.Maker`). Raises `InputError`: there is no such scheduler, or
    the model makes no scenes. wish: of every picture. scheduler: see `Refaces`. tell: is told which of several faces
    was taken, and how many seeds were passed over."""

    kind = "reface"

    def __init__(
        self, model: Model, wish: RefaceWish, scheduler: str | None = None, tell: Tell = silent
    ) -> None:
        if (wish.id_scale, wish.expression_scale) != (1.0, 1.0):
            raise InputError(
                f"{model.backbone.name} has no adapter whose branches could be scaled: leave --id-scale and "
                "--expression-scale out, or add --adapter"
            )
        self.model, self.wish = model, wish
        self.scorer = Judge(None)
        self.pipe = PlacedPipeline(model.backbone, scheduler, self.scorer.analyse, tell)
        self._looker = Looker(self.scorer.analyse, wish, "identity_face", tell)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.model.settings_of(self.kind, self.wish, self.pipe), "face_by": "photo engine"}

    def look(self, request: Any) -> Looked:
        if request.photo is not None:
            raise InputError(
                f"{self.model.backbone.name} was not trained to put a face into a photo: leave --backbone out for the "
                "photo engine, or the photo for a scene of --prompt"
            )
        return self._looker(request)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        drawn: list[Drawn] = []
        for slot, one in enumerate(looked):
            how = None if one.how is None else one.how.expression
            request, wish = one.request, self.wish
            chosen = {"steps": wish.steps, "guidance": wish.guidance, "callback": callback}
            placed = self.pipe(request.prompt, one.who, how, request.seed, **chosen)
            photo = placed.scene.subject
            more = {"scene_seed": placed.seed}  # whose scene was taken
            drawn.append(Drawn(one, placed.image, slot, len(looked), photo, photo.face, more=more))
        return drawn

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: id, exp and pose."""
        return self.scorer.reface(drawn)
