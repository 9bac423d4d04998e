"""A lid that closes: the skin that an open eye keeps folded away, the line at which the lids meet, and its lashes.

A shut eye's line is one arc, bent downwards, thin, up to the inner corner; its lashes hang down and out from it as a
soft fringe. The crease above is the open lid's own, where one is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import STEPS, Frame, brightness, filled, ramp, sample

LASH = 0.2  # reach of lashes below the lid's edge, of the eye's width
CELLS = 56  # of the sheet on which skin is smoothed, per eye's width
FINE = 640  # px per eye's width of the drawing of lashes
REDDER = np.array([1.01, 0.985, 0.98], np.float32)  # a lid's skin than that around
PALE = 0.92  # of the brightness of the skin around: a lid is no darker, for the strip of it that shows lies in shade
LEFT_AS_IS = 0.2  # of its opening: a lid that closes by less is the photo's own
DRAWN = 0.35  # the same of one that is drawn: half of each shows two rows of lashes
LEAST_BEND = 0.36  # of a shut eye's line: four times its depth
CREPING = 0.012  # standard deviation of the light on a lid's fine lines, against its own
COVERED = 0.08  # of the same: by how much it lies below the lower lid's edge, which it covers
UNLIKE = 0.06  # shares of red, green and blue: what differs by more from the skin round an eye is none
SMOOTHER = 0.55  # share of its crease's depth that a lid loses as it shuts
BESIDE, ABOVE, BELOW = 0.5, 0.1, 0.35  # margins of the sheet, of the eye's width
INNER = 0.25  # the same towards the nose, of what is drawn
ASIDE = 0.035  # of the eye's width: so far from a crease skin is brighter
CREASED = 0.015, 0.04  # log-luminance: of what is none, and of a crease
LONGEST = 0.34  # of the eye's width: how far beyond the outer corner lashes reach


def shut_line(lower: FloatArray) -> FloatArray:
    """The line v(u) [STEPS + 1] of a shut eye whose lower lid is `lower` [STEPS + 1]: bent one way: v = u (1 - u)
    (a + b (u - 1/2))."""
    u = np.linspace(0, 1, STEPS + 1)
    basis = (u * (1 - u))[:, None] * np.stack([u**0, u - 0.5], 1)
    middle, slope = np.linalg.lstsq(basis, lower, rcond=None)[0]
    middle = max(float(middle), LEAST_BEND) + COVERED
    return np.asarray(basis @ [middle, np.clip(slope, -0.5 * middle, 0.5 * middle)])


def painted(image: ByteImage, sources: list[Frame]) -> float:
    """How sure it is that a face's upper lids are made up, 0 to 1: by how far up from their edges they are dark."""
    u = np.linspace(0.2, 0.8, 48)[:, None]
    dark = []
    for source in sources:
        upper, lower = (np.interp(u, np.linspace(0, 1, STEPS + 1), curve) for curve in source.lids)
        lid, skin = (
            sample(image, *source.to_photo(np.broadcast_to(u, v.shape), v)).mean(2)
            for v in (upper - np.linspace(0, 0.15, 16), lower + np.linspace(0.14, 0.28, 6))
        )
        dark.append(0.15 * float((lid < 0.55 * np.median(skin)).mean()))
    return float(ramp(sum(dark) / len(dark), 0.045, 0.09))


