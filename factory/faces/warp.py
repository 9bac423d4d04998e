"""Another expression for a photographed face: move its landmarks, and the picture with them.

The picture is cut along MediaPipe's face mesh (852 triangles of 468 points), ring-shaped strips round the
face, and strips across the eyes' and the mouth's openings; each piece is moved by the affine map of its
corners. What a moved lid uncovers is the eye where it was; what parting lips uncover comes from the mouth
of a rendered head. Folds and bulges, which no warp makes, are carried over as an expression ratio image
(Liu, Shan and Zhang, "Expressive Expression Mapping with Ratio Images", SIGGRAPH 2001).

Pixels: a point (x, y) is in pixels, with pixel (row, column) centred at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from factory.faces.raster import IndexArray, rasterise, reduce_area
from mien.types import ByteImage, FloatArray
from mien.warping import mesh
from mien.warping.mesh import (
    LEFT_ABOVE,
    LEFT_BELOW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_ABOVE,
    RIGHT_BELOW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    STEADY,
    UPPER_LIP,
)
from mien.warping.shapes import similarity_3d

IRISES = tuple(range(468, 478))

_RINGS = ((1.10, 0.65), (1.3, 0.3), (1.7, 0.08), (4.0, 0.0))  # size of the oval, share of its displacement
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Example:
    """One rendered head without and with an expression, in the same view: where mouths and folds are taken
    from.

    Attributes:
        neutral, expressive: [H, W, 3] uint8. neutral_landmarks, expressive_landmarks: [478, 3] px.
    """

    neutral: ByteImage
    expressive: ByteImage
    neutral_landmarks: FloatArray
    expressive_landmarks: FloatArray


def _strip(count: int, first: int, second: int, closed: bool = False) -> IndexArray:
    """Triangles between two rows of `count` vertices that begin at `first` and `second`."""
    a = np.arange(count if closed else count - 1)
    b = (a + 1) % count
    return np.concatenate(
        [np.stack([first + a, first + b, second + a], 1), np.stack([first + b, second + b, second + a], 1)]
    ).astype(np.int32)


def target_landmarks(
    landmarks: FloatArray, example: Example, strength: float = 1.0, blink: tuple[float, float] = (0.0, 0.0)
) -> FloatArray:
    """Where a photo's `landmarks` [478, 3] go when its face makes the example's expression. [478, 3] px.

    The example's displacements are scaled and turned to the photo's face in 3-D. `blink` (left, right eye
    of the subject, 0 to 1) closes lids exactly, as a detector's landmarks rarely do; below 0.15 the
    displacements decide. Irises stay, and lips never cross.
    """
    landmarks = np.asarray(landmarks, np.float64)
    steady = list(STEADY)
    scale, turn, _ = similarity_3d(example.neutral_landmarks[steady].astype(np.float64), landmarks[steady])
    moved = (example.expressive_landmarks - example.neutral_landmarks).astype(np.float64)
    moved = scale * moved @ turn.T * strength
    moved[list(IRISES)] = 0.0
    target = landmarks + moved
    lids = ((LEFT_UPPER_LID, LEFT_LOWER_LID), (RIGHT_UPPER_LID, RIGHT_LOWER_LID))
    for closing, (upper, lower) in zip(blink, lids, strict=True):
        if closing >= 0.15:
            closing = min(1.0, 1.2 * closing)  # a slit would show a crescent of white
            for up, low in zip(upper[1:-1], lower[1:-1], strict=True):
                rest = landmarks[low] + 0.12 * closing * (landmarks[up] - landmarks[low])
                target[up, :2] = (landmarks[up] + closing * (rest - landmarks[up]))[:2]
                target[low, :2] = (landmarks[low] + closing * (rest - landmarks[low]))[:2]
    inner = zip(UPPER_LIP[1:-1], LOWER_LIP[1:-1], strict=True)
    down = landmarks[152, :2] - landmarks[168, :2]
    down = down / np.linalg.norm(down)
    for up, low in inner:
        crossing = float((target[up, :2] - target[low, :2]) @ down)
        if crossing > 0:
            target[up, :2] -= 0.5 * crossing * down
            target[low, :2] += 0.5 * crossing * down
    return target


def _sample(image: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Bilinear values [..., c] of `image` [h, w, c] at pixels (x, y), its edges repeated."""
    height, width = image.shape[:2]
    x, y = np.clip(x - 0.5, 0, width - 1.001), np.clip(y - 0.5, 0, height - 1.001)
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = (x - column)[..., None].astype(np.float32), (y - row)[..., None].astype(np.float32)
    top = image[row, column] * (1 - fx) + image[row, column + 1] * fx
    bottom = image[row + 1, column] * (1 - fx) + image[row + 1, column + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def _close_lids(source: FloatArray, target: FloatArray, textures: FloatArray, values: FloatArray) -> None:
    """For lids that come down: take their skin from a little above the lashes, and mark the lash line
    (`values[:, 8]`).
    """
    for upper, lower, above, below in (
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_ABOVE, RIGHT_BELOW),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_ABOVE, LEFT_BELOW),
    ):
        up, low = list(upper[1:-1]), list(lower[1:-1])
        before = np.linalg.norm(source[up, :2] - source[low, :2], axis=1).mean()
        after = np.linalg.norm(target[up, :2] - target[low, :2], axis=1).mean()
        shut = float(np.clip(1 - after / max(before, 1e-6), 0, 1)) ** 2
        textures[up] += 0.6 * shut * (source[list(above), :2] - source[up, :2])
        textures[low] += 0.6 * shut * (source[list(below), :2] - source[low, :2])
        values[up, 8] = shut


