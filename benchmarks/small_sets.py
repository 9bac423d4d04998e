"""Parts of prepared sets for short runs: the embedded encoders look at all of a set before it is trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from factory.faces.dataset import load_faces, split_rows
from factory.faces.from_prepared import from_prepared
from mien.data.filters import load_quality
from mien.files import replacing

TABLE = ("landmarks", "blendshapes", "matrix", "crop_matrix", "person", "embedding")


def few(source: str, folder: Path, trained_on: int, validated_on: int) -> None:
    """A part of a prepared set, in `folder`, which is a ``MIEN_CACHE``; nothing is done where it is there.

    Args:
        trained_on, validated_on: pictures of the training and of the held-out part, people of whom there are several
            pictures first.

    Raises:
        InputError: the set has not been prepared.
    """
    if (folder / f"{source}.table.npz").is_file():
        return
    faces = load_faces(source)
    several = np.isin(faces.person, np.flatnonzero(np.bincount(faces.person) > 1))
    parts = []
    for held_out, count in ((False, trained_on), (True, validated_on)):
        rows = split_rows(faces, held_out)
        parts.append(rows[np.argsort(~several[rows], kind="stable")][:count])
    rows = np.concatenate(parts)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{source}.crops.npy", faces.crops[rows])
    with replacing(folder / f"{source}.table.npz") as path:
        np.savez(path, **{name: getattr(faces, name)[rows] for name in TABLE}, name=faces.names[rows])


def as_set(sources: Iterable[str], folder: Path) -> Path:
    """Prepared sets as one set of faces in `folder`, completed where it is there; the folder."""
    for source in sources:
        from_prepared(source, folder, load_quality("plain"))
    return folder
