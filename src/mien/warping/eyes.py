"""Eyes: lids that slide over an eyeball that stays, irises that turn, and skin for a lid that was folded away.

The mesh carries lids and eyeball alike, as if both were printed on rubber. Here the opening is drawn again: the eyeball
where it was, with its iris turned by the gaze; the part of a closing lid that no photo of an open eye shows, from the
skin above its fold; and the lashes, which point down when the lid is down.

Each eye has a frame: its corners lie at (0, 0) and (1, 0), v grows downwards; one unit is the eye's width.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_ABOVE,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_ABOVE,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    IndexArray,
)

EYES = (
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_ABOVE, (46, 53, 52, 65, 55), RIGHT_IRIS),
    (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_ABOVE, (285, 295, 282, 283, 276), LEFT_IRIS),
)
SMALLEST = 14.0  # px: a narrower eye is left to the mesh
LASH = 0.15  # length of lashes, of the eye's width
LINE = 0.015  # half the width of the line that they start from
NARROW = 0.1  # mean opening, of the eye's width, of one that has little left to close
STEPS = 128  # of the curves along an eye


@dataclass(frozen=True)
class _Frame:
    """The frame of an eye and its curves v(u) [STEPS + 1] for u from 0 to 1: lids, fold of the upper lid, brow."""

    origin: FloatArray
    across: FloatArray  # [2] px
    down: FloatArray  # [2] px
    upper: FloatArray
    lower: FloatArray
    fold: FloatArray
    brow: FloatArray

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.across))

    def to_eye(self, points: FloatArray) -> FloatArray:
        """Points [..., 2] px → (u, v)."""
        away = (points - self.origin) / self.width**2
        return np.stack([away @ self.across, away @ self.down], -1)

    def to_photo(self, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(u, v) → x, y px."""
        x = self.origin[0] + u * self.across[0] + v * self.down[0]
        y = self.origin[1] + u * self.across[1] + v * self.down[1]
        return x.astype(np.float32), y.astype(np.float32)


def _frame(landmarks: FloatArray, eye: tuple[tuple[int, ...], ...]) -> _Frame:
    upper, lower, above, brow, _ = eye
    first, last = landmarks[upper[0], :2], landmarks[upper[-1], :2]
    across = last - first
    down = np.array([-across[1], across[0]])
    u = np.linspace(0, 1, STEPS + 1)
    width = float(across @ across)

    def curve(row: tuple[int, ...], pinned: bool) -> FloatArray:
        away = (landmarks[list(row), :2] - first) / width
        at, v = np.clip(away @ across, 0, 1), away @ down
        if pinned:  # through the corners: v = u (1 - u) (a + b u + c u^2)
            basis = lambda t: (t * (1 - t))[:, None] * np.stack([t**0, t, t * t], 1)  # noqa: E731
        else:
            basis = lambda t: np.stack([t**0, t, t * t], 1)  # noqa: E731
        return basis(u) @ np.linalg.lstsq(basis(at), v, rcond=1e-3)[0]

    lids = curve(upper[1:-1], True), curve(lower[1:-1], True)
    top = np.minimum(lids[0], lids[1])
    fold = np.minimum(curve(above, False), top - 0.03)
    return _Frame(first, across, down, top, lids[1], fold, np.minimum(curve(brow, False), fold - 0.05))


