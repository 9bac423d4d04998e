"""Blendshapes as what Arc2Face's Expression Adapter is told (Paraperas Papantoniou and Zafeiriou 2025, arXiv
2510.04706): 50 expression coefficients of FLAME, two eyelids and the jaw, in SMIRK's order.

    exp = b E,   eyelids = (b_eyeBlinkLeft, b_eyeBlinkRight),   jaw = (b P)_{3:6}

with E [52, 50] and P [52, 6] the linear maps that P. Yan fitted and published ("mediapipe-blendshapes-to-flame"); P has
the neck's rotation first. Limits are those of SMIRK's network: the jaw opens only, and turns aside by 0.2 rad at most.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.errors import InputError, saying
from mien.face.blendshapes import INDEX
from mien.types import Face, FloatArray

MAPS = {"bs2exp.npy": (52, 50), "bs2pose.npy": (52, 6)}
WIDTH = 50 + 2 + 3


@cache
def _maps(folder: Path) -> list[FloatArray]:
    read = []
    for name, shape in MAPS.items():
        with saying(f"{folder / name}: cannot be read: fetch it again", OSError, ValueError):
            value = np.load(folder / name, allow_pickle=False)
        if value.shape != shape or not np.isfinite(value).all():
            raise InputError(f"{folder / name}: is of shape {value.shape}, not {shape}: use another copy")
        read.append(value.astype(np.float64))
    return read


def flame(blendshapes: FloatArray, folder: Path) -> FloatArray:
    """Blendshapes [52] in [0, 1] -> [55] float64, expression, eyelids and jaw (radians). folder: of `MAPS`. Raises
    `InputError`: a map is missing or damaged."""
    to_expression, to_pose = _maps(folder)
    eyelids = np.clip(blendshapes[[INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]], 0, 1)
    jaw = np.clip((blendshapes @ to_pose)[3:], [0, -0.2, -0.2], [np.inf, 0.2, 0.2])
    return np.concatenate([blendshapes @ to_expression, eyelids, jaw])


class FlameExpression:
    """What Arc2Face's Expression Adapter is told of a face: [55] float32."""

    name = "flame"
    width = WIDTH

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Needs no network of its own, but the two maps. ``device`` is every encoder's."""
        from mien import weights

        self.folder = weights.path("blendshapes_to_flame")

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[55] float32 of one face."""
        return self.of_blendshapes(face.blendshapes)

    def of_blendshapes(self, blendshapes: FloatArray) -> Tensor:
        """[55] float32 of blendshapes [52]: of words there is no need for a picture."""
        return torch.from_numpy(flame(np.asarray(blendshapes, float), self.folder)).float()
