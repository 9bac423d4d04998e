"""Conditions of prepared faces as the embedded encoders see them, kept on disk beside the faces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from factory.faces.dataset import Faces, cache_dir
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import EmbeddedIdentity, load_recogniser
from mien.encoders.standardise import LIMITS
from mien.face.network import load_analyser
from mien.files import replacing
from mien.models.folder import bfloat16_pays
from mien.pixels import to_pixels

BATCH = 64


def student_conditions(faces: Faces, folder: Path) -> tuple[Tensor, Tensor]:
    """Identity [n, 128] and expression [2, n, 57] (as it is, mirrored) by the networks in `folder`.

    Args:
        folder: holds ``analyser.safetensors`` and ``recogniser.safetensors``.
    """
    return student_identity(faces, folder), student_expression(faces, folder)


def student_identity(faces: Faces, folder: Path) -> Tensor:
    """[n, 128] by ``recogniser.safetensors``."""
    path = folder / "recogniser.safetensors"
    identity = EmbeddedIdentity(load_recogniser(path))
    return _kept(faces, path, lambda x: identity.person(x)[None])[0]


def student_expression(faces: Faces, folder: Path) -> Tensor:
    """[2, n, 57] by ``analyser.safetensors``: as it is, mirrored."""
    path = folder / "analyser.safetensors"
    expression = EmbeddedExpression(load_analyser(path))
    return _kept(faces, path, lambda x: torch.stack([expression.embed(x), expression.embed(x.flip(3))]))


def _kept(faces: Faces, weights: Path, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """What `compute` makes of all crops, [k, n, w], from the cache if these weights have seen these faces."""
    limits = json.dumps(LIMITS).encode()
    stamp = hashlib.sha256(weights.read_bytes() + faces.names.tobytes() + limits).hexdigest()[:12]
    path = cache_dir() / f"{faces.source}.{weights.stem}-{stamp}.npy"
    if not path.is_file():
        parts = []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_pays("cpu")):
            for start in tqdm(range(0, len(faces), BATCH), desc=path.name, mininterval=5):
                x = to_pixels(faces.crops[start : start + BATCH]).contiguous(
                    memory_format=torch.channels_last
                )
                parts.append(compute(x).float())
        with replacing(path) as temporary:
            np.save(temporary, torch.cat(parts, dim=1).numpy())
    return torch.from_numpy(np.load(path))