def draw_eyes(
    result: ByteImage, image: ByteImage, landmarks: FloatArray, target: FloatArray, corner: tuple[int, int]
) -> None:
    """Draw both eyes into `result` in place: a region of the carried photo whose first pixel is `corner` (x, y).

    Args:
        image: the photo [H, W, 3] uint8. landmarks, target: [478, 3] px of the photo, before and after. Where neither
            lids nor irises move against the eye's corners, nothing is drawn.
    """
    for eye in EYES:
        source, goal = _frame(landmarks, eye), _frame(target, eye)
        if source.width < SMALLEST or goal.width < SMALLEST:
            continue
        iris = list(eye[-1])
        centre, aim = source.to_eye(landmarks[iris[0], :2]), goal.to_eye(target[iris[0], :2])
        still = (
            np.abs(goal.upper - source.upper).max() < 0.004
            and np.abs(goal.lower - source.lower).max() < 0.004
        )
        if still and np.abs(aim - centre).max() < 0.004:
            continue
        radius = float(np.linalg.norm(landmarks[iris[1:], :2] - landmarks[iris[0], :2], axis=1).mean())
        _draw_eye(result, image, source, goal, centre, aim, radius / source.width, corner)


def _draw_eye(
    result: ByteImage,
    image: ByteImage,
    source: _Frame,
    goal: _Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    corner: tuple[int, int],
) -> None:
    high = float(min(goal.fold.min(), source.fold.min())) - 0.02
    low = float(max(goal.lower.max(), goal.upper.max())) + LASH + 0.05
    ends = np.array([[u, v] for u in (-0.06, 1.06) for v in (high, low)])
    x, y = goal.to_photo(ends[:, 0], ends[:, 1])
    x0, y0 = max(int(x.min()) - corner[0], 0), max(int(y.min()) - corner[1], 0)
    x1, y1 = (
        min(int(x.max()) - corner[0] + 1, result.shape[1]),
        min(int(y.max()) - corner[1] + 1, result.shape[0]),
    )
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    place = np.stack(np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5), -1) + np.array(corner)
    uv = goal.to_eye(place)
    u, v = uv[..., 0], uv[..., 1]
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    soft = 1.2 / goal.width  # px of an edge
    upper, lower = goal.upper[index], goal.lower[index]
    inside = np.clip((v - upper) / soft, 0, 1) * np.clip((lower - v) / soft, 0, 1)
    inside *= (u > 0) & (u < 1)
    patch = result[y0:y1, x0:x1].astype(np.float32)

    ball = _eyeball(image, source, goal, centre, aim, radius, u, v, index)
    before, after = (float((f.lower - f.upper).mean()) for f in (source, goal))
    closing = float(np.clip((before - after) / max(before, NARROW), 0, 1))
    opening = float(np.clip(after / max(before, 1e-3) - 1, 0, 0.3)) / 0.3
    shade = 1 - (0.35 * closing + 0.45 * opening) * np.exp(-np.maximum(v - upper, 0) / 0.06)
    patch += inside[..., None] * (ball * shade[..., None] - patch)
    if closing > 0.05:
        _upper_lid(patch, image, source, goal, u, v, index, closing)
        _lashes(patch, image, source, goal, u, v, index, closing)
        near = closing * np.exp(-(((v - upper) / 0.06) ** 2))
        np.maximum(patch, near[..., None] * _line_colour(image, source), out=patch)
    result[y0:y1, x0:x1] = np.clip(patch + 0.5, 0, 255).astype(np.uint8)


def _line_colour(image: ByteImage, source: _Frame) -> FloatArray:
    """How dark the upper lid's line of lashes is in the photo [3], 0 to 255: a shut eye's is no darker."""
    u = np.linspace(0.1, 0.9, STEPS)[:, None]
    v = np.interp(u, np.linspace(0, 1, STEPS + 1), source.upper) + np.linspace(-0.02, 0.03, 4)
    line = _sample(image, *source.to_photo(np.broadcast_to(u, v.shape), v))
    return np.asarray(np.percentile(line.reshape(-1, 3), 25, axis=0))