def _geometry(
    source: FloatArray, target: FloatArray, example: Example | None
) -> tuple[FloatArray, IndexArray, FloatArray]:
    """Points [n, 3] (x, y, depth), triangles [m, 3] and values [n, 9] for the rasteriser.

    Values: photo x, y; share of mouth; share of ratio image; the example's expressive x, y and neutral x,
    y; lash line.
    """
    n = len(source)
    oval = list(OVAL)
    centre = source[oval, :2].mean(0)
    points = [np.concatenate([target[:, :2], -target[:, 2:]], 1)]
    textures = [source[:, :2]]
    triangles: list[IndexArray] = [mesh.triangles()]
    behind = float((-target[:, 2]).min())
    depth = np.full((len(oval), 1), behind - 1000)
    for size, share in ((1.0, 1.0), *_RINGS):
        ring = centre + size * (source[oval, :2] - centre)
        points.append(np.concatenate([ring + share * (target[oval, :2] - source[oval, :2]), depth], 1))
        textures.append(ring)
    for k in range(len(_RINGS)):
        triangles.append(_strip(len(oval), n + k * len(oval), n + (k + 1) * len(oval), closed=True))
    count = n + (len(_RINGS) + 1) * len(oval)
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        for row, other in ((upper, lower), (lower, upper)):
            here, there = list(row), list(other)
            opening = source[there, :2] - source[here, :2]
            length = np.maximum((opening**2).sum(1), 1e-6)
            inwards = ((target[here, :2] - source[here, :2]) * opening).sum(1) / length
            inwards = np.clip(inwards, 0, 1)[
                :, None
            ]  # a lid that closes hides the eye, and doesn't squeeze it
            points.append(np.concatenate([target[here, :2], -target[here, 2:] - 40], 1))
            textures.append(source[here, :2] + inwards * opening)
        triangles.append(_strip(len(upper), count, count + len(upper)))
        count += 2 * len(upper)
    upper_lip, lower_lip = list(UPPER_LIP), list(LOWER_LIP)
    mouth = upper_lip + lower_lip
    points.append(np.concatenate([target[mouth, :2], -target[mouth, 2:] - 40], 1))
    textures.append(source[mouth, :2])
    triangles.append(_strip(len(UPPER_LIP), count, count + len(UPPER_LIP)))
    values = np.zeros((count + len(mouth), 9), np.float32)
    textures[0] = textures[0].copy()
    _close_lids(source, target, textures[0], values)
    values[:, :2] = np.concatenate(textures)
    if example is not None:
        values[:n, 3] = 1.0
        values[oval, 3] = 0.0
        values[:n, 4:6] = example.expressive_landmarks[:, :2]
        values[:n, 6:8] = example.neutral_landmarks[:, :2]
        before, after = (
            np.linalg.norm(p[upper_lip, :2] - p[lower_lip, :2], axis=1).mean() for p in (source, target)
        )
        width = np.linalg.norm(source[upper_lip[0], :2] - source[upper_lip[-1], :2])
        values[count:, 2] = np.clip((after - 1.2 * before) / max(0.04 * float(width), 1e-6), 0, 1)
        values[count:, 4:6] = example.expressive_landmarks[mouth, :2]
    return np.concatenate(points).astype(np.float32), np.concatenate(triangles), values


