"""Photos whose faces become other people's, or whose faces all change: by the photo engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.expressions.spec import parse
from mien.face.subject import Subject
from mien.images import changed_pixels
from mien.making.made import Drawn, Progress
from mien.making.photographs import Photographs
from mien.making.recording import Fingerprints
from mien.making.scoring import Scores
from mien.making.subjects import Looked
from mien.making.wishes import PhotoWish
from mien.pipelines.photo import Sitter, framed
from mien.pipelines.photo_swap import Change, SwapPipeline
from mien.types import InputError


@dataclass(frozen=True)
class Planned(Looked):
    """What changes in a photo; identities: the pictures of the new people, as they were given."""

    changes: Sequence[Change] = ()
    identities: Sequence[Path | Image.Image] = ()

    @property
    def photo(self) -> Sitter:
        """The photo, and the first of its faces that change."""
        return self.changes[0].sitter


class Swaps(Photographs):
    """The photo engine for photos of their own size: other people, other expressions, or both."""

    def __init__(
        self,
        wish: PhotoWish,
        tell: Callable[[str], object] = lambda message: None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        super().__init__(wish, tell, device, dtype)
        self.swapper = SwapPipeline(self._judge.analyse)
        self._tell, self._told = tell, set[str]()

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
            raise InputError(
                "--teeth is of the photo's own person: give more pictures of the identity instead"
            )
        if self.wish.finish is not None:
            raise InputError(
                "--finish is for the expression of one face: leave it out, or --identity and --face all"
            )
        wish = self.wish
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            changes = self.swapper.changes(request.photo, people, wish.face, wish.identity_face)
        for message in sorted({str(one.message) for one in said} - self._told):
            self._told.add(message)
            self._tell(message)
        how = None if request.expression is None else self.target(parse(request.expression))
        first = changes[0].identities[0] if changes[0].identities else changes[0].sitter
        who = Subject(Image.fromarray(first.image), first.face)
        pictures = [picture for pictures in (people or {}).values() for picture in pictures]
        return Planned(request, who, how, changes, pictures)

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        """See `Maker`."""
        drawn = []
        for slot, one in enumerate(looked):
            if isinstance(one, Planned):
                wish, how = self.wish, None if one.how is None else one.how.expression
                pixels = self.swapper.apply(one.changes, how, wish.strength, wish.relative, wish.region)
                changed = changed_pixels(pixels, one.photo.image)
                outside = np.ones_like(changed)  # a watermark is of one face: over several it would show
                x0, y0, x1, y1 = framed(one.photo.face, changed.shape)
                outside[y0:y1, x0:x1] = False
                changed[outside] = False
                drawn.append(Drawn(one, Image.fromarray(pixels), slot, len(looked), mask=changed))
                if callback is not None:
                    callback(slot + 1, len(looked), None)
            else:
                (made,) = super().make([one], None)
                drawn.append(made)
        return drawn

    def score(self, drawn: Drawn) -> Scores:
        """See `Maker`: of the first face that changed."""
        if not isinstance(drawn.looked, Planned):
            return super().score(drawn)
        one = drawn.looked
        assert one.who is not None
        return self._judge.photo(
            drawn.image, one.photo, one.who, None if one.how is None else one.how.blendshapes
        )

    def told(self, drawn: Drawn) -> dict[str, Any]:
        """See `Maker`; the task by the paper's names."""
        request = drawn.looked.request
        if not isinstance(drawn.looked, Planned) or not drawn.looked.identities:
            return super().told(drawn)
        task = "face swapping" if request.expression is None else "swap all"
        return {"prompt": request.prompt, "seed": request.seed, "task": task}

    def inputs(self, drawn: Drawn, prints: Fingerprints) -> dict[str, Any]:
        """See `Maker`."""
        one = drawn.looked
        if not isinstance(one, Planned):
            return super().inputs(drawn, prints)
        people: Any = None if not one.identities else prints(one.identities[0])
        if one.request.people:
            people = [
                {"face": which, "pictures": [prints(picture) for picture in pictures]}
                for which, pictures in one.request.people.items()
            ]
        return {
            "photo": prints(one.photo.image),
            "identity": people,
            "expression": None if one.how is None else prints.describe(one.how.expression),
        }

    def cells(self, drawn: Drawn) -> list[tuple[str, Image.Image]]:
        """See `Maker`."""
        one = drawn.looked
        if not isinstance(one, Planned):
            return super().cells(drawn)
        crop = self._judge.crop
        found = [("photo", crop(Image.fromarray(one.photo.image), one.photo.face))]
        if one.identities and one.who is not None:
            found.append(("identity", crop(one.who.image, one.who.face)))
        if one.how is not None:
            found.append(("expression", self._judge.crop_of(one.how)))
        return found

    def shown(self, drawn: Drawn) -> Image.Image:
        """See `Maker`."""
        if isinstance(drawn.looked, Planned):
            return self._judge.crop(drawn.image, drawn.looked.photo.face)
        return super().shown(drawn)