def _sample(image: FloatArray | ByteImage, x: FloatArray, y: FloatArray) -> FloatArray:
    """`image` at pixels (x, y), float32 [h, w, 3]."""
    values = cv2.remap(
        image, x - np.float32(0.5), y - np.float32(0.5), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(values, np.float32)


def _eyeball(
    image: ByteImage,
    source: _Frame,
    goal: _Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    u: FloatArray,
    v: FloatArray,
    index: IndexArray,
) -> FloatArray:
    """The eyeball [h, w, 3] float32 at (u, v): as it was where it was seen and does not turn, else white and iris."""
    seen = _sample(image, *source.to_photo(u, v))
    edge = 0.02
    lashes = 0.03  # what hangs into the eye from the upper lid
    depth = np.minimum(v - source.upper[index] - lashes, source.lower[index] - v)
    visible = np.clip((depth - edge) / 0.03, 0, 1)
    covered = (goal.upper >= source.upper - 0.004)[
        index
    ]  # no wider than it was: what hangs into it belongs there
    visible = np.maximum(visible, covered & (v > goal.upper[index]))
    shift = aim - centre
    turning = float(np.clip(np.abs(shift).max() / 0.01, 0, 1))
    away = np.hypot(u - centre[0], v - centre[1]) / radius
    known = ((depth > edge) & (away > 1.12) & (u > 0.02) & (u < 0.98)).astype(np.float32)
    white = _filled(seen, known)
    ring_u, ring_v = u - shift[0], v - shift[1]  # where this pixel of the turned iris was
    far = np.hypot(ring_u - centre[0], ring_v - centre[1]) / radius
    spot = np.clip(ring_u * STEPS, 0, STEPS).astype(np.int32)
    clear = np.minimum(ring_v - source.upper[spot] - lashes, source.lower[spot] - ring_v)
    mirror = _sample(image, *source.to_photo(ring_u, 2 * centre[1] - ring_v))
    iris = _sample(image, *source.to_photo(ring_u, ring_v))
    iris += np.clip((edge + 0.03 - clear) / 0.03, 0, 1)[..., None] * (mirror - iris)
    whole = white + np.clip((1.12 - far) / 0.14, 0, 1)[..., None] * (iris - white)
    return np.asarray(whole + ((1 - turning) * visible)[..., None] * (seen - whole))


def _filled(image: FloatArray, known: FloatArray) -> FloatArray:
    """`image` [h, w, 3] where `known` [h, w] is 1, elsewhere a smooth continuation (normalised convolution, Knutsson
    and Westin 1993, from fine to coarse)."""
    total = known[..., None] * image
    weight = known.copy()
    both = np.dstack([total, known])
    size = max(image.shape[:2])
    for sigma in (0.02 * size, 0.06 * size, 0.2 * size):
        blurred = _blurred(both, max(sigma, 0.8))
        share = np.clip(1 - weight, 0, 1)
        total = total + share[..., None] * blurred[..., :3]
        weight = weight + share * blurred[..., 3]
    return np.asarray(total / np.maximum(weight, 1e-4)[..., None])


def _blurred(image: FloatArray, sigma: float) -> FloatArray:
    """`image` [h, w, c] float32 blurred by `sigma` px: a wide blur of a smaller copy, which looks alike and is fast."""
    height, width = image.shape[:2]
    shrink = int(sigma / 2)
    if min(height, width) < 4 * shrink or shrink < 2:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    small = cv2.resize(image, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / shrink), (width, height)))


def _skin_beside(image: ByteImage, source: _Frame) -> FloatArray:
    """Colour of a lid along the eye [STEPS + 1, 3], 0 to 255: between that of the skin above its fold and below the
    eye; the less of the former, the nearer the brow hangs. Lighter pixels count, for hair is darker than skin."""
    u = np.linspace(0, 1, STEPS + 1)[:, None]
    room = np.maximum(source.fold - source.brow, 0.02)[:, None]
    above = source.fold[:, None] - np.linspace(0.1, 0.5, 6) * np.minimum(room, 0.2)
    below = source.lower[:, None] + np.linspace(0.08, 0.2, 6)
    sides = []
    for v in (above, below):
        colours = _sample(image, *source.to_photo(np.broadcast_to(u, v.shape), v))
        order = np.argsort(colours.mean(2), 1)[:, 3:5, None]
        sides.append(np.log(np.take_along_axis(colours, order, 1).mean(1) + 4))
    share = np.clip(room / 0.3, 0.15, 0.6)
    mixed = share * sides[0] + (1 - share) * sides[1]
    mixed = cv2.GaussianBlur(
        mixed.astype(np.float32), (1, 0), 0, sigmaY=STEPS / 8, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.exp(mixed) - 4)


