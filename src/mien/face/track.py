"""One face through the frames of a film: found once, then read where it was in the frame before.

Where the reading is believed, no detector runs. A face that is lost is looked for again in every frame, by the
quickest way of looking alone. Two faces that cross look alike to all this, so a recogniser is asked now and then who is
followed, and looks for the right one if it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from PIL import Image

from mien.face import align, pose
from mien.face.analyze import MIN_CONFIDENCE, find_faces, load_reader, read_faces
from mien.face.detect import Detection, ways
from mien.face.finder import load_finder
from mien.types import ByteImage, Face, FloatArray

PATIENCE = 45  # frames in which a lost face is waited for near to where it was
NEAR = 1.5  # sides of the face: how far from there it may come back
EVERY = 8  # frames, of which in one it is asked who is followed
MOVED = 0.1  # sides that a face moves from one frame to the next, from which it is asked at once
LEARNED = 3  # looks at a face from which it is known
SAME, OTHER = 0.35, 0.6  # distances of vectors: up to this it is the person; from this on it is not
JUMP = 0.5, 0.4  # sides that a face moves from one frame to the next at most, and the logarithm it grows by


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

    def __call__(self, frame: ByteImage) -> Face | None:
        """The face in the next frame [H, W, 3] uint8 RGB; None: it is not there."""
        face = None
        if self._last is not None and not self._missed:
            found = read_faces([frame], [(0, _where(self._last))], self._reader)
            sure = [one for _, one in found if one.confidence >= MIN_CONFIDENCE and self._continues(one)]
            face = sure[0] if sure else None
        self._frames += 1
        if face is None:
            face = self._look(frame)
        elif self._recognise is not None and self._doubtful(face) and self._strange(frame, face) > SAME:
            face = self._look(frame, face)
        self._missed = 0 if face is not None else self._missed + 1
        self._last = face or (self._last if self._missed <= PATIENCE else None)
        return face

    def _look(self, frame: ByteImage, followed: Face | None = None) -> Face | None:
        picture = Image.fromarray(frame)
        (faces,) = find_faces(
            [picture], lambda images: islice(ways(images, self._finder.find), 1), self._reader
        )
        if self._known:
            strange = [
                (self._strange(frame, face), face) for face in [*faces, *([followed] if followed else [])]
            ]
            far, nearest = min(strange, key=lambda one: one[0], default=(OTHER, None))
            return nearest if far < OTHER else None
        if self._last is None:
            face = self._choose(faces) if faces else None
            if face is not None and self._recognise is not None:
                self._strange(frame, face)
            return face
        apart = [_apart(self._last, face)[0] for face in faces]
        return faces[int(np.argmin(apart))] if faces and min(apart) < NEAR else None

    def _doubtful(self, face: Face) -> bool:
        assert self._last is not None
        return self._frames % EVERY == 0 or _apart(self._last, face)[0] > MOVED

    def _strange(self, frame: ByteImage, face: Face) -> float:
        """How far a face is from the one that is followed, which is learned from what is near to it."""
        assert self._recognise is not None
        vector = self._recognise(frame, face)
        far = min((float(np.linalg.norm(vector - one)) for one in self._known), default=0.0)
        if len(self._known) < LEARNED:
            self._known.append(vector)
        elif far < SAME:
            self._known[LEARNED:] = [vector]
        return far

    def _continues(self, face: Face) -> bool:
        assert self._last is not None
        moved, grown = _apart(self._last, face)
        return moved < JUMP[0] and grown < JUMP[1]


def _where(face: Face) -> Detection:
    matrix = align.crop_matrix(face.landmarks)
    half = align.CROP_SIZE / 2
    (middle,) = align.transform_points(np.array([[half, half]]), align.invert(matrix))
    reach = half / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return Detection(np.r_[middle - reach, middle + reach], face.confidence, -pose.tilt(matrix))


def _apart(a: Face, b: Face) -> tuple[float, float]:
    """How far two faces lie apart, in sides of the first, and the logarithm of their sizes' ratio."""
    first, second = (float((face.box[2:] - face.box[:2]).max()) for face in (a, b))
    middle = (b.box[:2] + b.box[2:] - a.box[:2] - a.box[2:]) / 2
    return float(np.hypot(*middle)) / max(first, 1e-6), abs(
        float(np.log(max(second, 1e-6) / max(first, 1e-6)))
    )
