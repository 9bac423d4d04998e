"""The photo engine: the person's own photograph, with that expression, at the photo's own size.

What a photo has is moved (`mien.warping`), what it lacks is drawn. No diffusion, no GPU: an expression is sought on a
small copy of the face, which the analyser reads after each try, and then made once at full size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from mien.expressions.faces import blendshapes
from mien.expressions.spec import Expression, Given, parse
from mien.face import align
from mien.face.analyze import analyze, load_reader
from mien.images import read_image, to_rgb
from mien.pipelines.inputs import FaceChoice, Picture, choose_face
from mien.types import ByteImage, Face, FloatArray, InputError
from mien.warping.draw import Drawn, draw
from mien.warping.mouth import Mouth
from mien.warping.shapes import moved
from mien.warping.target import REGIONS, Solver, at_rest, expressed, mask, reading

SIDE = 256  # px of the close-up in which an expression is sought
MARGIN = 1.7  # its width against that of the crop that the analyser reads
CELLS = 128  # of the close-up's motion map
ROUNDS = 3
MOST_TURNED = 40.0  # degrees of yaw or pitch: beyond, half of the face is hidden
SMALLEST = 40.0  # px between the outer eye corners' ... of a face that can be read
STRONGEST = 1.5


class Closeup:
    """A small copy of a photo's face, on which expressions are tried and read.

    Args:
        image: [H, W, 3] uint8. face: in it.
    """

    def __init__(self, image: ByteImage, face: Face) -> None:
        zoom = SIDE / MARGIN / align.CROP_SIZE
        matrix = align.crop_matrix(face.landmarks) * zoom
        matrix[:, 2] += SIDE * (1 - 1 / MARGIN) / 2
        self.image = align.warp(image, matrix, SIDE)
        self.landmarks = align.transform_points(face.landmarks, matrix)
        self.mouth = Mouth(self.image, self.landmarks)
        self._reader = load_reader()
        self._crop = align.crop_matrix(self.landmarks)

    def read(self, target: FloatArray) -> FloatArray:
        """The reading [57] of the face with its landmarks moved to `target` [478, 3] px of the close-up."""
        picture = draw(self.image, self.landmarks, target, self.mouth, CELLS).image
        seen = self._reader(align.warp(picture, self._crop)[None])
        return reading(seen.blendshapes[0], seen.landmarks[0])


@dataclass
class Sitter:
    """A photo and the face in it that is meant; what depends on nothing else is computed once.

    Attributes:
        image: [H, W, 3] uint8 RGB. face: in its pixels. teeth: another photo of the same person and its landmarks.
    """

    image: ByteImage
    face: Face
    teeth: tuple[ByteImage, FloatArray] | None = None
    own: FloatArray = field(init=False)  # the photo's reading [57]

    def __post_init__(self) -> None:
        self.own = reading(self.face.blendshapes, self.face.landmarks)

    @cached_property
    def closeup(self) -> Closeup:
        return Closeup(self.image, self.face)

    @cached_property
    def mouth(self) -> Mouth:
        return Mouth(self.image, self.face.landmarks, self.teeth)


@dataclass(frozen=True)
class Wanted:
    """What the analyser should read: `value` [57] where `weight` [57] in [0, 1] counts."""

    value: FloatArray
    weight: FloatArray


@dataclass(frozen=True)
class Expressed:
    """A result.

    Attributes:
        drawn: the photo with the change. before, after: coefficients [52] of the face.
        error: mean absolute distance of what the analyser reads from what was wanted; at_first: the photo's.
    """

    drawn: Drawn
    before: FloatArray
    after: FloatArray
    error: float
    at_first: float


def express(sitter: Sitter, wanted: Wanted, rounds: int = ROUNDS) -> Expressed:
    """The sitter's photo with a face that reads as wanted, or as near to it as `rounds` corrections come."""
    solver = Solver(sitter.own, wanted.value, wanted.weight)
    at_first = solver.error(sitter.own)
    best = (at_first, solver.before)
    for left in range(rounds, -1, -1):
        tried = solver.after
        read = sitter.closeup.read(moved(sitter.closeup.landmarks, solver.before, tried))
        error = solver.error(read)
        better = error < 0.97 * best[0]
        if error < best[0]:
            best = (error, tried)
        if not left or not better:
            break
        solver.correct(read)
    target = moved(sitter.face.landmarks, solver.before, best[1])
    drawn = draw(sitter.image, sitter.face.landmarks, target, sitter.mouth)
    return Expressed(drawn, solver.before, best[1], best[0], at_first)
