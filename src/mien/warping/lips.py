"""Lips: how far they part, which a sum of displacements says badly. They meet where nothing holds them apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.face.blendshapes import INDEX, NAMES
from mien.types import ByteImage, FloatArray
from mien.warping.mesh import LOWER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP, UPPER_LIP

# cm that blendshapes part lips by, over 10,369 photographs (`factory/lips.py`)
PARTING = {
    "jawOpen": 3.1, "mouthClose": -1.8, "mouthShrugUpper": 1.5, "mouthShrugLower": -1.2, "mouthFunnel": 0.85,
    "mouthLowerDownLeft": 0.81, "mouthLowerDownRight": 0.81, "mouthUpperUpLeft": 0.39, "mouthUpperUpRight": 0.39,
    "mouthRollLower": -0.59, "mouthPressLeft": -0.3, "mouthPressRight": -0.3,
}  # fmt: skip
SHUT, OPEN = 0.06, 0.16  # cm: lips less apart count as shut, lips farther apart as open
ACROSS = 9.0  # cm between the outer corners of the eyes
# of a lip's height, how far inside it the edge of one is held that parts or closes by units
HOLD, HELD = 0.2, 2.5
# the same in units, at least, of lips that close over teeth; twice as much if by `WIDELY` units
CLOSING = 1.3
WIDELY = 12.0
INNER = tuple(zip(UPPER_LIP[1:-1], LOWER_LIP[1:-1], strict=True))
OUTER = tuple(zip(OUTER_UPPER_LIP[1:-1], OUTER_LOWER_LIP[1:-1], strict=True))
# from the lips' inner edges outward, and the share that each goes along with them
ROWS = (
    ((UPPER_LIP, LOWER_LIP), 1.0),
    (
        (
            (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
            (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
        ),
        0.6,
    ),
    (
        (
            (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
            (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
        ),
        0.3,
    ),
)
OUTSIDES = OUTER_UPPER_LIP, OUTER_LOWER_LIP
LEAST, LEAST_BAND = 0.55, 0.4  # of a lip's height, and of the height of each band of it, that pressing leaves
THINNER = 0.5  # a lip's height falls as its length to the power of minus this
SQUARE = 2.2  # exponent of the superellipse that a wide mouth is at most; 2 is an ellipse
EVEN = 0.7  # share of what a wide mouth's corners are stretched by more than its middle that is evened out
# units (90 between the outer eye corners): how far from their landmarks shut lips meet
ASTRAY, STEPS = 3.0, 33
OPENED = 1.0, 5.0  # units between lips from which these leave the line they met on, and are off it
ON_TEETH = 0.65  # of a lip's height, that its edge's landmarks lie below it at most
SHUTTABLE = 8.0  # units: landmarks farther apart are no shut lips'
MOUTH = np.array([name.startswith(("mouth", "jaw")) for name in NAMES])
# units: lips farther apart than the first are hardly so at rest, farther than the second never
RESTING = (2.5, 5.5)
LITTLE = 0.4  # sum of blendshapes: what goes from a mouth that shows less than this closes it by a part only
LIFTS = tuple(INDEX[f"mouth{name}{side}"] for name in ("LowerDown", "UpperUp") for side in ("Left", "Right"))


@lru_cache(maxsize=1)
def _curve() -> FloatArray:
    """[61, 11]: a Catmull-Rom spline through eleven points, six steps apart."""
    extended = np.zeros((13, 11))
    extended[1:-1] = np.eye(11)
    extended[0, :2], extended[-1, -2:] = (2, -1), (-1, 2)
    t = np.arange(6)[:, None] / 6
    weights = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )
    rows = [weights @ extended[k : k + 4] for k in range(10)]
    return np.concatenate([*rows, np.eye(11)[-1:]])


def edges(landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The inner edges of the upper and the lower lip as smooth curves [61, 2] px, from corner to corner."""
    flat = np.asarray(landmarks, np.float64)[:, :2]
    upper, lower = _curve() @ flat[list(UPPER_LIP)], _curve() @ flat[list(LOWER_LIP)]
    down = downward(flat)
    crossing = np.clip((upper - lower) @ down, 0, None)[:, None] * down
    return upper - 0.5 * crossing, lower + 0.5 * crossing


