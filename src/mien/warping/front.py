"""What lies in front of a face: glasses, hands, hair, microphones. It keeps its shape, and the face moves behind it.

A network says where it is (`mien.face.occlusion`), on a small upright crop; a guided filter takes that to the photo's
size, along thin rims. Glasses move as a whole, motion changes slowly beside them, and what is drawn lies behind; at
hands, hair and the like all motion but the head's turn dies away. An identity's glasses come off (`Front.plate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.face import align
from mien.face.blendshapes import INDEX
from mien.types import ByteImage, FloatArray
from mien.warping import light, matte
from mien.warping.eye_frame import ramp
from mien.warping.mesh import OVAL
from mien.warping.motion import Motion

HEIGHT, WIDTH = 176, 160  # px of the crop that is looked at
CANONICAL, PLACE = 140, (10, 25)  # px of the canonical crop in it, and where that begins
DARK = 12.0  # grey levels: below, colours say little
SURE, LIKELY = 0.5, 0.2  # probabilities of something in front: where it is found, and how far it reaches
LEAST = 0.05  # the same of what is nothing, of what fades from a film's frames too
RIMS, OTHERS = 60, 150  # px of the crop that glasses and other things cover at least
DEEP = 0.12  # of the face's width inside its oval: what does not reach so far is hair beside the face
TOUCHED = 0.15  # share of the lips: what covers no more and passes for a beard is one
BROW = 0.4  # share of a brow from which it is hidden
EDGE = 3.0  # px of the crop from the face's outline, which all but glasses come across
RIM = 0.25  # share of a rim's cover from which it is lifted off
LASHES = 1.5  # times the opening of an eye: within that lashes may pass for rims
RIM_ON_LID = 0.5, 0.9  # probabilities of glasses, there: from which they count, and count in full
THIN = 0.06  # of the light, by which a thin rim is darker or lighter than the skin
FILLED = 6  # grey levels from which a pixel was filled
SEEN = 0.3  # share of the brows that glasses leave free, at least, to know how they go on below
LIFT = 0.02  # of the face's width: from how far the skin under a rim is taken
EPSILON = 40.0  # squared grey levels of the guided filter
FINE = 1.5  # times the crop's scale: of the copies in which edges are sought
SLOW = 0.22  # of the face's width: over which motion is averaged beside rims
SLOWED, STIFF = 0.08, 0.03  # of the same: so near a rim it is, and all moves as the rim does
RIMMED = 0.8  # share of a brow's rise that rims on it take away
RAISED = [INDEX[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
FADE = 0.05  # of the face's width: how fast motion dies away beside what is in front

Mask = NDArray[np.bool_]
Reader = Callable[
    [FloatArray], FloatArray
]  # [7, 176, 160] float32 → [2, 176, 160] in [0, 1]: glasses, other things


def upright(landmarks: FloatArray) -> FloatArray:
    """[2, 3]: px of the photo → px of the crop."""
    matrix = align.crop_matrix(landmarks, CANONICAL)
    matrix[:, 2] += PLACE
    return matrix


def channels(crop: ByteImage, landmarks: FloatArray) -> FloatArray:
    """What the network sees of a crop [176, 160, 3] with `landmarks` [478, 3] px of it: [7, 176, 160] float32, the log
    of its colours against the cheeks', and the outlines of lids, brows, lips and face, filled."""
    cheeks = crop[matte.fill(crop.shape, landmarks, *matte.SURE[1:]) > 0]
    skin = np.median(cheeks, 0) if len(cheeks) else np.full(3, 128.0)
    colours = np.log((crop.astype(np.float32) + DARK) / (skin.astype(np.float32) + DARK))
    parts = [
        matte.fill(crop.shape, landmarks, *outlines)
        for outlines in (matte.LIDS, matte.BROWS, (matte.OUTER_LIPS,), (OVAL,))
    ]
    return np.concatenate([colours.transpose(2, 0, 1), np.stack(parts).astype(np.float32)])


