"""What a face does: the expression input of the embedded default.

What the paper takes from CLIP's image encoder is taken here from the embedded analyser: 52 blendshapes and the five
LMS ratios (EmojiDiff Eqs. 2-3). 57 numbers about muscles carry next to nothing of the person.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from mien import weights
from mien.encoders.identity import CropEncoder
from mien.encoders.standardise import standardise
from mien.face.landmarks import lms_ratios_torch
from mien.face.network import AnalyserNet, load_analyser

WIDTH = 57


def expression_vector(blendshapes: Tensor, landmarks: Tensor, limit: float | None = None) -> Tensor:
    """[b, 52] and [b, 478, 2 or 3] px → [b, 57], standardised, within ±limit (see `standardise`); differentiable."""
    return standardise(torch.cat([blendshapes, lms_ratios_torch(landmarks)], dim=1), "expression", limit)


@cache
def _shipped(device: torch.device) -> AnalyserNet:
    """One of each device: moving one that others hold would take it away from them."""
    return load_analyser(weights.path("analyser")).to(device)


class EmbeddedExpression(CropEncoder):
    """The expression input of the embedded default, read from the canonical crop by the analyser."""

    name = "embedded"
    width = WIDTH

    def __init__(self, analyser: AnalyserNet | None = None, device: str | torch.device = "cpu") -> None:
        """analyser: None is the shipped one."""
        super().__init__(device)
        self.analyser = _shipped(self.device) if analyser is None else analyser.to(self.device)

    def embed(self, crops: Tensor) -> Tensor:
        out = self.analyser(crops)
        return expression_vector(out["blendshapes"], out["landmarks"])
