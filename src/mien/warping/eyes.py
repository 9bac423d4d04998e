"""Eyes: lids that slide over an eyeball that stays, irises that turn, and skin for a lid that was folded away.

The mesh carries lids and eyeball alike, as if both were printed on rubber. Here the opening is drawn again: the eyeball
where it was, with its iris turned by the gaze; the part of a closing lid that no photo of an open eye shows, from the
skin above its fold; and the lashes, which point down when the lid is down.

Each eye has a frame: its corners lie at (0, 0) and (1, 0), v grows downwards; one unit is the eye's width.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import EYES, STEPS, Frame, filled, frame, sample
from mien.warping.lids import LASH, draw_lid, shut_line
from mien.warping.mesh import IndexArray

SMALLEST = 14.0  # px: a narrower eye is left to the mesh
NARROW = 0.1  # mean opening, of the eye's width, of one that has little left to close


def draw_eyes(
    result: ByteImage, image: ByteImage, landmarks: FloatArray, target: FloatArray, corner: tuple[int, int]
) -> None:
    """Draw both eyes into `result` in place: a region of the carried photo whose first pixel is `corner` (x, y).

    Args:
        image: the photo [H, W, 3] uint8. landmarks, target: [478, 3] px of the photo, before and after. Where neither
            lids nor irises move against the eye's corners, nothing is drawn.
    """
    for eye in EYES:
        source, goal = frame(landmarks, eye), frame(target, eye)
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
    source: Frame,
    goal: Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    corner: tuple[int, int],
) -> None:
    before, after = (float((f.lower - f.upper).mean()) for f in (source, goal))
    closing = float(np.clip((before - after) / max(before, NARROW), 0, 1))
    opening = float(np.clip(after / max(before, 1e-3) - 1, 0, 0.3)) / 0.3
    shut = float(np.clip((closing - 0.6) / 0.3, 0, 1))
    goal = replace(goal, upper=goal.upper + shut * (shut_line(goal.lower) - goal.upper))
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
    shade = 1 - (0.35 * closing + 0.45 * opening) * np.exp(-np.maximum(v - upper, 0) / 0.06)
    patch += inside[..., None] * (ball * shade[..., None] - patch)
    if closing > 0.05:
        draw_lid(patch, image, source, goal, u, v, closing)
    result[y0:y1, x0:x1] = np.clip(patch + 0.5, 0, 255).astype(np.uint8)


def _eyeball(
    image: ByteImage,
    source: Frame,
    goal: Frame,
    centre: FloatArray,
    aim: FloatArray,
    radius: float,
    u: FloatArray,
    v: FloatArray,
    index: IndexArray,
) -> FloatArray:
    """The eyeball [h, w, 3] float32 at (u, v): as it was where it was seen and does not turn, else white and iris."""
    seen = sample(image, *source.to_photo(u, v))
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
    white = filled(seen, known)
    ring_u, ring_v = u - shift[0], v - shift[1]  # where this pixel of the turned iris was
    far = np.hypot(ring_u - centre[0], ring_v - centre[1]) / radius
    spot = np.clip(ring_u * STEPS, 0, STEPS).astype(np.int32)
    clear = np.minimum(ring_v - source.upper[spot] - lashes, source.lower[spot] - ring_v)
    mirror = sample(image, *source.to_photo(ring_u, 2 * centre[1] - ring_v))
    iris = sample(image, *source.to_photo(ring_u, ring_v))
    iris += np.clip((edge + 0.03 - clear) / 0.03, 0, 1)[..., None] * (mirror - iris)
    whole = white + np.clip((1.12 - far) / 0.14, 0, 1)[..., None] * (iris - white)
    return np.asarray(whole + ((1 - turning) * visible)[..., None] * (seen - whole))