def unit_of(landmarks: FloatArray) -> float:
    """Px a unit: the outer corners of the eyes are 90 units apart."""
    return float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2])) / 90


def downward(landmarks: FloatArray) -> FloatArray:
    """The face's downward direction in the picture, length 1 [2]."""
    down = landmarks[152, :2] - landmarks[168, :2]
    return np.asarray(down / max(float(np.linalg.norm(down)), 1e-6))


def lip_gap(landmarks: FloatArray, unit: float) -> float:
    """How far the inner lips are apart where they are most, in units; `unit`: px a unit."""
    upper, lower = edges(landmarks)
    return float(((lower - upper) @ downward(landmarks)).max()) / unit


def on_line(image: ByteImage, landmarks: FloatArray) -> FloatArray:
    """`landmarks` [478, 3] px with the inner edges of shut lips on the dark line between those, in `image` [H, W, 3].

    Landmarks miss it by up to a third of a lip's height, and lie apart on full lips that are shut. The line is the
    darkest path near them (dynamic programming); lips that show teeth or much dark between them stay as they are.
    """
    unit = unit_of(landmarks)
    upper, lower = edges(landmarks)
    down = downward(landmarks)
    gap = float(((lower - upper) @ down).max())
    reach = np.linspace(-1, 1, STEPS) * (ASTRAY * unit + 0.5 * gap)
    line = 0.5 * (upper + lower)
    at = line + reach[:, None, None] * down  # [STEPS, 61, 2]
    colours = None if gap > SHUTTABLE * unit else _around(image, at, unit)
    if colours is None:
        return landmarks
    seen = colours(at)
    shut = _looks_shut(seen, colours(np.stack([upper, lower]) + 2.5 * unit * np.array([-1, 1])[:, None, None] * down),
                       reach / unit, 0.5 * gap / unit)  # fmt: skip
    if shut == 0:
        return landmarks
    light = seen.mean(-1)
    off = (
        shut * reach[_darkest(light / max(float(light.std()), 2.0) + 0.6 * (reach / reach[-1])[:, None] ** 2)]
    )
    off = np.convolve(np.pad(off, 3, mode="edge"), np.ones(7) / 7, "valid")[::6, None]
    result = landmarks.copy()
    for rows, share in ROWS:
        for row in rows:
            sides = slice(0 if row is rows[0] else 1, 11 if row is rows[0] else -1)  # corners are in both
            result[list(row)[sides], :2] += share * off[sides] * down
    apart = shut * ((result[list(LOWER_LIP), :2] - result[list(UPPER_LIP), :2]) @ down)[:, None] * down
    result[list(UPPER_LIP), :2] += 0.5 * apart
    result[list(LOWER_LIP[1:-1]), :2] -= 0.5 * apart[1:-1]
    return result


