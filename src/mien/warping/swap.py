"""Another person's face in a photo: their shape in the photo's pose, their pixels, the photo's light.

The photo itself is warped too, so that its outline becomes the new face's (`mien.warping.motion`): both pictures then
lie in one geometry, neck and background reach the new chin wherever it ends, and no hole or notch can come up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import light, matte, stubble
from mien.warping.complexion import Complexion, complexion
from mien.warping.draw import Drawn
from mien.warping.front import Front
from mien.warping.lips import on_line
from mien.warping.mesh import LOWER_LIP, OVAL, STEADY, UPPER_LIP
from mien.warping.motion import Motion, carry, motion, sample
from mien.warping.shapes import similarity_3d
from mien.warping.steady import Steady
from mien.warping.symmetry import SMALL, completed, stretched
from mien.warping.tint import Tint, tint

FOREHEAD = 0.3  # share of the new face's shape that the top of the forehead gets: the hair stays
BESIDE = 0.06  # of the face's width: how far off a brow its skin is looked at
CALM = 0.02  # reach of the noise of colours, of the face's width
BROW = 0.7  # of a brow, below which the identity's is hidden: the photo keeps both, for two people's look odd
BROAD = 1.8  # times a brow's outline: how far a broader one reaches
CHEEK = 0.6, 0.8  # of the skin's light, from which the side of a cheek is one
JAW = 0.5, 0.75  # the same of a jaw, which lies in its own shade
FLESH = 0.2, 0.5  # of skin's ruddiness, from which it may be skin
FOLD = 0.035  # sigma of the passage to the photo's folds of a smile, of the face's width
STRAND = 0.02  # of the face's width: how far hair and the like reach beyond where they look like it
SEAM = 0.055  # width of the passage from one to the other, of the face's width
SHAVEN = 0.11  # the same on a throat whose beard goes
RIM = 0.12  # width of a jaw's rim, of the face's width
LIGHTER = 0.1  # log ratio of light by which it may be lighter than the photo's


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
    shut: bool = False,
    front: Front | None = None,
    lacks: FloatArray | None = None,
    steady: Steady | None = None,
    moved: float = 0.0,
) -> Drawn:
    """`image` [H, W, 3] uint8 with the face of `identity` [h, w, 3] uint8 in place of its own.

    `landmarks`, `theirs`: [478, 3] px of each. The identity's expression is laid in as it is; its face should not be
    more pixels across than the photo's, for it is not filtered. shut: lips that meet there are laid in along their
    line, wherever their landmarks lie. front: what lies in front of the photo's face, and stays there. lacks: [h, w] 0
    to 1, where something hides the identity's face. steady: of a film of which this is the next frame. moved: 0 to 1,
    how far a smile of theirs had to go, for the photo has none: its own cheeks beside the mouth then stay.
    """
    steady = steady or Steady()
    met = on_line(identity, theirs) if shut else theirs
    target = posed(met, landmarks)
    if met is not theirs:  # else a strip of teeth stays: to cut it out would tear the lips
        theirs = met
        upper, lower = list(UPPER_LIP), list(LOWER_LIP)
        target[upper] = target[lower] = (target[upper] + target[lower]) / 2
    moving = motion(landmarks, target, image.shape)
    if front is not None:
        moving = front.eased(moving)
    back = carry(image, moving)
    from_theirs = motion(landmarks, target, image.shape, source=theirs)
    face = completed(sample(identity, from_theirs), identity, theirs, landmarks, target, image.shape)
    bare = np.ones(back.shape[:2], np.float32)
    if front is not None:
        bare -= _carried(front.cover(), moving)
    if lacks is not None:
        bare *= 1 - _carried(lacks, from_theirs)
    bare *= 1 - _beyond(identity, from_theirs)
    x0, y0, x1, y1 = moving.box
    bare *= 1 - stretched(theirs, target - [x0, y0, 0], bare.shape)
    hue = steady.once("hue", lambda: tint(image[y0:y1, x0:x1]))
    face = blended(face, back, target - [x0, y0, 0], hue, bare, steady, moved)
    result = np.array(image)
    result[y0:y1, x0:x1] = face
    return Drawn(result, moving.box)


def _carried(layer: FloatArray, moving: Motion) -> FloatArray:
    """[h, w] float32 0 to 1: a layer [H, W] of a picture as that picture's pixels are moved."""
    grey = np.repeat((255 * layer + 0.5).astype(np.uint8)[..., None], 3, 2)
    return np.asarray(sample(grey, moving)[..., 0], np.float32) / 255


