"""A film whose person has another expression throughout, while they go on talking and moving.

What is changed is sought once, on one calm face of theirs, and added to what each frame's face does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.expressions.spec import Expression
from mien.face.landmarks import eye_distance
from mien.pipelines.photo import PhotoPipeline, Sitter, focused, seek
from mien.pipelines.photo_film import FASTER, SLOWEST, OneEuro
from mien.types import ByteImage, Face, FloatArray
from mien.warping.draw import draw
from mien.warping.mouth import Mouth
from mien.warping.target import Solver, clipped, reading

POINTS_SLOWEST, POINTS_FASTER = 3.0, 30.0  # Hz of resting landmarks; Hz per distance of the eyes and second


@dataclass(frozen=True)
class Seen:
    """A frame's face, steadied: landmarks [478, 3] px and its own coefficients [52]."""

    landmarks: FloatArray
    before: FloatArray


class Retouch:
    """Another expression for the person in a film.

    Args:
        sitter: a calm frame of theirs. expression: its pictures' faces are found. strength, relative, region: as for
            `PhotoPipeline.express`. smooth: of the analyser's tremor, see `mien.pipelines.photo_film.Puppet`.

    Raises:
        InputError: an expression or option cannot be used.
    """

    def __init__(
        self,
        pipe: PhotoPipeline,
        sitter: Sitter,
        expression: Expression,
        strength: float = 1.0,
        relative: bool = True,
        region: str = "all",
        smooth: float = 1.0,
    ) -> None:
        wanted = focused(sitter, pipe.wanted(sitter, expression, relative), strength, region)
        sought = seek(sitter, wanted)
        self.change: FloatArray = sought.after - sought.before
        slower = 1 / smooth if smooth > 0 else np.inf
        apart = max(float(eye_distance(sitter.face.landmarks)), 1.0)
        self._points = OneEuro(POINTS_SLOWEST * slower, POINTS_FASTER / apart)
        self._shapes = OneEuro(SLOWEST * slower, FASTER)

    def follow(self, face: Face, seconds: float) -> Seen:
        """The next frame's face, seen at a time."""
        own = reading(face.blendshapes, face.landmarks)
        before = Solver(own, own, np.ones(57)).before
        return Seen(self._points(face.landmarks, seconds), self._shapes(before, seconds))

    def draw(self, image: ByteImage, seen: Seen) -> ByteImage:
        """That frame [H, W, 3] uint8 with the expression; any thread may draw any frame."""
        mouth = Mouth(image, seen.landmarks)
        after = clipped(seen.before + self.change)
        return draw(image, seen.landmarks, seen.before, after, mouth).image
