"""A picture → its faces, by one of two backends that return the same `Face`: embedded or MediaPipe.

Embedded (ships with mien): detect, cut the crop the detection asks for, read its landmarks. If the canonical crop
they ask for is another one, cut that and read again. What the last reading says, moved back into the photo, is the
face. A detection the network does not believe in is dropped, and if none is left the next way of looking is tried
(``detect.ways``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.face import align, pose
from mien.face.detect import Detection, Way, quarter_turns, ways
from mien.face.landmarks import bounding_box
from mien.types import ByteImage, Face, FloatArray, InputError

BACKENDS = ("embedded", "mediapipe")
MIN_CONFIDENCE = 0.8  # 99% of held-out faces are believed in by more than 0.99
# What is believed in less may be a face upside down, of which beard and forehead pass for another.
SURE = 0.9999
TURNED = 0.9995  # what is found in a turned picture where something else was found before
PASSES = 2  # readings of a face, at most: the detection's crop, then the canonical crop
# A crop turned, scaled (log) and moved (sides) less than this from the canonical one is read as well as that.
NEARLY_CANONICAL = (3.0, 0.06, 0.02)
BATCH = 32  # crops that go through the network at once
TOGETHER = 16  # pictures held in memory at once
SAME_FACE = 0.35  # boxes whose centres are nearer than this share of the smaller one's side are one face


@dataclass(frozen=True)
class Reading:
    """What a network says of crops: `landmarks` [b, 478, 3] px of the crop, `blendshapes` [b, 52] in [0, 1],
    `pose` [b, 3] degrees as seen in the crop, `confidence` [b] in [0, 1].
    """

    landmarks: FloatArray
    blendshapes: FloatArray
    pose: FloatArray
    confidence: FloatArray


Reader = Callable[[ByteImage], Reading]  # crops [b, 128, 128, 3] uint8 RGB → Reading
Seeker = Callable[[Sequence[Image.Image]], Iterable[Way]]  # as `detect.ways`


def analyze(
    image: Image.Image | str | Path, backend: str = "embedded", min_confidence: float = MIN_CONFIDENCE
) -> list[Face]:
    """Every face in a picture, largest first; an empty list for none.

    Args:
        image: PIL picture, or the path of one.
        backend: "embedded", or "mediapipe" (needs the extra ``mien[mediapipe]`` and its model).
        min_confidence: faces the embedded network believes in less are left out, in [0, 1].

    Raises:
        InputError: the file cannot be read, the backend is unknown or not installed.
    """
    return next(analyze_many([image], backend, min_confidence))


def analyze_many(
    images: Iterable[Image.Image | str | Path],
    backend: str = "embedded",
    min_confidence: float = MIN_CONFIDENCE,
) -> Iterator[list[Face]]:
    """`analyze` for many pictures, in their order; crops of different pictures share a batch.

    Raises:
        InputError: as `analyze`, when that picture's turn comes.
    """
    if backend not in BACKENDS:
        raise InputError(f"There is no backend {backend!r}: choose {' or '.join(BACKENDS)}.")
    if backend == "mediapipe":
        from mien.face import mediapipe

        return (mediapipe.analyze(_open(image)) for image in images)
    return _embedded(images, min_confidence)


def read_faces(
    photos: Sequence[ByteImage], seen: Sequence[tuple[int, Detection]], reader: Reader, passes: int = PASSES
) -> list[tuple[int, Face]]:
    """Read every detection (index of its photo, detection) up to `passes` times, each time in the crop of the
    last landmarks; a crop that was nearly canonical is not read again.

    A reading whose landmarks ask for no sensible crop is left out. Nothing else is: look at ``confidence``.
    """
    matrices = [align.box_matrix(detection.box, detection.angle) for _, detection in seen]
    rows = list(range(len(seen)))
    found: dict[int, Face] = {}
    for number in range(passes):
        faces: dict[int, Face] = {}
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            crops = np.stack([align.warp(photos[seen[row][0]], matrices[row]) for row in chunk])
            reading = reader(crops)
            faces.update({row: _in_photo(reading, i, matrices[row]) for i, row in enumerate(chunk)})
        again = []
        for row in rows:
            following = _next_crop(faces[row].landmarks, matrices[row])
            if number < passes - 1 and following is None:
                continue
            if number == passes - 1 or following is None or _nearly(matrices[row], following):
                found[row] = faces[row]
                continue
            matrices[row] = following
            again.append(row)
        rows = again
    return [(seen[row][0], found[row]) for row in sorted(found)]


def find_faces(
    images: Sequence[Image.Image],
    seek: Seeker,
    reader: Reader,
    min_confidence: float = MIN_CONFIDENCE,
    turn: Seeker = lambda images: (),
) -> list[list[Face]]:
    """`analyze` with its two networks as arguments: for every picture its faces, largest first. `turn`: ways to look
    again where a face is not `SURE`; of faces in one place the surest stays."""
    photos = [np.asarray(image.convert("RGB")) for image in images]
    faces: list[list[Face]] = [[] for _ in images]

    def look(way: Way, which: list[int], least: float) -> None:
        looked = zip(which, way(which), strict=True)
        seen = [(index, detection) for index, detections in looked for detection in detections]
        for index, face in read_faces(photos, seen, reader):
            if face.confidence >= least:
                faces[index].append(face)

    waiting = list(range(len(images)))
    for way in seek(images):
        look(way, waiting, min_confidence)
        waiting = [index for index in waiting if not faces[index]]
        if not waiting:
            break
    doubtful = [i for i, found in enumerate(faces) if any(face.confidence < SURE for face in found)]
    for way in turn(images) if doubtful else ():
        look(way, doubtful, max(min_confidence, TURNED))
    return [_distinct(group) for group in faces]


def _in_photo(reading: Reading, i: int, matrix: FloatArray) -> Face:
    landmarks = align.transform_points(reading.landmarks[i], align.invert(matrix))
    yaw, pitch, roll = (float(v) for v in reading.pose[i])
    roll = 180 - (180 - roll + pose.tilt(matrix)) % 360  # in (-180, 180]
    return Face(
        box=bounding_box(landmarks),
        landmarks=landmarks,
        blendshapes=np.asarray(reading.blendshapes[i], np.float64),
        pose=np.array([yaw, pitch, roll]),
        confidence=float(reading.confidence[i]),
    )


def _next_crop(landmarks: FloatArray, matrix: FloatArray) -> FloatArray | None:
    """The canonical crop of `landmarks`, or None if it is far from the one they were read in: then it's no face."""
    if not np.isfinite(landmarks).all() or np.ptp(landmarks[list(align.ANCHORS), :2], axis=0).max() < 1e-3:
        return None
    following = align.crop_matrix(landmarks)
    zoom = np.sqrt(abs(np.linalg.det(following[:, :2]) / np.linalg.det(matrix[:, :2])))
    half = align.CROP_SIZE / 2
    middle = align.transform_points(np.array([[half, half]]), align.invert(following))
    moved = np.abs(align.transform_points(middle, matrix) - half).max() / align.CROP_SIZE
    return following if 1 / 3 < zoom < 3 and moved < 0.75 else None


