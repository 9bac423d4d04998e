"""Photos in which a face gets another identity, another expression or both: looked at, made, scored and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.making.made import Drawn, Progress
from mien.making.model import Model
from mien.making.scoring import Judge, Scores
from mien.making.subjects import Looked, Looker
from mien.making.telling import Tell, Telling, silent
from mien.making.wishes import RefaceWish
from mien.pipelines.reface import RefacePipeline

OWN = ("identity_face", "expression_face")  # of a wish: what is seen to here, not by the pipeline


class Refaces:
    """One model for many photos (`mien.making.made.Maker`). Raises `InputError`: there is no such scheduler, or the
    model takes no background. wish: of every photo. scheduler: the name of a diffusers scheduler without its ending;
    None: the model's. tell: is told, once, which of several faces was taken and what of a prompt is cut."""

    kind = "reface"

    def __init__(
        self, model: Model, wish: RefaceWish, scheduler: str | None = None, tell: Tell = silent
    ) -> None:
        self.model, self.wish = model, wish
        self.pipe = RefacePipeline(model.backbone, model.backbone.load_adapter())
        own = type(self.pipe.scheduler).__name__.removesuffix("Scheduler")
        if scheduler is not None and scheduler.lower().removesuffix("scheduler") != own.lower():
            self.pipe.scheduler = scheduler
        self.scorer = Judge(self.pipe.encoder("identity"))
        self._telling = Telling(tell, ("faces", "the prompt "))
        self.look = Looker(self.scorer.analyse, wish, "identity_face", tell)

    @property
    def settings(self) -> dict[str, Any]:
        return self.model.settings_of(self.kind, self.wish, self.pipe)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        wish, requests = self.wish, [one.request for one in looked]
        with self._telling():
            results = self.pipe.reface(
                [request.photo for request in requests],
                [one.who for one in looked],
                [None if one.how is None else one.how.expression for one in looked],
                prompt=[request.prompt for request in requests],
                seed=[request.seed for request in requests],
                batch_size=len(looked),
                callback=callback,
                **{name: value for name, value in vars(wish).items() if name not in OWN},
            )
        drawn = []
        for k, (one, result) in enumerate(zip(looked, results, strict=True)):
            mask = None if one.request.photo is None else result.mask()  # a scene was generated as a whole
            photo = result.scene.subject
            drawn.append(Drawn(one, result.image(), k, len(results), photo, photo.face, mask))
        return drawn

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: id, exp and pose."""
        return self.scorer.reface(drawn)
