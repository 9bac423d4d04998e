"""Whose face in a film is meant, and what it shows at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mien.face.landmarks import eye_distance
from mien.face.track import Tracker
from mien.making.ahead import ahead
from mien.making.footage import Footage
from mien.making.telling import Tell
from mien.metrics.scoring import load_scorer
from mien.pipelines.inputs import FaceChoice, choose_face
from mien.pipelines.photo_film import Rest, rest_of
from mien.types import ByteImage, Face, FloatArray, InputError
from mien.warping.shapes import MOST_TURN
from mien.warping.target import expressed, reading

WIDEST = 4  # frames with the mouth open, in which teeth are looked for


class Chooser:
    """The face that is meant among those of the first frame that shows any; tells if it had to choose."""

    def __init__(self, which: FaceChoice, name: str, tell: Tell) -> None:
        self.which, self.name, self._tell = which, name, tell
        self._told = False

    def __call__(self, faces: Sequence[Face]) -> Face | None:
        if self.which == "largest":
            if len(faces) > 1 and not self._told:
                self._told = True
                self._tell(
                    f"{self.name} shows {len(faces)} faces, the largest is followed: --face left, right or N chooses."
                )
            return faces[0]
        if isinstance(self.which, int) and self.which >= len(faces):
            return None  # may still come
        return choose_face(faces, self.which, self.name)


def follow(choose: Chooser) -> Tracker:
    """Follows one person through a film, whoever crosses their way."""
    recognise = load_scorer().recognise

    def vector(frame: ByteImage, face: Face) -> FloatArray:
        return np.asarray(recognise(Image.fromarray(frame), face).numpy(), np.float64)

    return Tracker(choose, vector)


@dataclass(frozen=True)
class Resting:
    """A film's person: their rest; face: their calmest that looks ahead, image: its frame [H, W, 3] uint8; widest:
    frames in which their lips are farthest apart, and the landmarks [478, 3] px of each."""

    rest: Rest
    face: Face
    image: ByteImage
    widest: list[tuple[ByteImage, FloatArray]]


def resting(footage: Footage, choose: Chooser) -> Resting:
    """The rest of a film's person, estimated from frames of all of it.

    Raises:
        InputError: no face is found in them.
    """
    faces: list[Face] = []
    track = follow(choose)
    best: tuple[float, Face, ByteImage] | None = None
    widest: list[tuple[float, ByteImage, FloatArray]] = []
    for shot in ahead(footage.sampled(), 2):
        face = track(shot.image)
        if face is not None:
            faces.append(face)
            moving = float(np.abs(expressed(reading(face.blendshapes, face.landmarks))[:52]).sum())
            moving += float(np.abs(face.pose[:2]).sum()) / MOST_TURN
            if best is None or moving < best[0]:
                best = moving, face, shot.image
            gap = float(
                np.linalg.norm(face.landmarks[14] - face.landmarks[13]) / eye_distance(face.landmarks)
            )
            widest = sorted([*widest, (gap, shot.image, face.landmarks)], key=lambda one: -one[0])[:WIDEST]
    if best is None:
        raise InputError(
            f"{footage.name}: no face was found in any of {footage.count or 'its'} frames: use a film in which a face "
            "is large and well lit"
        )
    return Resting(rest_of(faces), *best[1:], [one[1:] for one in widest])
