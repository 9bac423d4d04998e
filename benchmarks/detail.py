"""Expression detail: what a reference shows and 57 numbers do not say, by frames of films.

Of a film some frames are chosen, all of one person. A method is given one of them as reference, with somebody else's
identity; the mouth and eyes of what it draws are then compared with those of *all* the chosen frames, by histograms of
oriented gradients (Dalal & Triggs 2005) of crops that MediaPipe's landmarks align. Nothing of it was trained here. The
person of the film gives no hint, since every candidate shows them, nor does the one who is drawn, who is the same for
all frames of a film. Two questions:

- *found*: is the frame that was the reference the nearest one? By chance 1 of the frames' number.
- *told apart*: of the reference and the frame that is nearest to it in what 57 numbers say (Exp + LMS) but farthest in
  its gradients, is the reference nearer? By chance a half, and whoever hears the 57 numbers alone is not much above it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.photo_scenes import members
from mien.face.align import crop_matrix, warp
from mien.metrics.face import exp, lms
from mien.metrics.scoring import Scorer
from mien.types import Face, FloatArray

LOOKED_AT, CHOSEN = 40, 8  # frames of a film: evenly spaced, and of those the most unlike in expression
SIDE = 256  # px of the aligned crop
REGIONS = (
    (28, 36, 128, 116),
    (128, 36, 228, 116),
    (64, 140, 192, 236),
)  # x0, y0, x1, y1: eyes with brows, mouth
ALIKE = 3  # of a frame's nearest in numbers, the one least alike in gradients is told apart from it


@dataclass(frozen=True)
class Frame:
    """A frame of a film: its picture, the face in it and the gradients of its eyes and mouth."""

    film: str
    image: Image.Image
    face: Face
    gradients: FloatArray


def frames(scorer: Scorer, archives: Sequence[str] = ("mead", "driving")) -> list[Frame]:
    """The chosen frames of all films of the archives beside the project; a film with too few faces is left out."""
    found = []
    for name, images in _films(archives):
        seen = [(image, faces[0]) for image in images if (faces := scorer.analyse(image))]
        if len(seen) < CHOSEN:
            continue
        for i in _unlike(np.array([face.blendshapes for _, face in seen]), CHOSEN):
            image, face = seen[i]
            found.append(Frame(name, image, face, gradients(image, face)))
    return found


def gradients(image: Image.Image, face: Face) -> FloatArray:
    """Histograms of oriented gradients of eyes and mouth, each region of unit length: [d]."""
    crop = warp(np.asarray(image.convert("RGB")), crop_matrix(face.landmarks, SIDE), SIDE)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    parts = []
    for x0, y0, x1, y1 in REGIONS:
        part = cv2.resize(grey[y0:y1, x0:x1], (64, 48), interpolation=cv2.INTER_AREA)
        hog = cv2.HOGDescriptor((64, 48), (16, 16), (8, 8), (8, 8), 9).compute(part)
        found: FloatArray = np.asarray(hog, np.float64).ravel()
        parts.append(found / max(float(np.linalg.norm(found)), 1e-9))
    return np.concatenate(parts)


def rivals(every: Sequence[Frame]) -> list[int]:
    """Of each frame the one it is to be told apart from: of its film's `ALIKE` nearest in Exp and LMS, in their paper's
    limits as units, the one whose gradients are farthest."""
    chosen = []
    for i, frame in enumerate(every):
        others = [k for k, other in enumerate(every) if other.film == frame.film and k != i]
        near = sorted(
            others,
            key=lambda k: float(
                exp(frame.face.blendshapes, every[k].face.blendshapes) / 0.05
                + lms(frame.face.landmarks, every[k].face.landmarks) / 0.18
            ),
        )[:ALIKE]
        chosen.append(max(near, key=lambda k: float(np.linalg.norm(frame.gradients - every[k].gradients))))
    return chosen


def judge(
    every: Sequence[Frame], apart: Sequence[int], seen: Sequence[FloatArray | None]
) -> tuple[FloatArray, FloatArray]:
    """(found [n], told apart [n]) of results by the gradients seen in them, each 0 or 1; nan where none were.

    All results of a film must be of one person: what these have in common is taken out, as is what its frames have, so
    that looks do not count. Alike is the cosine of what is left.
    """
    found, told = np.full(len(every), np.nan), np.full(len(every), np.nan)
    for film in dict.fromkeys(frame.film for frame in every):
        rows = [i for i, frame in enumerate(every) if frame.film == film]
        theirs = _directions([every[i].gradients for i in rows])
        there = [i for i in rows if seen[i] is not None]
        ours = _directions([vector for i in there if (vector := seen[i]) is not None])
        for i, direction in zip(there, ours, strict=True):
            alike = dict(zip(rows, theirs @ direction, strict=True))
            found[i] = max(alike, key=alike.__getitem__) == i
            told[i] = alike[i] > alike[apart[i]]
    return found, told


def _directions(vectors: Sequence[FloatArray]) -> FloatArray:
    """[n, d] less their mean, of unit length."""
    if not vectors:
        return np.zeros((0, 1))
    away = np.array(vectors) - np.mean(vectors, axis=0)
    return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)


def _films(archives: Sequence[str]) -> Iterator[tuple[str, list[Image.Image]]]:
    for archive in archives:
        for name, data in members(archive, ".mp4"):
            with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
                file.write(data)
                file.flush()
                film = cv2.VideoCapture(file.name)
                count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
                wanted = set(np.linspace(0, count - 1, min(LOOKED_AT, count)).round().astype(int).tolist())
                images = []
                for number in range(count):
                    there, frame = film.read()
                    if there and number in wanted:
                        images.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
                film.release()
            yield Path(name).stem, images


def _unlike(blendshapes: FloatArray, count: int) -> list[int]:
    """Farthest-point sampling (Gonzalez 1985) of [n, 52], from the one farthest from the mean."""
    chosen = [int(np.abs(blendshapes - blendshapes.mean(0)).mean(1).argmax())]
    while len(chosen) < count:
        nearest = np.min([exp(blendshapes[k], blendshapes) for k in chosen], axis=0)
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)
