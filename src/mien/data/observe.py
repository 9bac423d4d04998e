"""Who looks at the pictures of a set: an analyser and a recogniser, for many pictures at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from PIL import Image

from mien.types import Face, FloatArray, InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Observer:
    """Attributes:
    analyse: pictures → the faces of each, largest first. recognise: (picture, face) → embedding [d] float32, compared
        by Euclidean distance. analyser, recogniser: their names.
    same_person: distance of embeddings below which two faces are one person.
    """

    analyse: Callable[[Sequence[Image.Image]], Sequence[Sequence[Face]]]
    recognise: Callable[[Image.Image, Face], FloatArray]
    analyser: str
    recogniser: str
    same_person: float


def load_observer(analyser: str = "embedded", recogniser: str = "embedded") -> Observer:
    """The observer of these names, of `mien.metrics.scoring`'s. Raises `InputError`: unknown, or not installed."""
    from mien.face.analyze import analyze_many
    from mien.metrics.scoring import SAME_PERSON, load_scorer

    scorer = load_scorer(analyser, recogniser)
    if scorer.same_person is None:
        raise InputError(
            f"Nobody knows how near two pictures of one person are to {recogniser}: "
            f"choose {' or '.join(SAME_PERSON)}."
        )

    def analyse(images: Sequence[Image.Image]) -> list[list[Face]]:
        return list(analyze_many(images, analyser))

    def recognise(image: Image.Image, face: Face) -> FloatArray:
        return scorer.recognise(image, face).detach().cpu().float().numpy().astype(np.float32)

    return Observer(analyse, recognise, analyser, recogniser, scorer.same_person)


class Memory:
    """An analyser that remembers: the faces of pictures it was told of are not looked for again."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._known: list[tuple[Image.Image, Face]] = []

    def tell(self, known: list[tuple[Image.Image, Face]]) -> None:
        """From now on these pictures show these faces; what was told before is forgotten."""
        self._known = known

    def __call__(self, image: Image.Image) -> Sequence[Face]:
        """The faces of a PIL picture, largest first."""
        told = [face for other, face in self._known if other is image]
        return told or self.observer.analyse([image])[0]


def batches(values: Iterator[T], size: int) -> Iterator[list[T]]:
    """Lists of `size`, the last one shorter."""
    while batch := list(islice(values, size)):
        yield batch
