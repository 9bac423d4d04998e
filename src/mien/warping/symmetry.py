"""What a turned head hides of one side of its face, from the other: two sides are nearly alike.

The picture's own far side is a narrow band of pixels, and beyond it lie hair and background: drawn out over half of a
face they would be streaks. The near side, mirrored along the mesh and in the light of the far one, takes their place.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import folds, light, matte
from mien.warping.mesh import OVAL, IndexArray, triangles
from mien.warping.motion import motion, sample
from mien.warping.shapes import facing

# Cosines to the viewer by which the other side is seen better, from which it counts, and wholly.
AHEAD = (0.25, 0.5)
SLANTED = (0.6, 0.35)  # cosine to the viewer from which a side is seen badly, and at which it is not used
LEAST = 0.02  # share of the face that is worth it
SMALL = 140.0  # px across the face of the copies in which mask and light are sought
REACH = 0.12  # of the face's width: how far the light at the edge of what is laid in goes


@lru_cache(maxsize=1)
def opposite() -> IndexArray:
    """The landmark [468] that each has on the other side."""
    uv = folds.uv()
    away = uv[:, None] * [-1, 1] + [folds.SIZE, 0] - uv
    return np.asarray((away**2).sum(2).argmin(1), np.int32)


def unseen(landmarks: FloatArray) -> FloatArray:
    """How far the skin at each landmark [478, 3] px is hidden where the other side's is not, [468] 0 to 1."""
    own = facing(landmarks)
    ahead = np.clip((own[opposite()] - own - AHEAD[0]) / (AHEAD[1] - AHEAD[0]), 0, 1)
    return np.asarray(ahead * np.clip((SLANTED[0] - own) / (SLANTED[0] - SLANTED[1]), 0, 1))


def stretched(theirs: FloatArray, target: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """[h, w] float32 0 to 1: where a face whose landmarks are `theirs` [478, 3] px shows too little of a side, either
    way, to stand as `target` [478, 3] px does, in a picture of that shape. An ear's edge or hair would be drawn out
    there over the cheek."""
    own = facing(theirs)
    seen = np.maximum(own, own[opposite()] * (unseen(theirs) > 0.5))
    more = np.clip((facing(target) - seen - AHEAD[0]) / (AHEAD[1] - AHEAD[0]), 0, 1)
    share = more * np.clip((SLANTED[0] - seen) / (SLANTED[0] - SLANTED[1]), 0, 1)
    much = float(np.clip(share.mean() / LEAST - 1, 0, 1))  # a film's cheek must not switch
    if much == 0:
        return np.zeros(shape[:2], np.float32)
    wide = float(np.linalg.norm(target[234, :2] - target[454, :2]))
    zoom = min(1.0, SMALL / wide)
    size = max(8, round(shape[1] * zoom)), max(8, round(shape[0] * zoom))
    near = target * [size[0] / shape[1], size[1] / shape[0], zoom]
    cover = cv2.GaussianBlur(_drawn(size[::-1], near, much * share), (0, 0), 0.03 * wide * zoom)
    return np.asarray(cv2.resize(cover, (shape[1], shape[0])), np.float32)


def completed(
    face: ByteImage,
    identity: ByteImage,
    theirs: FloatArray,
    landmarks: FloatArray,
    target: FloatArray,
    shape: tuple[int, ...],
) -> ByteImage:
    """`face` [h, w, 3] uint8, which `identity` [H, W, 3] shows in another geometry, with what is unseen there of one
    side from the other side; what else: see `mien.warping.motion.motion`, of which `theirs` is the source."""
    share = unseen(theirs)
    if share.mean() < LEAST:
        return face
    crossed = theirs.copy()
    crossed[:468] = theirs[opposite()]
    moving = motion(landmarks, target, shape, source=crossed)
    x0, y0, _, _ = moving.box
    points = target - [x0, y0, 0]
    height, width = face.shape[:2]
    wide = float(np.linalg.norm(points[234, :2] - points[454, :2]))
    zoom = min(1.0, SMALL / wide)
    size = max(8, round(width * zoom)), max(8, round(height * zoom))
    near = points * [size[0] / width, size[1] / height, zoom]
    cover = _drawn(size[::-1], near, share)
    # mirrored, they would look the other way
    eyes = matte.fill(cover.shape, near, *matte.LIDS, grow=1.15).astype(np.float32)
    cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.03 * wide * zoom), np.float32)
    cover *= 1 - cv2.GaussianBlur(eyes, (0, 0), 0.01 * wide * zoom)
    other = sample(identity, moving)
    few = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.float32) for p in (other, face)]
    both = 1 - np.maximum(cover, _drawn(size[::-1], near, share[opposite()]))
    both *= matte.fill(cover.shape, near, OVAL) * (1 - eyes)
    gain, _ = light.smooth(light.ratio(few[0], few[1]), both.astype(np.float32), REACH * wide * zoom)
    lit = (other + light.OFFSET) * np.exp(cv2.resize(gain, (width, height))) - light.OFFSET
    share_of_it = cv2.resize(cover, (width, height))[..., None]
    return np.clip(face + share_of_it * (lit - face) + 0.5, 0, 255).astype(np.uint8)


def _drawn(shape: tuple[int, ...], points: FloatArray, values: FloatArray) -> FloatArray:
    """[h, w] float32: `values` [468] at `points` [478, 3] px and over the mesh between them."""
    layer = np.zeros(shape, np.float32)
    corners = np.round((points[triangles(), :2] - 0.5) * 16).astype(np.int32)
    of = values[triangles()].mean(1)
    for k in np.argsort(of):  # what is hidden last, over what is not
        if of[k] > 0:
            cv2.fillConvexPoly(layer, corners[k], float(of[k]), cv2.LINE_8, 4)
    return layer
