"""From moved landmarks to moved pixels: where each pixel of the result comes from, and one `cv2.remap`.

The photo is cut along the face mesh; rings round the face carry its motion out until it has died away. Which triangle
a pixel lies in is drawn at low resolution, its affine map read off there, and the map enlarged: a face of any size
costs the same but for the remap. Lips part along a smooth line; there each has a map of its own, that goes on beyond
its edge.

Pixels: a point (x, y) is in pixels, with pixel (row, column) centred at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
    IndexArray,
    strip,
    triangles,
)
from mien.warping.parting import Parting, between_cells, fill, part_lips

# Size of each ring against the face's oval, and its share of the oval's motion.
RINGS = ((1.12, 0.72), (1.3, 0.38), (1.55, 0.12), (1.9, 0.0))
CELLS = 288  # of the map across the outermost ring, at most
FINEST, FEWEST = 2.0, 160  # px of a cell at least, unless that makes fewer cells
STILL = 0.03  # px: what moves less keeps every bit
SQUEEZED = 1.5  # source pixels per result pixel above which the photo is blurred first
TORN = 3.5  # cells that the sources of two neighbours lie apart, where one hides what is behind it; mere squeezing: 3
# Of its distance from the photo's border, by which a pixel's source is nearer to it at most.
AT_BORDER = 0.7
NICKED = 0.7  # cells that the sources of mesh and rings lie apart, where the face's outline would get nicks
JOINED = 4.0  # cells: sigma of the blur that joins them
BAND = 2**16  # px that are moved at once: what is small stays in the processor's cache
TILE = 64  # px of a side


@dataclass(frozen=True)
class Motion:
    """Where the pixels of a region of the result come from.

    Attributes:
        box: x0, y0, x1, y1 of the region in px of the photo. grid: [h, w, 2] float32, source minus result px, coarse.
        parting: of the lips; None where there is no mouth.
    """

    box: tuple[int, int, int, int]
    grid: FloatArray
    parting: Parting | None = None

    def field(self) -> tuple[FloatArray, FloatArray]:
        """x and y [H, W] float32 of the region at full size: source minus result, px."""
        x0, y0, x1, y1 = self.box
        x, y = (cv2.resize(part, (x1 - x0, y1 - y0)) for part in cv2.split(self.grid))
        return np.asarray(x), np.asarray(y)

    @cached_property
    def squeeze(self) -> float:
        """The most source pixels per result pixel."""
        return float(self._squeeze.max())

    @cached_property
    def soft(self) -> FloatArray | None:
        """Share [H, W] float32 of the blurred photo in each pixel at full size; None: nothing is squeezed so far."""
        x0, y0, x1, y1 = self.box
        share = np.clip((self._squeeze - SQUEEZED) / SQUEEZED, 0, 1)
        return np.asarray(cv2.resize(share, (x1 - x0, y1 - y0))) if share.any() else None

    @cached_property
    def torn(self) -> tuple[slice, slice, FloatArray] | None:
        """Rows and columns of the region round what hides what lies behind it, where neighbouring pixels come from far
        apart, and how near each of these is to it [h, w] float32 0 to 1; None: nothing hides anything else."""
        height, width = self.grid.shape[:2]
        x0, y0, x1, y1 = self.box
        cell = (x1 - x0) / width
        apart = np.zeros((height, width), np.uint8)
        for axis, part in ((0, apart[1:]), (1, apart[:, 1:])):
            away = np.abs(np.diff(self.grid, axis=axis)) > TORN * max(cell, 1.0)
            part |= away[..., 0] | away[..., 1]
        if not apart.any():
            return None
        apart = np.asarray(cv2.dilate(apart, np.ones((3, 3), np.uint8)), np.uint8)
        x, y, w, h = cv2.boundingRect(apart)
        left, top = (max(v - 1, 0) for v in (x, y))
        cells = np.s_[top : min(y + h + 1, height), left : min(x + w + 1, width)]
        rows, columns = (
            slice(round(side.start * size / count), round(side.stop * size / count))
            for side, size, count in zip(cells, (y1 - y0, x1 - x0), (height, width), strict=True)
        )
        size = columns.stop - columns.start, rows.stop - rows.start
        return rows, columns, np.asarray(cv2.resize(apart[cells].astype(np.float32), size))

    @cached_property
    def _squeeze(self) -> FloatArray:
        """Source pixels per result pixel, in the direction of most, of every cell of the grid [h, w] float32."""
        cell = (self.box[2] - self.box[0]) / self.grid.shape[1]
        across, down = np.gradient(self.grid[..., 0], axis=1), np.gradient(self.grid[..., 1], axis=0)
        stretch = np.maximum(np.abs(1 + across / cell), np.abs(1 + down / cell))
        return np.asarray(stretch, np.float32)


@lru_cache(maxsize=1)
def _cut() -> IndexArray:
    """Triangles [m, 3] of mesh, openings and rings; the rings' points follow the 468 landmarks."""
    n, count = 468, len(OVAL)
    parts = [triangles()]
    parts += [  # lower before upper: wound as the mesh is
        strip(LOWER_LIP, UPPER_LIP),
        strip(RIGHT_LOWER_LID, RIGHT_UPPER_LID),
        strip(LEFT_LOWER_LID, LEFT_UPPER_LID),
    ]
    a = np.arange(count)
    b = (a + 1) % count
    inner: IndexArray = np.array(OVAL, np.int32)
    for k in range(len(RINGS)):
        outer = (n + k * count + a).astype(np.int32)
        parts.append(np.stack([inner[a], inner[b], outer[a]], 1))
        parts.append(np.stack([inner[b], outer[b], outer[a]], 1))
        inner = outer
    return np.concatenate(parts).astype(np.int32)


