"""Blendshapes as FineFace's 12 action units: an expression encoder for its adapter.

With B [12, 52] what each unit is in blendshapes (``labels.units``), and b what a face moves from its rest:

    u = argmin over u >= 0 of |B^T u - b|^2,    intensities 5 min(u, 1)
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image
from scipy.optimize import nnls
from torch import Tensor

from mien.expressions.labels import prototype
from mien.expressions.reading import at_rest
from mien.models.fineface import LARGEST, UNITS
from mien.types import Face, FloatArray


@cache
def _units() -> FloatArray:
    return np.stack([prototype({unit: 1.0}) for unit in UNITS])


def action_units(blendshapes: FloatArray) -> FloatArray:
    """Blendshapes [52] in [0, 1] -> intensities [12] in [0, 5], in the order of ``models.fineface.UNITS``."""
    strengths, _ = nnls(_units().T, np.clip(blendshapes - at_rest(), 0, 1))
    return LARGEST * np.minimum(strengths, 1.0)


class ActionUnits:
    """What FineFace is told of a face: [12] float32 in [0, 5]."""

    name = "action_units"
    width = len(UNITS)

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Needs no network of its own: the analyser has read the face's blendshapes. ``device`` is every encoder's."""

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[12] float32 of one face."""
        return self.of_blendshapes(face.blendshapes)

    def of_blendshapes(self, blendshapes: FloatArray) -> Tensor:
        """[12] float32 of blendshapes [52]: of words there is no need for a picture."""
        return torch.from_numpy(action_units(blendshapes)).float()