def seen(image: ByteImage, landmarks: FloatArray, read: Reader) -> FloatArray | None:
    """Where glasses and other things lie in front of a face, [2, 176, 160] in [0, 1], in its crop; None for a face
    with nothing in front. `image` [H, W, 3] uint8, `landmarks` [478, 3] px."""
    matrix = upright(landmarks)
    crop = align.warp(image, matrix, HEIGHT)[:, :WIDTH]
    points = align.transform_points(landmarks, matrix)
    found = read(channels(crop, points))
    oval = matte.fill(crop.shape, points, OVAL)
    wide = float(np.linalg.norm(points[234, :2] - points[454, :2]))
    depth = cv2.distanceTransform(oval, cv2.DIST_L2, 3)
    glasses = _sure(
        found[0] * cv2.dilate(oval, np.ones((9, 9), np.uint8)), RIMS, _beside_eyes(crop.shape, points)
    )
    if glasses[_bridge(crop.shape, points)].max() < SURE:  # hair at the temples
        glasses = np.zeros_like(glasses)
    other = found[1] * oval
    if (other[matte.fill(crop.shape, points, matte.OUTER_LIPS) > 0] > SURE).mean() < TOUCHED:
        other *= matte.bearded(crop, points) < 0.3
    entering = _grown(((depth > 0) & (depth < EDGE)).astype(np.uint8), 3) > 0
    other = _sure(other, OTHERS, depth > DEEP * wide, entering)
    if other.any():  # it goes on beyond the face's outline
        around = _grown((other > SURE).astype(np.uint8), 13) & _grown(oval, 13)
        near = np.asarray(cv2.dilate(other, np.ones((7, 7), np.uint8)), np.float32)
        other = np.maximum(other, near * (around & (depth < 2 * EDGE)))
    return np.stack([glasses, other]) if glasses.any() or other.any() else None


def _beside_eyes(shape: tuple[int, ...], points: FloatArray) -> Mask:
    """[h, w] bool: from brows to cheekbones, no further out than a little beyond the corners of the eyes."""
    return matte.fill(shape, points, (70, 63, 105, 9, 334, 293, 300, 353, 330, 4, 101, 124), grow=1.05) > 0


def _bridge(shape: tuple[int, ...], points: FloatArray) -> Mask:
    """[h, w] bool: the nose between the eyes, over which every pair of glasses reaches."""
    return matte.fill(shape, points, (9, 413, 362, 399, 456, 236, 174, 133, 189), grow=1.1) > 0


def _sure(probability: FloatArray, least: int, where: Mask, touching: Mask | None = None) -> FloatArray:
    """`probability` [h, w] of the pieces that are surely there, on `least` px `where` [h, w] in all; else 0. touching:
    what a piece must touch."""
    likely = (probability > LIKELY).astype(np.uint8)
    count, names = cv2.connectedComponents(likely, connectivity=8)
    sure = np.bincount(names[(probability > SURE) & where], minlength=count)
    sure[sure < 0.1 * least] = 0
    if touching is not None:
        sure[np.bincount(names[touching], minlength=count) == 0] = 0
    sure[0] = 0
    if sure.sum() < least:
        return np.zeros_like(probability)
    near = _grown((sure > 0)[names].astype(np.uint8), 3)
    return np.asarray(probability * near, np.float32)


def _disc(radius: float) -> ByteImage:
    size = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


