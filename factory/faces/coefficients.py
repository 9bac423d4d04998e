"""Which expressions the rendered heads make: named presets, and random sparse combinations of blendshapes."""

from __future__ import annotations

import numpy as np

from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.types import FloatArray


def _both(stem: str, weight: float) -> dict[str, float]:
    return {f"{stem}Left": weight, f"{stem}Right": weight}


_SMILE = {**_both("mouthSmile", 0.8), **_both("cheekSquint", 0.3)}
_BROWS_UP = {"browInnerUp": 0.9, **_both("browOuterUp", 0.9)}

# Blendshape weights at full strength. One-sided presets are also made mirrored (`_SIDED`).
PRESETS: dict[str, dict[str, float]] = {
    "neutral": {},
    "jaw_open": {"jawOpen": 0.85},
    "wink_left": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.3},
    "pucker": {"mouthPucker": 1.0},
    "scowl": {
        **_both("browDown", 1.0),
        **_both("eyeSquint", 0.5),
        **_both("noseSneer", 0.3),
        **_both("mouthFrown", 0.4),
    },
    "closed_eyes": _both("eyeBlink", 1.0),
    "grimace": {
        **_both("mouthStretch", 0.9),
        **_both("mouthLowerDown", 0.7),
        **_both("mouthUpperUp", 0.4),
        **_both("eyeSquint", 0.4),
        "jawOpen": 0.05,
    },
    "smirk_left": {"mouthSmileLeft": 0.95, "mouthLeft": 0.3, "cheekSquintLeft": 0.4, "mouthDimpleLeft": 0.3},
    "shout": {
        "jawOpen": 0.9,
        **_both("mouthUpperUp", 0.5),
        **_both("mouthLowerDown", 0.6),
        **_both("browDown", 0.6),
        **_both("mouthStretch", 0.4),
    },
    "smile": _SMILE,
    "big_smile": {
        **_both("mouthSmile", 1.0),
        **_both("cheekSquint", 0.7),
        "jawOpen": 0.18,
        **_both("mouthUpperUp", 0.5),
        **_both("mouthLowerDown", 0.25),
        **_both("eyeSquint", 0.3),
    },
    "laugh": {
        **_both("mouthSmile", 1.0),
        **_both("cheekSquint", 0.8),
        "jawOpen": 0.5,
        **_both("mouthUpperUp", 0.4),
        **_both("eyeSquint", 0.6),
        **_both("eyeBlink", 0.3),
    },
    "frown": {**_both("mouthFrown", 1.0), "mouthShrugLower": 0.4, "browInnerUp": 0.3},
    "sad": {
        **_both("mouthFrown", 0.9),
        "browInnerUp": 0.9,
        "mouthShrugLower": 0.5,
        **_both("eyeLookDown", 0.3),
        **_both("eyeBlink", 0.15),
    },
    "surprise": {**_BROWS_UP, **_both("eyeWide", 0.9), "jawOpen": 0.5},
    "fear": {"browInnerUp": 1.0, **_both("eyeWide", 1.0), **_both("mouthStretch", 0.6), "jawOpen": 0.2},
    "disgust": {
        **_both("noseSneer", 1.0),
        **_both("mouthUpperUp", 0.6),
        **_both("browDown", 0.5),
        **_both("eyeSquint", 0.4),
    },
    "cheek_puff": {"cheekPuff": 1.0, **_both("mouthPress", 0.3)},
    "look_left": {"eyeLookOutLeft": 0.9, "eyeLookInRight": 0.9},
    "look_up": _both("eyeLookUp", 0.9),
    "look_down": {**_both("eyeLookDown", 0.9), **_both("eyeBlink", 0.2)},
    "brows_up": _BROWS_UP,
    "brow_raise_left": {"browOuterUpLeft": 1.0, "browInnerUp": 0.2, "browDownRight": 0.4},
    "lip_roll": {"mouthRollLower": 1.0, "mouthRollUpper": 0.9},
    "mouth_left": {"mouthLeft": 1.0},
    "jaw_left": {"jawLeft": 1.0, "jawOpen": 0.1},
    "jaw_forward": {"jawForward": 1.0},
    "funnel": {"mouthFunnel": 1.0, "jawOpen": 0.15},
    "press": {**_both("mouthPress", 1.0), **_both("mouthDimple", 0.3)},
    "dimple": _both("mouthDimple", 1.0),
    "pout": {"mouthShrugLower": 0.9, "mouthPucker": 0.5, **_both("mouthFrown", 0.3)},
    "squint": {**_both("eyeSquint", 1.0), **_both("cheekSquint", 0.4)},
    "wide_eyes": _both("eyeWide", 1.0),
    "bare_teeth": {
        **_both("mouthUpperUp", 0.9),
        **_both("mouthLowerDown", 0.9),
        **_both("mouthStretch", 0.3),
    },
    "sleepy": {**_both("eyeBlink", 0.6), "browInnerUp": 0.3},
    "yawn": {"jawOpen": 1.0, **_both("eyeBlink", 0.9), "browInnerUp": 0.4},
    "kiss_wink_left": {"mouthPucker": 0.9, "eyeBlinkLeft": 1.0},
}
_SIDED = tuple(name for name in PRESETS if name.endswith("_left"))

