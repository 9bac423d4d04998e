"""Photos whose faces become other people's, or whose faces all change: by the photo engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mien.expressions.spec import parse
from mien.face.subject import Subject
from mien.images import changed_pixels
from mien.making.made import Drawn, Progress
from mien.making.photographs import Photographs
from mien.making.scoring import Scores
from mien.making.subjects import Looked
from mien.making.telling import Tell, Telling, silent
from mien.making.wishes import PhotoWish
from mien.pipelines.photo import Sitter, framed
from mien.pipelines.photo_swap import Change, SwapPipeline
from mien.types import InputError


@dataclass(frozen=True)
class Planned(Looked):
    """`changes`: in the photo, whose first face that changes is `photo`'s."""

    changes: Sequence[Change] = ()


class Swaps(Photographs):
    """The photo engine for photos of their own size: other people, other expressions, or both."""

    def __init__(
        self, wish: PhotoWish, tell: Tell = silent, device: str = "auto", dtype: str = "auto"
    ) -> None:
        super().__init__(wish, tell, device, dtype)
        self.swapper = SwapPipeline(self.scorer.analyse)
        self._telling_all = Telling(tell)

    def look(self, request: Any) -> Looked:
        """See `Maker`; `who` is the new person of the first face."""
        people = request.people
        if request.identity is not None:
            people = {self.wish.face: [request.identity]}
        if people is None and self.wish.face != "all":
            return super().look(request)
        if request.photo is None:
            raise InputError("the photo engine needs a photo: give it, or --engine diffusion for a scene")
        if self.wish.teeth is not None and people:
            raise InputError("--teeth is of the photo's own person: give more pictures of the identity")
        if self.wish.finish is not None:
            raise InputError("--finish is for one expression: leave it out, or --identity and --face all")
        wish = self.wish
        with self._telling_all():
            changes = self.swapper.changes(request.photo, people, wish.face, wish.identity_face)
        how = None if request.expression is None else self.target(parse(request.expression))
        first = changes[0]
        who = _subject(first.identities[0]) if first.identities else None
        return Planned(request, who, how, _subject(first.sitter), changes)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        drawn: list[Drawn] = []
        for slot, one in enumerate(looked):
            if isinstance(one, Planned):
                wish, how = self.wish, None if one.how is None else one.how.expression
                with self._telling():
                    pixels = self.swapper.apply(one.changes, how, wish.strength, wish.relative, wish.region)
                first = one.changes[0].sitter
                changed = changed_pixels(pixels, first.image)
                outside = np.ones_like(changed)  # a watermark is of one face: over several it would show
                x0, y0, x1, y1 = framed(first.face, changed.shape)
                outside[y0:y1, x0:x1] = False
                changed[outside] = False
                image = Image.fromarray(pixels)
                drawn.append(Drawn(one, image, slot, len(looked), one.photo, first.face, changed))
            else:
                drawn += super().make([one])
            if callback is not None:
                callback(slot + 1, len(looked), None)
        return drawn

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: of the first face that changed."""
        if not isinstance(drawn.looked, Planned):
            return super().score(drawn)
        one = drawn.looked
        who = one.who or one.photo
        assert who is not None
        shapes = None if one.how is None else one.how.blendshapes
        return self.scorer.photo(drawn.image, one.changes[0].sitter, who, shapes)


def _subject(sitter: Sitter) -> Subject:
    return Subject(Image.fromarray(sitter.image), sitter.face)