@dataclass(frozen=True)
class Front:
    """What lies in front of the face of a photo.

    Attributes:
        image: the photo [H, W, 3] uint8. landmarks: [478, 3] px. seen: as of `seen`.
        box: x0, y0, x1, y1 px of the photo outside of which there is nothing in front.
        small: glasses and other things [2, h, w] float32 0 to 1, of the box at `zoom` times its size.
    """

    image: ByteImage
    landmarks: FloatArray
    seen: FloatArray
    box: tuple[int, int, int, int]
    zoom: float
    small: FloatArray

    @cached_property
    def _few(self) -> ByteImage:
        """The photo's box at the size of `small`, [h, w, 3]."""
        size = self.small.shape[:0:-1]
        return np.asarray(cv2.resize(self._part(self.image), size, interpolation=cv2.INTER_AREA), np.uint8)

    @cached_property
    def alpha(self) -> FloatArray:
        """[h, w] float32 0 to 1 of the box, at the photo's size: how far what is in front covers the face."""
        glasses, others = self.small
        points = (self.landmarks[:, :2] - self.box[:2]) * self.zoom
        lids = matte.fill(glasses.shape, points, *matte.LIDS, grow=LASHES)
        glasses = np.where(lids, np.minimum(glasses, ramp(glasses, *RIM_ON_LID)), glasses)
        fine, coarse = (
            matte.refine(layer, self._part(self.image), self._few, radius, EPSILON)
            for layer, radius in ((glasses, 2), (others, 4))
        )
        return np.asarray(np.clip((np.maximum(fine, coarse) - 0.15) / 0.6, 0, 1), np.float32)

    @cached_property
    def plate(self) -> ByteImage:
        """The photo [H, W, 3] uint8 without the glasses; their place is filled with the skin beside it."""
        if not self.small[0].any():
            return self.image
        part, few = self._part(self.image), self._few
        rims = matte.refine(self.small[0], few, few, 2, EPSILON)
        points = (self.landmarks[:, :2] - self.box[:2]) * self.zoom
        lids = matte.fill(few.shape, points, *matte.LIDS)
        brows = matte.fill(few.shape, points, *matte.BROWS)
        hole = _grown((rims > RIM).astype(np.uint8) | self._thin(lids | brows), 3)
        beside = _grown(hole, 3) | lids
        reach = LIFT * self._wide * self.zoom
        bare = _inpainted(part, few, hole & (1 - lids) & (1 - brows), lids)
        if (hole & brows).any():  # it goes on under the rim
            seen = (brows & (1 - beside)).sum() > SEEN * brows.sum()
            known = brows & (1 - beside) if seen else 1 - (beside | _grown(brows, 5))
            bare = light.filled(bare, hole & brows & (1 - lids), known, reach)
        whole = np.array(self.image)
        self._part(whole)[:] = bare
        return whole

    def _thin(self, features: ByteImage) -> ByteImage:
        """[h, w] uint8 of the box, small: dark or light lines beside the eyes that hang together with the rims that
        were found: thin ones. features: lids and brows."""
        grey = cv2.cvtColor(self._few, cv2.COLOR_RGB2GRAY)
        wide = self._wide * self.zoom
        points = (self.landmarks - [*self.box[:2], 0]) * self.zoom
        lines = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, _disc(0.02 * wide)) > THIN * max(
            np.median(grey), 1
        )
        nose = matte.fill(grey.shape, points, (6, 351, 420, 279, 4, 49, 198, 122))
        lines &= _beside_eyes(grey.shape, points) & (nose == 0) & (_grown(features, 11) == 0)
        rims = self.small[0] > RIM
        _, names = cv2.connectedComponents(_grown((lines | rims).astype(np.uint8), 3), connectivity=8)
        return np.asarray(lines & np.isin(names, np.setdiff1d(names[rims], 0)), np.uint8)

    def lifted(self) -> float:
        """How much of what lies around the eyes was filled with the skin beside it, where glasses were, 0 to 1."""
        here = _beside_eyes(self.image.shape, self.landmarks)
        away = cv2.absdiff(self.plate, self.image).max(axis=2) > FILLED
        return float(away[here].mean()) if here.any() else 0.0

    @property
    def _wide(self) -> float:
        return float(np.linalg.norm(self.landmarks[234, :2] - self.landmarks[454, :2]))

    @cached_property
    def _rimmed(self) -> float:
        """How near glasses lie to the brows, 0 to 1."""
        if not self.small[0].any():
            return 0.0
        points = (self.landmarks[:, :2] - self.box[:2]) * self.zoom
        near = cv2.dilate((self.small[0] > 0.2).astype(np.uint8), _disc(0.03 * self._wide * self.zoom))
        brows = matte.fill(near.shape, points, *matte.BROWS, grow=1.2)
        return float(ramp(float(near[brows > 0].mean()) if brows.any() else 0.0, 0.05, 0.35))

    def rested(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Coefficients `after` [52] whose brows rise less from `before` where rims lie on them: held at their lower
        edge, they would grow broad."""
        if not self._rimmed:
            return after
        result = np.array(after, np.float64)
        rise = np.maximum(result[RAISED] - np.asarray(before)[RAISED], 0)
        result[RAISED] -= RIMMED * self._rimmed * rise
        return result

    def eased(self, moving: Motion, turning: Callable[[], Motion] | None = None) -> Motion:
        """`moving`, in which glasses are only shifted and turned; hands, hair and the like, and what is beside them,
        move as `turning` says, which gives the motion of the head's turn alone: None, not at all."""
        x0, _, x1, _ = moving.box
        wide = self._wide * moving.grid.shape[1] / (x1 - x0)
        glasses, others = (self._on_grid(layer, moving) for layer in self.small)
        grid, parting = moving.grid, moving.parting
        turned = np.zeros_like(grid) if turning is None else turning().grid
        rims = (glasses > LIKELY).astype(np.float32)
        if rims.any():
            rigid = turned + _rigid(grid - turned, glasses)
            for mean, reach in ((cv2.GaussianBlur(grid, (0, 0), SLOW * wide), SLOWED), (rigid, STIFF)):
                there = cv2.GaussianBlur(cv2.dilate(rims, _disc(reach * wide)), (0, 0), 0.6 * reach * wide)
                grid = grid + there[..., None] * (mean - grid)
        if others.any():
            there = cv2.dilate(others, _disc(FADE * wide))
            there = cv2.GaussianBlur(np.clip(2 * there, 0, 1), (0, 0), max(FADE * wide, 0.5))
            there = np.asarray(there, np.float32)[..., None]
            grid = grid + there * (turned - grid)
            parting = parting.towards(turned, there) if parting is not None else None
        return replace(moving, grid=grid, parting=parting)

    def _on_grid(self, layer: FloatArray, moving: Motion) -> FloatArray:
        """`layer` [h, w] of `small`, on the grid of a motion."""
        (x0, y0, x1, y1), (rows, columns) = moving.box, moving.grid.shape[:2]
        across, down = columns / (x1 - x0), rows / (y1 - y0)
        left, top = self.box[:2]
        place = np.array(
            [[across / self.zoom, 0, (left - x0) * across], [0, down / self.zoom, (top - y0) * down]]
        )
        return np.asarray(cv2.warpAffine(layer, place, (columns, rows)), np.float32)

    def before(self, region: ByteImage, drawn: ByteImage, moving: Motion) -> None:
        """Lay what is in front over what was `drawn` on a moved `region`, in place of `drawn`: both [h, w, 3] uint8."""
        x0, y0, x1, y1 = moving.box
        field = moving.field()
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        cover = cv2.remap(
            self.alpha, x + field[0] - self.box[0], y + field[1] - self.box[1], cv2.INTER_LINEAR
        )[..., None]
        drawn[:] = drawn + cover * (region.astype(np.float32) - drawn) + 0.5

    def cover(self) -> FloatArray:
        """`alpha` of the whole photo, [H, W] float32 0 to 1."""
        return self._whole(self.alpha)

    def covers(self, part: tuple[slice, slice]) -> FloatArray:
        """`alpha` of a part of the photo, rows and columns, [h, w] float32 0 to 1."""
        (rows, columns), (x0, y0, _, _) = part, self.box
        place = np.array([[1.0, 0, x0 - columns.start], [0, 1, y0 - rows.start]])
        return np.asarray(
            cv2.warpAffine(self.alpha, place, (columns.stop - columns.start, rows.stop - rows.start)),
            np.float32,
        )

    def share(self, outline: tuple[int, ...], of: int = 1) -> float:
        """How much of the outline through some landmarks is hidden, 0 to 1: by glasses (`of` 0), or by hands, hair and
        the like (1)."""
        points = (self.landmarks[:, :2] - self.box[:2]) * self.zoom
        inside = matte.fill(self.small.shape[1:], points, outline) > 0
        whole = cv2.contourArea(points[list(outline)].astype(np.float32))
        return float((self.small[of][inside] > 0.5).sum() / max(whole, 1.0))

    def hidden(self, rims: bool = True) -> FloatArray | None:
        """Where something that is no pair of glasses hides the face, [H, W] float32 0 to 1 of the photo. Where it hides
        one brow, or a rim does, both count: one alone of two people's looks odd. rims: of glasses that come off."""
        cover = self.small[1]
        if any(rims * self.share(brow, 0) + self.share(brow, 1) > BROW for brow in matte.BROWS):
            points = (self.landmarks[:, :2] - self.box[:2]) * self.zoom
            brows = matte.fill(cover.shape, points, *matte.BROWS, grow=1.5)
            cover = np.maximum(cover, cv2.GaussianBlur(brows.astype(np.float32), (0, 0), 2.0))
        if not cover.any():
            return None
        soft = cv2.GaussianBlur(cv2.dilate(cover, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
        return self._whole(
            cv2.resize(np.clip(1.5 * soft, 0, 1), (self.box[2] - self.box[0], self.box[3] - self.box[1]))
        )

    def _part(self, image: ByteImage) -> ByteImage:
        x0, y0, x1, y1 = self.box
        return image[y0:y1, x0:x1]

    def _whole(self, layer: FloatArray) -> FloatArray:
        x0, y0, x1, y1 = self.box
        whole = np.zeros(self.image.shape[:2], np.float32)
        whole[y0:y1, x0:x1] = layer
        return np.asarray(whole)


def _rigid(grid: FloatArray, weight: FloatArray) -> FloatArray:
    """The shift and turn nearest to `grid` [h, w, 2] where `weight` [h, w] has a say, everywhere."""
    weight = weight / weight.sum()
    y, x = (at - (weight * at).sum() for at in np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float32))
    apart = max(float((weight * (x * x + y * y)).sum()), 1e-6)  # none of a single cell
    spin = (weight * (x * grid[..., 1] - y * grid[..., 0])).sum() / apart
    return np.asarray(np.einsum("hw,hwc->c", weight, grid) + spin * np.stack([-y, x], -1), np.float32)


def _inpainted(picture: ByteImage, few: ByteImage, hole: ByteImage, other: ByteImage) -> ByteImage:
    """`picture` [H, W, 3] whose `hole` goes on from what is round it, but for `other`, both [h, w] 0 or 1 of `few`, the
    picture's small copy [h, w, 3]."""
    height, width = picture.shape[:2]
    whole = cv2.inpaint(few, hole | _grown(other, 3), 4, cv2.INPAINT_TELEA)
    whole = cv2.GaussianBlur(whole, (0, 0), 1.0)
    share = cv2.GaussianBlur(_grown(hole, 3).astype(np.float32), (0, 0), 0.8) * (1 - other)
    cover = cv2.resize(share, (width, height))[..., None]
    colour = cv2.resize(whole, (width, height)).astype(np.float32)
    return np.asarray(picture + cover * (colour - picture) + 0.5, np.uint8)


def _grown(mask: ByteImage, size: int) -> ByteImage:
    return np.asarray(cv2.dilate(mask, np.ones((size, size), np.uint8)), np.uint8)


def front(image: ByteImage, landmarks: FloatArray, found: FloatArray | None) -> Front | None:
    """What was `found` (see `seen`) in front of a face, in a photo [H, W, 3] uint8 with `landmarks` [478, 3] px; None
    for nothing."""
    if found is None or found.max() <= LEAST:
        return None
    matrix = upright(landmarks)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    zoom = min(1.0, FINE * scale)
    rows, columns = np.nonzero(found.max(0) > LEAST)
    corners = np.array(
        [[x, y] for x in (columns.min() - 4, columns.max() + 5) for y in (rows.min() - 4, rows.max() + 5)]
    )
    place = align.transform_points(corners.astype(np.float64), align.invert(matrix))
    height, width = image.shape[:2]
    x0, y0 = (int(v) for v in np.floor(place.min(0)).clip(0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(place.max(0)), [width, height]))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    size = max(2, round((x1 - x0) * zoom)), max(2, round((y1 - y0) * zoom))
    to_photo = align.invert(matrix)
    to_box = zoom * to_photo
    to_box[:, 2] = zoom * (to_photo[:, 2] - [x0, y0]) + to_box[:, :2].sum(1) / 2 - 0.5  # pixels' centres
    small = np.stack([np.asarray(cv2.warpAffine(part, to_box, size), np.float32) for part in found])
    return Front(image, landmarks, found, (x0, y0, x1, y1), zoom, small)
