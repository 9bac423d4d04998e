"""Where faces are in a picture: our small network on an image pyramid, and dlib's HOG where it finds nothing.

The learned detector (``mien.face.detector``) looks at copies of the picture, each twice the size of the one before; on
one of them a face is 20 to 64 px wide. Finer copies are left out once a face fills the picture. Where nothing is found,
more is tried, in order: the copies that were left out, dlib's frontal HOG detector, a finer copy (small faces), quarter
turns (a photo without its EXIF orientation), a lower threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from mien.types import ByteImage, FloatArray

COARSE, FINE = 640, 1600  # longest sides at which a picture is searched
SMALLEST = 40  # longest side of the last copy
MIN_FACE, MAX_FACE = 20.0, 64.0  # px of a copy: what the network sees (`detector.MIN_SIZE`, `MAX_SIZE`)
SMALLEST_FACE = 18  # px of the picture: less shows nothing, however it is enlarged
BORDER = 24  # px of edge pixels repeated around each copy, for faces that reach the edge
# On held-out pictures 99.5% of the faces score above 0.6 and nine false alarms in ten below 0.55.
THRESHOLD, TURNED_THRESHOLD, LAST_RESORT = 0.55, 0.6, 0.4
ROOM = 0.75  # a strip beside a face narrower than this share of the smallest face has no room for another
SAME_FACE = 0.4  # two detections whose centres are nearer than this share of the smaller one's side are one

# dlib's box → the canonical crop, measured on whole portraits: side as a share of the box's, shift of the
# centre downwards as a share of the box's side. dlib's score → ours.
HOG_SIDE, HOG_DOWN = 1.1, 0.0


@dataclass(frozen=True)
class Detection:
    """A face somewhere in a picture. box: [4] x0, y0, x1, y1 px of the picture: a square around the face's centre with
    the side of the canonical crop, which ``align.box_matrix(box, angle)`` about is. score: how sure the detector is, in
    [0, 1]. angle: clockwise tilt of the head, degrees in (-180, 180]."""

    box: FloatArray
    score: float
    angle: float

    @property
    def side(self) -> float:
        return float(self.box[2] - self.box[0])

    @property
    def centre(self) -> FloatArray:
        return (self.box[:2] + self.box[2:]) / 2


# `find(pictures, threshold)`: for each of some [H, W, 3] uint8 its faces of 20 to 64 px with a higher score.
Finder = Callable[[Sequence[ByteImage], float], list[list[Detection]]]
# One way of looking: numbers of pictures → the detections in each, largest first.
Way = Callable[[Sequence[int]], list[list[Detection]]]


def ways(images: Sequence[Image.Image], find: Finder) -> Iterator[Way]:
    """The ways of looking for faces in some pictures, the quickest and surest first. A caller that can tell a face from
    a mistake takes the next way for the pictures it wants more of; nothing is computed before. `find` finds faces of 20
    to 64 px, as ``detector.NetworkFinder.find`` does."""
    pictures = [image.convert("RGB") for image in images]
    left_out: set[int] = set()

    def search(quick: bool, longest: int, threshold: float) -> Way:
        def way(which: Sequence[int]) -> list[list[Detection]]:
            found, short = pyramid([pictures[i] for i in which], find, longest, threshold, quick)
            left_out.update(i for i, less in zip(which, short, strict=True) if less)
            return found

        return way

    def only(way: Way, wanted: Callable[[int], bool]) -> Way:
        def some(which: Sequence[int]) -> list[list[Detection]]:
            chosen = [i for i in which if wanted(i)]
            found = dict(zip(chosen, way(chosen), strict=True))
            return [found.get(i, []) for i in which]

        return some

    yield search(True, COARSE, THRESHOLD)
    yield only(search(False, COARSE, THRESHOLD), left_out.__contains__)
    yield lambda which: [hog(pictures[i]) for i in which]
    yield only(search(False, FINE, THRESHOLD), lambda i: max(pictures[i].size) > COARSE)
    yield from quarter_turns(pictures, find)
    yield search(False, COARSE, LAST_RESORT)


def quarter_turns(images: Sequence[Image.Image], find: Finder) -> Iterator[Way]:
    """The ways that look at pictures turned by a quarter, three quarters and a half; arguments as of `ways`."""
    pictures = [image.convert("RGB") for image in images]

    def turned(quarter: int, how: Image.Transpose) -> Way:
        def way(which: Sequence[int]) -> list[list[Detection]]:
            copies = [pictures[i].transpose(how) for i in which]
            found, _ = pyramid(copies, find, COARSE, TURNED_THRESHOLD)
            return [
                [_turned_back(d, quarter, copy.size) for d in group]
                for copy, group in zip(copies, found, strict=True)
            ]

        return way

    for quarter, how in _QUARTERS.items():
        yield turned(quarter, how)


def pyramid(
    pictures: Sequence[Image.Image], find: Finder, longest: int, threshold: float, quick: bool = False
) -> tuple[list[list[Detection]], list[bool]]:
    """What `find` finds in copies of RGB pictures, the smallest copy first: for every picture its detections, largest
    first; and whether finer copies were left out because a face fills the picture (only if `quick`).
    """
    steps = [scales(picture.size, longest)[::-1] for picture in pictures]
    found: list[list[Detection]] = [[] for _ in pictures]
    short = [False for _ in pictures]
    for level in range(max((len(step) for step in steps), default=0)):
        now = [i for i, step in enumerate(steps) if level < len(step) and not short[i]]
        if quick:
            full = [i for i in now if not _has_room(pictures[i].size, found[i], MIN_FACE / steps[i][level])]
            for i in full:
                short[i] = True
            now = [i for i in now if not short[i]]
        for i, group in zip(
            now, find([copy(pictures[i], steps[i][level]) for i in now], threshold), strict=True
        ):
            found[i] += [replace(one, box=one.box * (1 / steps[i][level])) for one in group]
    return [unique(group) for group in found], short


def _has_room(size: tuple[int, int], found: list[Detection], smallest: float) -> bool:
    """Is there a strip beside the largest face in which another one, of at least `smallest` px, could lie?"""
    if not found:
        return True
    x0, y0, x1, y1 = max(found, key=lambda d: d.side).box
    return bool(max(x0, y0, size[0] - x1, size[1] - y1) > ROOM * smallest)


def scales(size: tuple[int, int], longest: int) -> list[float]:
    """Scales of the copies of a picture of `size`: to `longest` px (never enlarged) and to halves of that."""
    scale = min(1.0, longest / max(size))
    if max(size) < 2 * SMALLEST:
        scale = 2 * SMALLEST / max(size)
    found = [scale]
    while round(max(size) * found[-1]) / 2 >= SMALLEST:
        found.append(found[-1] / 2)
    return found


def copy(picture: Image.Image, scale: float) -> ByteImage:
    """An RGB picture at `scale`, [H, W, 3] uint8."""
    if scale == 1:
        return np.asarray(picture)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    gap = 2.0 if scale < 0.5 else None
    return np.asarray(picture.resize((width, height), method, reducing_gap=gap))


def unique(found: Iterable[Detection]) -> list[Detection]:
    """Of detections that share a face the surest one (greedy suppression), largest first; none under 18 px."""
    kept: list[Detection] = []
    for detection in sorted(found, key=lambda d: d.score, reverse=True):
        if detection.side < SMALLEST_FACE:
            continue
        apart = [math.dist(detection.centre, other.centre) for other in kept]
        # A small detection inside a face (an eye, a mouth) goes; a small face beside a large one stays.
        pairs = [sorted((detection.side, other.side)) for other in kept]
        limits = [SAME_FACE * (small if large < 2 * small else 0.8 * large) for small, large in pairs]
        if all(a >= limit for a, limit in zip(apart, limits, strict=True)):
            kept.append(detection)
    return sorted(kept, key=lambda d: d.side, reverse=True)


def hog(image: Image.Image) -> list[Detection]:
    """dlib's frontal detector (Dalal and Triggs 2005; five HOG filters), on a copy of at most 800 px, enlarged by 2."""
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
    """`detection` in a picture turned anticlockwise by `quarter` quarter turns (now of `size`), in the one before."""
    x, y = detection.centre
    for _ in range(quarter):  # one quarter turn clockwise
        x, y, size = size[1] - y, x, (size[1], size[0])
    angle = 180 - (180 - detection.angle - 90 * quarter) % 360
    return make(x, y, detection.side, angle, detection.score)
