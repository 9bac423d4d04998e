"""Eyes: lids that slide over an eyeball that stays, irises that turn, and skin for a lid that was folded away.

The mesh carries lids and eyeball alike, as if both were printed on rubber. Here the opening is drawn again: the eyeball
where it was, with its iris turned by the gaze; the part of a closing lid that no photo of an open eye shows, from the
skin above its fold; and the lashes, which point down when the lid is down.

Each eye has a frame: its corners lie at (0, 0) and (1, 0), v grows downwards; one unit is the eye's width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import EYES, STEPS, Frame, filled, frame, ramp, sample
from mien.warping.lids import LASH, LEFT_AS_IS, draw_lid, shut_line
from mien.warping.mesh import IndexArray

T = TypeVar("T")
SURE = 45.0  # px of an eye's width from which its iris is seen well
SMALLEST = 14.0  # px: a narrower eye is left to the mesh
SHUT = (
    0.05  # mean opening, of the eye's width, of one that shows nothing to draw from: it is left to the mesh
)
DETAILED = 100.0  # px of an eye's width: a narrower one is drawn larger and reduced by area
GLINT = 64  # px of a picture of what a cornea reflects
BARED = 0.05  # of an iris' radius: white between it and a lid, at most
HANGING = 0.03  # of the eye's width: lashes that hang into it from the upper lid
NARROW = 0.1  # mean opening, of the eye's width, of one that has little left to close


class Known:
    """What was measured in photos, so that it is measured once for all that is drawn of them."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, Any, str], Any] = {}

    def __call__(self, image: ByteImage, eye: Any, measure: Callable[..., T], *given: Any) -> T:
        """`measure(*given)`, which depends on the photo and the eye alone; the photo stays as long as this does."""
        key = id(image), eye, measure.__name__
        if key not in self._found:
            self._found[key] = measure(*given)
        return cast(T, self._found[key])


def draw_eyes(
    result: ByteImage,
    image: ByteImage,
    landmarks: FloatArray,
    target: FloatArray,
    corner: tuple[int, int],
    known: Known | None = None,
) -> None:
    """Draw both eyes into `result` in place: a region of the carried photo whose first pixel is `corner` (x, y).

    Args:
        image: the photo [H, W, 3] uint8. landmarks, target: [478, 3] px of the photo, before and after. Where neither
            lids nor irises move against the eye's corners, nothing is drawn. known: of this photo and landmarks.
    """
    known = known or Known()
    for eye in EYES:
        source, goal = known(image, eye, frame, landmarks, eye), frame(target, eye)
        if min(source.width, goal.width) < SMALLEST or (source.lower - source.upper).mean() < SHUT:
            continue
        iris = list(eye[-1])
        centre, aim = source.to_eye(landmarks[iris[0], :2]), goal.to_eye(target[iris[0], :2])
        still = (
            np.abs(goal.upper - source.upper).max() < 0.004
            and np.abs(goal.lower - source.lower).max() < 0.004
        )
        if still and np.abs(aim - centre).max() < 0.004:
            continue
        lower = known(image, eye, _lower_lid, image, source)
        source = replace(source, lower=source.lower + lower)
        goal = replace(goal, lower=goal.lower + lower * source.width / goal.width)
        radius = float(np.linalg.norm(landmarks[iris[1:], :2] - landmarks[iris[0], :2], axis=1).mean())
        radius /= source.width
        _draw_eye(result, image, source, goal, centre, aim, radius, corner, partial(known, image, eye))


def kept_open(landmarks: FloatArray, target: FloatArray) -> FloatArray:
    """`target` [478, 3] px whose lids leave their irises no further than they do in the photo, with `landmarks` [478,
    3] px, or than where they just touch: eyes with white all round them look mad."""
    result = target
    for eye in EYES:
        source, goal = frame(landmarks, eye), frame(target, eye)
        if min(source.width, goal.width) < SMALLEST:
            continue
        iris = list(eye[-1])
        radius = float(np.linalg.norm(landmarks[iris[1:], :2] - landmarks[iris[0], :2], axis=1).mean())
        middles = source.to_eye(landmarks[iris[0], :2]), goal.to_eye(target[iris[0], :2])
        # A lower lid does not follow a gaze that goes up.
        low = middles[0], np.array([middles[1][0], max(middles[1][1], middles[0][1])])
        for rows, side, irises, curves in (
            ((eye[0], eye[2]), -1, middles, (source.upper, goal.upper)),
            ((eye[1],), 1, low, (source.lower, goal.lower)),
        ):
            was, is_ = (
                side * (float(np.interp(m[0], np.linspace(0, 1, STEPS + 1), c)) - m[1]) * f.width
                for m, c, f in zip(irises, curves, (source, goal), strict=True)
            )
            beyond = is_ - max(was, (1 + BARED) * radius)
            if beyond > 0:
                result = result.copy() if result is target else result
                for row in rows:
                    u = np.clip(goal.to_eye(target[list(row), :2])[:, 0], 0, 1)
                    result[list(row), :2] -= (
                        (side * beyond * 4 * u * (1 - u))[:, None] * goal.down / goal.width
                    )
    return result