def _nearly(matrix: FloatArray, canonical: FloatArray) -> bool:
    turn = abs(180 - (180 - pose.tilt(canonical) + pose.tilt(matrix)) % 360)
    zoom = abs(np.log(np.linalg.det(canonical[:, :2]) / np.linalg.det(matrix[:, :2]))) / 2
    middle = np.full((1, 2), align.CROP_SIZE / 2)
    back = align.transform_points(align.transform_points(middle, align.invert(matrix)), canonical)
    moved = np.abs(back - middle).max() / align.CROP_SIZE
    return bool(turn < NEARLY_CANONICAL[0] and zoom < NEARLY_CANONICAL[1] and moved < NEARLY_CANONICAL[2])


def _distinct(faces: list[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: f.confidence, reverse=True):
        if not any(_same(face, other) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda f: float(np.prod(f.box[2:] - f.box[:2])), reverse=True)


def _same(doubted: Face, other: Face) -> bool:
    """Whether a face is another, which is surer, read once more; by its middle alone if it is not `SURE` itself."""
    a, b = doubted.box, other.box
    middle = (a[:2] + a[2:]) / 2
    if doubted.confidence < SURE and (b[:2] < middle).all() and (middle < b[2:]).all():
        return True
    apart = np.hypot(*(middle - (b[:2] + b[2:]) / 2))
    return bool(apart < SAME_FACE * min((a[2:] - a[:2]).max(), (b[2:] - b[:2]).max()))


def _open(image: Image.Image | str | Path) -> Image.Image:
    from mien.images import read_image, to_rgb

    return to_rgb(image) if isinstance(image, Image.Image) else read_image(image)


def _embedded(images: Iterable[Image.Image | str | Path], min_confidence: float) -> Iterator[list[Face]]:
    from mien.face.detector import load_finder

    reader, find = load_reader(), load_finder().find
    seek, turn = partial(ways, find=find), partial(quarter_turns, find=find)
    queue = iter(images)
    while group := list(islice(queue, TOGETHER)):
        yield from find_faces([_open(image) for image in group], seek, reader, min_confidence, turn)


def read_again(image: Image.Image, face: Face) -> Face:
    """A face where another version of the picture showed `face`: read once, not looked for. See its ``confidence``."""
    matrix = align.crop_matrix(face.landmarks)
    crop = align.warp(np.asarray(image.convert("RGB")), matrix)
    return _in_photo(load_reader()(np.stack([crop])), 0, matrix)


class NetworkReader:
    """The analyser network as a `Reader`, from then on for nothing else. It runs where its weights are."""

    def __init__(self, network: Any) -> None:
        from mien.face.network import fold

        self.network = fold(network)

    def __call__(self, crops: ByteImage) -> Reading:
        import torch

        device = next(self.network.parameters()).device
        x = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            out = self.network(x)
        numbers = {key: value.float().cpu().numpy().astype(np.float64) for key, value in out.items()}
        return Reading(
            landmarks=numbers["landmarks"],
            blendshapes=numbers["blendshapes"].clip(0, 1),
            pose=numbers["pose"],
            confidence=1 / (1 + np.exp(-numbers["confidence"].clip(-50, 50))),
        )


@lru_cache(maxsize=1)
def load_reader() -> NetworkReader:
    """The shipped analyser, checked and loaded once.

    Raises:
        InputError: its weights are missing or damaged.
    """
    from mien import weights
    from mien.face.network import halve, load_analyser

    reader = NetworkReader(load_analyser(weights.path("analyser")))
    halve(reader.network)
    return reader
