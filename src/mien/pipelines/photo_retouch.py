"""A film whose person has another expression, or another person's face, while they go on talking and moving.

An expression is sought once, on one calm face of theirs, and added to what each frame's face does. Another person's
photo is driven by the film's face, and laid onto each frame (`mien.warping.swap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.expressions.spec import Expression
from mien.face.blendshapes import NAMES
from mien.face.landmarks import eye_distance
from mien.pipelines.photo import PhotoPipeline, Sitter, Sought, focused, seek
from mien.pipelines.photo_film import FASTER, SLOWEST, OneEuro, Puppet, Rest, facelike, parted
from mien.pipelines.photo_swap import reduced, uncovered, worn
from mien.types import ByteImage, Face, FloatArray
from mien.warping.draw import draw
from mien.warping.front import HEIGHT, WIDTH, front, seen
from mien.warping.mouth import Mouth
from mien.warping.steady import Steady
from mien.warping.swap import swap
from mien.warping.target import Solver, mask, reading

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
LARGEST = 1.25  # of the calm frame's face: how large another person's is kept
ALIKE = 1.0  # units between the edges of the same teeth
MOVES = 0.1  # of a coefficient, from which a mouth is drawn anew
FAINT = 0.02  # probability that is nothing
COMES = 0.6, 0.1  # seconds in which glasses, and other things in front of a face, are taken for there or gone


@dataclass(frozen=True)
class Seen:
    """A frame's face at a time, steadied: landmarks [478, 3] px; coefficients [52] of whoever is drawn; found: what
    lies in front of it, see `mien.warping.front.seen`; shut: see `mien.pipelines.photo_film.Moved`."""

    seconds: float
    landmarks: FloatArray
    shapes: FloatArray
    found: FloatArray | None = None
    shut: float = 0.0


class InFront:
    """What lies in front of a film's face, steadied: what comes and goes fades, and glasses are worn throughout or not
    at all. glasses: whether they are worn."""

    def __init__(self, glasses: bool) -> None:
        from mien.face.occlusion import load_reader

        self._glasses, self._read = glasses, load_reader()
        self._found: FloatArray | None = None
        self._time = 0.0

    def __call__(self, image: ByteImage, landmarks: FloatArray, seconds: float) -> FloatArray | None:
        """In a frame [H, W, 3] uint8 with `landmarks` [478, 3] px: see `mien.warping.front.seen`."""
        found = seen(image, landmarks, self._read)
        if found is None:
            found = np.zeros((2, HEIGHT, WIDTH), np.float32)
        found[0] *= self._glasses
        passed, self._time = seconds - self._time, seconds
        if self._found is not None and 0 < passed < 1:
            share = 1 - np.exp(-passed / np.array(COMES, np.float32))[:, None, None]
            found = self._found + share * (found - self._found)
        self._found = np.where(found > FAINT, found, 0).astype(np.float32)
        return self._found if self._found.any() else None


def _steady(face: Face, smooth: float) -> OneEuro:
    """For the landmarks of faces as large as this one."""
    apart = max(float(eye_distance(face.landmarks)), 1.0)
    return OneEuro(POINTS_SLOWEST / smooth if smooth > 0 else np.inf, POINTS_FASTER / apart)


def _shown_best(calm: Mouth, teeth: Sequence[tuple[ByteImage, FloatArray]]) -> Mouth:
    """The mouth of whichever frame shows most of its upper teeth; of the calm one where none does. Teeth that seem to
    lie elsewhere than in other frames are lower ones, or a tongue."""
    mouths = [mouth for mouth in (calm, *(Mouth(*frame) for frame in teeth)) if mouth.source is not None]
    edge = np.median([mouth.place.edge for mouth in mouths]) if mouths else 0.0
    alike = [mouth for mouth in mouths if abs(mouth.place.edge - edge) < ALIKE]
    return max(alike, key=lambda mouth: mouth.source.tall if mouth.source else 0.0, default=calm)


class Retouch:
    """Another expression for the person in a film.

    Args:
        sitter: a calm frame of theirs. expression: its pictures' faces are found. strength, relative, region: as for
            `PhotoPipeline.express`. smooth: of the analyser's tremor, see `mien.pipelines.photo_film.Puppet`.
        teeth: frames in which their lips are far apart, and the landmarks of each.

    Raises:
        InputError: an expression or option cannot be used.
    """

    drawers = 2  # threads that may draw its frames

    def __init__(
        self,
        pipe: PhotoPipeline,
        sitter: Sitter,
        expression: Expression,
        strength: float = 1.0,
        relative: bool = True,
        region: str = "all",
        smooth: float = 1.0,
        teeth: Sequence[tuple[ByteImage, FloatArray]] = (),
    ) -> None:
        wanted = focused(sitter, pipe.wanted(sitter, expression, relative), strength, region)
        sought = seek(sitter, wanted)
        self.change: FloatArray = sought.after - sought.before
        self._shut, self._gap = sought.shut, parted(sitter.face.landmarks)
        asked = min(expression.rest + sum(part.weight for part in expression.parts), 1.0)
        self._calm, self._calmed = sought.before, asked * min(strength, 1.0) * FELT * wanted.weight[:52]
        self._points = _steady(sitter.face, smooth)
        self._shapes = OneEuro(SLOWEST / smooth if smooth > 0 else np.inf, FASTER)
        self._mouth = _shown_best(sitter.mouth, teeth)
        moves = np.abs(np.stack([self.change, self._calmed])).max(0) * mask("mouth")[:52]
        self._speaks_anew = bool(moves.max() > MOVES)  # else what lies between the lips stays as it is
        self._in_front = InFront(worn(sitter))

    def follow(self, image: ByteImage, face: Face, seconds: float) -> Seen:
        """The next frame's face, seen at a time."""
        own = reading(face.blendshapes, face.landmarks)
        before = Solver(own, own, np.ones(57)).before
        landmarks = self._points(face.landmarks, seconds)
        found = self._in_front(image, landmarks, seconds)
        return Seen(seconds, landmarks, self._shapes(before, seconds), found)

    def draw(self, image: ByteImage, seen: Seen) -> ByteImage:
        """That frame [H, W, 3] uint8 with the expression; any thread may draw any frame."""
        mouth = Mouth(image, seen.landmarks, known=self._mouth)
        if not self._speaks_anew:
            mouth.parted = np.inf
        felt = self._calmed * np.maximum(seen.shapes - self._calm, 0)  # more than on the calm frame
        after = facelike(seen.shapes + self.change - felt, seen.shapes)
        # Lips close by as much as the calm ones do: those that speak still part.
        shut = self._shut * min((self._gap + SLIGHT) / (parted(seen.landmarks) + SLIGHT), 1.0)
        before = front(image, seen.landmarks, seen.found)
        return draw(image, seen.landmarks, seen.shapes, after, mouth, shut=shut, front=before).image