def _rings(landmarks: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points of the rings [36 * rings, 2] before and after."""
    oval = list(OVAL)
    first, last = landmarks[oval, :2], target[oval, :2]
    centre = first.mean(0)
    before, after = [], []
    for size, share in RINGS:
        ring = centre + size * (first - centre)
        before.append(ring)
        after.append(ring + share * (last - first))
    return np.concatenate(before), np.concatenate(after)


def motion(
    landmarks: FloatArray,
    target: FloatArray,
    shape: tuple[int, ...],
    cells: int = CELLS,
    source: FloatArray | None = None,
) -> Motion:
    """The motion of a photo of `shape` (H, W, …) whose `landmarks` [478, 3] px go to `target` [478, 3] px.

    `source`: landmarks [478, 3] px of a face in another picture. The result's pixels then come from there, in the same
    box; round that face nothing decays, for there is no still photo to join.
    """
    height, width = shape[:2]
    ring_before, ring_after = _rings(landmarks, target)
    if source is not None:
        landmarks, ring_before = source, _rings(source, source)[0]
    before = np.concatenate([landmarks[:468, :2], ring_before])
    after = np.concatenate([target[:468, :2], ring_after])
    last = ring_after[-len(OVAL) :]  # does not move
    x0, y0 = (max(0, int(v)) for v in np.floor(last.min(0)))
    x1, y1 = int(min(width, np.ceil(last[:, 0].max()))), int(min(height, np.ceil(last[:, 1].max())))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return Motion((0, 0, min(2, width), min(2, height)), np.zeros((2, 2, 2), np.float32))
    across = float(np.ptp(last, axis=0).max())
    zoom = min(1.0, cells / across, max(1 / FINEST, FEWEST / across))
    w, h = max(2, round((x1 - x0) * zoom)), max(2, round((y1 - y0) * zoom))
    zoom_xy = np.array([w / (x1 - x0), h / (y1 - y0)])
    p = (after - [x0, y0]) * zoom_xy  # grid cell (row, column) is centred at (column + 0.5, row + 0.5)
    cut = _cut()
    corners = p[cut]  # [m, 3, 2]
    edges = corners[:, 1:] - corners[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    shift = (before - after)[cut]  # [m, 3, 2]: linear in each triangle
    flat = np.abs(area) < 1e-6
    (x1st, y1st), (x2nd, y2nd) = edges.transpose(1, 2, 0)
    inverse = np.array([[y2nd, -y1st], [-x2nd, x1st]]) / np.where(flat, np.inf, area)
    slope = inverse.transpose(2, 0, 1) @ (shift[:, 1:] - shift[:, :1])  # change of shift per cell in x, in y
    index = np.full((h, w), -1, np.int32)
    depth = np.concatenate([target[:468, 2], np.full(len(ring_before), 1e6)])
    fixed = np.round((corners - 0.5) * 16).astype(np.int32)
    facing = np.median(area[: len(triangles())])
    seen = ~flat & (area * facing > 0)  # what has folded over lies behind its neighbours
    if (
        source is not None
    ):  # no eye or mouth of the photo's lies below: openings, wound the other way, are laid too
        seen |= ~flat & (np.arange(len(cut)) >= len(triangles())) & (cut < 468).all(1)
    order = np.argsort(-depth[cut].mean(1), kind="stable")
    for k in order[seen[order]].tolist():
        cv2.fillConvexPoly(index, fixed[k], k, cv2.LINE_8, 4)
    # Of each triangle a corner, its shift, the slopes, and the least and most shift: a cell's centre may lie just
    # outside its triangle, and a sliver's map leads far away. The last column is of cells without a triangle.
    maps = np.zeros((12, len(cut) + 1), np.float32)
    parts = corners[:, 0], shift[:, 0], slope[:, 0], slope[:, 1], shift.min(1), shift.max(1)
    maps[:, :-1] = np.concatenate(parts, 1).T
    of = np.take(maps, index, axis=1)  # [12, h, w]
    by_x = np.arange(w, dtype=np.float32) + 0.5 - of[0]
    by_y = np.arange(h, dtype=np.float32)[:, None] + 0.5 - of[1]
    sides = [np.clip(of[k] + by_x * of[k + 2] + by_y * of[k + 4], of[k + 6], of[k + 8]) for k in (2, 3)]
    grid = np.stack(sides, 2)
    _fill_gaps(grid, index, p[-2 * len(OVAL) : -len(OVAL)])
    parting = None
    if source is None:
        _join_outline(grid, index, 1 / float(zoom_xy.min()))
        for axis, (start, size, end) in enumerate(((x0, w, width), (y0, h, height))):
            at = (start + (np.arange(size) + 0.5) / zoom_xy[axis]).reshape(-1, *[1] * axis)
            low, high = -AT_BORDER * at, AT_BORDER * (end - at)
            grid[..., axis] = np.minimum(np.maximum(grid[..., axis], low), high)
        parting = part_lips(grid, index, _sides(), target, np.array([x0, y0]), zoom_xy)
    return Motion((x0, y0, x1, y1), grid, parting)


@lru_cache(maxsize=1)
def _sides() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which triangles are not the upper lip's, which not the lower's: [m + 1] each, the last for no triangle."""
    first = len(triangles())
    sides = []
    for other in (LOWER_LIP, UPPER_LIP):
        no: NDArray[np.bool_] = np.isin(_cut(), other[1:-1]).max(1)
        no[first : first + len(strip(LOWER_LIP, UPPER_LIP))] = True
        sides.append(np.append(no, True))
    return sides[0], sides[1]


def _fill_gaps(grid: FloatArray, index: IndexArray, outline: FloatArray) -> None:
    """Give cells within `outline` [n, 2] that no triangle covers (theirs folded over) their neighbour's motion."""
    within = cv2.fillConvexPoly(np.zeros(index.shape, np.uint8), outline.astype(np.int32), 1)
    gaps = (within > 0) & (index < 0)
    if gaps.any():
        filled = grid.copy()
        fill(filled, index < 0)
        grid[gaps] = filled[gaps]


def _join_outline(grid: FloatArray, index: IndexArray, cell: float) -> None:
    """Smooth the map [h, w, 2] where mesh and rings part: a turned head's far cheek, a jaw that opens wide and the skin
    before an ear move otherwise than what lies outside the face's oval. cell: its side, px."""
    face = (index >= 0) & (index < len(_cut()) - 2 * len(RINGS) * len(OVAL))
    rough = np.zeros(index.shape, np.uint8)
    for axis, part in ((0, rough[1:]), (1, rough[:, 1:])):
        apart = np.abs(np.diff(grid, axis=axis)) > NICKED * cell
        part |= (apart[..., 0] | apart[..., 1]) & np.diff(face, axis=axis)
    if rough.any():
        band = cv2.dilate(rough, np.ones((11, 11), np.uint8)).astype(np.float32)
        share = cv2.GaussianBlur(band, (0, 0), JOINED / 2)[..., None]
        grid += share * (cv2.GaussianBlur(grid, (0, 0), JOINED) - grid)


def carry(image: ByteImage, moving: Motion) -> ByteImage:
    """The region of `moving` with its pixels moved, [h, w, 3] uint8.

    Pixels that move less than `STILL` are the photo's, bit for bit.
    """
    x0, y0, x1, y1 = moving.box
    result = image[y0:y1, x0:x1].copy()
    rows, columns = _moved(moving)
    by_x, by_y = moving.field()
    _ = moving.soft  # once, for all bands
    tall = BAND // max(columns.stop - columns.start, 1) + 1

    def move(top: int) -> None:
        band = slice(top, min(top + tall, rows.stop)), columns
        moves = (np.abs(by_x[band]) >= STILL) | (np.abs(by_y[band]) >= STILL)
        left, right = _span(moves.any(0))
        part = band[0], slice(columns.start + left, columns.start + right)
        if left < right:
            moved = _sampled(image, moving, by_x[part], by_y[part], part)
            cv2.copyTo(moved, moves[:, left:right].astype(np.uint8), result[part])

    tops = range(rows.start, rows.stop, tall)
    if len(tops) < 2:  # a thread costs more than a small picture's only band
        for top in tops:
            move(top)
    else:  # OpenCV shares nothing as small as a band out among cores
        with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
            list(pool.map(move, tops))
    if moving.torn is not None:
        _soften(result, moving, by_x, by_y)
    if by_x[rows, columns].size and moving.parting is not None:
        _lay_lips(image, moving, moving.parting, result)
    return result


def _soften(result: ByteImage, moving: Motion, by_x: FloatArray, by_y: FloatArray) -> None:
    """Smooth the stairs, a cell high, at which one part of the region `result` hides another, in place."""
    if moving.torn is None:
        return
    rows, columns, share = moving.torn
    part = result[rows, columns]
    cell = (moving.box[2] - moving.box[0]) / moving.grid.shape[1]
    moves = (np.abs(by_x[rows, columns]) >= STILL) | (np.abs(by_y[rows, columns]) >= STILL)
    soft = cv2.GaussianBlur(part, (0, 0), 0.9 * max(cell, 1.0)).astype(np.float32)
    part[:] = (part + (share * moves)[..., None] * (soft - part) + 0.5).astype(np.uint8)


def _lay_lips(image: ByteImage, moving: Motion, parting: Parting, result: ByteImage) -> None:
    """Lay both lips over the region `result` [h, w, 3], each by its own map up to the line between them."""
    height, width = result.shape[:2]
    shape = moving.grid.shape
    rows, columns = (
        slice(int(np.ceil((side.start + 0.5) * size / count)), int((side.stop - 0.5) * size / count))
        for side, size, count in zip(parting.cells, (height, width), shape[:2], strict=True)
    )
    at = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    where = [(at[k] + 0.5) * shape[k] / (height, width)[k] - 0.5 - parting.cells[k].start for k in (0, 1)]
    sides, moves = [], np.zeros((len(at[0]), len(at[1])), bool)
    for grid in (parting.upper, parting.lower):
        by_x, by_y = np.ascontiguousarray(
            between_cells(between_cells(grid, where[0], 0), where[1], 1).transpose(2, 0, 1)
        )
        moves |= (np.abs(by_x) >= STILL) | (np.abs(by_y) >= STILL)
        sides.append(_sampled(image, moving, by_x, by_y, (rows, columns)))
    below = parting.below(columns.start, rows.start, len(at[1]), len(at[0]))
    share = below.astype(np.float32)[..., None] / 255
    mixed = sides[0] + share * (sides[1].astype(np.float32) - sides[0]) + 0.5
    cv2.copyTo(mixed.astype(np.uint8), moves.astype(np.uint8), result[rows, columns])


def sample(image: ByteImage, moving: Motion) -> ByteImage:
    """The pixels of `image` [H, W, 3] uint8 that the region of `moving` points at, [h, w, 3] uint8."""
    x0, y0, x1, y1 = moving.box
    return _sampled(image, moving, *moving.field(), (slice(0, y1 - y0), slice(0, x1 - x0)))


def _sampled(
    image: ByteImage, moving: Motion, by_x: FloatArray, by_y: FloatArray, part: tuple[slice, slice]
) -> ByteImage:
    """The pixels that a part of the region points at; by_x, by_y: its field."""
    x0, y0, _, _ = moving.box
    rows, columns = (np.arange(side.start, side.stop, dtype=np.float32) for side in part)
    at_x, at_y = by_x + (columns + x0), by_y + (rows[:, None] + y0)
    moved = cv2.remap(image, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if moving.soft is not None:
        share, sigma = moving.soft[part], 0.4 * min(moving.squeeze, 4.0)
        for at in _tiles(share):
            soft = _blurred(image, at_x[at], at_y[at], sigma)
            sharp = moved[at]
            mixed = sharp + share[at][..., None] * (soft.astype(np.float32) - sharp) + 0.5
            moved[at] = mixed.astype(np.uint8)
    return np.asarray(moved, np.uint8)


def _tiles(share: FloatArray) -> Iterator[tuple[slice, slice]]:
    """Tiles of a band of `share` [h, w] with anything above 0: what is squeezed is narrow, and lies far apart."""
    left, right = _span(share.any(0))
    for column in range(left, right, TILE):
        columns = slice(column, min(column + TILE, right))
        rows = slice(*_span(share[:, columns].any(1)))
        if rows.stop:
            yield rows, columns


def _blurred(image: ByteImage, x: FloatArray, y: FloatArray, sigma: float) -> ByteImage:
    """`image` at columns and rows x, y, blurred by `sigma` px."""
    more, (height, width) = int(3 * sigma) + 2, image.shape[:2]
    left, top = (int(np.clip(at.min() - more, 0, size - 1)) for at, size in ((x, width), (y, height)))
    right, bottom = max(int(x.max()) + more, left) + 1, max(int(y.max()) + more, top) + 1
    part = np.asarray(cv2.GaussianBlur(image[top:bottom, left:right], (0, 0), sigma), np.uint8)
    return np.asarray(cv2.remap(part, x - left, y - top, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _span(some: NDArray[np.bool_] | np.bool_) -> tuple[int, int]:
    """First index [n] that is true, and one past the last."""
    at = np.flatnonzero(some)
    return (int(at[0]), int(at[-1]) + 1) if at.size else (0, 0)


def _moved(moving: Motion) -> tuple[slice, slice]:
    """Rows and columns of the region's pixels outside of which nothing moves by `STILL`."""
    x0, y0, x1, y1 = moving.box
    moves = np.maximum.reduce([np.abs(moving.grid[..., side]) for side in (0, 1)]) >= STILL
    sides = []
    for some, length in ((moves.any(1), y1 - y0), (moves.any(0), x1 - x0)):
        first, last = _span(some)
        cell = length / len(some)
        start, stop = int((first - 1) * cell), int(np.ceil((last + 1) * cell))
        sides.append(slice(max(start, 0), min(stop, length)) if last else slice(0, 0))
    return sides[0], sides[1]
