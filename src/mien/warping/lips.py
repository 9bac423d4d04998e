"""Lips: how far they part, which a sum of displacements says badly. They meet where nothing holds them apart."""

from __future__ import annotations

import numpy as np

from mien.face.blendshapes import INDEX, NAMES
from mien.types import FloatArray
from mien.warping.mesh import LOWER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP, UPPER_LIP

# cm that blendshapes part lips by, over 10,369 photographs (`factory/lips.py`)
PARTING = {
    "jawOpen": 3.1, "mouthClose": -1.8, "mouthShrugUpper": 1.5, "mouthShrugLower": -1.2, "mouthFunnel": 0.85,
    "mouthLowerDownLeft": 0.81, "mouthLowerDownRight": 0.81, "mouthUpperUpLeft": 0.39, "mouthUpperUpRight": 0.39,
    "mouthRollLower": -0.59, "mouthPressLeft": -0.3, "mouthPressRight": -0.3,
}  # fmt: skip
SHUT, OPEN = 0.06, 0.16  # cm: lips less apart count as shut, lips farther apart as open
ACROSS = 9.0  # cm between the outer corners of the eyes
HOLD = 0.2  # of a lip's height, how far inside it the edge of one that parts or closes is held
INNER = tuple(zip(UPPER_LIP[1:-1], LOWER_LIP[1:-1], strict=True))
OUTER = tuple(zip(OUTER_UPPER_LIP[1:-1], OUTER_LOWER_LIP[1:-1], strict=True))
MOUTH = np.array([name.startswith(("mouth", "jaw")) for name in NAMES])
LITTLE = 0.4  # sum of blendshapes: what goes from a mouth that shows less than this closes it by a part only
LIFTS = tuple(INDEX[f"mouth{name}{side}"] for name in ("LowerDown", "UpperUp") for side in ("Left", "Right"))


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
    return float(min(1.2 * gone / max(shown.sum(), LITTLE), 1.0))  # a trace of it is as good as nothing


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
    down = landmarks[152, :2] - landmarks[168, :2]
    down = down / np.linalg.norm(down)
    upper, lower = list(UPPER_LIP[1:-1]), list(LOWER_LIP[1:-1])

    def gaps(points: FloatArray) -> FloatArray:
        return np.asarray((points[lower, :2] - points[upper, :2]) @ down)

    own, middle = np.maximum(gaps(landmarks), 0), len(upper) // 2
    stays = own * (1 - shut * _let_go(before, after))
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


def held(landmarks: FloatArray, target: FloatArray) -> FloatArray:
    """`landmarks` [478, 3] px with the lips' inner edges a little inside the lips, as far as those part or close.

    What shows between parted lips reaches to their landmarks or over them, and must not be left between shut ones; nor
    must the dark line between shut lips stay with one of them.
    """
    result = landmarks.copy()
    for (top, bottom), (above, below) in zip(INNER, OUTER, strict=True):
        first, last = (float(np.linalg.norm((p[bottom] - p[top])[:2])) for p in (landmarks, target))
        share = HOLD * abs(last - first) / max(last, first, 1e-6)
        result[top] += share * (landmarks[above] - landmarks[top])
        result[bottom] += share * (landmarks[below] - landmarks[bottom])
    return result