def draw_lid(
    patch: FloatArray,
    image: ByteImage,
    source: Frame,
    goal: Frame,
    closing: float,
    paint: float,
    known: Callable[..., Any],
    crease: Callable[[], tuple[FloatArray, float]],
    chroma: float = 1.0,
) -> None:
    """Draw the upper lid of an eye that closes into `patch` [h, w, 3] float32, the carried photo, in place.

    Args:
        image: the photo. source: the eye before. goal: after, in the patch's pixels.
        closing: the share of its opening that closes, 0 to 1. paint: as of `painted`. known: as
            `mien.warping.eyes.Known`, of this eye. crease: gives `found_crease`. chroma: see `mien.warping.tone.Tone`.
    """
    u, v = goal.grid(*patch.shape[1::-1])
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    share = float(ramp(closing, LEFT_AS_IS, DRAWN))
    line, sure = crease()
    # Down to its crease the skin is the photo's, and not stretched with the lid.
    first_fold = goal.fold.astype(np.float32)[index]
    below = v - first_fold
    own = sample(image, *source.to_photo(u, source.fold.astype(np.float32)[index] + below))
    out = 1 - u if goal.outer else u  # 0 at the outer corner, 1 at the inner
    owned = sure * ramp(out, 0.1, 0.4)  # old lashes lie over the rest
    keeps = ramp(below, -0.04, 0.0) * ramp(line.astype(np.float32)[index] + 0.05 - below, 0, 0.05)
    keeps *= owned * ramp(1 - out, 0.05, 0.25)
    patch += (share * keeps)[..., None] * (own - patch)
    goal = replace(goal, fold=np.minimum(goal.fold + line, goal.upper - 0.03))
    edge, fold, lower = (curve.astype(np.float32)[index] for curve in (goal.upper, goal.fold, goal.lower))
    slope = float(np.diff(goal.upper[[-1, -9] if goal.outer else [0, 8]])[0]) * STEPS / 8  # at the corner
    beyond = np.clip(out, -0.3, 0)  # the line goes on as it came, and bends down
    below = v - edge - 0.7 * slope * beyond * (1 + beyond / 0.14)
    tall = np.maximum(edge - fold, 1e-3)
    s = (v - fold) / tall  # 0 at the fold, 1 at the edge
    skin, combed = _skin(patch, goal, u, v)
    skin *= 1 + np.float32(chroma) * (REDDER - 1)
    soft = known(_softness, image, source)
    grain = _grain(image, source, goal, u, v)
    own, seen = known(_own_lid, image, source)
    around = brightness(skin)
    light = own.sum(1)[index] / np.maximum(around, 1)
    own = np.take(own, index, 0)
    own *= np.maximum(1, (PALE - 0.2 * paint) / np.maximum(light, 0.1))[..., None]
    own = np.clip(own, (0.8 - 0.15 * paint) * skin, 1.25 * skin)
    # What is far darker is lashes and shade; in the dark, colours are noise.
    trust = seen[index] * ramp(s, 0, 0.3) * ramp(light, 0.5, 0.8) * ramp(around, 105, 240)
    lid = skin + trust[..., None] * (own - skin)
    light = grain * _shade(out, s, edge - v, paint)
    shaded = lid * light[..., None]
    skin *= grain[..., None]
    over = 0.01 + float(ramp(closing, 0.75, 0.9)) * (np.maximum(lower - edge, 0) + 0.05)
    gap = fold - goal.brow.astype(np.float32)[index]
    deep = ramp(0.16 - gap, 0, 0.08)  # little skin between lid and brow is stretched, lashes and all
    within: FloatArray = ramp((s + 0.4 * deep) / (0.5 - 0.05 * deep), 0, 1) * ramp(
        (over - (v - edge)) / over, 0, 0.6
    )
    within *= ramp(out, -0.16, 0.1) * ramp(1.06 - out, 0, 0.08)
    eyeball = ramp(v - edge, -0.01, 0.01) * ramp(lower - v, -0.02, 0.0) * ((u > 0) & (u < 1))
    # Old lashes reach beyond the corner, where no fold need stay, and over the fold.
    beside = (
        ramp(out, -LONGEST - 0.12, -LONGEST + 0.04)
        * ramp(0.45 - out, 0, 0.2)
        * ramp((v - np.minimum(fold, first_fold)) / np.minimum(0.2, 0.5 * gap), -1, -0.3)
    )
    low = 0.04 + 0.16 * float(ramp(closing, 0.5, 0.9)) * ramp(0.3 - out, 0, 0.2)
    beside *= ramp(low - below, -0.06, 0.06)
    room = np.minimum(0.14, 0.45 * gap)
    above = ramp((v - fold) / room, -1, -0.6) * ramp(edge - v, 0.03, 0.08)
    above *= ramp(out, -0.1, 0.1) * ramp(1.1 - out, 0, 0.2) * ramp(gap, 0.06, 0.11)  # brows are no lashes
    beside, above = (share * part * (1 - eyeball) for part in (beside, above))
    above *= 1 - 0.8 * owned * np.exp(-(((v - fold) / 0.03) ** 2))
    bare = combed + np.maximum(ramp(v - fold, 0.02, 0.07), 1 - ramp(out, 0.2, 0.45))[..., None] * (
        skin - combed
    )
    patch += np.maximum(above, beside)[..., None] * np.maximum(bare - patch, 0)
    unfolded = SMOOTHER * float(ramp(closing, 0.5, 0.9)) * owned * np.exp(-(((v - fold) / 0.04) ** 2))
    patch += unfolded[..., None] * np.maximum(skin - patch, 0)
    patch += (share * within)[..., None] * (shaded - patch)
    patch *= (1 - share * ramp(edge - v, 0, 0.03) * _lines(out, s, v - fold, owned, soft, goal))[..., None]
    below = np.where(below < 0, below / (1 + 0.4 * paint), below)  # paint reaches up from the lashes
    dark = _dark(goal, below, out, closing, soft)
    ratio = known(_lash_ratio, image, source)
    darkest = np.minimum(patch, 0.75 * skin * ratio)  # where lashes lie already, no more are laid
    np.maximum(patch * (1 - dark[..., None] * (1 - ratio)), darkest, out=patch)


