"""Which coefficients of this face make a reading of it say what is wanted: a damped Gauss-Newton in closed loop.

A reading is what a face analyser says of a picture: 52 blendshapes, then the five ratios of LMS (EmojiDiff, Eqs. 2-3).
How readings answer to coefficients, on average over photographs, was measured once (`factory/response.py`): with it the
first step already lands near, and each further reading corrects what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.face import align
from mien.face.blendshapes import NAMES
from mien.face.landmarks import lms_ratios
from mien.types import FloatArray
from mien.warping.mesh import IndexArray

DAMPING = 0.1  # of a coefficient against a squared error of a reading
LMS_WEIGHT = 0.5  # of a ratio against a blendshape
REACH = 0.2  # how far readings may move a coefficient from where it began
LEAST, MOST = -0.2, 1.0  # of a coefficient: beyond, faces no longer look like faces
NO_LESS_THAN_NONE = ("eye", "brow")  # below 0 these would startle
LIMITS = {  # lips that roll in further are gone
    "jawOpen": 0.8, "mouthClose": 0.3, "jawForward": 0.6,
    "mouthPressLeft": 0.6, "mouthPressRight": 0.6, "mouthRollLower": 0.5, "mouthRollUpper": 0.5, "mouthPucker": 1.8,
}  # fmt: skip
UNHEARD = (
    "cheek",
    "jawForward",
    "noseSneer",
)  # MediaPipe reports hardly any of it: no reading can correct these
DOUBTED = 2.0  # spreads of rest, of a face that shows nothing
EPSILON, FARTHEST = 0.01, 4.0  # of a blendshape; of what is seen in standard deviations: no more counts
FAINTEST = 0.85  # of an answer: what is fainter is not made up for, which would caricature
ALIKE = 0.6, 0.75  # two expressions: from the first on partly, from the second on wholly
REGIONS = {
    "eyes": ("eye",),
    "brows": ("brow",),
    "mouth": ("mouth", "jaw", "cheek", "nose", "tongue"),
    "all": ("",),
}


@dataclass(frozen=True)
class Response:
    """Attributes:
    answer: [52], change of a blendshape's reading per change of its coefficient.
    ratios: [5, 52], change of the LMS ratios per change of coefficients.
    rest, spread: [57], mean and standard deviation over people of the reading of a face at rest.
    """

    answer: FloatArray
    ratios: FloatArray
    rest: FloatArray
    spread: FloatArray


@lru_cache(maxsize=1)
def response() -> Response:
    """As measured with the embedded analyser."""
    with np.load(Path(__file__).with_name("response.npz"), allow_pickle=False) as file:
        return Response(
            **{name: file[name].astype(np.float64) for name in ("answer", "ratios", "rest", "spread")}
        )


@dataclass(frozen=True)
class Layers:
    """Linear layers, weights [m, n] and biases [m], with SiLU between them (Elfwing et al. 2017), of an input [n] that
    is brought to one scale."""

    mean: FloatArray
    scale: FloatArray
    linear: list[tuple[FloatArray, FloatArray]]

    def __call__(self, x: FloatArray) -> FloatArray:
        x = np.clip((x - self.mean) / self.scale, -FARTHEST, FARTHEST)
        *hidden, (weight, bias) = self.linear
        for inner, shift in hidden:
            x = inner @ x + shift
            x = x / (1 + np.exp(-x))
        return np.asarray(weight @ x + bias)


@lru_cache(maxsize=1)
def _reader() -> tuple[IndexArray, Layers, Layers]:
    """Which landmarks MediaPipe's blendshapes are computed from; how; and what its readings differ by from ours."""
    with np.load(Path(__file__).with_name("reading.npz"), allow_pickle=False) as file:
        parts = {name: file[name].astype(np.float64) for name in file.files}

    def layers(name: str) -> Layers:
        count = sum(key.startswith(name) and key.endswith("weight") for key in parts)
        linear = [(parts[f"{name}.{k}.weight"], parts[f"{name}.{k}.bias"]) for k in range(count)]
        return Layers(parts[f"{name}.mean"], parts[f"{name}.scale"], linear)

    return parts["points"].astype(np.int32), layers("function"), layers("change")


def seen_of(blendshapes: FloatArray, landmarks: FloatArray, points: IndexArray) -> FloatArray:
    """What `reading` goes by: logits of blendshapes [52], then where `points` [n] of the landmarks [478, 3] lie in the
    canonical crop, in its sides: [52 + 2n]."""
    said = np.clip(blendshapes, EPSILON, 1 - EPSILON)
    places = align.transform_points(landmarks[points, :2], align.crop_matrix(landmarks))
    return np.r_[np.log(said / (1 - said)), places.ravel() / align.CROP_SIZE]


def reading(blendshapes: FloatArray, landmarks: FloatArray) -> FloatArray:
    """[57] of what the embedded analyser says of a face: blendshapes [52] in [0, 1] and landmarks [478, 3] px.

    MediaPipe's blendshapes are a function of 146 of its landmarks and of nothing else. A network that was taught that
    function reads them off the analyser's landmarks; a second one, which also knows the analyser's own blendshapes,
    adds what MediaPipe would have seen otherwise (`factory/reading.py`).
    """
    points, function, changed = _reader()
    seen = seen_of(blendshapes, landmarks, points)
    said = function(centred(seen[52:]))
    change = changed(np.r_[seen, said])
    return np.r_[1 / (1 + np.exp(-said - change[:52])), np.maximum(lms_ratios(landmarks) + change[52:], 0)]


def centred(places: FloatArray) -> FloatArray:
    """Points [2n], x and y by turns, about their mean and by their size, which tell MediaPipe's blendshapes nothing."""
    away = places.reshape(-1, 2) - places.reshape(-1, 2).mean(0)
    return np.asarray((away / np.sqrt((away**2).mean())).ravel())


