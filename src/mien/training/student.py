"""Conditions of prepared faces as the embedded encoders see them, kept on disk beside the faces."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mien.data.dataset import Faces, cache_dir, to_pixels
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import load_recogniser
from mien.face.network import load_analyser
from mien.files import replacing

BATCH = 64


def student_conditions(faces: Faces, folder: Path) -> tuple[Tensor, Tensor]:
    """Identity [n, 128] and expression [2, n, 57] (as it is, mirrored) by the networks in `folder`.

    Args:
        folder: holds ``analyser.safetensors`` and ``recogniser.safetensors``.
    """
    files = [folder / "recogniser.safetensors", folder / "analyser.safetensors"]
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    path = cache_dir() / f"{faces.source}.student-{stamp}.npz"
    if not path.is_file():
        recogniser = load_recogniser(files[0])
        expression = EmbeddedExpression(load_analyser(files[1]))
        identity, plain, mirrored = [], [], []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for start in tqdm(range(0, len(faces), BATCH), desc=path.name, mininterval=5):
                x = to_pixels(faces.crops[start : start + BATCH]).contiguous(memory_format=torch.channels_last)
                identity.append(recogniser(x))
                plain.append(expression.embed(x))
                mirrored.append(expression.embed(x.flip(3)))
        columns = {"identity": identity, "plain": plain, "mirrored": mirrored}
        with replacing(path) as temporary:
            arrays = {key: torch.cat(value).float().numpy() for key, value in columns.items()}
            np.savez(temporary, allow_pickle=False, **arrays)
    table = np.load(path)
    both = torch.stack([torch.from_numpy(table["plain"]), torch.from_numpy(table["mirrored"])])
    return torch.from_numpy(table["identity"]), both