def _shade(out: FloatArray, s: FloatArray, above: FloatArray, paint: float) -> FloatArray:
    """Light on a lid [h, w]: bright where the eyeball bulges, darker in its fold, at corners and edge."""
    bulge = np.exp(-(((out - 0.45) / 0.3) ** 2) - ((s - 0.45) / 0.35) ** 2)
    shade = 0.96 + 0.12 * bulge - 0.08 * np.exp(-((s / 0.18) ** 2))
    shade *= 1 - (0.2 + 0.15 * paint) * np.exp(-np.maximum(above, 0) / (0.05 + 0.04 * paint)) * (
        above > -0.01
    )
    return np.asarray(np.where(above < 0, 1 - 0.1 * np.exp(above / 0.03), shade), np.float32)


def _skin(patch: FloatArray, goal: Frame, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What skin the patch would show without eye and lashes: a smooth continuation of what lies around; and the patch
    without lashes alone, whose folds stay. Each [h, w, 3]."""
    high, low = float(goal.fold.min()) - ABOVE, float(goal.upper.max()) + BELOW
    wide, tall = round((1 + 2 * BESIDE) * CELLS), round((low - high) * CELLS)
    cell_u = -BESIDE + (np.arange(wide, dtype=np.float32) + 0.5) / CELLS
    cell_v = (high + (np.arange(tall, dtype=np.float32) + 0.5) / CELLS)[:, None]
    to_sheet = _affine(u, v, CELLS, -BESIDE, high)
    sheet = cv2.warpAffine(
        cv2.GaussianBlur(patch, (0, 0), max(0.4 * goal.width / CELLS, 0.3)),
        to_sheet,
        (wide, tall),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    index = np.clip(cell_u * STEPS, 0, STEPS).astype(np.int32)
    fold, edge, brow = goal.fold[index], np.maximum(goal.upper, goal.lower)[index], goal.brow[index]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    bare = np.asarray(
        cv2.GaussianBlur(cv2.morphologyEx(sheet, cv2.MORPH_CLOSE, kernel), (0, 0), 1.0), np.float32
    )
    out = 1 - cell_u if goal.outer else cell_u
    known = (cell_v < fold - 0.03) | (cell_v > edge + 0.08 + 0.14 * ramp(0.3 - out, 0, 0.2))
    known |= (out < -LONGEST) | (out > 1.2)
    known &= cell_v > brow + 0.5 * (fold - brow)
    hue = bare / (brightness(bare) + 12)[..., None]
    if known.any():  # beside a turned head's far eye lies what is behind it
        known &= np.abs(hue - np.median(hue[known], 0)).max(2) < UNLIKE
    smooth = filled(bare, known.astype(np.float32))
    # Lashes cross the fold, along which a closing leaves it.
    column, row = np.meshgrid(np.arange(wide, dtype=np.float32), np.arange(tall, dtype=np.float32))
    ends = [
        goal.fold[at] + (cell_u - u) * (goal.fold[to] - goal.fold[at]) * way * STEPS / 8
        for at, to, u, way in ((0, 8, 0, 1), (-1, -9, 1, -1))
    ]
    along = np.where(cell_u < 0, ends[0], np.where(cell_u > 1, ends[1], fold))
    along = ((along - along.min()) * CELLS).astype(np.float32)
    straight = cv2.remap(sheet, column, row + along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(straight, cv2.MORPH_CLOSE, np.ones((1, 7), np.uint8))
    combed = cv2.remap(closed, column, row - along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    size, how = (u.shape[1], u.shape[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    smooth, combed = (
        np.asarray(
            cv2.warpAffine(part, to_sheet, size, flags=how, borderMode=cv2.BORDER_REPLICATE), np.float32
        )
        for part in (smooth, combed)
    )
    return smooth, combed


def found_crease(image: ByteImage, source: Frame) -> tuple[FloatArray, float]:
    """How far below the landmarks' fold the crease of an open eye's lid lies [STEPS + 1], of the eye's width, and how
    sure it is, 0 to 1: the line that skin on both sides is brighter than."""
    whole = np.linspace(0, 1, STEPS + 1)
    u = np.linspace(0.3, 0.9, 25) if not source.outer else np.linspace(0.1, 0.7, 25)  # lashes cover the rest
    fold, edge = (np.interp(u, whole, curve) for curve in (source.fold, source.upper))
    down = np.arange(-0.12, 0.2, 0.01)
    v = fold[:, None] + down
    wide = np.broadcast_to(u[:, None], v.shape)
    at, above, below = (
        np.log(brightness(sample(image, *source.to_photo(wide, v + away))).clip(0) + 24)
        for away in (0, -ASIDE, ASIDE)
    )
    valley = np.clip(np.minimum(above, below) - at, 0, 0.3)
    valley *= ramp(edge[:, None] - v, 0.05, 0.08)  # the lid's edge is dark as well
    valley = cv2.erode(cv2.dilate(valley, np.ones((1, 3))), np.ones((5, 1)))  # and so are lashes, across it
    tilts, bends = np.linspace(-0.06, 0.06, 5), np.linspace(-0.12, 0.12, 9)
    tries = np.stack(np.meshgrid(down[4:-4], tilts, bends), -1).reshape(-1, 3)
    bases = np.stack([u**0, 2 * u - 1, (2 * u - 1) ** 2])
    column = np.clip(np.round((tries @ bases - down[0]) / 0.01).astype(int), 0, len(down) - 1)
    score = valley[np.arange(len(u)), column].mean(1) * (1 - ((tries / (0.2, 0.1, 0.2)) ** 2).sum(1))
    best = int(score.argmax())
    sure = float(ramp(score[best], *CREASED))
    at_ends = 2 * whole.clip(u[0], u[-1]) - 1
    return sure * (tries[best] @ np.stack([whole**0, at_ends, at_ends**2])), sure


def _own_lid(image: ByteImage, source: Frame) -> tuple[FloatArray, FloatArray]:
    """Colour of the strip of lid that the open eye shows [STEPS + 1, 3], and how far to trust it [STEPS + 1]."""
    u = np.linspace(0, 1, STEPS + 1)[:, None]
    room = (source.upper - source.fold)[:, None]
    v = source.upper[:, None] - np.linspace(0.4, 0.8, 6) * room
    colours = sample(image, *source.to_photo(np.broadcast_to(u, v.shape), v))
    order = np.argsort(colours.mean(2), 1)[:, 3:5, None]  # hair is darker than skin
    colour = np.take_along_axis(colours, order, 1).mean(1)
    sure = 0.4 + 0.4 * ramp(source.width, 30, 60)  # in a small eye lashes are mixed with it
    trust = np.asarray(sure * ramp(room, 0.08, 0.16), np.float32)
    both = np.concatenate([trust * colour, trust], 1).astype(np.float32)
    both = np.asarray(
        cv2.GaussianBlur(both, (1, 0), 0, sigmaY=STEPS / 5, borderType=cv2.BORDER_REPLICATE), np.float32
    )
    return both[:, :3] / np.maximum(both[:, 3:], 1e-3), both[:, 3]


def _affine(u: FloatArray, v: FloatArray, cells: float, left: float, high: float) -> FloatArray:
    """Of a patch whose pixels lie at (u, v) [h, w]: its pixels (column, row) → those of a sheet with `cells` per unit
    whose corner is (left, high)."""
    step = [[f[0, 1] - f[0, 0], f[1, 0] - f[0, 0]] for f in (u, v)]
    return np.array([[*step[0], u[0, 0] - left], [*step[1], v[0, 0] - high]], np.float64) * cells - [
        [0, 0, 0.5],
        [0, 0, 0.5],
    ]


def _grain(image: ByteImage, source: Frame, goal: Frame, u: FloatArray, v: FloatArray) -> FloatArray:
    """Texture of skin [h, w], about 1: that below the eye, mirrored."""
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    lower, edge = (curve.astype(np.float32)[index] for curve in (source.lower, goal.upper))
    at = lower + np.float32(0.15) + np.abs(edge - v)
    grey = cv2.cvtColor(sample(image, *source.to_photo(u, at)), cv2.COLOR_RGB2GRAY) + 4
    return np.clip(grey / cv2.GaussianBlur(grey, (0, 0), max(0.05 * goal.width, 1.0)), 0.91, 1.09)


def _lines(
    out: FloatArray, s: FloatArray, above: FloatArray, owned: FloatArray, softness: float, goal: Frame
) -> FloatArray:
    """Shade [h, w] of the fold of a lid that is down, and of the fine lines of its skin. above: its fold, of the eye's
    width, is where this is 0."""
    ends = ramp(out, -0.05, 0.2) * ramp(1.0 - out, 0, 0.3)
    bend = 0.012 * np.sin(5.1 * out + 0.7)
    shade = 0.09 * np.exp(-(((above - 0.01 - bend) / 0.016) ** 2))
    shade += 0.045 * np.exp(-(((above - 0.055 - 2 * bend) / 0.012) ** 2)) * ramp(0.75 - out, 0, 0.3)
    fine = _creping()
    tall = goal.width * float((goal.upper - goal.fold).mean())
    size = np.clip([goal.width, tall], 4, fine.shape[::-1]).astype(int)
    fine = np.asarray(cv2.resize(fine, size.tolist(), interpolation=cv2.INTER_AREA), np.float32)
    x, y = (np.asarray(at, np.float32) for at in (out * float(size[0]) - 0.5, s * float(size[1]) - 0.5))
    wrinkled = cv2.remap(fine, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    sharp = float(np.clip(1 - softness / 0.02, 0, 1))
    shade *= 1 - owned
    return np.asarray(
        ends * shade
        + CREPING * sharp * wrinkled * ramp(s, 0, 0.2) * ramp(1.05 - out, 0, 0.2) * ramp(out, -0.1, 0.1),
        np.float32,
    )


@lru_cache(maxsize=1)
def _creping() -> FloatArray:
    """Fine lines along a lid [h, w] of standard deviation 1, its width by its height."""
    noise = np.random.default_rng(1).standard_normal((160, 384)).astype(np.float32)
    lines = cv2.GaussianBlur(noise, (0, 0), sigmaX=16, sigmaY=1.2) - cv2.GaussianBlur(
        noise, (0, 0), sigmaX=16, sigmaY=5
    )
    return np.asarray(lines / lines.std(), np.float32)


def _lash_ratio(image: ByteImage, source: Frame) -> FloatArray:
    """What the photo's line of lashes leaves of the light of the skin beside it [3]."""
    u = np.linspace(0.15, 0.85, 48)[:, None]
    upper = np.interp(u, np.linspace(0, 1, STEPS + 1), source.upper)
    lower = np.interp(u, np.linspace(0, 1, STEPS + 1), source.lower)
    line, skin = (
        sample(image, *source.to_photo(np.broadcast_to(u, v.shape), v)).reshape(-1, 3)
        for v in (upper + np.linspace(-0.03, 0.015, 5), lower + np.linspace(0.12, 0.25, 5))
    )
    ratio = (np.percentile(line, 40, axis=0) + 6) / (np.median(skin, axis=0) + 6)
    return np.asarray(np.clip(ratio, 0.2, 0.65))


def _softness(image: ByteImage, source: Frame) -> float:
    """How blurred the eye is in the photo: sigma in eye's widths, 0 where it is sharp."""
    u, v = np.meshgrid(np.arange(0, 1, 1 / 96), np.arange(-0.35, 0.35, 1 / 96))
    grey = cv2.cvtColor(sample(image, *source.to_photo(u, v)), cv2.COLOR_RGB2GRAY)
    fine, coarse = (
        float((grey - cv2.GaussianBlur(grey, (0, 0), 96 * sigma)).std()) for sigma in (0.008, 0.04)
    )
    return 0.24 * float(np.clip(0.2 - fine / max(coarse, 1e-3), 0, 0.1))


def _dark(goal: Frame, below: FloatArray, out: FloatArray, closing: float, softness: float) -> FloatArray:
    """How much of the line and its lashes covers each pixel [h, w], 0 to 1."""
    zoom = round(64 * min(2 * goal.width / FINE, 1.0)) / 64
    both = _drawn_at(zoom, round(softness * FINE * zoom, 1), softness)
    size = both.shape[1::-1]
    per_u, per_v = size[0] / (1 + 2 * _BESIDE), size[1] / (_OVER + LASH)
    x = ((out + _BESIDE) * per_u - 0.5).astype(np.float32)
    y = ((below + _OVER) * per_v - 0.5).astype(np.float32)
    found = cv2.remap(both, x, y, cv2.INTER_LINEAR, borderValue=0)
    return np.clip(
        ramp(closing, LEFT_AS_IS, DRAWN) * found[..., 0] + ramp(closing, LEFT_AS_IS, 0.45) * found[..., 1],
        0,
        1,
    )


@lru_cache(maxsize=16)
def _drawn_at(zoom: float, sigma: float, softness: float) -> FloatArray:
    """The drawing [h, w, 2] at `zoom` times its size, blurred by `sigma` px."""
    both: FloatArray = np.dstack(_drawing())
    size = max(round(both.shape[1] * zoom), 8), max(round(both.shape[0] * zoom), 8)
    both = np.asarray(cv2.resize(both, size, interpolation=cv2.INTER_AREA))
    if sigma > 0.3:
        both = np.asarray(cv2.GaussianBlur(both, (0, 0), sigma)) * (1 + 15 * softness)
    return np.asarray(both, np.float32)


_BESIDE, _OVER = 0.25, 0.08  # margins of the drawing, of the eye's width


@lru_cache(maxsize=1)
def _drawing() -> tuple[FloatArray, FloatArray]:
    """The line of a shut eye and its lashes, each [h, w] float32 of 0 to 1, `FINE` px per eye's width; the outer corner
    at column `_BESIDE`, the lid's edge straightened to row `_OVER`."""
    height, width = round((_OVER + LASH) * FINE), round((1 + 2 * _BESIDE) * FINE)
    out = (np.arange(width) + 0.5) / FINE - _BESIDE
    below = ((np.arange(height) + 0.5) / FINE - _OVER)[:, None]
    rng = np.random.default_rng(0)
    uneven = cv2.GaussianBlur(rng.standard_normal((1, width)).astype(np.float32), (0, 0), 0.007 * FINE)[0]
    uneven /= uneven.std()
    strong = ramp(out, -0.1, 0.12) * ramp(1.0 - out, 0, 0.35)
    half = (0.006 + 0.003 * strong) * np.clip(1 + 0.3 * uneven, 0.5, 1.6)
    line = (0.55 + 0.3 * strong) * ramp(out, -0.16, 0.04) * ramp(1.01 - out, 0, 0.08)
    line = line * np.exp(-((below / np.where(below > 0, 1.6 * half, half)) ** 2))
    line += 0.2 * ramp(out, -0.12, 0.1) * ramp(1.03 - out, 0, 0.1) * np.exp(-((below / 0.04) ** 2))
    lashes = np.zeros((height, width), np.float32)
    t = np.linspace(0, 1, 9)
    for bundle in np.linspace(0.0, 0.88, 44):  # lashes whose tips near each other
        bundle = bundle + rng.uniform(-0.02, 0.02)
        length = (0.32 - 0.18 * max(bundle, 0)) * rng.uniform(0.5, 1.05) * ramp(bundle, -0.15, 0.06)
        dense = (40 + 80 * float(ramp(bundle, -0.05, 0.12))) * float(ramp(0.95 - bundle, 0, 0.25))
        lean = -0.7 + 0.9 * bundle + rng.normal(0, 0.12)  # outwards is negative
        for _ in range(rng.integers(2, 4)):
            root, long = bundle + rng.uniform(-0.02, 0.02), length * rng.uniform(0.5, 1)
            own = lean + rng.normal(0, 0.06)
            x = root + (bundle - root) * 0.4 * t + long * (own * t + 0.3 * own * t**2)
            y = long * (t - 0.25 * t**2)
            points = np.stack([(x + _BESIDE) * FINE, (y + _OVER) * FINE], 1) * 16
            one = np.zeros((height, width), np.uint8)
            for k in range(8):
                fade = (1 - k / 8) ** 0.5
                ends = [tuple(int(c) for c in points[i]) for i in (k, k + 1)]
                cv2.line(one, ends[0], ends[1], int(dense * fade), 1 + round(2 * fade), cv2.LINE_AA, 4)
            lashes = 1 - (1 - lashes) * (1 - one / np.float32(255))
    soft, shade = (cv2.GaussianBlur(lashes, (0, 0), sigma) for sigma in (1.2, 0.018 * FINE))
    return line.astype(np.float32), np.asarray(1 - (1 - 0.8 * soft) * (1 - shade), np.float32)