def off_teeth(image: ByteImage, landmarks: FloatArray) -> FloatArray:
    """`landmarks` [478, 3] px with the upper lip's inner edge above the teeth that it lies on, in `image` [H, W, 3].

    A lip would carry them along, over other teeth. Pale is what is no redder than the middle between teeth and lips.
    """
    unit = unit_of(landmarks)
    upper, lower = edges(landmarks)
    if lip_gap(landmarks, unit) < OPENED[0]:
        return landmarks
    lip = _curve() @ landmarks[list(OUTER_UPPER_LIP), :2] - upper
    reach = np.linspace(0, ON_TEETH, 15)
    at = upper + reach[:, None, None] * lip  # [15, 61, 2]
    colours = _around(image, at, unit)
    if colours is None:
        return landmarks
    seen, between = colours(at)[:, 6:55], colours((upper + 0.35 * (lower - upper))[None, 18:43])
    red, teeth = _redness(seen), float(np.median(_redness(between)))
    lips, light = float(np.median(red[-4:])), seen.mean(-1)
    if lips - teeth < 0.1:
        return landmarks
    pale = (red < 0.5 * (teeth + lips)) & (light > 0.8 * np.median(light[-4:]))
    steps = np.pad(np.cumprod(pale, 0).sum(0), 6)
    off = reach[np.minimum(steps, len(reach) - 1)] * np.linalg.norm(lip, axis=1)
    off = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(off, 4), 9), 1)
    off = np.convolve(np.pad(off, 3), np.ones(7) / 7, "valid")[::6, None]
    result, down = landmarks.copy(), downward(landmarks)
    for (row, _), share in ROWS:
        result[list(row[1:-1]), :2] -= share * off[1:-1] * down
    return result


