"""What a caller gives a pipeline, made into pictures with the one face that is meant in each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mien.backbones import FaceEncoder
from mien.images import read_image, to_rgb
from mien.types import Face, InputError

Picture = str | Path | Image.Image
FaceChoice = str | int
"""Which face of a picture is meant: "largest", "left", "right", or a number counted from 0, the largest."""


def as_list(value: Any, n: int, name: str) -> list[Any]:
    """One value for all n, or a list of n."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if n == 0 or len(values) not in (1, n):
        raise InputError(
            f"{len(values)} values of {name} for {n} portraits: give one for all or one for each"
        )
    return values * n if len(values) == 1 else values


def choose_face(faces: Sequence[Face], which: FaceChoice, name: str) -> Face:
    """The face meant among those found (largest first). Warns where "largest" had to choose.

    Raises:
        InputError: there is none, or not so many.
    """
    if not faces:
        raise InputError(f"{name}: no face was found: use a picture in which a face is large and well lit")
    if which == "largest":
        if len(faces) > 1:
            warnings.warn(
                f"{name}: shows {len(faces)} faces, the largest is used: choose another by "
                'face="left", "right" or its number',
                stacklevel=2,
            )
        return faces[0]
    if which in ("left", "right"):
        in_order = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
        return in_order[0 if which == "left" else -1]
    if isinstance(which, bool) or not isinstance(which, int):
        raise InputError(f'face {which!r} is unknown: choose "largest", "left", "right" or a number from 0')
    if not 0 <= which < len(faces):
        raise InputError(f"{name}: has no face number {which}: it shows {len(faces)}, counted from 0")
    return faces[which]


class Embedder:
    """Pictures to embeddings with one encoder; a picture that comes again is looked at once.

    Args:
        encoder: see ``FaceEncoder``. analyze: picture -> faces, largest first. face: which one is meant.
        kind: "identity" or "expression", for messages about pictures that have no file name.
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
        self._seen: dict[str | int, Tensor] = {}

    def __call__(self, subjects: Sequence[Picture | Sequence[Picture]]) -> Tensor:
        """n pictures -> [n, w] float32; of a list of pictures of one person, the mean of their embeddings."""
        rows = []
        for subject in subjects:
            pictures: list[Any] = list(subject) if isinstance(subject, (list, tuple)) else [subject]
            if not pictures:
                raise InputError(f"an empty list was given as {self.kind}: give at least one picture")
            rows.append(torch.stack([self._one(picture) for picture in pictures]).mean(0))
        return torch.stack(rows)

    def _one(self, picture: Picture) -> Tensor:
        key = id(picture) if isinstance(picture, Image.Image) else str(picture)
        if key not in self._seen:
            if isinstance(picture, Image.Image):
                name = f"the {self.kind} picture"
                image = to_rgb(picture, name)
            elif isinstance(picture, (str, Path)):
                name = str(picture)
                image = read_image(picture)
            else:
                raise InputError(f"{picture!r} was given as {self.kind}: give a file's path or a PIL image")
            face = choose_face(self.analyze(image), self.face, name)
            self._seen[key] = self.encoder(image, face).detach().float().cpu()
        return self._seen[key]
