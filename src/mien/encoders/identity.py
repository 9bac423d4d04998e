"""Who is in a picture: the embedded recogniser, and the vector the embedded default is conditioned on.

The recogniser is distilled from dlib's (public domain) and lives in dlib's space, standardised: its 128 numbers have
mean 0 and deviation 1 over the training faces, so that the cosine of two embeddings is centred (dlib's own share a
large mean: any two people have about 0.9).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mien import weights
from mien.face.align import crop_matrix, warp
from mien.face.network import Trunk, load_network
from mien.types import Face

EMBEDDING = 128

# A recognition embedding says little of skin tone, hair colour and background. A grid of mean colours says it, and is
# too coarse to say what the mouth and the eyes do, so no expression leaks through it.
FACE_CELLS = 4  # the whole crop in 4 x 4 cells
HAIR_ROWS, HAIR_CELLS = 2, 8  # its upper quarter in 2 x 8 finer cells
COLOURS = 3 * (FACE_CELLS**2 + HAIR_ROWS * HAIR_CELLS)


class Recogniser(nn.Module):
    """Canonical crops [b, 3, 128, 128] in [-1, 1] → [b, 128], dlib's embedding standardised."""

    def __init__(
        self, widths: tuple[int, ...] = (24, 48, 96, 192), blocks: tuple[int, ...] = (0, 1, 2, 3)
    ) -> None:
        super().__init__()
        self.config = {"widths": list(widths), "blocks": list(blocks)}
        self.trunk = Trunk(widths, blocks)
        self.squeeze = nn.Sequential(nn.Conv2d(widths[-1], 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.head = nn.Sequential(
            nn.Linear(64 * 64, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING)
        )

    def forward(self, crops: Tensor) -> Tensor:
        return self.head(self.squeeze(self.trunk(crops)).flatten(1)).float()


def load_recogniser(path: Path) -> Recogniser:
    """The trained recogniser, in evaluation mode and frozen."""
    return load_network(Recogniser, path)


@cache
def _shipped(device: torch.device) -> Recogniser:
    """One of each device: moving one that others hold would take it away from them."""
    return load_recogniser(weights.path("recogniser")).to(device)


def canonical_crop(image: Image.Image, face: Face) -> Tensor:
    """The canonical crop of one face, [1, 3, 128, 128] in [-1, 1]."""
    pixels = warp(np.asarray(image.convert("RGB")), crop_matrix(face.landmarks))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def colours(crops: Tensor) -> Tensor:
    """[b, 3, H, W] in [-1, 1] (canonical crops, H = W a multiple of 8) → [b, 96] mean colours in [-1, 1]."""
    coarse = F.adaptive_avg_pool2d(crops, FACE_CELLS)
    fine = F.adaptive_avg_pool2d(crops[..., : crops.shape[-2] // 4, :], (HAIR_ROWS, HAIR_CELLS))
    return torch.cat([coarse.flatten(1), fine.flatten(1)], dim=1)


class CropEncoder:
    """An encoder that looks at the canonical crop. device: of its networks."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)

    @torch.no_grad()
    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[width] float32 of one face of a PIL picture."""
        return self.embed(canonical_crop(image, face).to(self.device))[0].cpu()

    def embed(self, crops: Tensor) -> Tensor:
        """[b, 3, 128, 128] in [-1, 1] → [b, width]; differentiable."""
        raise NotImplementedError


class EmbeddedIdentity(CropEncoder):
    """The identity input of the embedded default: 128 numbers of the recogniser, then 96 of coarse colour."""

    name = "embedded"
    width = EMBEDDING + COLOURS

    def __init__(self, recogniser: Recogniser | None = None, device: str | torch.device = "cpu") -> None:
        """recogniser: None is the shipped one."""
        super().__init__(device)
        self.recogniser = _shipped(self.device) if recogniser is None else recogniser.to(self.device)

    def embed(self, crops: Tensor) -> Tensor:
        return torch.cat([self.person(crops), colours(crops)], dim=1)

    def person(self, crops: Tensor) -> Tensor:
        """[b, 3, 128, 128] in [-1, 1] → [b, 128]: the mean of a face and its mirror image; differentiable."""
        both = self.recogniser(torch.cat([crops, crops.flip(3)]))
        return (both[: len(crops)] + both[len(crops) :]) / 2

    @torch.no_grad()
    def recognise(self, image: Image.Image, face: Face) -> Tensor:
        """[128] float32: the recogniser's part alone, for comparing people by cosine."""
        return self.person(canonical_crop(image, face).to(self.device))[0].cpu()


class EmbeddedRecogniser(EmbeddedIdentity):
    """The embedded recogniser alone, one of a compound's (`mien.encoders.compound`)."""

    name = "recogniser"
    width = EMBEDDING

    def embed(self, crops: Tensor) -> Tensor:
        return self.person(crops)