def _around(image: ByteImage, points: FloatArray, unit: float) -> Callable[[FloatArray], FloatArray] | None:
    """What tells the colours [n, m, 3] of an `image`, softened, at points [n, m, 2] px near the given ones; None: there
    is too little of it."""
    (left, top), (right, bottom) = (
        np.floor(points.min((0, 1))).astype(int).clip(2) - 2,
        np.ceil(points.max((0, 1))).astype(int) + 3,
    )
    part = image[top:bottom, left:right]
    if min(part.shape[:2]) < 5:
        return None
    soft = cv2.GaussianBlur(part, (0, 0), 0.3 + 0.2 * unit).astype(np.float32)

    def colours(points: FloatArray) -> FloatArray:
        x, y = ((points[..., k] - (left, top)[k] - 0.5).astype(np.float32) for k in (0, 1))
        return np.asarray(cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    return colours


def _redness(colours: FloatArray) -> FloatArray:
    return np.asarray((colours[..., 0] - 0.5 * (colours[..., 1] + colours[..., 2])) / (colours.mean(-1) + 8))


def opened(landmarks: FloatArray, line: FloatArray, target: FloatArray) -> FloatArray:
    """`target` [478, 3] px of `line`, which is `on_line` of `landmarks`, with lips that part as far as the landmarks'
    would: shapes and readings are of these."""
    unit = unit_of(landmarks)
    gaps = np.array([lip_gap(line, unit), lip_gap(target, unit)])
    first, last = np.clip((gaps - OPENED[0]) / (OPENED[1] - OPENED[0]), 0, 1)
    return np.asarray(target + (last - first) * (landmarks - line))


def _looks_shut(across: FloatArray, lips: FloatArray, at: FloatArray, half: float) -> float:
    """How surely lips are shut, 0 to 1, by colours `across` [n, 61, 3] the line between them, `at` [n] units from it,
    and of the `lips` [..., 3]; `half` of the gap, in units.
    """
    if half < 0.5:
        return 1.0
    between = across[np.abs(at) < max(half, at[-1] / len(at)), 12:49]
    light, lip = between.mean(-1), float(np.median(lips.mean(-1)))
    red = [_redness(part) for part in (between, lips)]
    redness = float(np.median(red[1]))
    # teeth in the lip's shade are darker than lips, and take some of their hue
    pale = (light > 0.7 * lip) & (red[0] < 0.75 * redness) if redness > 0.03 else light > 1.25 * lip
    dark = 2 * half * float((light < 0.6 * lip).mean())  # units
    return float(np.clip((0.13 - pale.mean()) / 0.06, 0, 1) * np.clip((1.7 - dark) / 0.8, 0, 1))


def _darkest(cost: FloatArray) -> NDArray[np.integer]:
    """Rows [columns] of the cheapest path through costs [rows, columns], at most two rows up or down a column."""
    padded = np.full(len(cost) + 4, np.inf)
    best = padded[2:-2]
    ways = np.lib.stride_tricks.sliding_window_view(padded, len(cost))  # [5, rows], as `best` becomes
    steps, came = 0.15 * np.arange(-2, 3)[:, None] ** 2, []
    best[:] = cost[:, 0]
    for column in cost.T[1:]:
        dearer = ways + steps
        came.append(dearer.argmin(0) - 2)
        best[:] = dearer.min(0) + column
    path = [int(best.argmin())]
    for way in came[::-1]:
        path.append(path[-1] + int(way[path[-1]]))
    return np.array(path[::-1])


def shut_by(moves: FloatArray) -> float:
    """How surely lips are shut in a face at rest that makes movements [52] of blendshapes, 0 to 1."""
    return _shut(sum(cm * max(float(moves[INDEX[name]]), 0.0) for name, cm in PARTING.items()))


def shut_in(landmarks: FloatArray) -> float:
    """How surely lips are shut in a photo with landmarks [478, 3] px, 0 to 1."""
    across = float(np.linalg.norm(landmarks[33] - landmarks[263]))
    return _shut(float(np.linalg.norm(landmarks[14] - landmarks[13])) / across * ACROSS)


def _shut(apart: float) -> float:
    return float(np.clip((OPEN - apart) / (OPEN - SHUT), 0, 1))


def _let_go(before: FloatArray, after: FloatArray) -> float:
    """Share of the mouth's own expression that is taken away, 0 to 1."""
    shown = np.maximum(before[MOUTH], 0)
    gone = np.maximum(shown - np.maximum(after[MOUTH], 0), 0).sum()
    return float(min(2.0 * gone / max(shown.sum(), LITTLE), 1.0))  # the half of it no longer parts lips


def meet(
    landmarks: FloatArray,
    target: FloatArray,
    before: FloatArray,
    after: FloatArray,
    lifts: FloatArray,
    shut: float,
) -> None:
    """Close the lips of `target` [478, 3] px, in place, by the share `shut` of what they part farther than the photo's.

    The photo's own shut as the expression that parted them goes: lips that part at rest stay so. Lips never cross.

    Args:
        landmarks: [478, 3] px of the photo. before, after: coefficients [52].
        lifts: [478, 3] px, by which `LIFTS`, all at 1, move the landmarks.
    """
    down = downward(landmarks)
    upper, lower = list(UPPER_LIP[1:-1]), list(LOWER_LIP[1:-1])

    def gaps(points: FloatArray) -> FloatArray:
        return np.asarray((points[lower, :2] - points[upper, :2]) @ down)

    own, middle = np.maximum(gaps(landmarks), 0), len(upper) // 2
    unit = unit_of(landmarks)
    wide = (float(own.max()) / unit - RESTING[0]) / (RESTING[1] - RESTING[0])
    stays = own * (1 - shut * max(_let_go(before, after), min(wide, 1.0)))
    excess = shut * (float(gaps(target)[middle]) - float(stays[middle]))
    if excess > 0:
        target -= excess / max(float(gaps(lifts)[middle]), 1e-6) * lifts
    # towards the corners, where the middle's motion does not reach
    over = shut * np.maximum(gaps(target) - stays, 0)[:, None] * down
    target[upper, :2] += 0.5 * over
    target[lower, :2] -= 0.5 * over
    crossing = np.maximum(-gaps(target), 0)[:, None] * down
    target[upper, :2] -= 0.5 * crossing
    target[lower, :2] += 0.5 * crossing
    _round_off(landmarks, target, down)
    _keep_height(landmarks, target)


def _round_off(landmarks: FloatArray, target: FloatArray, down: FloatArray) -> None:
    """Make the opening of a wide mouth in `target` [478, 3] px no squarer than a superellipse, and stretch its lips
    about evenly from corner to corner, in place."""
    corners = target[[UPPER_LIP[0], UPPER_LIP[-1]], :2]
    across = corners[1] - corners[0]
    wide = float(np.linalg.norm(across))
    gap = float(((target[list(LOWER_LIP), :2] - target[list(UPPER_LIP), :2]) @ down).max())
    share = float(np.clip((gap / max(wide, 1e-6) - 0.25) / 0.25, 0, 1))
    if share == 0:
        return
    for lip, sign in ((0, -1.0), (1, 1.0)):
        points = target[list(ROWS[0][0][lip][1:-1]), :2] - corners[0]
        along = (points @ across / wide**2).clip(0, 1)
        away = sign * ((points - along[:, None] * across) @ down)
        most = max(float(away.max()), 0.0) * (1 - np.abs(2 * along - 1) ** SQUARE) ** (1 / SQUARE)
        back = share * np.maximum(away - most, 0)[:, None] * (sign * down)
        for row in (*(rows[lip] for rows, _ in ROWS), OUTSIDES[lip]):
            target[list(row[1:-1]), :2] -= back
            _even_out(landmarks, target, list(row), EVEN * share)


def _even_out(landmarks: FloatArray, target: FloatArray, row: list[int], share: float) -> None:
    """Slide a row of landmarks of `target` along itself, by a `share` of the way to where all of it is stretched alike,
    in place."""
    fine = _curve() @ target[row]
    at, was = (
        np.concatenate([[0.0], np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1).cumsum()])
        for points in (fine, _curve() @ landmarks[row])
    )
    goal = at[::6] + share * (was[::6] * at[-1] / max(was[-1], 1e-6) - at[::6])
    target[row] = np.stack([np.interp(goal, at, fine[:, k]) for k in range(3)], 1)


