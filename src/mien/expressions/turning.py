"""The embedded expression's 57 numbers as they would be, had the head another pose.

A turned head is read otherwise (of 31,105 training faces, a linear rule tells 92% of yaw's variance and 62% of pitch's
from the 57 numbers). DiffSFSR takes the pose from the photo and the expression from elsewhere, so what the reference's
pose has left in its numbers must go. With B the linear regression of the numbers on (yaw, pitch), p the pose that is
wanted and p_ref the reference's,

    e' = e + B (p - p_ref)

The pose of a word and of blendshapes is the one that their numbers betray, by the regression of (yaw, pitch) on the
numbers. ``python -m factory.faces.turning`` computes both, ``turning.json``, from the training faces.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.types import FloatArray

ANGLES = 2  # yaw and pitch; roll is taken out by the upright crop
FILE = Path(__file__).with_name("turning.json")


@cache
def _fitted() -> tuple[Tensor, Tensor, Tensor]:
    """B [57, 2], numbers a degree; the other regression [2, 57] and its offset [2], degrees."""
    content = json.loads(FILE.read_text())
    return tuple(torch.tensor(content[name]) for name in ("turn", "read", "offset"))  # type: ignore[return-value]


def predicted_pose(embedding: Tensor) -> Tensor:
    """[..., 57] standardised numbers → [..., 2]: the yaw and pitch, in degrees, that they betray."""
    _, read, offset = _fitted()
    return embedding.float() @ read.T + offset


def turned(embedding: Tensor, pose: FloatArray, own: FloatArray | None = None) -> Tensor:
    """[..., 57] standardised numbers as a head of `pose` would give them. pose, own: [..., 2 or 3], yaw, pitch and
    perhaps roll in degrees, wanted and of the head that was read; own None: predicted."""
    there = torch.as_tensor(np.asarray(pose)[..., :ANGLES], dtype=torch.float32)
    here = predicted_pose(embedding)
    if own is not None:
        here = torch.as_tensor(np.asarray(own)[..., :ANGLES], dtype=torch.float32)
    return embedding + (there - here) @ _fitted()[0].T
