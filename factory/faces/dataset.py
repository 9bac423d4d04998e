"""Prepared faces in memory-mapped arrays: what `prepare` wrote, ready to be drawn in batches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.data.split import is_held_out
from mien.types import InputError


def cache_dir() -> Path:
    """Where prepared data lie: ``MIEN_CACHE``, or ``.cache`` of the checkout."""
    return Path(os.environ.get("MIEN_CACHE", Path(__file__).resolve().parents[2] / ".cache"))


@dataclass(frozen=True)
class Faces:
    """Aligned crops with their analysis; row i of every array is the same picture.

    Attributes:
        crops: [n, 128, 128, 3] uint8 RGB. landmarks: [n, 478, 3] px of the crop. blendshapes: [n, 52] in [0, 1].
        matrix: [n, 4, 4] MediaPipe's head transform. crop_matrix: [n, 2, 3] picture → crop.
        names: [n] file names. person: [n] integer, equal for pictures of one person.
        embedding: [n, 128] dlib's embedding, NaN where there is none. source: [n] name of the set.
    """

    crops: np.ndarray
    landmarks: np.ndarray
    blendshapes: np.ndarray
    matrix: np.ndarray
    crop_matrix: np.ndarray
    names: np.ndarray
    person: np.ndarray
    embedding: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.names)


def load_faces(source: str, cache: Path | None = None) -> Faces:
    """Read one prepared set.

    Raises:
        InputError: the set has not been prepared.
    """
    cache = cache or cache_dir()
    table_path = cache / f"{source}.table.npz"
    if not table_path.is_file():
        raise InputError(
            f"The prepared set {table_path} does not exist; run `python -m factory.faces.prepare {source}`."
        )
    table = np.load(table_path)
    crops = np.load(cache / f"{source}.crops.npy", mmap_mode="r")
    return Faces(
        crops=crops,
        landmarks=table["landmarks"],
        blendshapes=table["blendshapes"],
        matrix=table["matrix"],
        crop_matrix=table["crop_matrix"],
        names=table["name"],
        person=table["person"],
        embedding=table["embedding"],
        source=source,
    )


def split_rows(faces: Faces, held_out: bool) -> np.ndarray:
    """Row numbers of the training or of the held-out part."""
    held = np.array([is_held_out(str(name)) for name in faces.names])
    return np.flatnonzero(held if held_out else ~held)
