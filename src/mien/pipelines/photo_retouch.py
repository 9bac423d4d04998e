"""A film whose person has another expression, or another person's face, while they go on talking and moving.

An expression is sought once, on one calm face of theirs, and added to what each frame's face does. Another person's
photo is driven by the film's face, and laid onto each frame (`mien.warping.swap`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.expressions.spec import Expression
from mien.face.blendshapes import NAMES
from mien.face.landmarks import eye_distance
from mien.pipelines.photo import PhotoPipeline, Sitter, focused, seek
from mien.pipelines.photo_film import FASTER, SLOWEST, OneEuro, Puppet, Rest, facelike
from mien.types import ByteImage, Face, FloatArray
from mien.warping.draw import draw
from mien.warping.lips import lip_gap, unit_of
from mien.warping.mouth import Mouth
from mien.warping.shapes import moved
from mien.warping.swap import swap
from mien.warping.target import Solver, reading

POINTS_SLOWEST, POINTS_FASTER = 3.0, 30.0  # Hz of resting landmarks; Hz per distance of the eyes and second
FEELINGS = (
    "brow",
    "cheek",
    "nose",
    "eyeSquint",
    "eyeWide",
    "mouthSmile",
    "mouthFrown",
    "mouthDimple",
    "mouthStretch",
    "mouthUpperUp",
)
FELT = np.array([name.startswith(FEELINGS) for name in NAMES])  # shows a feeling, and is not needed to speak
SLIGHT = 0.6  # units (90 between the outer eye corners): lips less apart are as good as shut


@dataclass(frozen=True)
class Seen:
    """A frame's face, steadied: landmarks [478, 3] px and coefficients [52], of whoever is drawn."""

    landmarks: FloatArray
    shapes: FloatArray


def _gap(landmarks: FloatArray) -> float:
    """How far the lips of landmarks [478, 3] px are apart, in units."""
    return lip_gap(landmarks, unit_of(landmarks))


def _steady(face: Face, smooth: float) -> OneEuro:
    """For the landmarks of faces as large as this one."""
    apart = max(float(eye_distance(face.landmarks)), 1.0)
    return OneEuro(POINTS_SLOWEST / smooth if smooth > 0 else np.inf, POINTS_FASTER / apart)


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
        self._shut, self._gap = sought.shut, _gap(sitter.face.landmarks)
        neutral = expression.rest + sum(part.weight for part in expression.parts if part.kind == "neutral")
        self._calm, self._calmed = sought.before, neutral * min(strength, 1.0) * FELT * wanted.weight[:52]
        self._points = _steady(sitter.face, smooth)
        self._shapes = OneEuro(SLOWEST / smooth if smooth > 0 else np.inf, FASTER)

    def follow(self, face: Face, seconds: float) -> Seen:
        """The next frame's face, seen at a time."""
        own = reading(face.blendshapes, face.landmarks)
        before = Solver(own, own, np.ones(57)).before
        return Seen(self._points(face.landmarks, seconds), self._shapes(before, seconds))

    def draw(self, image: ByteImage, seen: Seen) -> ByteImage:
        """That frame [H, W, 3] uint8 with the expression; any thread may draw any frame."""
        mouth = Mouth(image, seen.landmarks)
        felt = self._calmed * np.maximum(seen.shapes - self._calm, 0)  # more than on the calm frame
        after = facelike(seen.shapes + self.change - felt, seen.shapes)
        # Lips close by as much as the calm ones do: those that speak still part.
        shut = self._shut * min((self._gap + SLIGHT) / (_gap(seen.landmarks) + SLIGHT), 1.0)
        return draw(image, seen.landmarks, seen.shapes, after, mouth, shut=shut).image


class Recast:
    """Another person's face for the person in a film, with what that one's face does.

    Args:
        identity: a photo of the other person. rest, face: the film's person at rest. smooth: as for `Retouch`.
    """

    def __init__(self, identity: Sitter, rest: Rest, face: Face, smooth: float = 1.0) -> None:
        self._puppet = Puppet(identity, pose=False, smooth=smooth)
        self._puppet.rest(rest)
        self._points = _steady(face, smooth)

    def follow(self, face: Face, seconds: float) -> Seen:
        """See `Retouch.follow`."""
        return Seen(self._points(face.landmarks, seconds), self._puppet.follow(face, seconds).after)

    def draw(self, image: ByteImage, seen: Seen) -> ByteImage:
        """That frame [H, W, 3] uint8 with the other face; any thread may draw any frame."""
        identity, before = self._puppet.sitter, self._puppet.before
        landmarks = identity.face.landmarks
        put = draw(identity.image, landmarks, before, seen.shapes, identity.mouth).image
        theirs = moved(landmarks, before, seen.shapes)
        return swap(image, seen.landmarks, put, theirs).image
