"""Where lips part: a smooth line, up to which each lip has a motion of its own, that goes on beyond its edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.types import ByteImage, FloatArray
from mien.warping.lips import downward, edges
from mien.warping.mesh import IndexArray

# units (90 between the outer eye corners) beyond the corners of the lips in which their creases end
CREASE = 8.0
INWARD = 2.0  # units of what open lips show that are covered beside their edges
ONWARD = 4.0  # units over which the line between shut lips, going on beyond their corners, levels off
PIT = 3.5, 9.0  # units beyond a corner in which its pit lies, and from there to where the skin is as it was
BESIDE = 3  # cells round the mouth's opening in which each lip has its own map


@dataclass(frozen=True)
class Parting:
    """The line along which lips part, and the map of either side.

    Attributes:
        line: [n, 2] px of the region, from corner to corner. down: the face's downward direction [2].
        cells: rows and columns of the motion's grid. upper, lower: that part of it [h, w, 2] for each lip, which goes
            on beyond the lip's edge.
    """

    line: FloatArray
    down: FloatArray
    cells: tuple[slice, slice]
    upper: FloatArray
    lower: FloatArray

    def below(self, left: int, top: int, width: int, height: int) -> ByteImage:
        """[height, width] uint8, 255 below the line, of a box whose first pixel is (left, top)."""
        return _below(self.line - [left, top], self.down, width, height, cv2.LINE_AA)

    def towards(self, grid: FloatArray, share: FloatArray) -> Parting:
        """The same with the motion of each cell by its `share` [h, w, 1] nearer to that of `grid` [h, w, 2]."""
        other, here = grid[self.cells], share[self.cells]
        upper, lower = (side + here * (other - side) for side in (self.upper, self.lower))
        return replace(self, upper=upper, lower=lower)


def part_lips(
    grid: FloatArray,
    index: IndexArray,
    foreign: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    target: FloatArray,
    origin: FloatArray,
    zoom: FloatArray,
) -> Parting | None:
    """The parting of a map `grid` [h, w, 2] made of triangles `index` [h, w], or None where no mouth is in it.

    Args:
        foreign: which triangles are not the upper lip's, which not the lower's [m + 1] each, the last for no triangle.
        target: landmarks [478, 3] px. origin: of the map, px [2]. zoom: cells a px [2].
    """
    curves, down = np.stack(edges(target)) - origin, downward(target)
    outline = curves.reshape(-1, 2) * zoom
    low = np.floor(outline.min(0)).astype(int) - BESIDE
    high = np.ceil(outline.max(0)).astype(int) + BESIDE
    (left, top), (right, bottom) = low.clip(0).tolist(), np.minimum(high, index.shape[::-1]).tolist()
    if right - left < 2 * BESIDE or bottom - top < 2 * BESIDE:
        return None
    cells = np.s_[top:bottom, left:right]
    line = curves.mean(0)
    below = _below(line * zoom - [left, top], down, right - left, bottom - top, cv2.LINE_8) > 0
    across = (line[-1] - line[0]) * zoom
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5
    along = ((columns - line[0, 0] * zoom[0]) * across[0] + (rows - line[0, 1] * zoom[1]) * across[1]) / max(
        float(across @ across), 1e-6
    )
    between = (along > 0) & (along < 1)
    parts = []
    for other, beyond in zip(foreign, (below, ~below), strict=True):
        part = grid[cells].copy()
        holes = other[index[cells]] | (beyond & between)
        fill(part, holes)
        for _ in range(3):  # neighbours that share a nearest one would repeat its texture
            part[holes] = cv2.GaussianBlur(part, (0, 0), 1.2)[holes]
        part[1:-1, 1:-1] = cv2.medianBlur(part, 3)[1:-1, 1:-1]  # single cells of slivers at the corners
        parts.append(part)
    return Parting(line, down, cells, *parts)


def _below(line: FloatArray, down: FloatArray, width: int, height: int, kind: int) -> ByteImage:
    """[height, width] uint8, 255 below a `line` [n, 2] px and its ends' downward continuations."""
    far = down * (2 * (width + height))
    outline = np.concatenate([line, line[-1:] + far, line[:1] + far]) - 0.5
    mask = np.zeros((height, width), np.uint8)
    return np.asarray(cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, kind, 4))


