"""Who is meant and what is wanted, read and found: each picture once, however often it is asked for."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.expressions import faces as shipped
from mien.expressions.reading import complete
from mien.expressions.spec import Expression, parse
from mien.face.subject import Subject
from mien.images import read_image
from mien.making.telling import Tell
from mien.making.wishes import PhotoWish, PortraitWish, RefaceWish, Request
from mien.pipelines.inputs import FaceChoice, choose_face
from mien.types import Face, FloatArray

Analyse = Callable[[Image.Image], Sequence[Face]]
Wish = PortraitWish | RefaceWish | PhotoWish
KEPT = 32  # pictures; a table of thousands asks for the same ones within a few rows


@dataclass(frozen=True)
class Target:
    """An expression that is wanted. expression: what a pipeline is given; the faces of its pictures are found.
    blendshapes: [52] in [0, 1], what its parts come to. subject: the picture, if one picture is all there is."""

    expression: Expression
    blendshapes: FloatArray
    subject: Subject | None

    @property
    def image(self) -> Image.Image:
        """Shows it: the picture itself; else a face of nobody that makes the expression."""
        if self.subject is not None:
            return self.subject.image
        if any(part.picture is not None for part in self.expression.parts):
            drawn = shipped.illustrate(self.expression)
            return drawn if isinstance(drawn, Image.Image) else read_image(drawn)
        from mien.making.shown import show

        return show([self.expression])[0]


@dataclass(frozen=True)
class Looked:
    """A request with its pictures seen; each is None where the request names none. who: the person. how: the
    expression. photo: the photo that changes, if it is looked at before a model draws."""

    request: Request
    who: Subject | None
    how: Target | None
    photo: Subject | None = None


class Looker:
    """Reads pictures and finds the faces that are meant; what was seen before is not looked at again.

    Args:
        analyse: PIL RGB picture → faces, largest first.
        wish: says which face is meant in pictures. of_identity: the field of it that is of people's pictures. tell: is
            told, once a picture, where the largest of several was taken.
    """

    def __init__(self, analyse: Analyse, wish: Wish, of_identity: str, tell: Tell) -> None:
        self._analyse, self._wish, self._tell = analyse, wish, tell
        self._chosen = {"identity": of_identity, "expression": "expression_face"}
        self._known: OrderedDict[tuple[Any, FaceChoice], tuple[Any, Subject]] = OrderedDict()

    def __call__(self, request: Request) -> Looked:
        """A request's pictures but its photo, which the pipeline looks at. Raises `InputError`: one cannot be read, or
        has no such face."""
        who = None if request.identity is None else self.subject(request.identity, "identity")
        how = None if request.expression is None else self.target(parse(request.expression))
        return Looked(request, who, how)

    def subject(self, picture: Path | Image.Image, kind: str) -> Subject:
        """The face that is meant in a picture of an "identity" or an "expression"."""
        name = str(picture)
        if isinstance(picture, Image.Image):
            name = {"identity": "the person's picture", "expression": "the expression's picture"}[kind]
        which, option = getattr(self._wish, self._chosen[kind]), self._chosen[kind].replace("_", "-")
        key = id(picture) if isinstance(picture, Image.Image) else str(picture), which
        if key not in self._known:
            image = picture if isinstance(picture, Image.Image) else read_image(picture)
            faces = self._analyse(image)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is told names the option
                face = choose_face(faces, which, name)
            if which == "largest" and len(faces) > 1:
                self._tell(
                    f"{name} shows {len(faces)} faces, the largest is used: --{option} left, right or N chooses."
                )
            # The picture is kept too: its id must not be another's while this lives.
            self._known[key] = picture, Subject(image, face, len(faces))
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return self._known[key][1]

    def target(self, expression: Expression) -> Target:
        """The faces of an expression's pictures, and what it comes to."""
        parts = []
        total: FloatArray = np.asarray(expression.rest * complete({}))
        for part in expression.parts:
            if isinstance(part.picture, (Path, Image.Image)):
                part = replace(part, picture=self.subject(part.picture, "expression"))
            if isinstance(part.picture, Subject):
                total = total + part.weight * part.picture.face.blendshapes
            else:
                total = total + part.weight * shipped.blendshapes(part)
            parts.append(part)
        read = replace(expression, parts=tuple(parts))
        return Target(read, total, read.picture if isinstance(read.picture, Subject) else None)
