"""Blendshapes as the numbers that the embedded analyser would read of a photograph showing them.

The embedded expression encoder gives 57 numbers x of a face: 52 blendshapes and the five LMS ratios (EmojiDiff Eqs.
2-3). ``{"jawOpen": 0.8}`` names one of them, and an open jaw moves other readings too. So what is asked is taken as an
observation y = x_b + noise of the first 52, and the numbers are the mean of the Gaussian that faces make, given it
(Bishop, Pattern Recognition and Machine Learning, Eq. 2.96):

    x = mu + S_b (S_bb + diag(sigma^2))^-1 (y - mu_b)

y: what was named, and what a face at rest shows for the others; sigma: `SURE` for what was named, `LOOSE` for the
others. ``python -m factory.faces.reading`` computes mu, S and rest, ``reading.json``, from the training faces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.encoders.expression import WIDTH
from mien.encoders.standardise import LIMITS, restore
from mien.face.blendshapes import INDEX, NAMES
from mien.types import FloatArray

SURE, LOOSE = 0.05, 0.15  # standard deviations of what was named, and of what is taken to rest
# Moving one of these says that its opposites do not rest where they were.
_OPPOSITES = (
    ("eyeWide", ("eyeSquint", "eyeBlink")),
    ("eyeLookUp", ("eyeLookDown",)),
    ("eyeLookDown", ("eyeLookUp",)),
    ("browInnerUp", ("browDown",)),
    ("browOuterUp", ("browDown",)),
    ("browDown", ("browOuterUp", "browInnerUp")),
    ("jawOpen", ("mouthPress", "mouthRollUpper", "mouthRollLower")),
    ("mouthLowerDown", ("mouthPress",)),
    ("eyeLookOut", ("eyeLookIn",)),
    ("eyeLookIn", ("eyeLookOut",)),
)
MOVED = 0.15  # a blendshape from here on is a movement


@cache
def _fitted() -> tuple[FloatArray, FloatArray, FloatArray]:
    """rest [52], mu [57] and S [57, 57], the last two of standardised numbers."""
    content = json.loads(Path(__file__).with_name("reading.json").read_text())
    rest = np.array([content["rest"].get(name, 0.0) for name in NAMES])
    covariance = np.zeros((WIDTH, WIDTH))
    covariance[np.tril_indices(WIDTH)] = content["covariance"]
    return rest, np.array(content["mean"]), covariance + np.tril(covariance, -1).T


def at_rest() -> FloatArray:
    """[52] in [0, 1]: the median blendshapes of photographs of faces that do next to nothing."""
    return _fitted()[0].copy()


def complete(shapes: Mapping[str, float]) -> FloatArray:
    """Blendshapes [52] in [0, 1] from some of them by name; the others rest, or give way to their opposite."""
    vector = at_rest()
    given = {INDEX[name]: value for name, value in shapes.items()}
    for stem, opposites in _OPPOSITES:
        for side in ("Left", "Right"):
            name = stem if stem in INDEX else f"{stem}{side}"
            if given.get(INDEX[name], 0.0) >= MOVED:
                for opposite in opposites:
                    vector[INDEX[opposite if opposite in INDEX else f"{opposite}{side}"]] = 0.0
    for index, value in given.items():
        vector[index] = value
    return vector


def numbers(shapes: Mapping[str, float]) -> Tensor:
    """Some blendshapes by name, in [0, 1] -> [57] float32, standardised: what the embedded default is told."""
    _, mean, covariance = _fitted()
    told = (restore(torch.full((1, WIDTH), v), "expression")[0, :52] for v in (0.0, 1.0))
    zero, one = (values.double().numpy() for values in told)
    unit = one - zero  # of a standardised number
    # What was asked is not clamped: noise is measured against it.
    y = (complete(shapes) - zero) / unit
    noise = np.array([SURE if name in shapes else LOOSE for name in NAMES]) / unit
    gain = covariance[:, :52] @ np.linalg.inv(covariance[:52, :52] + np.diag(noise**2))
    limit = LIMITS["expression"]
    return torch.from_numpy((mean + gain @ (y - mean[:52])).clip(-limit, limit).astype(np.float32))
