"""Two classical recognisers, for the compound identity of the embedded default (DiffSFSR, Table 4).

The paper joins three published networks, which the mini scale does not have offline; and the judge, dlib, must not
condition. So beside the embedded recogniser stand Fisherfaces (Belhumeur, Hespanha & Kriegman 1997: principal
components, then the directions in which people differ most against the same person's pictures) of the canonical crop:
of its grey levels, and of its oriented gradients (Dalal & Triggs 2005). They are fitted in closed form on training
people of whom there are several pictures, and see a face in ways of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from factory.faces.dataset import Faces, load_faces, split_rows
from mien.encoders.identity import canonical_crop
from mien.pixels import to_pixels
from mien.types import Face, FloatArray

COMPONENTS, WIDTH = 160, 64
SETS = ("lfw-gray", "renders-train")  # with several pictures of a person
MOST = 12_000  # rows that are fitted on, of each set
BATCH = 512


def grey_levels(x: Tensor) -> Tensor:
    """[b, 3, 128, 128] → [b, 1024]: 32 x 32 grey levels, each picture's mean 0 and deviation 1."""
    grey = F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 32).flatten(1)
    return (grey - grey.mean(1, keepdim=True)) / grey.std(1, keepdim=True).clamp_min(1e-3)


def gradients(x: Tensor) -> Tensor:
    """[b, 3, 128, 128] → [b, 800]: histograms of 8 gradient directions in 10 x 10 cells, length 1 in each cell."""
    grey = F.avg_pool2d(x.mean(1, keepdim=True), 2)  # [b, 1, 64, 64]
    dx, dy = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    angle = torch.atan2(dy, dx) % torch.pi / torch.pi * 8  # directions without sign
    strength = torch.hypot(dx, dy)
    planes = [strength * (1 - torch.minimum((angle - k) % 8, (k - angle) % 8)).clamp_min(0) for k in range(8)]
    cells = F.adaptive_avg_pool2d(torch.cat(planes, 1), 10)
    return F.normalize(cells, dim=1, eps=1e-3).flatten(1)


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {"fisher-grey": grey_levels, "fisher-gradient": gradients}


@dataclass(frozen=True)
class Fisherface:
    """features - mean, times basis [d, 64]: unit variance over the training people. A ``FaceEncoder``."""

    name: str
    mean: FloatArray
    basis: FloatArray
    width: int = WIDTH

    def embed(self, x: Tensor) -> Tensor:
        """Canonical crops [b, 3, 128, 128] in [-1, 1] → [b, 64]."""
        features = FEATURES[self.name](x).numpy()
        return torch.from_numpy((features - self.mean) @ self.basis).float().clamp(-5, 5)

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[64] of one face of a PIL picture: the mean of a face and its mirror image."""
        crop = canonical_crop(image, face)
        return self.embed(torch.cat([crop, crop.flip(3)])).mean(0)


def fit(features: FloatArray, people: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fisherfaces of [n, d] features of people [n]: (mean [d], basis [d, WIDTH])."""
    from scipy.linalg import eigh

    mean = features.mean(0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    first = vectors[:, ::-1][:, :COMPONENTS]
    reduced = centred @ first
    _, member, counts = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), reduced.shape[1]))
    np.add.at(means, member, reduced)
    means /= counts[:, None]
    within = reduced - means[member]
    scatter = within.T @ within / len(within)
    between = (means * counts[:, None]).T @ means / len(within)
    ridge = 1e-2 * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    _, directions = eigh(between, scatter + ridge)
    basis = first @ directions[:, ::-1][:, :WIDTH]
    return mean, basis / (centred @ basis).std(0)


def features_of(faces: Faces, rows: FloatArray, kind: str) -> FloatArray:
    """[n, d] features of rows of a prepared set."""
    parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    found = [FEATURES[kind](to_pixels(np.stack([faces.crops[i] for i in part]))) for part in parts]
    return torch.cat(found).numpy()


def fit_all() -> list[Fisherface]:
    """Both recognisers, fitted on training people with at least two pictures."""
    found = []
    sets = [load_faces(source) for source in SETS]
    chosen = []
    for faces in sets:
        rows = split_rows(faces, held_out=False)
        people, counts = np.unique(faces.person[rows], return_counts=True)
        several = np.isin(faces.person[rows], people[counts > 1])
        chosen.append(rows[several][:MOST])
    for kind in FEATURES:
        features = [features_of(faces, rows, kind) for faces, rows in zip(sets, chosen, strict=True)]
        people = [
            faces.person[rows] + 10**7 * k for k, (faces, rows) in enumerate(zip(sets, chosen, strict=True))
        ]
        mean, basis = fit(np.concatenate(features), np.concatenate(people))
        found.append(Fisherface(kind, mean, basis))
    return found
