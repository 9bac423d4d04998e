"""Triples for training: a target, its person in another picture, and its expression on (perhaps) another person.

``triples.parquet`` lies beside the ``manifest.parquet`` whose keys it names (`records`). EmojiDiff writes a triple as
{S_i^¬e, R_i^e or R_¬i^e, T_i^e}: source, reference, target. Training reads `Pairs`; rejected triples stay in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mien.data import records
from mien.data.records import Manifest
from mien.face.align import crop_matrix, warp
from mien.files import check_writable
from mien.types import ByteImage, InputError

TRIPLES = "triples.parquet"
MADE_BY = "mien data idi"


@dataclass(frozen=True)
class Triple:
    """One example.

    Attributes:
        key: unique. target, source, reference: keys of the manifest; source is the target where a person has one
            picture, reference None if none could be made. other: key of the picture whose person the reference was to
            show.
        prompt: the target's caption. method: how the reference came about ("restruct", "faceswap:NAME").
        exp, lms: Exp and LMS of target and reference (EmojiDiff Eqs. 1-3). id_distance: of their embeddings. quality:
            of the reference. None where there is no face.
        reason: why it was rejected; None: it is kept.
    """

    key: str
    target: str
    source: str
    reference: str | None
    prompt: str
    method: str
    other: str
    exp: float | None = None
    lms: float | None = None
    id_distance: float | None = None
    quality: float | None = None
    reason: str | None = None


def columns() -> dict[str, Any]:
    """Name → Arrow type of every column of ``triples.parquet``."""
    pa = records.arrow()
    return {f.name: pa.float32() if "float" in str(f.type) else pa.string() for f in fields(Triple)}


def write_triples(triples: Iterable[Triple], root: Path, facts: dict[str, Any]) -> Path:
    """Write ``triples.parquet`` into the root, atomically."""
    path = check_writable(root / TRIPLES)
    records.write_table(records.to_table(triples, columns(), facts), path)
    return path


def read_triples(root: str | Path, rejected: bool = False) -> list[Triple]:
    """The triples of a folder that were kept, or all of them. Raises `InputError`: there are none, or the file cannot
    be read."""
    table = records.read_table(Path(root) / TRIPLES, columns(), MADE_BY)
    found = [Triple(**row) for row in table.to_pylist()]
    return found if rejected else [triple for triple in found if triple.reason is None]


class Pairs(list[Triple]):
    """The kept triples of a folder with their pictures. `pairs[i]` is a `Triple`."""

    def __init__(self, triples: list[Triple], manifest: Manifest) -> None:
        super().__init__(triples)
        self.manifest = manifest

    @classmethod
    def read(cls, root: str | Path) -> Pairs:
        """Read both files of a folder. Raises `InputError`: one is missing, no triple was kept, or a triple names a
        picture that isn't there."""
        triples, manifest = read_triples(root), Manifest.read(root)
        if not triples:
            raise InputError(f"{root} holds no triple that was kept: its summary.html says why.")
        for triple in triples:
            for key in (triple.target, triple.source, triple.reference):
                if key not in manifest.index:
                    raise InputError(f"{root} has no picture {key} for {triple.key}: run `{MADE_BY}` again.")
        return cls(triples, manifest)

    def row(self, i: int, role: str) -> int:
        """Row of the manifest of a triple's picture; `role` is "target", "source" or "reference"."""
        return self.manifest.index[getattr(self[i], role)]

    def crop(self, i: int, role: str) -> ByteImage:
        """The canonical crop [128, 128, 3] uint8 RGB of a triple's picture."""
        row = self.row(i, role)
        picture = np.asarray(self.manifest.picture(row))
        return warp(picture, crop_matrix(self.manifest.face(row).landmarks))
