"""Portraits of people with expressions: looked at, made, scored and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from mien.encoders.people import AGES, KINDS, unknown
from mien.face.subject import Subject
from mien.making.made import Drawn, Made, Progress, record
from mien.making.model import Model
from mien.making.scoring import Judge, Scores
from mien.making.subjects import Looked, Looker, Target
from mien.making.telling import Tell, Telling, silent
from mien.making.wishes import PortraitWish, Request
from mien.pipelines.invent import invent
from mien.pipelines.portrait import PortraitPipeline
from mien.types import InputError

OWN = ("num_images", "face", "expression_face")  # of a wish: what is seen to here, not by the pipeline


class Portraits:
    """One model for many portraits (`mien.making.made.Maker`). wish: of every portrait. tell: is told, once, which of
    several faces was taken and what of a prompt is cut."""

    kind = "portrait"

    def __init__(self, model: Model, wish: PortraitWish, tell: Tell = silent) -> None:
        self.model, self.wish = model, wish
        self.pipe = PortraitPipeline(model.backbone, model.backbone.load_controller())
        adapter: Any = self.pipe.adapter
        self.scorer = Judge(None if adapter.identity is None else self.pipe.encoder("identity"))
        self._tell, self._told = tell, set[str]()
        self.telling = Telling(tell, ("the prompt ",))  # which face was taken, `look` says
        self.look = Looker(self.scorer.analyse, wish, "face", tell)

    @property
    def settings(self) -> dict[str, Any]:
        return self.model.settings_of(self.kind, self.wish, self.pipe)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        wish, requests = self.wish, [one.request for one in looked]
        pairs = [_pair(one) for one in looked]
        for request in requests:
            self._check_prompt(request.prompt)
        with self.telling():
            images = self.pipe(
                identity=[who for who, _ in pairs],
                expression=[how.expression for _, how in pairs],
                prompt=[request.prompt for request in requests],
                seed=[request.seed for request in requests],
                batch_size=len(looked),
                callback=callback,
                **{name: value for name, value in vars(wish).items() if name not in OWN},
            )
        return [
            Drawn(one, image, k, len(images))
            for k, (one, image) in enumerate(zip(looked, images, strict=True))
        ]

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`; all that `mien.metrics.scoring` knows."""
        return self.scorer.portrait(drawn, *_pair(drawn.looked))

    def judge(self, image: Image.Image, who: Subject, how: Target) -> Scores:
        """The scores of any picture of `who` with the expression `how`; at rest there is none to be followed."""
        scores = self.scorer.portrait(Drawn(Looked(Request(None, None), who, how), image, 0, 1), who, how)
        at_rest = all(part.kind == "neutral" for part in how.expression.parts)
        return {**scores, "exp_ratio": None} if at_rest else scores

    def invent(
        self, count: int, seed: int, prompt: str | None = None, callback: Progress | None = None
    ) -> list[Made]:
        """People who do not exist (`mien.pipelines.invent`), ready to be written."""
        self._check_prompt(prompt or "", invented=True)
        with self.telling():
            people = invent(self.pipe, count, seed, prompt, callback)
        made = []
        for one in people:
            told = {"seed": one.seed}
            shared = {**self.settings, "kind": "invented", "prompt": prompt}
            alone = record(self.model, {}, one.image)  # of no picture
            made.append(Made(one.image, told, {}, {**shared, **told, **alone}, None))
        return made

    def _check_prompt(self, prompt: str, invented: bool = False) -> None:
        """Say once what of a prompt the embedded model does not know."""
        if self.model.backbone.name == "mini" and (words := unknown(prompt, invented)):
            obeyed = '"black and white photo"'
            if invented:
                obeyed = f"{', '.join((*KINDS, *AGES))} and {obeyed}"
            message = (
                f'the embedded model does not know "{" ".join(words)}", which changes nothing: of a prompt it obeys '
                f"{'' if invented else 'only '}{obeyed}; --backbone sd15 knows more."
            )
            if message not in self._told:
                self._told.add(message)
                self._tell(message)


def _pair(looked: Looked) -> tuple[Subject, Target]:
    """A portrait's two sides. Raises `InputError`: the request lacks one."""
    if looked.who is None or looked.how is None:
        raise InputError("a portrait is of a person with an expression: give both")
    return looked.who, looked.how