def _upper_lid(
    patch: FloatArray,
    image: ByteImage,
    source: _Frame,
    goal: _Frame,
    u: FloatArray,
    v: FloatArray,
    index: IndexArray,
    closing: float,
) -> None:
    """Draw the part of the upper lid that comes out of its fold as it closes, which an open eye does not show.

    Its colour is that of the skin beside it, its texture that of the skin below the eye; it lies in shade at its fold
    and at the lashes, whose line ends it.
    """
    fold, edge = goal.fold[index], goal.upper[index]
    tall = np.maximum(edge - fold, 1e-3)
    s = (v - fold) / tall  # 0 at the fold, 1 at the lashes
    skin = _skin_beside(image, source)[index]
    grain = _sample(image, *source.to_photo(u, source.lower[index] + 0.08 + np.clip(s, 0, 1) * tall)) + 4
    skin *= np.clip(grain / cv2.GaussianBlur(grain, (0, 0), max(0.05 * goal.width, 1.0)), 0.88, 1.12)
    shade = 1.06 - 0.2 * np.exp(-((s / 0.15) ** 2)) - 0.2 * np.clip((s - 0.7) / 0.3, 0, 1) ** 2
    shade *= 1 - 0.12 * (2 * np.clip(u, 0, 1) - 1) ** 2
    skin *= shade[..., None]
    ends = np.clip(u / 0.1, 0, 1) * np.clip((1 - u) / 0.1, 0, 1)
    share = np.clip((closing - 0.1) / 0.3, 0, 1) * np.clip(s / 0.5, 0, 1) * np.clip((1.04 - s) / 0.06, 0, 1)
    patch += (share * ends)[..., None] * (skin - patch)
    below = v - edge
    line = np.exp(-((below / np.where(below > 0, 2 * LINE, LINE)) ** 2)) * np.clip(u * (1 - u) / 0.09, 0, 1)
    patch *= (1 - 0.6 * np.clip(closing / 0.4, 0, 1) * line)[..., None]


def _lashes(
    patch: FloatArray,
    image: ByteImage,
    source: _Frame,
    goal: _Frame,
    u: FloatArray,
    v: FloatArray,
    index: IndexArray,
    closing: float,
) -> None:
    """Lay the photo's upper lashes, upside down, along the lid's new edge: they darken what lies behind."""
    below = v - goal.upper[index]
    x, y = source.to_photo(u, source.upper[index] - below)
    margin = int(0.2 * source.width)
    left, top = max(int(x.min()) - margin, 0), max(int(y.min()) - margin, 0)
    grey = cv2.cvtColor(image[top : int(y.max()) + margin, left : int(x.max()) + margin], cv2.COLOR_RGB2GRAY)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(0.05 * source.width)) + 1,) * 2)
    skin = cv2.GaussianBlur(cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel), (0, 0), 0.03 * source.width)
    ratio = np.clip((grey.astype(np.float32) + 8) / (skin.astype(np.float32) + 8), 0, 1)
    dark = cv2.remap(
        ratio, x - np.float32(left + 0.5), y - np.float32(top + 0.5), cv2.INTER_LINEAR, borderValue=1.0
    )
    share = closing * np.clip((below + 0.02) / 0.015, 0, 1) * np.clip((LASH - below) / 0.06, 0, 1)
    share = share * np.clip(u / 0.06, 0, 1) * np.clip((1 - u) / 0.06, 0, 1)
    patch *= (1 - share * (1 - dark))[..., None]
