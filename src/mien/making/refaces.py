"""Photos in which a face gets another identity, another expression or both: looked at, made, scored and recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from mien.making.made import Drawn, Progress
from mien.making.model import Model
from mien.making.recording import Fingerprints
from mien.making.scoring import Judge, Scores
from mien.making.subjects import Looked, Looker
from mien.making.telling import Telling
from mien.making.wishes import RefaceWish
from mien.pipelines.scenes import Scene


class InScene:
    """What is alike of pictures whose face was put into a photo or a scene (`mien.making.made.Maker`)."""

    kind = "reface"
    _judge: Judge

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: id, exp and pose."""
        return self._judge.reface(drawn, _scene(drawn), drawn.looked.who, drawn.looked.how)

    def told(self, drawn: Drawn) -> dict[str, Any]:
        """See `Maker`; the task by the paper's names."""
        request = drawn.looked.request
        task = "face swapping" if request.expression is None else "swap all"
        task = "reenactment" if request.identity is None else task
        return {"prompt": request.prompt, "seed": request.seed, "task": task}

    def inputs(self, drawn: Drawn, prints: Fingerprints) -> dict[str, Any]:
        """See `Maker`."""
        looked = drawn.looked
        return {
            "photo": None if looked.request.photo is None else prints(_scene(drawn).photo),
            "identity": None if looked.who is None else prints(looked.who),
            "expression": None if looked.how is None else prints.describe(looked.how.expression),
        }

    def cells(self, drawn: Drawn) -> list[tuple[str, Image.Image]]:
        """See `Maker`."""
        looked, scene = drawn.looked, _scene(drawn)
        crop = self._judge.crop
        found = [("photo" if looked.request.photo else "scene", crop(scene.subject.image, scene.face))]
        if looked.who is not None:
            found.append(("identity", crop(looked.who.image, looked.who.face)))
        if looked.how is not None:
            found.append(("expression", self._judge.crop_of(looked.how)))
        return found

    def shown(self, drawn: Drawn) -> Image.Image:
        """See `Maker`."""
        return self._judge.crop(drawn.image, _scene(drawn).face)


def _scene(drawn: Drawn) -> Scene:
    assert drawn.scene is not None
    return drawn.scene


class Refaces(InScene):
    """One model for many photos (`mien.making.made.Maker`).

    Args:
        wish: of every photo. scheduler: the name of a diffusers scheduler without its ending; None: the model's.
        tell: is told, once, which of several faces was taken and what of a prompt is cut.

    Raises:
        InputError: there is no such scheduler, or the model takes no background.
    """

    def __init__(
        self,
        model: Model,
        wish: RefaceWish,
        scheduler: str | None = None,
        tell: Callable[[str], object] = lambda message: None,
    ) -> None:
        self.model, self.wish = model, wish
        self.pipe = model.refaces()
        own = type(self.pipe.scheduler).__name__.removesuffix("Scheduler")
        if scheduler is not None and scheduler.lower().removesuffix("scheduler") != own.lower():
            self.pipe.scheduler = scheduler
        self._judge = Judge(self.pipe.portraits.encoder("identity"))
        self._telling = Telling(tell, ("faces", "the prompt "))
        options = ("--identity-face", "--expression-face")
        self.look = Looker(self._judge.analyse, wish.identity_face, wish.expression_face, options, tell)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Maker`."""
        return self.model.settings_of(self.kind, self.wish, self.pipe.portraits)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        """See `Maker`."""
        wish, requests = self.wish, [one.request for one in looked]
        with self._telling():
            results = self.pipe.reface(
                [request.photo for request in requests],
                [one.who for one in looked],
                [None if one.how is None else one.how.expression for one in looked],
                prompt=[request.prompt for request in requests],
                seed=[request.seed for request in requests],
                steps=wish.steps,
                guidance=wish.guidance,
                id_scale=wish.id_scale,
                expression_scale=wish.expression_scale,
                face=wish.face,
                batch_size=len(looked),
                callback=callback,
            )
        return [
            # A scene of ours was generated as a whole.
            Drawn(
                one,
                result.image(),
                k,
                len(results),
                result.scene,
                None if one.request.photo is None else result.mask(),
            )
            for k, (one, result) in enumerate(zip(looked, results, strict=True))
        ]
