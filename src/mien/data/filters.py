"""What keeps a picture out of a set: its quality, and an expression or a person that isn't what it should be.

EmojiDiff (supplement, A.1) removes low-quality pictures by LIQE, and pairs whose expression drifted by Exp and LMS. Its
text excludes pairs with Exp ≤ 0.05 and LMS ≤ 0.18; its stated purpose ("filter out expression-changed data") makes that
a slip, so here those are *kept*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mien.errors import InputError, choice, optional
from mien.metrics import face as metrics
from mien.types import ByteImage, Face, FloatArray

QUALITIES = ("auto", "liqe", "plain", "none")
SHARP = 0.22  # what photographs of faces (UTKFace, 128 px crops) reach at the median
MIN_QUALITY = {"liqe": 3.0, "plain": 0.35, "none": 0.0}


class Quality(Protocol):
    """A no-reference measure: crops [n, H, W, 3] uint8 RGB → [n], higher is better."""

    name: str

    def __call__(self, crops: ByteImage) -> FloatArray: ...


class PlainQuality:
    """Sharp, with contrast, well exposed: a product of three shares, in [0, 1]. Definition: ours; needs no weights.

    Of the luminance Y [H, W] in [0, 255]::

        sharp    = min(1, σ(∇²Y) / σ(Y) / SHARP)      the Laplacian's deviation; the ratio forgets the contrast
        contrast = min(1, σ(Y) / 32)
        exposed  = 1 - share of pixels with Y ≤ 3 or Y ≥ 252

    It does not know what a face looks like: for that, install ``pyiqa`` and use LIQE.
    """

    name = "plain"

    def __call__(self, crops: ByteImage) -> FloatArray:
        y = np.asarray(crops, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # [n, H, W]
        middle = y[:, 1:-1, 1:-1]
        laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * middle
        deviation = y.std((1, 2))
        sharp = laplacian.std((1, 2)) / np.maximum(deviation, 1.0) / SHARP
        exposed = 1 - ((y <= 3) | (y >= 252)).mean((1, 2))
        return np.minimum(sharp, 1) * np.minimum(deviation / 32, 1) * exposed


class Liqe:
    """LIQE (Zhang et al. 2023, arXiv 2303.14968) through ``pyiqa``, in [1, 5]; fetches its weights at first use."""

    name = "liqe"

    def __init__(self, device: str = "cpu") -> None:
        pyiqa = optional("pyiqa", "LIQE needs pyiqa: pip install pyiqa, or choose plain.")
        self.metric = pyiqa.create_metric("liqe", device=device)

    def __call__(self, crops: ByteImage) -> FloatArray:
        import torch

        x = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            return self.metric(x).flatten().cpu().numpy()


class NoQuality:
    """Everything is good enough: 1 for all."""

    name = "none"

    def __call__(self, crops: ByteImage) -> FloatArray:
        return np.ones(len(crops), np.float32)


def load_quality(name: str = "auto") -> Quality:
    """The measure of this name; "auto" is LIQE where ``pyiqa`` is installed, else plain. Raises `InputError`: unknown,
    or not installed."""
    from importlib.util import find_spec

    if name == "auto":
        name = "liqe" if find_spec("pyiqa") else "plain"
    kinds: dict[str, type[Quality]] = {"liqe": Liqe, "plain": PlainQuality, "none": NoQuality}
    return kinds[choice(name, QUALITIES, "quality measure")]()


@dataclass(frozen=True)
class Limits:
    """What a pair must keep.

    Attributes:
        exp, lms: at most this Exp and LMS between target and reference (EmojiDiff supplement, A.1).
        id_distance: at least this distance of target's and reference's embeddings, so that the reference shows somebody
            else (not in the paper, where a leaking generator would teach its leak). None: the recogniser's threshold of
            one person. 0: not asked.
        quality: at least this of the quality measure. None: the measure's own (`MIN_QUALITY`).
    """

    exp: float = 0.05
    lms: float = 0.18
    id_distance: float | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        for name in ("exp", "lms", "id_distance", "quality"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"The limit {name} is {value}: give a number from 0.")


def distances(target: tuple[Face, FloatArray], reference: tuple[Face, FloatArray]) -> dict[str, float]:
    """Exp, LMS and the distance of embeddings [d] of a pair of faces, by the names of `Limits`."""
    (wanted, person), (found, other) = target, reference
    return {
        "exp": float(metrics.exp(wanted.blendshapes, found.blendshapes)),
        "lms": float(metrics.lms(wanted.landmarks, found.landmarks)),
        "id_distance": float(metrics.id_distance(person, other)),
    }


def judge(scores: dict[str, float], quality: float, limits: Limits) -> str | None:
    """Why a pair is rejected, the first of: a score that is not a number (NaN), low quality, expression changed (Exp,
    LMS), same person; None: kept. A reason is a phrase, a colon and the number. `limits` must be complete."""
    assert limits.quality is not None and limits.id_distance is not None
    for name, value in {"quality": quality, **scores}.items():
        if not math.isfinite(value):  # no comparison would reject it
            return f"no number ({name}): {value}"
    if quality < limits.quality:
        return f"low quality: {quality:.3f}"
    if scores["exp"] > limits.exp:
        return f"expression changed (Exp): {scores['exp']:.3f}"
    if scores["lms"] > limits.lms:
        return f"expression changed (LMS): {scores['lms']:.3f}"
    if scores["id_distance"] < limits.id_distance:
        return f"same person: {scores['id_distance']:.3f}"
    return None


def reasons(found: Sequence[str | None]) -> dict[str, int]:
    """How many were kept ("kept") and rejected, by the phrase before the colon; the most frequent first."""
    kinds = ["kept" if reason is None else reason.partition(":")[0] for reason in found]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return dict(sorted(counts.items(), key=lambda item: (item[0] != "kept", -item[1], item[0])))
