"""What a rendered person looks like: one set of colours and sizes, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.types import FloatArray

# sRGB skin tones from light to dark; hair from black to white; irises. Values chosen by eye.
_SKIN = (
    np.array(
        [
            [247, 221, 206],
            [236, 199, 177],
            [222, 177, 146],
            [200, 150, 116],
            [168, 117, 84],
            [126, 82, 57],
            [92, 60, 45],
            [74, 50, 40],
        ]
    )
    / 255.0
)
_HAIR = (
    np.array(
        [
            [18, 15, 14],
            [34, 25, 20],
            [58, 39, 27],
            [92, 61, 38],
            [140, 98, 58],
            [190, 152, 98],
            [120, 52, 28],
            [150, 147, 144],
            [225, 222, 216],
        ]
    )
    / 255.0
)
_IRIS = (
    np.array(
        [
            [52, 32, 20],
            [74, 46, 26],
            [104, 72, 40],
            [112, 104, 62],
            [84, 112, 86],
            [86, 118, 146],
            [128, 144, 156],
        ]
    )
    / 255.0
)


def linear(srgb: FloatArray) -> FloatArray:
    """sRGB in [0, 1] → linear (IEC 61966-2-1, its power part alone)."""
    return np.asarray(srgb, np.float32) ** 2.2


@dataclass(frozen=True)
class Look:
    """One person's colours. All colours are linear RGB [3].

    Attributes:
        bald, brow, beard, stubble, moustache: strengths in [0, 1]. hairline: cm the hairline is moved up.
        volume: thickness of the hair, cm. length: how far below the eyes long hair hangs, cm (0: short).
    """

    skin: FloatArray
    lips: FloatArray
    hair: FloatArray
    brow_colour: FloatArray
    iris: FloatArray
    clothes: FloatArray
    bald: float
    brow: float
    brow_thickness: float
    beard: float
    stubble: float
    moustache: float
    hairline: float
    volume: float
    length: float
    blotches: float
    freckles: float
    shine: float
    noise_seed: int


def sample_look(rng: np.random.Generator) -> Look:
    """A random person's colours: any human skin tone, hair that goes with it more often than not."""
    tone = rng.beta(0.9, 1.15)
    position = tone * (len(_SKIN) - 1)
    low = min(int(position), len(_SKIN) - 2)
    skin = _SKIN[low] + (position - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = np.clip(skin * rng.normal(1, 0.03) * (1 + rng.normal(0, [0.015, 0.02, 0.035])), 0.03, 0.98)
    odds = (
        np.array([0.3, 0.25, 0.2, 0.1, 0.06, 0.05, 0.04, 0.08, 0.05])
        if tone < 0.55
        else np.array([0.6, 0.2, 0.08, 0.02, 0.005, 0.005, 0.01, 0.06, 0.02])
    )
    hair = _HAIR[rng.choice(len(_HAIR), p=odds / odds.sum())] * rng.uniform(0.8, 1.2)
    iris_odds = (
        np.array([4, 4, 3, 1.5, 1.2, 2, 1.2]) if tone < 0.45 else np.array([6, 4, 1, 0.1, 0.05, 0.05, 0.05])
    )
    redness = rng.uniform(0.45, 1.0)
    lips = linear(skin) * np.array([0.95 - 0.1 * redness, 0.78 - 0.25 * redness, 0.80 - 0.2 * redness])
    male = rng.random() < 0.5
    if not male and rng.random() < 0.4:  # lipstick
        lips = lips * 0.5 + 0.5 * linear(
            np.array([rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.4)])
        )
    brow_colour = linear(np.clip(hair * 0.75, 0, 0.55))
    return Look(
        skin=linear(skin).astype(np.float32),
        lips=lips.astype(np.float32),
        hair=linear(hair).astype(np.float32),
        brow_colour=brow_colour.astype(np.float32),
        iris=linear(_IRIS[rng.choice(len(_IRIS), p=iris_odds / iris_odds.sum())]).astype(np.float32),
        clothes=linear(rng.uniform(0.05, 0.9, 3) * rng.uniform(0.4, 1)).astype(np.float32),
        bald=float(male and rng.random() < 0.2),
        brow=float(rng.uniform(0.55, 0.95)),
        brow_thickness=float(rng.uniform(0.28, 0.5) + 0.1 * male),
        beard=float(male and rng.random() < 0.22) * float(rng.uniform(0.5, 0.95)),
        stubble=float(male) * float(rng.uniform(0, 0.25)),
        moustache=float(male and rng.random() < 0.25) * float(rng.uniform(0.5, 0.95)),
        hairline=float(rng.normal(0, 0.5) + male * rng.exponential(0.6)),
        volume=float(rng.uniform(0.4, 1.9)),
        length=float((not male and rng.random() < 0.75) or (male and rng.random() < 0.07))
        * float(rng.uniform(6, 18)),
        blotches=float(rng.uniform(0.02, 0.09)),
        freckles=float(rng.exponential(0.03)),
        shine=float(rng.uniform(0.03, 0.16)),
        noise_seed=int(rng.integers(2**31)),
    )
