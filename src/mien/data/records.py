"""The manifest of a face set: one row a picture, in Parquet, beside the pictures it speaks of.

A set is a folder, its *root*: ``manifest.parquet`` and the pictures, as files or in tar shards in the layout of
WebDataset (`shards`). Paths are relative to the root, so that a set can be moved. A tar is not compressed: ``offset``
and ``length`` give any picture by one read. Rejected rows stay, with their reason. What holds for all rows (analyser,
recogniser, framing) is in the file's metadata, as JSON under the key ``mien``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from mien.errors import WHY, InputError, optional, saying
from mien.files import check_writable, replacing
from mien.types import Face, FloatArray

FORMAT = 1
MANIFEST = "manifest.parquet"
TRAIN, HELD_OUT = "train", "held_out"

_WIDTHS = {"box": 4, "landmarks": 478 * 3, "blendshapes": 52, "pose": 3}


@dataclass(frozen=True)
class Record:
    """One picture of a set.

    Attributes:
        key: unique in the set. name: what it was called where it came from, relative to that place.
        path: relative to the root, with forward slashes: the picture, or the shard that holds it; None: rejected before
            it could be stored. member, offset, length: name, first byte and number of bytes inside the shard, else
            None.
        width, height: px. sha256: of the stored bytes. source_sha256: of the bytes it came from.
        identity: label of the person, or None. split: "train" or "held_out". prompt: a caption, may be empty.
        faces: how many faces the source showed.
        box, landmarks, blendshapes, pose, confidence: of the `Face`, in pixels of the stored picture; landmarks are
            [478 * 3], row by row. None where there is no face.
        embedding: [d] float32 of the set's recogniser, or None. quality: of the set's quality measure, or None.
        reason: why it was rejected; None: it is kept.
    """

    key: str
    name: str
    path: str | None = None
    member: str | None = None
    offset: int | None = None
    length: int | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    source_sha256: str | None = None
    identity: str | None = None
    split: str = TRAIN
    prompt: str = ""
    faces: int = 0
    box: FloatArray | None = None
    landmarks: FloatArray | None = None
    blendshapes: FloatArray | None = None
    pose: FloatArray | None = None
    confidence: float | None = None
    embedding: FloatArray | None = None
    quality: float | None = None
    reason: str | None = None


def face_columns(face: Face) -> dict[str, Any]:
    """A `Face` as the fields of a `Record`."""
    return {
        "box": np.asarray(face.box, np.float32),
        "landmarks": np.asarray(face.landmarks, np.float32).ravel(),
        "blendshapes": np.asarray(face.blendshapes, np.float32),
        "pose": np.asarray(face.pose, np.float32),
        "confidence": float(face.confidence),
    }


def columns() -> dict[str, Any]:
    """Name → Arrow type of every column of a manifest."""
    pa = arrow()
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float32()}
    found = {}
    for field in fields(Record):
        kind = str(field.type).removesuffix(" | None")
        if field.name in _WIDTHS:
            found[field.name] = pa.list_(pa.float32(), _WIDTHS[field.name])
        else:
            found[field.name] = pa.list_(pa.float32()) if kind == "FloatArray" else kinds[kind]
    return found


def arrow() -> Any:
    """The module ``pyarrow``. Raises `InputError`: it isn't installed."""
    return optional("pyarrow", 'Manifests need pyarrow: pip install "mien[data]".')


def to_table(rows: Iterable[Any], types: dict[str, Any], facts: dict[str, Any] | None = None) -> Any:
    """Dataclasses with the fields of `types` as an Arrow table, `facts` in its metadata."""
    pa = arrow()
    rows = list(rows)
    arrays = [pa.array([getattr(row, name) for row in rows], type=kind) for name, kind in types.items()]
    return with_facts(pa.table(arrays, names=list(types)), facts or {})


def with_facts(table: Any, facts: dict[str, Any]) -> Any:
    """The table with `facts` (JSON values) and the format's number in its metadata."""
    text = json.dumps({**facts, "format": FORMAT}, sort_keys=True)
    return table.replace_schema_metadata({"mien": text})


def facts_of(table: Any) -> dict[str, Any]:
    """What `with_facts` wrote; an empty dictionary if nothing did."""
    text = (table.schema.metadata or {}).get(b"mien")
    return json.loads(text) if text else {}


def write_table(table: Any, path: Path) -> None:
    """Write a table as Parquet, atomically."""
    from pyarrow import parquet

    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def read_table(path: Path, types: dict[str, Any], made_by: str) -> Any:
    """Read a Parquet file that has the columns `types`; others are left out. Raises `InputError`: the file is missing,
    damaged, of a newer format, or lacks a column."""
    pa = arrow()
    from pyarrow import parquet

    if not path.is_file():
        raise InputError(f"{path} does not exist: make it by `{made_by}`.")
    again = f"delete it and run `{made_by}` again"
    unread = f"{path} is not a Parquet file that can be read ({WHY}): {again}."
    with saying(unread, OSError, pa.ArrowException, ValueError):
        table = parquet.read_table(path)
        facts = facts_of(table)
    if facts.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} is of format {facts['format']}, this version reads {FORMAT}: update mien.")
    for name in types:
        if name not in table.column_names:
            raise InputError(f"{path} has no column {name!r}: {again}.")
    with saying(f"{path} has a wrong column ({WHY}): {again}.", pa.ArrowException):
        return table.select(list(types)).cast(pa.schema(list(types.items()), table.schema.metadata))


