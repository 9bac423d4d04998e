"""One shipped picture for each word, and one of a face at rest: rendered heads of nobody.

They are made by ``python -m mien.expressions.render`` and let words work offline on backbones whose expression
encoder looks at pictures (CLIP).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mien.expressions import labels, reading
from mien.expressions.spec import Expression, Part
from mien.images import read_image
from mien.types import FloatArray

FOLDER = Path(__file__).with_name("faces")
NEUTRAL = "neutral"


@cache
def picture(word: str) -> Image.Image:
    """The picture [256, 256] RGB of one of the 135 words or of "neutral".

    Raises:
        InputError: there is no such word; the nearest ones are named.
    """
    return read_image(FOLDER / f"{word if word == NEUTRAL else labels.get(word).word}.webp")


@cache
def _prototypes() -> tuple[tuple[str, ...], FloatArray]:
    words = (NEUTRAL, *labels.labels())
    return words, np.stack([np.zeros(52), *(label.prototype for label in labels.labels().values())])


def mix(blendshapes: FloatArray) -> dict[str, float]:
    """Blendshapes [52] as a mix of words: weights above 0.02 that sum to 1, "neutral" among them.

    The non-negative least squares fit of the words' prototypes (Lawson & Hanson 1974), shortened to sum 1 if
    it is longer; what it lacks to 1 is neutral, whose prototype is 0.
    """
    from scipy.optimize import nnls

    words, prototypes = _prototypes()
    weights, _ = nnls(prototypes[1:].T, np.asarray(blendshapes, np.float64))
    weights[weights < 0.02] = 0.0
    weights /= max(1.0, weights.sum())
    found = {word: float(w) for word, w in zip(words[1:], weights, strict=True) if w}
    rest = 1.0 - sum(found.values())
    return {**found, NEUTRAL: rest} if rest > 0.02 or not found else found


def blendshapes(part: Part) -> FloatArray:
    """Blendshapes [52] in [0, 1] that a word, blendshapes or neutral ask for.

    Raises:
        ValueError: the part is a picture, whose blendshapes only an analyser knows.
    """
    if part.picture is not None:
        raise ValueError("a picture has to be analysed")
    if part.word is not None:
        named = zip(reading.NAMES, labels.get(part.word).prototype, strict=True)
        return reading.complete({name: float(value) for name, value in named if value})
    return reading.complete(dict(part.shapes or ()))


def illustrate(expression: Expression) -> Image.Image | Path:
    """A picture that shows about what was asked for, for contact sheets: the strongest part's own or shipped one."""
    part = max(expression.parts, key=lambda part: part.weight)
    if part.picture is not None:
        return part.picture
    if part.word is not None and part.weight >= expression.rest:
        return picture(part.word)
    if part.shapes is not None:
        words = mix(np.array([dict(part.shapes).get(name, 0.0) for name in reading.NAMES]))
        return picture(max(words, key=lambda word: words[word]))
    return picture(NEUTRAL)
