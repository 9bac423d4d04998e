"""Eyes: lids that slide over an eyeball that stays, irises that turn, and skin for a lid that was folded away.

The mesh carries lids and eyeball alike, as if both were printed on rubber. Here the opening is drawn again: the eyeball
where it was, with its iris turned by the gaze; the part of a closing lid that no photo of an open eye shows, from the
skin above its fold; and the lashes, which point down when the lid is down.

Each eye has a frame: its corners lie at (0, 0) and (1, 0), v grows downwards; one unit is the eye's width.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import EYES, STEPS, Frame, frame, ramp, sample
from mien.warping.eyeball import Ball, eyeball, found_lower_lid, taken_apart
from mien.warping.lids import BESIDE, INNER, LASH, LEFT_AS_IS, draw_lid, found_crease, painted, shut_line

T = TypeVar("T")
Drawn = tuple[tuple[slice, slice], ByteImage]
SMALLEST = 14.0  # px: a narrower eye is left to the mesh
# mean opening, of the eye's width, of one that shows nothing to draw from: it is left to the mesh
SHUT = 0.05
DETAILED = 64.0  # px of an eye's width: a narrower one is drawn larger and reduced by area
BARED = 0.05  # of an iris' radius: white between it and a lid, at most
# Of an eye's own opening and of its width: what lids that fall or follow a gaze downwards leave of it, unless they fall
# by so much more (shares of the opening) that they shut; a smaller eye stays as it is.
HALF_SHUT, LOOKING, SHUTTING = 0.62, 0.145, (0.56, 0.68)
NARROW = 0.1  # mean opening, of the eye's width, of one that has little left to close


class Known:
    """What was measured in photos, so that it is measured once for all that is drawn of them.

    Args:
        calm: of a film's frame, a calm one [H, W, 3] uint8, its landmarks [478, 3] px, and what was measured in it: all
            frames have the creases of its lids.
    """

    def __init__(self, calm: tuple[ByteImage, FloatArray, Known] | None = None) -> None:
        self._calm = calm
        self._found: dict[tuple[int, Any, str], Any] = {}

    def __call__(self, image: ByteImage, eye: Any, measure: Callable[..., T], *given: Any) -> T:
        """`measure(*given)`, which depends on the photo and the eye alone; the photo stays as long as this does."""
        key = id(image), eye, measure.__name__
        if key not in self._found:
            self._found[key] = measure(*given)
        return cast(T, self._found[key])

    def crease(self, image: ByteImage, landmarks: FloatArray, eye: Any) -> tuple[FloatArray, float]:
        """Of the upper lid: see `mien.warping.lids.found_crease`."""
        image, landmarks, known = self._calm or (image, landmarks, self)
        return known(image, eye, found_crease, image, known(image, eye, frame, landmarks, eye))


def draw_eyes(
    result: ByteImage,
    image: ByteImage,
    landmarks: FloatArray,
    target: FloatArray,
    corner: tuple[int, int],
    known: Known | None = None,
    detailed: bool = True,
    chroma: float = 1.0,
) -> None:
    """Draw both eyes into `result` in place: a region of the carried photo whose first pixel is `corner` (x, y).

    Args:
        image: the photo [H, W, 3] uint8. landmarks, target: [478, 3] px of the photo, before and after. Where neither
            lids nor irises move against the eye's corners, nothing is drawn. known: of this photo and landmarks.
        detailed: whether small eyes are drawn larger and then reduced. chroma: see `mien.warping.tone.Tone`.
    """
    known = known or Known()

    def drawn(eye: Any) -> Drawn | None:
        source, goal = known(image, eye, frame, landmarks, eye), frame(target, eye)
        if goal.width < SMALLEST or not _drawable(source):
            return None
        pupil = eye[-1][0]
        turn = goal.to_eye(target[pupil, :2]) - source.to_eye(landmarks[pupil, :2])
        moves = (np.abs(last - first).max() for first, last in zip(source.lids, goal.lids, strict=True))
        if max(*moves, np.abs(turn).max()) < 0.004:
            return None
        closes = _closes(source, goal)  # by the landmarks, whose eyes close alike
        lower, ball, paint = _measured(image, landmarks, known, eye)
        source = replace(source, lower=source.lower + lower)
        goal = replace(goal, lower=goal.lower + lower * source.width / goal.width)
        lid = partial(
            draw_lid,
            paint=paint,
            known=partial(known, image, eye),
            crease=partial(known.crease, image, landmarks, eye),
            chroma=chroma,
        )
        return _draw_eye(result, image, source, goal, ball, turn, closes, corner, detailed, lid)

    with ThreadPoolExecutor(len(EYES)) as pool:
        for eye in list(pool.map(drawn, EYES)):
            if eye is not None:
                box, part = eye
                result[box] = part


def prepare(image: ByteImage, landmarks: FloatArray, known: Known) -> None:
    """Measure a photo's eyes, so that they are `known` once they are drawn."""
    for eye in EYES:
        if _drawable(known(image, eye, frame, landmarks, eye)):
            _measured(image, landmarks, known, eye)