def unlined(
    image: ByteImage,
    lips: tuple[FloatArray, FloatArray],
    down: FloatArray,
    unit: float,
    middle: float,
    corner: float,
) -> ByteImage:
    """A photo [H, W, 3] uint8 without the dark line between its shut lips and its ends at the corners, or without the
    dark edge of what its open ones show there.

    Lips that part would carry it along and stretch it: what lies beside it is drawn over it. `lips`: the edges
    [n, 2] px of the upper and the lower one. `down`: the face's downward direction [2]. `unit`: px a unit. `middle`,
    `corner`: units that are covered there on either side.
    """
    line = np.mean(lips, 0)
    across = line[-1] - line[0]
    wide = float(np.linalg.norm(across))
    across = across / max(wide, 1e-6)
    away = np.array([-across[1], across[0]]) * (1.0 if across[0] * down[1] > across[1] * down[0] else -1.0)
    reach = 3.5 * max(middle, corner) * unit
    corners = line[[0, -1]] + [[-CREASE * unit], [CREASE * unit]] * across
    ends = np.concatenate([corners, *lips])
    low = np.floor(ends.min(0) - reach).astype(int).clip(0)
    high = np.minimum(np.ceil(ends.max(0) + reach).astype(int), image.shape[1::-1])
    if (high - low).min() < 3 or wide < unit:
        return image
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32) + 0.5
    along = (columns - line[0, 0]) * across[0] + (rows - line[0, 1]) * across[1]
    end = np.maximum(-along, along - wide) / unit  # units beyond the corner, less than 0 between them
    off = (columns - line[0, 0]) * away[0] + (rows - line[0, 1]) * away[1]
    off -= _going_on(line - line[0], across, away, ONWARD * unit, along)
    upper, lower = (
        off - np.interp(along, (lip - line[0]) @ across, (lip - line) @ away).astype(np.float32)
        for lip in lips
    )
    inside = np.minimum(upper, -lower)  # px
    half = middle + (corner - middle) * np.clip(1 + end / 5, 0, 1) ** 2
    half = unit * half * np.clip(1 - end / CREASE, 0, 1)
    further = half * np.clip(1 - np.maximum(-inside, 0) / np.maximum(3 * half, 1e-3), 0, 1)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    sides = []
    for by in (np.minimum(upper, 0) - further - upper, np.maximum(lower, 0) + further - lower):
        x, y = (
            np.asarray(p - low[k] - 0.5 + by * away[k], np.float32) for k, p in enumerate((columns, rows))
        )
        sides.append(
            cv2.remap(image[part], x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        )
    # beyond the corners one passes into the other
    into = np.maximum(half * np.clip((end + 1.5) / 3, 0, 1), 0.2)
    below = np.clip(0.5 + 0.25 * (upper + lower) / into, 0, 1).astype(np.float32)[..., None]
    share = ((further > 0) * np.clip(INWARD * unit - inside, 0, 1)).astype(np.float32)[..., None]
    drawn = sides[0] + below * (sides[1] - sides[0])
    result = image.copy()
    result[part] = image[part] + share * (drawn - image[part]) + 0.5
    return result


def _going_on(
    points: FloatArray, across: FloatArray, away: FloatArray, by: float, along: FloatArray
) -> FloatArray:
    """How far off `across` a line through `points` [n, 2] px lies at `along` [h, w] px, going on beyond its ends as it
    runs there, and levelling off over `by` px. `across`, `away`: lengths 1."""
    at, off = points @ across, points @ away
    result = np.interp(along, at, off)
    for end, near, beyond in ((0, 6, at[0] - along), (-1, -7, along - at[-1])):
        slope = (off[end] - off[near]) / max(abs(float(at[end] - at[near])), 1e-6)
        result += slope * by * (1 - np.exp(-np.clip(beyond, 0, None) / max(by, 1e-6)))
    return np.asarray(result, np.float32)


def smoothed(
    image: ByteImage, corners: FloatArray, across: FloatArray, unit: float, share: float
) -> ByteImage:
    """A photo [H, W, 3] uint8 without what is darker than the skin beside the `corners` [2, 2] px of a mouth: the pits
    that those leave behind where a mouth opens. `across`: from one to the other, length 1. `unit`: px a unit.
    """
    result = image
    for corner, outward in zip(corners, (-across, across), strict=True):
        centre, reach = corner + PIT[0] * unit * outward, PIT[1] * unit
        low = np.floor(centre - reach).astype(int).clip(0)
        high = np.minimum(np.ceil(centre + reach).astype(int), image.shape[1::-1])
        if (high - low).min() < 5:
            continue
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        rows, columns = np.mgrid[part].astype(np.float32) + 0.5
        off_x, off_y = columns - np.float32(centre[0]), rows - np.float32(centre[1])
        beyond = (off_x * outward[0] + off_y * outward[1]) / unit + PIT[0]  # units beyond the corner
        near = np.exp(-((np.hypot(off_x, off_y) / (0.5 * reach)) ** 4)) * np.clip(beyond / 1.5, 0, 1)
        here = image[part].astype(np.float32)
        light = here.mean(-1)
        skin = near * (light >= np.median(light[near > 0.5])) if (near > 0.5).any() else near
        weights = np.dstack([here * skin[..., None], skin])
        soft = cv2.GaussianBlur(weights, (0, 0), 2.5 * unit)
        plain = soft[..., :3] / np.maximum(soft[..., 3:], 1e-3)
        darker = 1 - light / np.maximum(plain.mean(-1), 1)
        pit = cv2.GaussianBlur(np.clip((darker - 0.06) / 0.1, 0, 1), (0, 0), 0.5 * unit)
        much = float((pit * near).sum() / max(float(near.sum()), 1e-3))
        hairs, skin = (cv2.GaussianBlur(light, (0, 0), units * unit) for units in (0.3, 0.8))
        rough = (
            float(np.median((np.abs(hairs - skin) / (light + 8))[near > 0.3])) if (near > 0.3).any() else 0.0
        )
        # much that is dark is a beard where it is rough, and the end of a smile's fold where it is not
        smooth_skin = min((0.65 - much) / 0.15, (0.028 - rough) / 0.008)
        pit *= np.clip(max((0.4 - much) / 0.15, smooth_skin), 0, 1)
        if result is image:
            result = image.copy()
        result[part] = here + (share * near * pit)[..., None] * (plain - here) + 0.5
    return result


def fill(grid: FloatArray, holes: NDArray[np.bool_]) -> None:
    """Give `holes` [h, w] in a map [h, w, 2] their nearest neighbour's motion, in place."""
    if not holes.any() or holes.all():
        return
    _, nearest = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of = np.zeros((int(nearest.max()) + 1, 2), np.float32)
    of[nearest[~holes]] = grid[~holes]
    grid[holes] = of[nearest[holes]]


def between_cells(values: FloatArray, where: FloatArray, axis: int) -> FloatArray:
    """`values` at fractional indices `where` [n] along an axis, the last ones repeated beyond the ends."""
    where = where.clip(0, values.shape[axis] - 1)
    low = np.minimum(where.astype(int), values.shape[axis] - 2)
    share = np.float32(where - low).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    first, second = np.take(values, low, axis), np.take(values, low + 1, axis)
    return np.asarray(first + share * (second - first), np.float32)