def _beyond(image: ByteImage, moving: Motion) -> FloatArray:
    """[h, w] float32 0 to 1: where a region's pixels would come from beyond the edge of their picture."""
    (x0, y0, x1, y1), (rows, columns) = moving.box, moving.grid.shape[:2]
    x = moving.grid[..., 0] + x0 + (np.arange(columns) + 0.5) * ((x1 - x0) / columns) - 0.5
    y = moving.grid[..., 1] + (y0 + (np.arange(rows) + 0.5) * ((y1 - y0) / rows) - 0.5)[:, None]
    out = (np.minimum(x, y) < -0.5) | (x > image.shape[1] - 0.5) | (y > image.shape[0] - 0.5)
    soft = (
        cv2.GaussianBlur(out.astype(np.float32), (0, 0), 2.0) if out.any() else np.zeros((1, 1), np.float32)
    )
    return np.clip(2 * cv2.resize(soft, (x1 - x0, y1 - y0)), 0, 1)


def blended(
    front: ByteImage,
    back: ByteImage,
    landmarks: FloatArray,
    hue: Tint | None,
    bare: FloatArray,
    steady: Steady,
    moved: float = 0.0,
) -> ByteImage:
    """`front`'s face on `back`, both [h, w, 3] uint8 in one geometry, `landmarks` [478, 3] px of both; hue: of `back`,
    where it has only one; bare: [h, w] 0 to 1, where nothing lies in front of either face; moved: see `swap`."""
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
    free = np.asarray(cv2.resize(bare, size, interpolation=cv2.INTER_AREA), np.float32)
    steady.at(points, small[0].shape)
    seen = _seen(small[0], small[1], points, free if bare.min() < 0.5 else None, steady)
    plan = _lit(seen, small[1], points, steady, moved)

    def stubbly() -> _Stubble:
        skin = matte.flesh(small[0], points) & matte.flesh(small[1], points) & (free > 0.5)
        skin = np.asarray(cv2.resize(skin, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        return _Stubble(*(stubble.stubbly(p, landmarks, skin) for p in (front, back)))

    surely = steady.numbers("stubble", stubbly)
    if surely.goes > 0:
        jaw = steady.layer("jaw", partial(stubble.jaw, small[1], points, seen.hair))
        jaw *= surely.goes * free * (1 - seen.beard)
        photo = stubble.shaven(photo, np.asarray(cv2.resize(jaw, (width, height)), np.float32), wide)

    x, y, w, h = cv2.boundingRect((plan.cover > 0).astype(np.uint8))
    across, down = width / size[0], height / size[1]
    part = np.s_[
        int(max(y - 1, 0) * down) : int((y + h + 1) * down),
        int(max(x - 1, 0) * across) : int((x + w + 1) * across),
    ]

    def large(layer: FloatArray) -> FloatArray:
        return np.ascontiguousarray(cv2.resize(layer, (width, height))[part], np.float32)

    if seen.lacks.any():
        front = light.filled(front, seen.lacks, seen.area & (1 - seen.lacks), 0.04 * wide * zoom)
    behind = np.ascontiguousarray(back[part])
    lips, eyes, flesh, brows, hair, beside = (
        large(one) for one in (plan.lips, plan.eyes, plan.flesh, plan.brows, plan.hair, plan.beside)
    )
    skins = plan.skins
    face = skins.calm(np.ascontiguousarray(front[part]), CALM * wide)
    lit = skins.apply(face, lips, eyes, flesh, hair, beside)
    lit = (lit + light.OFFSET) * np.exp(large(plan.gains)) - light.OFFSET
    plain = np.clip(1 - eyes - brows, 0, 1)
    lit = light.settle(lit, behind, large(seen.skin), plain, lips, skins.apart)
    if skins.far > 0.1:
        lit = light.textured(lit, behind, large(seen.skin), wide, skins.far)
    inside = large(matte.fill(small[0].shape, points, matte.LIPS).astype(np.float32))
    lit = light.enamel(lit, behind, landmarks - [part[1].start, part[0].start, 0], inside)
    lit = light.resemble(lit, behind, landmarks - [part[1].start, part[0].start, 0], steady)
    ours = matte.refine(seen.shows[1], back, small[1], max(2, round(0.03 * wide * zoom)))[part]
    cover = (large(plan.cover) * ours * bare[part])[..., None]
    if hue is not None:
        lit = hue.apply(lit[..., 0])
    kept = photo[part]
    mixed = kept + cover * (lit - kept)
    result = photo.copy()
    result[part] = np.where(cover > 1e-3, np.clip(mixed + 0.5, 0, 255).astype(np.uint8), kept)
    return result


@dataclass(frozen=True)
class _Stubble:
    """How surely there is stubble in the identity's picture and in the photo, 0 to 1, where both show skin."""

    own: float
    photo: float

    @property
    def goes(self) -> float:
        """How much of the photo's goes, 0 or less where none does."""
        return self.photo - self.own


@dataclass(frozen=True)
class _Seen:
    """What two small pictures show, each [h, w]: front, the identity's [h, w, 3]; shows, where each shows its face;
    skin, where both show bare skin; hair, where either has a beard; bare, where the photo's face has none; area, where
    the new face may lie; lacks, where the identity's picture shows something else there; covered: something hides the
    photo's eyes, dark glasses as a rule; beard: the identity's."""

    front: ByteImage
    shows: tuple[FloatArray, FloatArray]
    skin: FloatArray
    hair: FloatArray
    bare: FloatArray
    area: ByteImage
    lacks: ByteImage
    covered: bool
    beard: FloatArray


@dataclass(frozen=True)
class _Plan:
    """How the new face is to be lit, small: cover [h, w] 0 to 1, the parts of a face [h, w], beside: log
    luminance [h, w] of its skin near them, log gains [h, w, 3]."""

    skins: Complexion
    cover: FloatArray
    lips: FloatArray
    eyes: FloatArray
    flesh: FloatArray
    brows: FloatArray
    hair: FloatArray
    beside: FloatArray
    gains: FloatArray


def _seen(
    front: ByteImage, back: ByteImage, points: FloatArray, bare: FloatArray | None, steady: Steady
) -> _Seen:
    """Of small pictures [h, w, 3] in one geometry, whose landmarks are `points` [478, 3] px; bare: see `blended`."""
    wide = float(np.linalg.norm(points[234, :2] - points[454, :2]))
    oval = matte.fill(back.shape, points, OVAL)
    sides = ("front", front), ("back", back)
    hair = [steady.layer(f"{name} beard", partial(matte.bearded, p, points)) for name, p in sides]
    faces = [
        steady.layer(f"{name} shows", partial(matte.shown, p, points, own))
        for (name, p), own in zip(sides, hair, strict=True)
    ]
    shows = [(face > 0.5).astype(np.uint8) & oval for face in faces]
    if bare is not None:  # hands and microphones have texture, too
        hair = [beard * (bare > 0.5) for beard in hair]
    area, lacks = oval, np.zeros_like(oval)
    if hair[0].any() or hair[1].any():  # a beard ends on the throat
        throat = [matte.flesh(p, points) & matte.throat(oval.shape, points) for p in (front, back)]
        beard = ((hair[0] + hair[1]) > 0.3).astype(np.uint8)
        beard = np.asarray(cv2.morphologyEx(beard, cv2.MORPH_CLOSE, np.ones((9, 9))), np.uint8)
        own, gone = ((one > 0.3).astype(np.uint8) for one in hair)
        area = (oval | beard & (throat[1] | gone & matte.hairlike(back, points))).astype(np.uint8)
        shows[1] = np.where(oval > 0, shows[1], throat[1]) | beard
        known = np.where(oval > 0, shows[0], throat[0]) | own
        lacks = (area & beard & (1 - known)).astype(np.uint8)  # a collar, or long hair
        shows[0] = np.where(oval > 0, shows[0], throat[0]) | beard
    if lacks.any():
        front = light.filled(front, lacks, area & (1 - lacks), 0.04 * wide)
    features = matte.fill(oval.shape, points, *matte.LIDS, *matte.BROWS, matte.OUTER_LIPS, grow=1.15)
    both = cv2.erode(shows[0] & shows[1] & (1 - features), np.ones((5, 5)))
    skin = np.asarray(both * (1 - hair[0]) * (1 - hair[1]), np.float32)
    if bare is not None:
        skin *= cv2.erode((bare > 0.9).astype(np.uint8), np.ones((5, 5), np.uint8))
    return _Seen(
        front,
        (shows[0].astype(np.float32), shows[1].astype(np.float32)),
        skin,
        np.maximum(*hair),
        shows[1] * (1 - hair[1]),
        area,
        lacks,
        bare is not None and float(bare[matte.fill(oval.shape, points, *matte.LIDS) > 0].mean()) < 0.5,
        hair[0],
    )


def _lit(seen: _Seen, back: ByteImage, points: FloatArray, steady: Steady, moved: float) -> _Plan:
    """`back`: the photo, small [h, w, 3]; `points` [478, 3] px of it; moved: see `swap`."""
    wide = float(np.linalg.norm(points[234, :2] - points[454, :2]))
    shape = back.shape

    def soft(layer: ByteImage | FloatArray, sigma: float = 1.0) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(layer.astype(np.float32), (0, 0), sigma), np.float32)

    eyes = matte.fill(shape, points, *matte.LIDS, matte.LIPS)
    lips = matte.fill(shape, points, matte.OUTER_LIPS) & (1 - eyes)
    brows = soft(matte.fill(shape, points, *matte.BROWS, grow=1.4), 0.02 * wide)
    cover = matte.within(seen.area, (SEAM if seen.beard.any() else SHAVEN) * wide)
    cover = np.maximum(cover, matte.within(matte.fill(shape, points, OVAL), SEAM * wide)) * matte.within(
        (seen.shows[0] > 0.5).astype(np.uint8), 0.03 * wide
    )
    shown = [seen.shows[0][matte.fill(shape, points, brow) > 0] for brow in matte.BROWS]
    if all(own.size for own in shown) and min(own.mean() for own in shown) < BROW:
        cover = cover * (1 - soft(matte.fill(shape, points, *matte.BROWS, grow=1.5), 0.02 * wide))
    folds = matte.fill(shape, points, *matte.FOLDS) * (1 - np.minimum(2 * seen.hair, 1))
    cover = cover * (1 - moved * soft(folds, FOLD * wide))
    alpha = cover * soft(seen.shows[1])
    whites = None if seen.covered else points
    skins = steady.numbers(
        "skins", lambda: complexion(seen.front, back, seen.skin, lips.astype(np.float32), whites)
    )
    calm = skins.calm(seen.front, CALM * wide)
    flesh = skins.flesh(calm)
    lower = soft(matte.fill(shape, points, matte.BEARD), 0.03 * wide)
    edge = 4 * alpha * (1 - alpha)
    luma = cv2.cvtColor(calm, cv2.COLOR_RGB2GRAY).astype(np.float32)
    beside = skins.beside(luma, seen.skin, BESIDE * wide)
    hair = np.maximum(soft(matte.fill(shape, points, *matte.BROWS, grow=1.7), 0.02 * wide), seen.beard)
    lit = skins.apply(calm, lips.astype(np.float32), eyes.astype(np.float32), flesh, hair, beside)
    gains = steady.layer(
        "light",
        lambda: light.relight(lit, back.astype(np.float32), seen.skin, edge, lower, wide, skins.bright),
    )
    # Light that a shirt throws on a dark or shining jaw is none of the photo's, whose own jaw has all that there is.
    edge_of = (
        _below(shape, points) * seen.bare * (1 - matte.within(matte.fill(shape, points, OVAL), RIM * wide))
    )
    over = light.ratio(soft(back), soft(np.asarray(lit * np.exp(gains), np.float32))).mean(2)
    gains -= soft(edge_of * np.maximum(over - LIGHTER, 0))[..., None]
    # Hair, a hat or a shadow of the identity's: where the photo has a forehead or a cheek to show, it keeps that.
    unlike = steady.layer("unlike", lambda: 1 - light.agreement(lit * np.exp(gains), back))
    rim = matte.rim(shape, points) * (1 - seen.hair)
    # What is dark there in the photo alone is its brow, broader than the new one.
    rim *= 1 - soft(matte.fill(shape, points, *matte.BROWS, grow=BROAD), 0.02 * wide) * (over > 0)
    # A cheek may lie in another light than the photo's: flesh that is no darker than one is no hair.
    own = luma / max(skins.luminance, 1.0)
    bright = [np.clip((own - low) / (high - low), 0, 1) for low, high in (CHEEK, JAW)]
    fleshy = np.clip((flesh - FLESH[0]) / (FLESH[1] - FLESH[0]), 0, 1)
    for outlines, light_one in zip((matte.SIDES, matte.JAWS), bright, strict=True):
        rim *= 1 - matte.fill(shape, points, *outlines) * np.minimum(fleshy, light_one)
    size = 2 * round(STRAND * wide) + 1  # at its edge it is not so unlike
    strange = rim * unlike
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    sure = np.asarray(cv2.dilate(np.clip(2 * strange - 1, 0, 1), disc), np.float32)
    strange = np.maximum(strange, sure * (1 - brows))
    other = soft(np.asarray(strange, np.float32)) * (1 - seen.hair)
    grey = gains.mean(2, keepdims=True)  # the hue of light shows on flesh; hair and eyes keep theirs
    gains = grey + (np.maximum(flesh, lips) * (1 - eyes))[..., None] * (gains - grey)
    return _Plan(skins, cover * (1 - other), soft(lips), soft(eyes), flesh, brows, hair, beside, gains)


def _below(shape: tuple[int, ...], points: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 below the line through the ears' lobes, of a picture with landmarks `points` [478, 3] px."""
    down = points[152, :2] - points[10, :2]
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray((x * down[0] + y * down[1]) > points[[132, 361], :2].mean(0) @ down, np.uint8)