def _drawable(source: Frame) -> bool:
    return source.width >= SMALLEST and bool((source.lower - source.upper).mean() >= SHUT)


def _measured(
    image: ByteImage, landmarks: FloatArray, known: Known, eye: Any
) -> tuple[FloatArray, Ball, float]:
    """Of an eye in a photo: by how much its lower lid lies below the landmarks', its eyeball, and how sure it is that
    the lids are made up."""
    sources = [known(image, one, frame, landmarks, one) for one in EYES]
    source = sources[EYES.index(eye)]
    lower = known(image, eye, found_lower_lid, image, source)
    source = replace(source, lower=source.lower + lower)
    ball = known(image, eye, taken_apart, image, source, landmarks[list(eye[-1]), :2])
    return lower, ball, known(image, EYES, painted, image, sources)


def kept_open(landmarks: FloatArray, target: FloatArray, half_shut: bool = False) -> FloatArray:
    """`target` [478, 3] px whose lids leave their irises no further than they do in the photo, with `landmarks` [478,
    3] px, or than where they just touch: eyes with white all round them look mad. Nor, unless they may be `half_shut`,
    as in a film's frames, are they: a slit shows neither lid nor eye."""
    result = target
    for upper, lower, above, _, (pupil, *ring) in EYES:
        radius = float(np.linalg.norm(landmarks[ring, :2] - landmarks[pupil, :2], axis=1).mean())
        most = (1 + BARED) * radius
        (middle, up, low), (last_middle, last_up, last_low) = (
            _heights(points, upper, lower, pupil) for points in (landmarks, target)
        )
        # An upper lid follows a gaze that goes down.
        room = max(most - (middle - up), 0.0) * (1 - float(ramp((last_middle - middle) / radius, 0.1, 0.4)))
        too_high = last_middle - last_up - (middle - up + room)
        too_high = max(min(too_high, last_low - last_up - HALF_SHUT * (low - up)), 0.0)
        # A lower lid does not follow a gaze that goes up.
        too_low = last_low - max(last_middle, middle) - max(low - middle, most)
        across = target[upper[-1], :2] - target[upper[0], :2]
        width = max(float(np.linalg.norm(across)), 1e-6)
        own, left = low - up, last_low - last_up - too_high
        least = min(max(HALF_SHUT * own, LOOKING * width), own)
        lift = (
            max(least - left, 0.0) * (1 - float(ramp(1 - left / max(own, 1e-6), *SHUTTING))) * (not half_shut)
        )
        fell, rose = max(last_up - up, 0.0), max(low - last_low, 0.0)
        by_upper = lift * fell / max(fell + rose, 1e-6)
        upper_by, lower_by = too_high - by_upper, min(-too_low, 0.0) + lift - by_upper
        for rows, fall in ((upper, upper_by), (above, 0.5 * upper_by), (lower, lower_by)):
            if not fall:
                continue
            result = result.copy() if result is target else result
            u = (target[list(rows), :2] - target[upper[0], :2]) @ across / width**2
            share = np.clip(4 * u * (1 - u), 0, 1)[:, None]
            result[list(rows), :2] += fall * share * np.array([-across[1], across[0]]) / width
    return result