def _draw_eye(
    result: ByteImage,
    image: ByteImage,
    source: Frame,
    goal: Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    corner: tuple[int, int],
    known: Callable[..., Any],
) -> None:
    before, after = (float((f.lower - f.upper).mean()) for f in (source, goal))
    closing = float(np.clip((before - after) / max(before, NARROW), 0, 1))
    shut = float(np.clip((closing - 0.6) / 0.3, 0, 1))
    falling = float(np.clip(1.5 * (goal.upper - source.upper).mean() / max(before, NARROW), 0, closing))
    if shut < 1:
        found, radius = known(_iris, image, source, centre, radius)
        centre, aim = found, found + aim - centre
    goal = replace(goal, upper=goal.upper + shut * (shut_line(goal.lower) - goal.upper))
    # Half-shut eyes look out below the lid.
    above = float(np.interp(aim[0], np.linspace(0, 1, STEPS + 1), goal.upper)) + 0.15 * radius - aim[1]
    aim = aim + [0, np.clip(above, 0, 0.9 * radius) * (1 - shut)]
    high = float(min(goal.fold.min(), source.fold.min())) - 0.02
    low = float(max(goal.lower.max(), goal.upper.max())) + LASH + 0.05
    ends = np.array([[u, v] for u in (-0.35, 1.35) for v in (high, low)])
    x, y = goal.to_photo(ends[:, 0], ends[:, 1])
    x0, y0 = max(int(x.min()) - corner[0], 0), max(int(y.min()) - corner[1], 0)
    x1, y1 = (
        min(int(x.max()) - corner[0] + 1, result.shape[1]),
        min(int(y.max()) - corner[1] + 1, result.shape[0]),
    )
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    patch = result[y0:y1, x0:x1].astype(np.float32)
    fine = int(np.clip(np.ceil(DETAILED / goal.width), 1, 4))
    zoom = goal.width / source.width  # corners that draw together leave an eyeball as large as it was
    goal = goal.within(np.add(corner, [x0, y0]), fine)
    drawn = _enlarged(patch, fine)
    place = np.stack(np.meshgrid(np.arange(drawn.shape[1]) + 0.5, np.arange(drawn.shape[0]) + 0.5), -1)
    u, v = np.moveaxis(goal.to_eye(place).astype(np.float32), 2, 0)
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    soft = 1.2 / goal.width  # px of an edge
    # Where lids do not close, lashes, their shade and corners are the photo's, moved: but for irises that turn.
    turned = float(np.abs(aim - centre).max())
    left = max(0.0, 1 - falling / LEFT_AS_IS)
    near = np.minimum(*(np.hypot(u - at[0], v - at[1]) for at in (centre, aim))) / radius
    kept = left * np.maximum(ramp(0.09 - turned, 0, 0.06), ramp(near, 1.15, 1.6))
    upper, lower = (curve.astype(np.float32)[index] for curve in (goal.upper, goal.lower))
    inside = ramp((v - upper) / (1.2 * soft + 0.03 * left + 0.06 * kept), 0, 1)
    inside *= ramp((lower + 0.02 * closing - v) / (1.2 * soft + 0.02 * left + 0.03 * kept), 0, 1)
    inside *= ramp(np.minimum(u, 1 - u) / (1e-3 + 0.04 * left + 0.16 * kept), 0, 1)
    if turned > 0.03 and left:
        _without_iris(drawn, goal, u, v - lower, centre[0], radius)
    if inside.any():
        seen = cv2.boundingRect((inside > 0).astype(np.uint8))
        part = np.s_[seen[1] : seen[1] + seen[3], seen[0] : seen[0] + seen[2]]
        at = 0.5 + (u[part] - 0.5) * zoom, v[part] * zoom
        aim = aim * zoom + [0.5 - 0.5 * zoom, 0]
        glint = known(_glint, image, source, centre, radius)
        ball = _eyeball(image, source, centre, aim, radius, *at, upper[part] * zoom, glint)
        below = np.maximum(v - upper, 0)[part]
        shade = 1 - (0.5 * closing + 0.2 * float(ramp(turned, 0.02, 0.1))) * np.exp(-below / 0.08)
        drawn[part] += inside[part][..., None] * (ball * shade[..., None] - drawn[part])
    if falling > LEFT_AS_IS:
        draw_lid(drawn, image, source, goal, u, v, falling, known)
    if fine > 1:
        drawn = np.asarray(cv2.resize(drawn, patch.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
    result[y0:y1, x0:x1] = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def _without_iris(
    drawn: FloatArray, goal: Frame, u: FloatArray, below: FloatArray, centre: float, radius: float
) -> None:
    """Lighten what an iris left at the edge of the lower lid, as it is on both sides, in `drawn` [h, w, 3] in place;
    u, below: of its pixels, below the lid's edge. centre, radius: of the iris, along u."""
    away = (u - centre) / radius
    share = ramp(1.4 - np.abs(away), 0, 0.4) * ramp(below, -0.06, 0.0) * ramp(0.08 - below, 0, 0.05)
    if not share.any():
        return
    x, y, wide, tall = cv2.boundingRect((share > 0).astype(np.uint8))
    part = np.s_[y : y + tall, x : x + wide]
    beside = []
    for side in (centre - 1.5 * radius, centre + 1.5 * radius):
        edge = np.interp(side, np.linspace(0, 1, STEPS + 1), goal.lower)
        beside.append(sample(drawn, *goal.to_photo(np.full_like(u[part], side), below[part] + edge)))
    right = np.clip(0.5 + away[part] / 3, 0, 1)[..., None]
    fair = beside[0] + right * (beside[1] - beside[0])
    drawn[part] += share[part][..., None] * np.maximum(fair - drawn[part], 0)


def _enlarged(patch: FloatArray, times: int) -> FloatArray:
    """`patch` [h, w, 3] float32, smoothly enlarged so that its reduction by area is the patch itself."""
    if times == 1:
        return patch
    large = cv2.resize(patch, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    lost = patch - cv2.resize(large, patch.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(
        large + cv2.resize(lost, large.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.float32
    )


def _eyeball(
    image: ByteImage,
    source: Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    u: FloatArray,
    v: FloatArray,
    lid: FloatArray,
    glint: FloatArray,
) -> FloatArray:
    """The eyeball [h, w, 3] float32 at (u, v) of `source`: as it was where it was seen and does not turn, else white
    and iris. `lid`: v of the upper lid above each pixel of the result. `glint`: as of `_glint`."""
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    upper, lower = source.upper[index], source.lower[index]
    seen = sample(image, *source.to_photo(u, v))
    depth = np.minimum(v - upper - HANGING, lower - v)
    visible = ramp(depth, 0.02, 0.05)
    # Under a lid no higher than it was, what hangs into the eye belongs there.
    visible = np.maximum(visible, ramp(lid - upper, -0.01, 0.01) * (v > lid) * (v < lower + 0.02))
    shift = aim - centre
    turning = float(ramp(np.abs(shift).max(), 0.0, 0.01))
    if not turning and visible.min() >= 1:
        return seen
    away = np.hypot(u - centre[0], v - centre[1]) / radius - 1 / (radius * source.width)  # less a pixel's blur
    white = _white(seen, depth, away, u, v - lid)
    ring_u, ring_v = u - shift[0], v - shift[1]  # where this pixel of the turned iris was
    far = np.hypot(ring_u - centre[0], ring_v - centre[1]) / radius
    spot = np.clip(ring_u * STEPS, 0, STEPS).astype(np.int32)
    clear = np.minimum(ring_v - source.upper[spot] - HANGING, source.lower[spot] - ring_v)
    iris = sample(image, *source.to_photo(ring_u, ring_v))
    iris -= _on_sheet(glint, centre, radius, ring_u, ring_v)
    sides = [
        sample(image, *source.to_photo(centre[0] + side * radius * far, np.full_like(v, centre[1])))
        for side in (-1, 1)
    ]
    right = np.clip(0.5 + 0.5 * (ring_u - centre[0]) / radius, 0, 1)[..., None]
    round_ = sides[0] + right * (sides[1] - sides[0])  # what a lid hid, as it is beside the pupil
    skin = ramp(iris.sum(2) / (round_.sum(2) + 24), 1.3, 1.6) * ramp(far, 0.45, 0.6)
    iris += np.maximum(ramp(0.05 - clear, 0, 0.03), skin)[..., None] * (round_ - iris)
    whole = white + ramp(1.12 - far, 0, 0.16)[..., None] * (iris - white)
    # The cornea's centre moves half as far as the iris does, and the light in it with that.
    shine = _on_sheet(glint, centre, radius, u - 0.5 * shift[0], v - 0.5 * shift[1])
    whole += ramp(1.05 - far, 0, 0.15)[..., None] * shine
    return np.asarray(whole + ((1 - turning) * visible)[..., None] * (seen - whole))


def _glint(image: ByteImage, source: Frame, centre: FloatArray, radius: float) -> FloatArray:
    """The light that a cornea reflects, as it lies over the iris: [64, 64, 3] from -1 to 1 radii round its centre."""
    across = (np.arange(GLINT) + 0.5) / GLINT * 2 - 1
    u, v = np.meshgrid(centre[0] + radius * across, centre[1] + radius * across)
    seen = sample(image, *source.to_photo(u, v))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    light = cv2.morphologyEx(seen, cv2.MORPH_TOPHAT, kernel)
    middle = np.hypot(*np.meshgrid(across, across))
    dark = float(np.median(seen[middle < 0.8].mean(1)))
    share = ramp(light.mean(2), 0.25 * (255 - dark), 0.4 * (255 - dark)) * ramp(0.95 - middle, 0, 0.2)
    share = cv2.GaussianBlur(cv2.dilate(share, np.ones((5, 5), np.uint8)), (0, 0), 1.5)
    return np.asarray(light * share[..., None], np.float32)


def _on_sheet(sheet: FloatArray, centre: FloatArray, radius: float, u: FloatArray, v: FloatArray) -> FloatArray:
    """What `sheet`, as of `_glint`, has at (u, v) of the eye; beyond it nothing."""
    x, y = (((at - middle) / radius + 1) * GLINT / 2 - 0.5 for at, middle in zip((u, v), centre, strict=True))
    return np.asarray(cv2.remap(sheet, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR))


def _white(
    seen: FloatArray, depth: FloatArray, away: FloatArray, u: FloatArray, below: FloatArray
) -> FloatArray:
    """The eyeball without its iris [h, w, 3]: what was seen of it, continued; lashes and skin are not taken for it.

    depth: how far within the opening each pixel lies. away: from the iris' centre, in its radii. below: the
    upper lid.
    """
    within = (u > 0.02) & (u < 0.98)
    bright = seen.sum(2)
    known = ramp(away, 1.18, 1.3) * ramp(depth, 0.03, 0.06) * within
    sure = known > 0.5
    if not sure.any():  # an eye that is all but shut
        return seen
    pale = (seen[..., 1] + seen[..., 2]) / (seen[..., 0] + 1)
    known *= 0.02 + ramp(bright / np.percentile(bright[sure], 80), 0.6, 0.8) * (
        0.1 + ramp(pale, *np.percentile(pale[sure], (20, 60)) + np.array([0, 1e-3]))
    )
    smooth = filled(seen, known)
    smooth *= (1 - 0.2 * np.exp(-np.maximum(below, 0) / 0.08) - 0.12 * (2 * np.clip(u, 0, 1) - 1) ** 2)[
        ..., None
    ]
    ratio = bright / np.maximum(smooth.sum(2), 1)
    strict = 0.15 * ramp(1.7 - away, 0, 0.4)  # the iris' soft edge
    alike = ramp(ratio - strict, 0.6, 0.8) * ramp(1.3 - ratio, 0, 0.12)
    corner = np.maximum(ramp(0.2 - u, 0, 0.08), ramp(u - 0.8, 0, 0.08))
    share = ramp(away, 1.08, 1.25) * ramp(depth, 0.0, 0.05) * within * np.maximum(alike, corner)
    return np.asarray(smooth + share[..., None] * (seen - smooth))


def _iris(image: ByteImage, source: Frame, centre: FloatArray, radius: float) -> tuple[FloatArray, float]:
    """Centre and radius of the iris near those given: where brightness rises most across a circle (Daugman 1993)."""
    fine = 96 / max(96.0, source.width)
    cells = source.width * fine
    part = np.array([centre - 2.2 * radius, centre + 2.2 * radius])
    u, v = (np.arange(part[0, k], part[1, k], 1 / cells) for k in (0, 1))
    if len(u) < 8 or len(v) < 8:
        return centre, radius
    grid_u, grid_v = np.meshgrid(u, v)
    grey = cv2.cvtColor(sample(image, *source.to_photo(grid_u, grid_v)), cv2.COLOR_RGB2GRAY)
    grey = np.sqrt(np.maximum(cv2.GaussianBlur(grey, (0, 0), max(0.06 * radius * cells, 0.5)), 0))
    index = np.clip(grid_u * STEPS, 0, STEPS).astype(np.int32)
    open_ = ramp(np.minimum(grid_v - source.upper[index], source.lower[index] - grid_v), -0.02, 0.03)
    angles = np.radians(np.concatenate([np.arange(-30, 61, 9), np.arange(120, 211, 9)]))
    ways = np.stack([np.cos(angles), np.sin(angles)], 1)
    steps = np.linspace(-0.44, 0.44, 9)
    tries = np.stack(np.meshgrid(steps, steps, np.linspace(0.82, 1.3, 7), indexing="ij"), -1).reshape(-1, 3)
    middles = centre + radius * tries[:, :2]

    def at(size: float) -> IndexArray:
        place = middles[:, None] + (size * radius * tries[:, 2])[:, None, None] * ways  # [n, angles, 2]
        cell = np.round((place - part[0]) * cells).astype(np.int32)
        return np.clip(cell[..., 1], 0, len(v) - 1) * len(u) + np.clip(cell[..., 0], 0, len(u) - 1)

    outer, inner = at(1.13), at(0.87)
    rise = (grey.ravel()[outer] - grey.ravel()[inner]) * open_.ravel()[outer]
    sides = rise.reshape(len(rise), 2, -1).mean(2)  # of right and left
    score = sides.mean(1) + 2 * sides.min(1)
    doubt = 0.4 * max(1.0, SURE / source.width) ** 2
    score -= doubt * ((tries**2)[:, :2].sum(1) + (tries[:, 2] - 1) ** 2) * np.abs(score).max()
    best = int(score.argmax())
    return middles[best], radius * float(tries[best, 2])


def _lower_lid(image: ByteImage, source: Frame) -> FloatArray:
    """By how much the photo's lower lid lies below that of the landmarks [STEPS + 1]: where the eye's white and iris
    give way to skin, which is darker and redder."""
    u = np.linspace(0.12, 0.88, 25)
    reach, step = 0.09, 0.005
    v = np.interp(u, np.linspace(0, 1, STEPS + 1), source.lower)[:, None] + np.arange(
        -reach, reach + step / 2, step
    )
    colours = cv2.GaussianBlur(
        sample(image, *source.to_photo(np.broadcast_to(u[:, None], v.shape), v)), (0, 0), 0.8
    )
    red, green, blue = np.moveaxis(np.log(np.maximum(colours, 0) + 8), 2, 0)
    like_eye = (red + green + blue) / 3 - 2 * (red - (green + blue) / 2)
    drop = np.zeros_like(like_eye)
    drop[:, 3:-3] = np.clip(like_eye[:, :-6] - like_eye[:, 6:], 0, 0.8)
    bend = 4 * u * (1 - u)
    tries = np.stack(np.meshgrid(np.linspace(-0.045, 0.045, 19), np.linspace(-0.03, 0.03, 5)), -1).reshape(
        -1, 2
    )
    away = tries[:, :1] * bend + tries[:, 1:] * bend * (2 * u - 1)  # [n, 25]
    at = np.round((away + reach) / step).astype(np.int32)
    score = drop[np.arange(len(u)), at].mean(1) * (1 - (tries[:, 0] / 0.08) ** 2 - (tries[:, 1] / 0.1) ** 2)
    deep, tilt = tries[score.argmax()]
    whole = np.linspace(0, 1, STEPS + 1)
    return np.asarray(4 * whole * (1 - whole) * (deep + tilt * (2 * whole - 1)))
