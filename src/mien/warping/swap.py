"""Another person's face in a photo: their shape in the photo's pose, their pixels, the photo's light.

The photo itself is warped too, so that its outline becomes the new face's (`mien.warping.motion`): both pictures then
lie in one geometry, neck and background reach the new chin wherever it ends, and no hole or notch can come up.
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import light, matte
from mien.warping.draw import Drawn
from mien.warping.mesh import LOWER_LIP, OVAL, STEADY, UPPER_LIP
from mien.warping.motion import carry, motion, sample
from mien.warping.shapes import similarity_3d

SMALL = 140.0  # px across the face of the copies in which mask and light are sought
FOREHEAD = 0.3  # share of the new face's shape that the top of the forehead gets: the hair stays
CALM = 0.02  # reach of the noise of colours, of the face's width
SEAM = 0.055  # width of the passage from one to the other, of the face's width


def posed(identity: FloatArray, landmarks: FloatArray) -> FloatArray:
    """The shape of `identity` [478, 3] in the pose of the photo's `landmarks` [478, 3] px: [478, 3] px."""
    scale, turn, shift = similarity_3d(identity[list(STEADY)], landmarks[list(STEADY)])
    target = scale * identity @ turn.T + shift
    up = landmarks[10, :2] - landmarks[152, :2]
    height = landmarks[:, :2] @ up
    brow, top = height[[105, 334]].mean(), height[10]
    share = np.clip((height - brow) / (top - brow), 0, 1)[:, None]
    return np.asarray(target + (1 - FOREHEAD) * share * share * (3 - 2 * share) * (landmarks - target))


def swap(
    image: ByteImage,
    landmarks: FloatArray,
    identity: ByteImage,
    theirs: FloatArray,
    bite: float | None = None,
) -> Drawn:
    """`image` [H, W, 3] uint8 with the face of `identity` [h, w, 3] uint8 in place of its own.

    `landmarks`, `theirs`: [478, 3] px of each. The identity's expression is laid in as it is; its face should not be
    more pixels across than the photo's, for it is not filtered. bite: lips that are a little apart there meet, and
    `bite` of the face's height beside their edges is left out, which still shows teeth.
    """
    target = posed(theirs, landmarks)
    if bite is not None:
        upper, lower = list(UPPER_LIP), list(LOWER_LIP)
        target[upper] = target[lower] = (target[upper] + target[lower]) / 2
        off = bite * (theirs[152] - theirs[10]) * np.sin(np.linspace(0, np.pi, len(upper)))[:, None] ** 0.5
        theirs = theirs.copy()
        theirs[upper] -= 1.6 * off  # teeth hang from the upper lip
        theirs[lower] += off
    moving = motion(landmarks, target, image.shape)
    back = carry(image, moving)
    front = sample(identity, motion(landmarks, target, image.shape, source=theirs))
    x0, y0, x1, y1 = moving.box
    hue = light.tint(image[y0:y1, x0:x1])
    face = blended(front, back, target - [x0, y0, 0], hue)
    result = np.array(image)
    result[y0:y1, x0:x1] = face
    return Drawn(result, moving.box)