def believed(away: FloatArray, doubt: float = 1.0) -> FloatArray:
    """Deviations d of readings [n], n up to 57, as far as one picture can tell: Wiener's estimate, d^2 / (d^2 + s^2) of
    each, s `doubt` times the spread of people at rest."""
    spread = doubt * response().spread[: len(away)]
    return np.asarray(away**3 / np.maximum(away**2 + spread**2, 1e-12))


def expressed(reading: FloatArray, doubt: float = 1.0) -> FloatArray:
    """How far a reading [57] lies from its own face's rest, as far as one picture can tell [57].

    By `believed`, from the mean rest: narrow eyes or high brows pass for the person's and a grin does not. `doubt`:
    for a reading of which more is known to be the person's.
    """
    return believed(reading - response().rest, doubt)


def doubted(reading: FloatArray) -> float:
    """The `doubt` of a picture [57] that is given as an expression: the less, the more it shows.

    It falls as 1 / (1 + 3E), E the sum of what blendshapes surely express: brows and eyes beside a grin belong to it,
    the same on a still face to the person.
    """
    return DOUBTED / (1 + 3 * float(np.abs(expressed(reading, DOUBTED)[:52]).sum()))


def shown(reading: FloatArray, change: FloatArray) -> FloatArray:
    """How far a photo [57] is from its own face's rest [57], as far as that goes where words ask for `change` [52].

    What reads less than the mean is this person's, not an expression. So are brows, unless they are
    named or the face shows something else: of theirs goes E / (1 + E), E the sum of what other blendshapes express.
    What is more than is asked for stays where the whole is nearly what is asked for, and of what both show most no
    less is: joy does not make a laugh smaller, contentment does.
    """
    away = expressed(reading)
    away[:52] = np.maximum(away[:52], 0)
    brows = mask("brows")[:52] > 0
    if not change[brows].any():
        other = float(away[:52][~brows].sum())
        away[:52] *= np.where(brows, other / (1 + other), 1)
    both, sizes = away[:52] * change, np.linalg.norm(away[:52]) * np.linalg.norm(change)
    most = int(both.argmax())
    near = float(both.sum() / max(sizes, EPSILON)) * min(1.0, change[most] / max(away[most], EPSILON))
    away[:52] -= np.interp(near, ALIKE, (0.0, 1.0)) * np.maximum(away[:52] - np.maximum(change, 0), 0)
    return away


def at_rest() -> FloatArray:
    """[57], the mean reading of a face at rest."""
    return response().rest.copy()


def mask(region: str) -> FloatArray:
    """[57] of 0 and 1: the readings of a region."""
    stems = REGIONS[region]
    of = [name.startswith(stems) for name in NAMES]
    ratios = [region in ("all", part) for part in ("eyes", "eyes", "eyes", "eyes", "mouth")]
    return np.array([*of, *ratios], np.float64)


@lru_cache(maxsize=1)
def limits() -> tuple[FloatArray, FloatArray]:
    """The least and the most of each coefficient, [52] each."""
    least = np.where([name.startswith(NO_LESS_THAN_NONE) for name in NAMES], 0.0, LEAST)
    return least, np.array([LIMITS.get(name, MOST) for name in NAMES])


@lru_cache(maxsize=1)
def heard() -> NDArray[np.bool_]:
    """Of which blendshapes a reading tells anything [52]."""
    return np.array([not name.startswith(UNHEARD) for name in NAMES])


def clipped(coefficients: FloatArray) -> FloatArray:
    """Coefficients [52] within what looks like a face."""
    return np.clip(coefficients, *limits())


class Solver:
    """Finds coefficients of one face, reading by reading.

    The shapes are on the readings' scale, so the wanted change, divided by how readings answer, is where to begin; what
    a reading of the result still lacks moves the coefficients from there, by no more than `REACH`.

    Args:
        own: the photo's reading [57]. wanted: the reading [57] to reach. weight: [57] of 0 to 1, what counts.
    """

    def __init__(self, own: FloatArray, wanted: FloatArray, weight: FloatArray) -> None:
        known = response()
        self.wanted = wanted
        self.weight = weight * np.array([1.0] * 52 + [LMS_WEIGHT] * 5)
        answer = np.clip(known.answer, FAINTEST, 1)
        gain = np.concatenate([np.diag(answer), known.ratios]) * self.weight[:, None]
        self._step = np.linalg.solve(gain.T @ gain + DAMPING * np.eye(52), gain.T * self.weight)
        least, most = limits()
        self.before = np.clip((own - known.rest)[:52], 0, most)  # this face's own coefficients
        first = self.before + self.weight[:52] * (wanted - own)[:52] / answer
        reach = REACH * heard()
        self._low, self._high = np.clip(first - reach, least, most), np.clip(first + reach, least, most)
        self.after = np.clip(first, least, most)

    @property
    def free(self) -> bool:
        """Whether a reading can correct anything."""
        return bool((self._low < self._high).any())

    def hold(self, fixed: NDArray[np.bool_], falling: bool) -> None:
        """Leave the coefficients `fixed` [52] as they are; the others may only fall if `falling`."""
        self._low = np.where(fixed, self.after, self._low)
        self._high = np.where(fixed | falling, self.after, self._high)

    def correct(self, read: FloatArray) -> None:
        """Change `after` by what a reading [57] of the result still lacks."""
        self.after = np.clip(self.after + self._step @ (self.wanted - read), self._low, self._high)

    def error(self, read: FloatArray) -> float:
        """What a reading lacks: mean absolute difference of what counts."""
        return float((self.weight * np.abs(self.wanted - read)).sum() / max(self.weight.sum(), 1e-9))
