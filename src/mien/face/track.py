"""One face through the frames of a film: found once, then read where it was in the frame before.

Where the reading is believed, no detector runs. A face that is lost is looked for again in every frame, by the
quickest way of looking alone. Two faces that cross look alike to all this, so a recogniser is asked now and then who is
followed, and looks for the right one if it is not. People whom it finds alike are told apart by their way: while two
faces meet, the one that is followed is expected where its speed takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from PIL import Image

from mien.face import align, pose
from mien.face.analyze import MIN_CONFIDENCE, find_faces, load_reader, read_faces
from mien.face.detect import Detection, ways
from mien.face.detector import load_finder
from mien.types import ByteImage, Face, FloatArray

PATIENCE = 45  # frames in which a lost face is waited for near to where it was
NEAR = 1.5  # sides of the face: how far from there it may come back
EVERY = 8  # frames, of which in one it is asked who is followed, or others are looked at if there are any
ROUND = 120  # frames, of which in one it is looked whether somebody has come
MOVED = 0.1  # sides that a face moves from one frame to the next, from which it is asked at once
LEARNED = 3  # looks at a face from which it is known
SAME, OTHER = 0.35, 0.6  # distances of vectors: up to this it is the person; from this on it is not
JUMP = 0.5, 0.4  # sides that a face moves from one frame to the next at most, and the logarithm it grows by
# Sides between two faces: nearer, they are watched; nearer, one may hide the other.
BESIDE, MEETING = 1.6, 0.8
# Distance of vectors that a side off the way counts as, two at most; after one hid the other.
ASTRAY, MET = 0.15, 0.5
STEADY = 0.2  # share of the newest motion in the speed


class Tracker:
    """A face in the frames of a film, in their order.

    Args:
        choose: of the faces of the first frame that shows any, largest first, the one that is meant (None: none yet).
        recognise: frame and face → the embedded recogniser's vector; the person stays the same, wherever they go. None:
            whoever goes on where the face was.
    """

    def __init__(
        self,
        choose: Callable[[Sequence[Face]], Face | None] = lambda faces: faces[0],
        recognise: Callable[[ByteImage, Face], FloatArray] | None = None,
    ) -> None:
        self._choose, self._recognise = choose, recognise
        self._reader, self._finder = load_reader(), load_finder()
        self._last: Face | None = None
        self._missed = self._frames = 0
        self._known: list[FloatArray] = []  # vectors of the person's face: the first looks, and the last
        self._box: FloatArray = np.zeros(4)  # where the face is expected
        self._speed = np.zeros(2)  # px a frame
        self._apart = np.inf  # sides to the nearest other face, at the last look at both,
        self._closing, self._looked = 0.0, 0  # how much less that becomes in a frame, and which frame it was
        self._hidden = 0  # frames since then, of two that meet

    def __call__(self, frame: ByteImage) -> Face | None:
        """The face in the next frame [H, W, 3] uint8 RGB; None: it is not there."""
        face = None
        self._frames += 1
        if self._last is not None and not self._missed and not self._meeting:
            found = read_faces([frame], [(0, _where(self._last))], self._reader)
            sure = [one for _, one in found if one.confidence >= MIN_CONFIDENCE and self._continues(one)]
            face = sure[0] if sure else None
        if face is None or self._due():
            face = self._look(frame, face)
        elif self._recognise is not None and self._doubtful(face):
            vector = self._recognise(frame, face)
            if self._strange(vector) > SAME:
                face = self._look(frame, face)
            elif not self._beside:
                self._learn(vector)
        self._follow(face)
        return face

    def _follow(self, face: Face | None) -> None:
        """Expect it where it goes on to; of two that are near each other, one hides the other and its way."""
        if face is not None and not self._hidden:
            if self._last is not None and not self._beside:
                self._speed = self._speed + STEADY * (
                    _middle(face.box) - _middle(self._last.box) - self._speed
                )
            self._box = face.box
        self._box = self._box + np.tile(self._speed, 2)
        self._missed = 0 if face is not None else self._missed + 1
        self._last = face or (self._last if self._missed <= PATIENCE else None)

    @property
    def _now_apart(self) -> float:
        return self._apart - self._closing * (self._frames - self._looked)

    @property
    def _beside(self) -> bool:
        return self._hidden > 0 or self._now_apart < BESIDE

    @property
    def _meeting(self) -> bool:
        return self._hidden > 0 or self._now_apart < MEETING

    def _due(self) -> bool:
        """Whether all faces are to be looked at, not the followed one alone."""
        every = 2 if self._beside else EVERY if self._apart < np.inf else ROUND
        return self._recognise is not None and self._frames % every == 0

    def _look(self, frame: ByteImage, followed: Face | None = None) -> Face | None:
        picture = Image.fromarray(frame)
        (faces,) = find_faces(
            [picture], lambda images: islice(ways(images, self._finder.find), 1), self._reader
        )
        if followed is not None and not any(_apart(followed.box, one.box)[0] < MEETING / 2 for one in faces):
            faces.append(followed)
        face = self._pick(frame, faces)
        others = [_apart(face.box, one.box)[0] for one in faces if one is not face] if face else []
        met = self._beside and not others and self._hidden < PATIENCE
        self._hidden = self._hidden + 1 if met else 0
        if not self._hidden:
            self._near(min(others, default=np.inf))
        return face

    def _near(self, apart: float) -> None:
        known = max(apart, self._apart) < np.inf
        self._closing = (self._apart - apart) / max(self._frames - self._looked, 1) if known else 0.0
        self._apart, self._looked = apart, self._frames

    def _pick(self, frame: ByteImage, faces: list[Face]) -> Face | None:
        """The face that is followed."""
        if self._last is None and not self._known:
            face = self._choose(faces) if faces else None
            if face is not None and self._recognise is not None:
                self._learn(self._recognise(frame, face))
            return face
        off = [_apart(self._box, face.box)[0] for face in faces]
        if self._recognise is None:
            return faces[int(np.argmin(off))] if faces and min(off) < NEAR else None
        vectors = [self._recognise(frame, face) for face in faces]
        strange = np.array([self._strange(vector) for vector in vectors])
        if self._beside and len(faces) == 1 and off[0] > JUMP[0]:
            return None  # the other's
        astray = np.minimum(off, 2.0) * (0.0 if self._last is None else MET if self._hidden else ASTRAY)
        costs = np.where(strange < OTHER, strange + astray, np.inf)
        if not np.isfinite(costs).any():
            return None
        best = int(np.argmin(costs))
        if not self._beside and strange[best] < SAME:
            self._learn(vectors[best])
        return faces[best]

    def _doubtful(self, face: Face) -> bool:
        return self._frames % EVERY == 0 or _apart(self._box, face.box)[0] > MOVED

    def _strange(self, vector: FloatArray) -> float:
        """How far a face's vector is from those of the one that is followed."""
        return min((float(np.linalg.norm(vector - one)) for one in self._known), default=0.0)

    def _learn(self, vector: FloatArray) -> None:
        self._known[LEARNED if len(self._known) >= LEARNED else len(self._known) :] = [vector]

    def _continues(self, face: Face) -> bool:
        moved, grown = _apart(self._box, face.box)
        return moved < JUMP[0] and grown < JUMP[1]


def _where(face: Face) -> Detection:
    matrix = align.crop_matrix(face.landmarks)
    half = align.CROP_SIZE / 2
    (middle,) = align.transform_points(np.array([[half, half]]), align.invert(matrix))
    reach = half / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return Detection(np.r_[middle - reach, middle + reach], face.confidence, -pose.tilt(matrix))


def _middle(box: FloatArray) -> FloatArray:
    return (box[:2] + box[2:]) / 2


def _apart(a: FloatArray, b: FloatArray) -> tuple[float, float]:
    """How far two boxes [4] px lie apart, in sides of the first, and the logarithm of their sizes' ratio."""
    first, second = (max(float((box[2:] - box[:2]).max()), 1e-6) for box in (a, b))
    return float(np.hypot(*(_middle(b) - _middle(a)))) / first, abs(float(np.log(second / first)))