class Recast:
    """Another person's face for the person in a film, with what that one's face does.

    Args:
        identity: a photo of the other person. rest: of the film's person. calm: a calm frame of theirs. smooth: as for
            `Retouch`.
    """

    drawers = 1

    def __init__(self, identity: Sitter, rest: Rest, calm: Sitter, smooth: float = 1.0) -> None:
        zoom = LARGEST * float(eye_distance(calm.face.landmarks) / eye_distance(identity.face.landmarks))
        bare, self._lacks = uncovered(reduced(identity, zoom) if zoom < 1 else identity, calm)
        self._puppet = Puppet(bare, pose=False, smooth=smooth)
        self._puppet.rest(rest)
        self._points = _steady(calm.face, smooth)
        self._in_front = InFront(worn(calm))
        self._steady = Steady(film=True)

    def follow(self, image: ByteImage, face: Face, seconds: float) -> Seen:
        """See `Retouch.follow`."""
        landmarks = self._points(face.landmarks, seconds)
        shown = self._puppet.follow(face, seconds)
        found = self._in_front(image, landmarks, seconds)
        return Seen(seconds, landmarks, shown.after, found, shown.shut)

    def draw(self, image: ByteImage, seen: Seen) -> ByteImage:
        """That frame [H, W, 3] uint8 with the other face; frames are drawn in their order."""
        self._steady.frame(seen.seconds)
        identity = self._puppet.sitter
        sought = Sought(self._puppet.before, seen.shapes, seen.shut)
        put, theirs = identity.drawn(sought).image, identity.landmarks(sought)
        before_it = front(image, seen.landmarks, seen.found)
        return swap(
            image, seen.landmarks, put, theirs, front=before_it, lacks=self._lacks, steady=self._steady
        ).image