def blended(front: ByteImage, back: ByteImage, landmarks: FloatArray, hue: light.Tint | None) -> ByteImage:
    """`front`'s face on `back`, both [h, w, 3] uint8 in one geometry, `landmarks` [478, 3] px of both; hue: of `back`,
    where it has only one."""
    photo = back
    if hue is not None:
        front, back = (
            np.repeat(np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, 2)
            for p in (front, back)
        )
    height, width = back.shape[:2]
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    zoom = min(1.0, SMALL / wide)
    size = (max(8, round(width * zoom)), max(8, round(height * zoom)))
    small = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (front, back)]
    points = landmarks * [size[0] / width, size[1] / height, zoom]
    wide *= zoom
    oval = matte.fill(small[1].shape, points, OVAL)
    shows = [matte.shown(p, points).astype(np.float32) for p in small]
    hair = [matte.bearded(p, points) for p in small]
    area, lacks = oval, np.zeros_like(oval)
    if hair[0].any() or hair[1].any():  # a beard ends on the throat
        throat = [matte.flesh(p, points) & matte.throat(oval.shape, points) for p in small]
        ends = throat[0] | (hair[0] > 0.5)
        beard = cv2.morphologyEx(
            ((hair[0] + hair[1]) > 0.3).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9))
        )
        area = oval | beard & (throat[1] | (hair[1] > 0.3) & matte.darker(small[1], points))
        shows = [np.maximum(s, beard | (1 - oval) & t) for s, t in zip(shows, throat, strict=True)]
        lacks = area & (1 - (oval | ends))
    if lacks.any():  # a collar or hair of the identity's lies there
        small[0], front = (_filled(p, lacks, area & (1 - lacks), 0.04 * wide) for p in (small[0], front))
    within = _within(area, SEAM * wide)
    features = matte.fill(oval.shape, points, *matte.LIDS, *matte.BROWS, matte.OUTER_LIPS, grow=1.15)
    skin = cv2.erode(shows[0] * shows[1], np.ones((5, 5))) * (1 - features)
    skin = skin * (1 - hair[0]) * (1 - hair[1])
    alpha = (
        within
        * _within((shows[0] > 0.5).astype(np.uint8), 0.03 * wide)
        * cv2.GaussianBlur(shows[1], (0, 0), 1)
    )
    edge = 4 * alpha * (1 - alpha)
    eyes = matte.fill(oval.shape, points, *matte.LIDS, matte.LIPS).astype(np.float32)
    lips = np.clip(matte.fill(oval.shape, points, matte.OUTER_LIPS) - eyes, 0, 1).astype(np.float32)
    brows = matte.fill(oval.shape, points, *matte.BROWS, grow=1.4).astype(np.float32)
    brows = np.asarray(cv2.GaussianBlur(brows, (0, 0), 0.02 * wide), np.float32)
    skins = light.complexion(small[0], small[1], skin, lips, points)
    small[0] = skins.calm(small[0], CALM * wide)
    flesh = skins.flesh(small[0])
    lit = skins.apply(small[0], lips, eyes, flesh, brows)
    lower = matte.fill(oval.shape, points, matte.BEARD).astype(np.float32)
    lower = np.asarray(cv2.GaussianBlur(lower, (0, 0), 0.03 * wide), np.float32)
    gains = light.relight(lit, small[1].astype(np.float32), skin, edge, lower, wide, skins.bright)
    # Hair, a hat or a shadow of the identity's: where the photo has a forehead to show, it keeps that.
    above = matte.forehead(oval.shape, points).astype(np.float32)
    other = cv2.GaussianBlur(above, (0, 0), 1.0) * (1 - light.agreement(lit * np.exp(gains), small[1]))
    grey = gains.mean(2, keepdims=True)  # the hue of light shows on flesh; hair and eyes keep theirs
    gains = grey + (np.maximum(flesh, lips) * (1 - eyes))[..., None] * (gains - grey)

    def large(part: FloatArray) -> FloatArray:
        return np.asarray(cv2.resize(part, (width, height)), np.float32)

    eyes, lips = (np.asarray(cv2.GaussianBlur(p, (0, 0), 1.0), np.float32) for p in (eyes, lips))
    front = skins.calm(front, CALM * wide / zoom)
    face = skins.apply(front, large(lips), large(eyes), large(flesh), large(brows))
    face = (face + light.OFFSET) * np.exp(large(gains)) - light.OFFSET
    plain = np.clip(1 - large(eyes) - large(brows), 0, 1)
    face = light.settle(face, back, large(skin.astype(np.float32)), plain, large(lips), skins.bright)
    face = light.resemble(face, back, landmarks)
    mine = large(within * _within((shows[0] > 0.5).astype(np.uint8), 0.03 * wide) * (1 - other))
    ours = matte.refine(shows[1], back, small[1], max(2, round(0.03 * wide)))
    cover = (mine * ours)[..., None]
    if hue is not None:
        face = hue.apply(face[..., 0])
    mixed = photo + cover * (face - photo)
    return np.where(cover > 1e-3, np.clip(mixed + 0.5, 0, 255).astype(np.uint8), photo)


def _filled(picture: ByteImage, holes: ByteImage, known: ByteImage, sigma: float) -> ByteImage:
    """`picture` [H, W, 3] whose `holes` have the colours of what is `known` nearby; both [h, w] 0 or 1, and small."""
    height, width = picture.shape[:2]
    few = cv2.resize(picture, holes.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    near, _ = light.smooth(few, known.astype(np.float32), sigma)
    share = cv2.GaussianBlur(cv2.dilate(holes, np.ones((3, 3))).astype(np.float32), (0, 0), 1.0)[..., None]
    near, share = (cv2.resize(part, (width, height)) for part in (near, share))
    return np.asarray(picture + share[..., None] * (near - picture) + 0.5, np.uint8)


def _within(mask: ByteImage, radius: float) -> FloatArray:
    """[h, w] float32: from 0 at the edge of a `mask` of 0 and 1 to 1 `radius` px inside."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    share = np.clip((depth - 0.5) / max(radius, 1.0), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