# Of each group, a random combination uses one member at most: they pull the same muscle both ways.
_EXCLUSIVE: tuple[tuple[str, ...], ...] = (
    ("browDown", "browOuterUp"),
    ("eyeBlink", "eyeWide", "eyeSquint"),
    ("mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel", "cheekPuff", "mouthStretch"),
    ("mouthLeft", "mouthRight", "jawLeft", "jawRight"),
    ("jawOpen", "mouthPress", "mouthRollLower", "cheekPuff", "mouthShrugLower"),
)
_FREE = (
    "browInnerUp",
    "cheekSquint",
    "noseSneer",
    "mouthDimple",
    "mouthUpperUp",
    "mouthLowerDown",
    "jawForward",
    "mouthRollUpper",
    "mouthShrugUpper",
    "gaze",
)


def to_vector(weights: dict[str, float]) -> FloatArray:
    """Coefficients [52] float32 from weights by name; a name of no blendshape raises KeyError."""
    vector = np.zeros(len(NAMES), np.float32)
    for name, weight in weights.items():
        vector[INDEX[name]] = weight
    return vector


def preset_names() -> tuple[str, ...]:
    """Every preset, with the mirrored ones."""
    return (*PRESETS, *(name.removesuffix("left") + "right" for name in _SIDED))


def preset(name: str) -> FloatArray:
    """Coefficients [52] in [0, 1] of a preset at full strength; ``…_right`` mirrors ``…_left``. Unknown:
    KeyError.
    """
    if name.endswith("_right"):
        return to_vector(PRESETS[name.removesuffix("right") + "left"])[list(FLIP)]
    return to_vector(PRESETS[name])


def gaze(rng: np.random.Generator, spread: float) -> FloatArray:
    """Coefficients [52] of both eyes looking the same way, `spread` the standard deviation of the weights."""
    across, up = np.clip(rng.normal(0, spread, 2), -1, 1)
    weights = {"eyeLookOutLeft" if across > 0 else "eyeLookInLeft": abs(across)}
    weights["eyeLookInRight" if across > 0 else "eyeLookOutRight"] = abs(across)
    weights |= _both("eyeLookUp" if up > 0 else "eyeLookDown", abs(up))
    return to_vector(weights)


def combination(rng: np.random.Generator) -> FloatArray:
    """Two to six blendshapes (pairs count once, three in ten of them one-sided), none against another. [52]
    in [0, 1].
    """
    pool = list(_FREE) + [str(rng.choice(group)) for group in _EXCLUSIVE]
    vector = np.zeros(len(NAMES), np.float32)
    blocked: set[str] = set()
    for stem in rng.permutation(pool)[: rng.integers(2, 7)]:
        if stem in blocked:
            continue
        blocked |= {name for group in _EXCLUSIVE if stem in group for name in group}
        weight = float(rng.beta(1.6, 1.2))
        if stem == "gaze":
            vector = np.maximum(vector, gaze(rng, 0.5))
        elif stem in INDEX:
            vector[INDEX[stem]] = weight
        else:
            sides = [weight, weight * float(rng.uniform(0.6, 1))]
            if rng.random() < 0.3:
                sides[1] = 0.0
            rng.shuffle(sides)
            vector[INDEX[f"{stem}Left"]], vector[INDEX[f"{stem}Right"]] = sides
    return vector


def sample(rng: np.random.Generator, preset_share: float = 0.65) -> tuple[str, FloatArray]:
    """A random expression: (preset's name or ``"mixed"``, coefficients [52] float32 in [0, 1]).

    Presets get a random strength (0.45 to 1), a jitter on each weight and at times a weaker side; every
    expression gets a slightly wandering gaze, and faint traces of blinking and brow movement.
    """
    if rng.random() < preset_share:
        name = "neutral" if rng.random() < 0.08 else str(rng.choice(preset_names()))
        vector: FloatArray = preset(name) * rng.uniform(0.45, 1.05) * rng.uniform(0.8, 1.2, len(NAMES))
        if rng.random() < 0.3:
            side = str(rng.choice(["Left", "Right"]))
            weaker = np.array([n.endswith(side) and not n.startswith("eyeLook") for n in NAMES])
            vector = np.where(weaker, vector * rng.uniform(0.6, 1), vector)
    else:
        name, vector = "mixed", combination(rng)
    if not vector[[INDEX[n] for n in NAMES if n.startswith("eyeLook")]].any():
        vector = vector + gaze(rng, 0.12)
    traces = to_vector({**_both("eyeBlink", rng.uniform(0, 0.12)), "browInnerUp": rng.uniform(0, 0.08)})
    return name, np.clip(np.maximum(vector, traces), 0, 1).astype(np.float32)
