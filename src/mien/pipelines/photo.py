"""The photo engine: the person's own photograph, with that expression, at the photo's own size."""

from __future__ import annotations

import numpy as np

from mien.face import align
from mien.face.analyze import load_reader
from mien.types import ByteImage, Face, FloatArray
from mien.warping.draw import Drawn, draw
from mien.warping.shapes import moved
from mien.warping.target import Solver, reading

SIDE = 256  # px of the close-up in which an expression is sought
MARGIN = 1.7  # of the close-up, against the crop that the analyser reads
CELLS = 128
ROUNDS = 3


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
        self._reader = load_reader()
        self._crop = align.crop_matrix(self.landmarks)

    def read(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """The reading [57] of the face changed from coefficients `before` to `after` [52]."""
        target = moved(self.landmarks, before, after)
        picture = draw(self.image, self.landmarks, target, CELLS).image
        seen = self._reader(align.warp(picture, self._crop)[None])
        return reading(seen.blendshapes[0], seen.landmarks[0])


def express(
    image: ByteImage, face: Face, wanted: FloatArray, weight: FloatArray, rounds: int = ROUNDS
) -> tuple[Drawn, Solver]:
    """`image` [H, W, 3] uint8 whose `face` reads as `wanted` [57] where `weight` [57] counts it."""
    closeup = Closeup(image, face)
    own = reading(face.blendshapes, face.landmarks)
    solver = Solver(own, wanted, weight)
    best = (solver.error(own), solver.before)
    for _ in range(rounds + 1):
        tried = solver.after
        read = closeup.read(solver.before, tried)
        if (error := solver.error(read)) < best[0]:
            best = (error, tried)
        solver.correct(read)
    solver.after = best[1]
    target = moved(face.landmarks, solver.before, solver.after)
    return draw(image, face.landmarks, target), solver
