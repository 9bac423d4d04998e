"""Pictures in tar shards, in the layout of WebDataset: the files of a sample share their name up to the first dot.

The layout is names in a plain tar, so the library of that name (which also runs shell commands out of file names) is
not needed. Headers hold neither time nor owner: the same samples give the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mien.errors import WHY, saying
from mien.files import replacing

QUALITY = 95


@dataclass(frozen=True)
class Place:
    """Where a file lies in a shard: its name, first byte and number of bytes."""

    member: str
    offset: int
    length: int


def write_shard(path: Path, files: Sequence[tuple[str, bytes]]) -> dict[str, Place]:
    """Write (name, bytes) as an uncompressed tar, atomically; where each lies, by name.

    Raises:
        InputError: the shard cannot be written. ValueError: two files of one name.
    """
    if len({name for name, _ in files}) != len(files):
        raise ValueError("two files of a shard have one name")
    with replacing(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in files:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
        with tarfile.open(temporary) as tar:
            return {m.name: Place(m.name, m.offset_data, m.size) for m in tar}


def read_shard(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples of a shard: (key, {extension: bytes}). Links and special files are passed over. Raises `InputError`:
    it is missing, damaged or no tar."""
    key, sample = "", dict[str, bytes]()
    unread = f"{path} is not a readable tar ({WHY}): give a WebDataset shard."
    with saying(unread, OSError, tarfile.TarError, EOFError), tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            folder, _, base = member.name.rpartition("/")
            stem, _, extension = base.partition(".")
            if stream is None or not stem:
                continue
            name = f"{folder}/{stem}" if folder else stem
            if name != key and sample:
                yield key, sample
                sample = {}
            key = name
            sample[extension.lower()] = stream.read()
    if sample:
        yield key, sample


def encode(image: Image.Image) -> bytes:
    """A picture as JPEG (quality 95, full colour resolution), without metadata."""
    data = io.BytesIO()
    image.convert("RGB").save(data, "JPEG", quality=QUALITY, subsampling=0)
    return data.getvalue()
