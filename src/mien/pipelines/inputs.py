"""What a caller gives a pipeline, made into the vectors that its model is conditioned on.

An identity is a picture with one face that is meant. An expression is anything of `mien.expressions.spec`:

    e = sum_i w_i e_i + (1 - sum_i w_i) e_neutral

with e_i the encoder's vector of a picture; of a word or of blendshapes, for the embedded encoder, the numbers it
would read of them (`mien.expressions.reading`), and for encoders that look at pictures (CLIP) the vector of the word's
shipped face, or of the mix of words nearest to the blendshapes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mien.expressions import faces as shipped
from mien.expressions import reading
from mien.expressions.spec import Expression, Part, parse
from mien.expressions.turning import turned
from mien.face.subject import Subject
from mien.images import read_image, to_rgb
from mien.pipelines.arguments import shown
from mien.types import Face, FaceEncoder, FloatArray, InputError

Picture = str | Path | Image.Image | Subject
ExpressionLike = Picture | Mapping[str, float] | Expression
"""An expression as it can be given to a pipeline: what `mien.expressions.spec.parse` takes."""
FaceChoice = str | int
"""Which face of a picture is meant: "largest", "left", "right", or a number counted from 0, the largest."""


@dataclass(frozen=True)
class Person:
    """Several pictures of one person, as one identity: ``Person("a.jpg", "b.jpg")``; their embeddings are averaged."""

    pictures: tuple[Picture, ...]

    def __init__(self, *pictures: Picture) -> None:
        if not pictures:
            raise InputError("a Person of no pictures is nobody: give at least one")
        object.__setattr__(self, "pictures", pictures)


def as_list(value: Any, n: int, name: str) -> list[Any]:
    """One value for all n, or a list of n."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if n == 0 or len(values) not in (1, n):
        raise InputError(f"{len(values)} values of {name} for {n} portraits: give one for all, or for each")
    return values * n if len(values) == 1 else values


def opened(picture: Any, kind: str, called: str) -> tuple[Image.Image, str]:
    """A picture as PIL RGB, with what to call it in messages: its path, or `called`. Raises `InputError`: it is neither
    a file's path nor a PIL image, or cannot be read."""
    if isinstance(picture, Image.Image):
        return to_rgb(picture, called), called
    if isinstance(picture, (str, Path)):
        return read_image(picture), str(picture)
    raise InputError(f"{shown(picture)} was given as {kind}: give a file's path or a PIL image")


def choose_face(faces: Sequence[Face], which: FaceChoice, name: str) -> Face:
    """The face meant among those found (largest first). Warns where "largest" had to choose. Raises `InputError`: there
    is none, or not so many."""
    if not faces:
        raise InputError(f"{name}: no face was found: use a picture in which a face is large and well lit")
    if which == "largest":
        if len(faces) > 1:
            warnings.warn(
                f"{name}: shows {len(faces)} faces, the largest is used: choose another face "
                "by left, right or its number",
                stacklevel=2,
            )
        return faces[0]
    if which in ("left", "right"):
        in_order = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
        return in_order[0 if which == "left" else -1]
    if isinstance(which, bool) or not isinstance(which, int):
        raise InputError(f'face {which!r} is unknown: choose "largest", "left", "right" or a number from 0')
    if not 0 <= which < len(faces):
        raise InputError(
            f"{name}: has no face {which}, it shows {len(faces)}: give a number from 0, the largest"
        )
    return faces[which]


class Embedder:
    """Pictures, and of expressions whatever the language knows, to embeddings; a picture is looked at once.

    Args:
        encoder: see ``FaceEncoder``. analyze: picture -> faces, largest first. face: which one is meant.
        kind: "identity" or "expression", which `mien.expressions.spec.parse` reads.
    """

    def __init__(
        self,
        encoder: FaceEncoder,
        analyze: Callable[[Image.Image], Sequence[Face]],
        face: FaceChoice,
        kind: str,
    ) -> None:
        self.encoder = encoder
        self.analyze = analyze
        self.face = face
        self.kind = kind
        self._seen: dict[str | int, tuple[Any, Tensor, FloatArray]] = {}

    def __call__(self, subjects: Sequence[ExpressionLike | Person], pose: FloatArray | None = None) -> Tensor:
        """n subjects -> [n, w] float32; of a `Person` the mean of their pictures' embeddings. `pose` (yaw, pitch, roll,
        degrees): embedded expressions are told as a head so turned shows them (`mien.expressions.turning`)."""
        rows = []
        for subject in subjects:
            if isinstance(subject, (list, tuple)):
                raise InputError(
                    f"{self.kind} has a list in a list: several pictures of one person are mien.Person(a, b), "
                    "a mix of expressions is one text"
                )
            pictures = subject.pictures if isinstance(subject, Person) else (subject,)
            if self.kind == "expression":
                vectors = [self.express(parse(one), pose) for one in pictures]
            else:
                vectors = [self._look(one)[0] for one in pictures]  # type: ignore[arg-type]
            rows.append(torch.stack(vectors).mean(0))
        return torch.stack(rows)

    def express(self, expression: Expression, pose: FloatArray | None = None) -> Tensor:
        """[w] float32 of an expression, at `pose` as in a call."""
        parts = [*expression.parts, *([Part(expression.rest)] if expression.rest else [])]
        return torch.stack([part.weight * self._part(part, pose) for part in parts]).sum(0)

    def _part(self, part: Part, pose: FloatArray | None) -> Tensor:
        embedded = self.encoder.name == "embedded"
        if part.picture is not None:
            vector, own = self._look(part.picture)
            return turned(vector, pose, own) if embedded and pose is not None else vector
        shapes = shipped.named(part)
        if embedded:
            vector = reading.numbers(shapes)
            return vector if pose is None else turned(vector, pose)
        if hasattr(self.encoder, "of_blendshapes"):
            told: Tensor = self.encoder.of_blendshapes(shipped.blendshapes(part))
            return told
        words = {part.word: 1.0} if part.word else shipped.mix(shapes)
        return torch.stack(
            [w * self._look(shipped.picture(word), "largest")[0] for word, w in words.items()]
        ).sum(0)

    def _look(self, picture: Picture, which: FaceChoice | None = None) -> tuple[Tensor, FloatArray]:
        """The vector of a picture's face, and its pose."""
        if isinstance(picture, Subject):
            return picture.vector(self.encoder), picture.face.pose
        key = id(picture) if isinstance(picture, Image.Image) else str(picture)
        if key not in self._seen:
            image, name = opened(picture, self.kind, f"the {self.kind} picture")
            face = choose_face(self.analyze(image), self.face if which is None else which, name)
            # The picture is kept too: its id must not be another's while this lives.
            self._seen[key] = (picture, self.encoder(image, face).detach().float().cpu(), face.pose)
        return self._seen[key][1:]