def _grey(image: FloatArray) -> FloatArray:
    return np.asarray(image @ np.array([0.299, 0.587, 0.114], np.float32))


def _blurred_grey(image: ByteImage, radius: float) -> FloatArray:
    blurred = Image.fromarray(image).convert("L").filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, np.float32)[..., None]


def _matched_mouth(image: ByteImage, landmarks: FloatArray, example: Example) -> FloatArray:
    """The example's expressive picture with brightness and colourfulness of the photo's face, float32 [h,
    w, 3].
    """
    spots = [50, 280, 205, 425, 195, 199]  # cheeks, nose, chin
    photo = _sample(image.astype(np.float32), landmarks[spots, 0], landmarks[spots, 1])
    theirs = _sample(example.neutral.astype(np.float32), *example.neutral_landmarks[spots, :2].T)
    gain = np.clip(np.median(_grey(photo)) / max(float(np.median(_grey(theirs))), 1.0), 0.3, 1.1)
    spread = np.ptp(photo.mean(0)) / max(float(np.ptp(theirs.mean(0)) * gain), 1.0)
    soft = Image.fromarray(example.expressive).filter(ImageFilter.GaussianBlur(0.8))
    picture = np.asarray(soft, np.float32) * gain
    grey = _grey(picture)[..., None]
    return np.asarray(grey + np.clip(spread, 0, 1) * (picture - grey))


def warp_expression(
    image: ByteImage,
    landmarks: FloatArray,
    target: FloatArray,
    example: Example | None = None,
    folds: float = 0.8,
) -> ByteImage:
    """`image` [H, W, 3] uint8 with its face's `landmarks` [478, 3] px moved to `target` [478, 3] px.

    Args:
        example: gives the inside of an opened mouth and the folds; without it the photo's own mouth is
        stretched. folds: strength of the ratio image, 0 to 1.

    The background moves along a little round the face; pixels that move less than a fifth of one stay
    exactly as they were.
    """
    height, width = image.shape[:2]
    source, target = np.asarray(landmarks, np.float64), np.asarray(target, np.float64)
    points, triangles, values = _geometry(source, target, example)
    points[:, :2] *= _SUPERSAMPLING
    shape = (height * _SUPERSAMPLING, width * _SUPERSAMPLING)
    buffer = np.zeros((*shape, 9), np.float32)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    here = np.stack([columns + 0.5, rows + 0.5], 2) / _SUPERSAMPLING
    buffer[..., :2] = here
    rasterise(points, triangles, values, 1.0, False, buffer, np.full(shape, -1e9, np.float32))
    picture = _sample(image.astype(np.float32), buffer[..., 0], buffer[..., 1])
    changed = np.linalg.norm(buffer[..., :2] - here, axis=2)
    if example is not None:
        mouth = _sample(_matched_mouth(image, source, example), buffer[..., 4], buffer[..., 5])
        inside = buffer[..., 2:3]
        picture = picture + inside * (mouth - picture)
        lit = _sample(_blurred_grey(example.expressive, 2.0), buffer[..., 4], buffer[..., 5])
        plain = _sample(_blurred_grey(example.neutral, 2.0), buffer[..., 6], buffer[..., 7])
        ratio = np.clip((lit + 12) / (plain + 12), 0.75, 1.2)
        ratio = np.minimum(ratio, np.maximum(1, 250 / np.maximum(picture.max(2, keepdims=True), 1)))
        share = folds * np.clip(buffer[..., 3:4], 0, 1)
        picture = picture * (1 + share * (ratio - 1))
        changed = np.maximum(
            changed, np.maximum(inside[..., 0], 10 * share[..., 0] * np.abs(ratio[..., 0] - 1))
        )
    lash = np.clip((buffer[..., 8:9] - 0.8) / 0.2, 0, 1)
    picture = picture * (1 - 0.6 * lash)
    changed = np.maximum(changed, lash[..., 0])
    small = reduce_area(picture, _SUPERSAMPLING)
    keep = np.clip((reduce_area(changed[..., None], _SUPERSAMPLING) - 0.2) / 0.3, 0, 1)
    mixed = image + keep * (small - image)
    return np.asarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))