def _keep_height(landmarks: FloatArray, target: FloatArray) -> None:
    """Let no lip of `target` [478, 3] px lose more of its height than `LEAST` leaves, nor fold; one that is stretched
    grows thinner, in place."""
    outward = -downward(landmarks)
    for lip in (0, 1):
        columns = np.array([*(rows[lip] for rows, _ in ROWS), OUTSIDES[lip]])[:, 1:-1]  # inner edge first
        first, last = (np.diff(points[columns, :2] @ outward, axis=0) for points in (landmarks, target))
        first = np.maximum(first, 0)
        bands = np.maximum(last, LEAST_BAND * first)
        long = [
            np.linalg.norm(np.diff(p[[*ROWS[0][0][lip]], :2], axis=0), axis=1).sum()
            for p in (landmarks, target)
        ]
        thin = min(float(long[0] / max(long[1], 1e-6)) ** THINNER, 1.0)
        most = first.sum(0) if thin < 1 else last.sum(0)
        whole = np.maximum(np.minimum(last.sum(0), thin * most), LEAST * first.sum(0))
        bands = bands * whole / np.maximum(bands.sum(0), 1e-6)
        target[columns[1:], :2] += (bands - last).cumsum(0)[..., None] * outward
        outward = -outward


def held(landmarks: FloatArray, target: FloatArray) -> FloatArray:
    """`landmarks` [478, 3] px with the lips' inner edges a little inside the lips, as far as those part or close.

    What shows between parted lips reaches to their landmarks or over them, and must not be left between shut ones; nor
    must the dark line between shut lips stay with one of them.
    """
    result = landmarks.copy()
    unit = unit_of(landmarks)
    apart = HELD * unit
    for (top, bottom), (above, below) in zip(INNER, OUTER, strict=True):
        first, last = (float(np.linalg.norm((p[bottom] - p[top])[:2])) for p in (landmarks, target))
        much = min(abs(last - first) / apart, 1.0)
        least = unit * CLOSING * (1 + np.clip((first - last) / unit / WIDELY, 0, 1)) * (first > last)
        for edge, outer in ((top, above), (bottom, below)):
            lip = landmarks[outer] - landmarks[edge]
            share = max(HOLD, min(least / max(float(np.linalg.norm(lip[:2])), 1e-6), 0.45))
            result[edge] += much * share * lip
    return result