class Manifest:
    """The rows of a set, and its pictures. table: with the columns of `columns()`. root: the folder its paths are
    relative to."""

    def __init__(self, table: Any, root: str | Path) -> None:
        self.table = table
        self.root = Path(root)

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Read ``manifest.parquet`` of a folder, or a manifest by its own name. Raises `InputError`: there is none, or
        it cannot be read."""
        path = Path(path)
        file = path / MANIFEST if path.is_dir() else path
        table = read_table(file, columns(), "mien data ingest")
        manifest = cls(table, file.parent)
        if len(manifest.index) != len(manifest):
            raise InputError(f"{file} has two rows with one key: make it by `mien data ingest`.")
        return manifest

    @classmethod
    def of(cls, rows: Iterable[Record], root: str | Path, facts: dict[str, Any] | None = None) -> Manifest:
        """A manifest of these rows."""
        return cls(to_table(rows, columns(), facts), root)

    def write(self) -> Path:
        """Write ``manifest.parquet`` into the root, atomically."""
        path = check_writable(self.root / MANIFEST)
        write_table(self.table, path)
        return path

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def facts(self) -> dict[str, Any]:
        """What holds for all rows: ``analyser``, ``recogniser``, ``framing``, ``size``, ``quality``."""
        return facts_of(self.table)

    @cached_property
    def index(self) -> dict[str, int]:
        """Key → row."""
        return {key: row for row, key in enumerate(self.values("key"))}

    def values(self, name: str) -> list[Any]:
        """A column of single values."""
        return self.table.column(name).to_pylist()

    def array(self, name: str) -> FloatArray:
        """A column of vectors as [n, d] float32 (landmarks [n, 478, 3]); rows without one are NaN."""
        column = self.table.column(name).combine_chunks()
        width = _WIDTHS.get(name) or max((len(v) for v in column if v.is_valid), default=0)
        if name in _WIDTHS:
            flat = column.values.to_numpy(zero_copy_only=False)
            rows = flat[column.offset * width :][: len(self) * width]
            found = np.array(rows, np.float32).reshape(-1, width)
            found[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        else:
            rows = [v.values.to_numpy() if v.is_valid else np.full(width, np.nan) for v in column]
            found = np.array(rows, np.float32).reshape(len(rows), width)
        return found.reshape(-1, 478, 3) if name == "landmarks" else found

    def kept(self, split: str | None = None) -> list[int]:
        """Rows that were not rejected, of one split or of both."""
        both = zip(self.values("reason"), self.values("split"), strict=True)
        return [i for i, (reason, part) in enumerate(both) if reason is None and split in (None, part)]

    def record(self, row: int) -> Record:
        """One row, vectors as float32 arrays."""
        values = self.table.slice(row, 1).to_pylist()[0]
        arrays = {name: np.array(v, np.float32) for name, v in values.items() if isinstance(v, list)}
        return Record(**{**values, **arrays})

    def face(self, row: int) -> Face:
        """The face of a row, in pixels of its picture. Raises `InputError`: it has none."""
        record = self.record(row)
        if record.landmarks is None:
            raise InputError(f"{record.name} has no face in the manifest: leave rejected rows out.")
        names = ("box", "landmarks", "blendshapes", "pose")
        arrays = {name: np.array(getattr(record, name), np.float64) for name in names}
        arrays["landmarks"] = arrays["landmarks"].reshape(478, 3)
        return Face(**arrays, confidence=float(record.confidence or 0.0))

    def read_bytes(self, row: int) -> bytes:
        """The stored bytes of a row's picture. Raises `InputError`: the file is missing or cut short, or its path
        leaves the root."""
        at = self.table.slice(row, 1).select(["key", "path", "offset", "length"]).to_pylist()[0]
        path = self._inside(at["key"], at["path"])
        incomplete = f"{path} cannot be read: the set is incomplete, make it again."
        with saying(incomplete, OSError), path.open("rb") as handle:
            handle.seek(at["offset"] or 0)
            data = handle.read() if at["length"] is None else handle.read(at["length"])
        if at["length"] is not None and len(data) != at["length"]:
            raise InputError(f"{path} is cut short: make the set again.")
        return data

    def picture(self, row: int) -> Image.Image:
        """The picture of a row, PIL RGB. Raises `InputError`: it cannot be read, or is not what the manifest was made
        of."""
        data = self.read_bytes(row)
        wanted = self.table.column("sha256")[row].as_py()
        if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
            name = self.table.column("path")[row].as_py()
            raise InputError(
                f"{self.root / name} has changed since the manifest was made: make the set again."
            )
        return Image.open(io.BytesIO(data)).convert("RGB")

    def digest(self) -> str:
        """SHA-256 over every row's key, picture, person, split and state: equal for equal sets."""
        names = ("key", "sha256", "identity", "split", "reason")
        rows = sorted(zip(*(self.values(name) for name in names), strict=True), key=lambda row: str(row[0]))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def _inside(self, key: str, path: str | None) -> Path:
        if path is None:
            raise InputError(f"{key} has no picture in the set {self.root}: it was rejected.")
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path:
            raise InputError(f"The path {path} of {key} leaves the set {self.root}: do not trust it.")
        return self.root / pure
