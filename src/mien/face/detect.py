"""Where faces are in a picture: our small network on an image pyramid, and dlib's HOG where it finds nothing.

The learned detector (``mien.face.detector``) looks at copies of the picture, each half the size of the one
before; on one of them a face is 20 to 64 px wide. Where it finds nothing, more is tried, in order: dlib's
frontal HOG detector, a finer copy (small faces), quarter turns (a photo without its EXIF orientation), a
lower threshold. dlib is imported only then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from mien.types import ByteImage, FloatArray

COARSE, FINE = 640, 1600  # longest sides at which a picture is searched
SMALLEST = 40  # longest side of the last copy
SMALLEST_FACE = 18  # px of the picture: less shows nothing, however it is enlarged
BORDER = 24  # px of edge pixels repeated around each copy, for faces that reach the edge
# On held-out pictures 99.5% of the faces score above 0.6 and nine false alarms in ten below 0.55.
THRESHOLD, TURNED_THRESHOLD, LAST_RESORT = 0.55, 0.6, 0.4
SAME_FACE = 0.4  # two detections whose centres are nearer than this share of the smaller one's side are one

# dlib's box → the canonical crop, measured on whole portraits: side as a share of the box's, shift of the
# centre downwards as a share of the box's side. dlib's score → ours.
HOG_SIDE, HOG_DOWN = 1.1, 0.0


@dataclass(frozen=True)
class Detection:
    """A face somewhere in a picture.

    Attributes:
        box: [4] x0, y0, x1, y1 px of the picture: a square around the face's centre with the side of the
            canonical crop. ``align.box_matrix(box, angle)`` is about that crop.
        score: how sure the detector is, in [0, 1].
        angle: clockwise tilt of the head, degrees in (-180, 180].
    """

    box: FloatArray
    score: float
    angle: float

    @property
    def side(self) -> float:
        return float(self.box[2] - self.box[0])

    @property
    def centre(self) -> FloatArray:
        return (self.box[:2] + self.box[2:]) / 2


# `find(pixels, threshold)`: faces of 20 to 64 px in [H, W, 3] uint8 with a higher score than `threshold`.
Finder = Callable[[ByteImage, float], list[Detection]]


def detect(image: Image.Image) -> list[Detection]:
    """All faces in a PIL RGB picture, largest first; an empty list for none."""
    return next((found for found in attempts(image, load_finder().find) if found), [])


def attempts(image: Image.Image, find: Finder) -> Iterator[list[Detection]]:
    """What each way of looking finds, the quickest and surest way first; every list is largest first.

    A caller that can tell a face from a mistake takes the next one while it wants to; nothing is computed
    before. `find(pixels, threshold)` finds faces of 20 to 64 px, as ``NetworkFinder.find`` does.
    """
    picture = image.convert("RGB")

    def pyramid(picture: Image.Image, longest: int, threshold: float) -> list[Detection]:
        return unique(
            _scaled(detection, 1 / scale)
            for copy, scale in copies(picture, longest)
            for detection in find(copy, threshold)
        )

    yield pyramid(picture, COARSE, THRESHOLD)
    yield hog(picture)
    if max(picture.size) > COARSE:
        yield pyramid(picture, FINE, THRESHOLD)
    for quarter, how in _QUARTERS.items():
        turned = picture.transpose(how)
        yield [_turned_back(d, quarter, turned.size) for d in pyramid(turned, COARSE, TURNED_THRESHOLD)]
    yield pyramid(picture, COARSE, LAST_RESORT)


def copies(picture: Image.Image, longest: int) -> Iterable[tuple[ByteImage, float]]:
    """The picture at `longest` px (never enlarged) and at halves of that: (pixels [H, W, 3], its scale)."""
    scale = min(1.0, longest / max(picture.size))
    if max(picture.size) < 2 * SMALLEST:
        scale = 2 * SMALLEST / max(picture.size)
    while True:
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
        picture_now = picture.resize((size[0], size[1]), method, reducing_gap=2.0 if scale < 0.5 else None)
        yield np.asarray(picture_now), scale
        if max(size) / 2 < SMALLEST:
            return
        scale /= 2


def unique(found: Iterable[Detection]) -> list[Detection]:
    """Of detections that share a face the surest one (greedy suppression), largest first; none under 18 px."""
    kept: list[Detection] = []
    for detection in sorted(found, key=lambda d: d.score, reverse=True):
        if detection.side < SMALLEST_FACE:
            continue
        apart = [math.dist(detection.centre, other.centre) for other in kept]
        limits = [SAME_FACE * _reach(detection.side, other.side) for other in kept]
        if all(a >= limit for a, limit in zip(apart, limits, strict=True)):
            kept.append(detection)
    return sorted(kept, key=lambda d: d.side, reverse=True)


def _reach(side: float, other: float) -> float:
    # A small detection inside a face (an eye, a mouth) goes; a small face beside a large one stays.
    return min(side, other) if max(side, other) < 2 * min(side, other) else 0.8 * max(side, other)


class NetworkFinder:
    """The loaded detector network, as a function of pixels."""

    def __init__(self, network: Any) -> None:
        self.network = network.eval().requires_grad_(False)

    def find(self, pixels: ByteImage, threshold: float) -> list[Detection]:
        """Faces of 20 to 64 px in [H, W, 3] uint8 with a score above `threshold`."""
        import torch
        from torch.nn import functional

        from mien.face.detector import MAX_SIZE, MIN_SIZE, STRIDE

        height, width = pixels.shape[:2]
        below, right = (-(side + 2 * BORDER) % STRIDE + BORDER for side in (height, width))
        framed = np.pad(pixels, ((BORDER, below), (BORDER, right), (0, 0)), mode="edge")
        x = torch.from_numpy(framed).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            out = self.network(x)
            score = torch.sigmoid(out["score"])
            peak = (score == functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0]) & (score > threshold)
            _, rows, columns = torch.nonzero(peak, as_tuple=True)
            scores = score[0, rows, columns].tolist()
            centres = (out["centre"][0, :, rows, columns].T - BORDER).tolist()
            sides = out["size"][0, rows, columns].tolist()
            angles = torch.rad2deg(torch.atan2(*out["angle"][0, :, rows, columns].flip(0))).tolist()
        return [
            make(x, y, side, angle, score)
            for score, (x, y), side, angle in zip(scores, centres, sides, angles, strict=True)
            if MIN_SIZE * 0.8 <= side <= MAX_SIZE * 1.4 and 0 <= x <= width and 0 <= y <= height
        ]


@lru_cache(maxsize=1)
def load_finder() -> NetworkFinder:
    """The shipped detector, checked and loaded once.

    Raises:
        InputError: its weights are missing or damaged.
    """
    from mien import weights
    from mien.face.detector import DetectorNet
    from mien.face.network import read_network

    config, tensors = read_network(weights.path("detector"))
    network = DetectorNet(**config)
    network.load_state_dict(tensors)
    return NetworkFinder(network)


def hog(image: Image.Image) -> list[Detection]:
    """dlib's frontal detector (Dalal and Triggs 2005; five HOG filters), on a copy of at most 800 px,
    enlarged twice.
    """
    scale = min(1.0, 800 / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = np.asarray(image.resize(size, Image.Resampling.BOX) if scale < 1 else image)
    boxes, scores, _ = _hog_detector().run(np.ascontiguousarray(small), 1, 0.0)
    found = []
    for box, score in zip(boxes, scores, strict=True):
        side = box.width() / scale
        x, y = (box.left() + box.right() + 1) / 2 / scale, (box.top() + box.bottom() + 1) / 2 / scale
        found.append(make(x, y + HOG_DOWN * side, HOG_SIDE * side, 0.0, 1 / (1 + math.exp(-score))))
    return unique(found)


@lru_cache(maxsize=1)
def _hog_detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()


def make(x: float, y: float, side: float, angle: float, score: float) -> Detection:
    """A `Detection` from its centre and side in px."""
    half = side / 2
    return Detection(np.array([x - half, y - half, x + half, y + half]), float(score), float(angle))


_QUARTERS = {1: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180}


def _turned_back(detection: Detection, quarter: int, size: tuple[int, int]) -> Detection:
    """`detection` in a picture turned anticlockwise by `quarter` quarter turns (now of `size`), in the one
    before.
    """
    x, y = detection.centre
    for _ in range(quarter):  # one quarter turn clockwise
        x, y, size = size[1] - y, x, (size[1], size[0])
    angle = 180 - (180 - detection.angle - 90 * quarter) % 360
    return make(x, y, detection.side, angle, detection.score)


def _scaled(detection: Detection, scale: float) -> Detection:
    return replace(detection, box=detection.box * scale)