def _heights(
    points: FloatArray, upper: tuple[int, ...], lower: tuple[int, ...], pupil: int
) -> tuple[float, float, float]:
    """How far below the line through an eye's corners its pupil lies, and there the upper and the lower lid, px."""
    first = points[upper[0], :2]
    across = points[upper[-1], :2] - first
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    away = points[pupil, :2] - first
    rows = (points[list(row), :2] - first for row in (upper, lower))
    up, low = (float(np.interp(away @ across, row @ across, row @ down)) for row in rows)
    return float(away @ down), up, low


def _closes(source: Frame, goal: Frame) -> tuple[float, float]:
    """The share of its opening by which an eye closes, and that by which its upper lid falls, 0 to 1."""
    before, after = (float((f.lower - f.upper).mean()) for f in (source, goal))
    closing = float(np.clip((before - after) / max(before, NARROW), 0, 1))
    falling = 1.5 * float((goal.upper - source.upper).mean()) / max(before, NARROW)
    return closing, float(np.clip(falling, 0, closing))


def _draw_eye(
    result: ByteImage,
    image: ByteImage,
    source: Frame,
    goal: Frame,
    own: Ball,
    turn: FloatArray,
    closes: tuple[float, float],
    corner: tuple[int, int],
    detailed: bool,
    lid: Callable[..., None],
) -> Drawn | None:
    """The part of `result` round an eye, and its pixels [h, w, 3] uint8 with the eye."""
    closing, falling = closes
    shut = float(ramp(closing, 0.5, 0.7))
    goal = replace(goal, upper=goal.upper + shut * (shut_line(goal.lower) - goal.upper))
    # Half-shut eyes look out below the lid.
    aim = own.centre + turn
    above = float(np.interp(aim[0], np.linspace(0, 1, STEPS + 1), goal.upper)) + 0.15 * own.radius - aim[1]
    aim = aim + [0, np.clip(above, 0, 0.9 * own.radius) * (1 - shut)]
    high = float(min(goal.fold.min(), source.fold.min())) - 0.22
    low = float(max(goal.lower.max(), goal.upper.max())) + LASH + 0.05
    sides = (-INNER, 1 + BESIDE) if goal.outer else (-BESIDE, 1 + INNER)
    box = goal.box(sides, (high, low), corner, result.shape)
    if box is None:
        return None
    patch = result[box].astype(np.float32)
    zoom = goal.width / source.width  # corners that draw together leave an eyeball as large as it was
    fine = int(np.clip(np.ceil(DETAILED / goal.width), 1, 4)) if detailed else 1
    goal = goal.within(np.add(corner, [box[1].start, box[0].start]), fine)
    drawn = _enlarged(patch, fine)
    top, bottom = float(goal.upper.min()), float(goal.lower.max()) + 0.1
    part = goal.box((0.0, 1.0), (top, bottom), (0, 0), drawn.shape)
    if part is not None:
        here = goal.within(np.array([part[1].start, part[0].start]))
        _lay_eyeball(drawn[part], image, source, here, own, aim, zoom, closing, falling)
    if falling > LEFT_AS_IS:
        lid(drawn, image, source, goal, falling)
    if fine > 1:
        drawn = np.asarray(cv2.resize(drawn, patch.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
    return box, np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def _lay_eyeball(
    patch: FloatArray,
    image: ByteImage,
    source: Frame,
    goal: Frame,
    own: Ball,
    aim: FloatArray,
    zoom: float,
    closing: float,
    falling: float,
) -> None:
    """Lay the eyeball, whose iris aims at `aim`, between the lids of `goal` into `patch` [h, w, 3] in place."""
    u, v = goal.grid(*patch.shape[1::-1])
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    upper, lower = (curve.astype(np.float32)[index] for curve in goal.lids)
    # Where lids do not fall, lashes, their shade and corners are the photo's, moved: but for irises that turn.
    turned = float(np.abs(aim - own.centre).max())
    left = max(0.0, 1 - falling / LEFT_AS_IS)
    was, near = (np.hypot(u - x, v - y) / own.radius for x, y in (own.centre.tolist(), aim.tolist()))
    kept = left * np.maximum(ramp(0.09 - turned, 0, 0.06), ramp(np.minimum(was, near), 1.15, 1.6))
    soft = 1.4 / goal.width  # px of an edge
    inside = ramp((v - upper) / (soft + 0.03 * left + 0.06 * kept), 0, 1)
    inside *= ramp(
        (lower + 0.02 * closing - v) / (soft + 0.02 * left * ramp(near, 1.0, 1.3) + 0.03 * kept), 0, 1
    )
    inside *= ramp(np.minimum(u, 1 - u) / (1e-3 + 0.04 * left + 0.16 * kept), 0, 1)
    if not inside.any():
        return
    if turned > 0.03 and left:
        _without_iris(patch, goal, u, v - lower, own)
        # No strip of white is left between an iris and the lid that it turns to.
        below = slice(int(np.argmax((v > lower - 0.02).any(1))), None)
        deep, part = v[below] - lower[below], patch[below]
        strip = ramp(1.35 - near[below], 0, 0.2) * ramp(deep, -0.02, 0.0) * ramp(0.08 - deep, 0, 0.04)
        lid = sample(patch, *goal.to_photo(u[below], lower[below] + np.float32(0.09)))
        part += (float(ramp(turned, 0.03, 0.09)) * strip)[..., None] * np.minimum(lid - part, 0)
    at = 0.5 + (u - 0.5) * zoom, v * zoom
    ball = eyeball(image, source, own, aim * zoom + [0.5 - 0.5 * zoom, 0], *at, upper * zoom)
    shade = (0.4 * closing + 0.15 * float(ramp(turned, 0.02, 0.1))) * np.exp(-np.maximum(v - upper, 0) / 0.08)
    patch += inside[..., None] * (ball * (1 - shade)[..., None] - patch)


def _without_iris(patch: FloatArray, goal: Frame, u: FloatArray, below: FloatArray, own: Ball) -> None:
    """Lighten what an iris left at the edge of the lower lid, as it is on both sides, in `patch` [h, w, 3] in place;
    u, below: of its pixels, below the lid's edge."""
    away = (u - own.centre[0]) / own.radius
    share = ramp(1.4 - np.abs(away), 0, 0.4) * ramp(below, -0.12, -0.05) * ramp(0.1 - below, 0, 0.05)
    beside = []
    for side in (-1.5, 1.5):
        at = own.centre[0] + side * own.radius
        edge = np.interp(at, np.linspace(0, 1, STEPS + 1), goal.lower)
        beside.append(sample(patch, *goal.to_photo(np.full_like(u, at), below + edge)))
    right = np.clip(0.5 + away / 3, 0, 1)[..., None]
    fair = beside[0] + right * (beside[1] - beside[0])
    patch += share[..., None] * np.maximum(fair - patch, 0)


def _enlarged(patch: FloatArray, times: int) -> FloatArray:
    """`patch` [h, w, 3] float32, smoothly enlarged so that its reduction by area is the patch itself."""
    if times == 1:
        return patch
    large = cv2.resize(patch, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    lost = patch - cv2.resize(large, patch.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(
        large + cv2.resize(lost, large.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.float32
    )
