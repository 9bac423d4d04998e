"""Compact training pictures: WebP crops with the little that their conditions are made from, in shards.

Pixels travel, not latents: a crop as WebP of quality 55 takes 1.2 kB, its float16 latents 2 kB (and as much again for
the mirror image, and for every other variant), and only pixels can be changed at random before they are encoded, which
for a linear encoder costs nothing. What the encoders say of them is made on the device, of the changed picture itself.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data.captions import background_colour, light_words
from mien.data.dataset import Faces, load_faces, split_rows
from mien.data.sources import read_label
from mien.face.mask import OVAL
from mien.files import replacing
from mien.types import ByteImage, FloatArray, InputError

SHARD_BYTES = 16 * 2**20
LOSSLESS = 100  # as a quality
LIGHTS = ("", "light from the left", "light from the right", "dark light", "bright light")
BACKGROUNDS = ("black", "white", "grey", "brown", "red", "green", "blue", "yellow", "pink")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
COLUMNS = ("landmarks", "blendshapes", "matrix", "embedding")  # which a prepared set has beside
_ROW_BYTES = 160  # of the table, generously


@dataclass(frozen=True)
class Pictures:
    """Pictures of one set, decoded.

    Attributes:
        source: name of the set. crops: [n, S, S, 3] uint8. outline: [n, 36, 2] float32 px, the face's oval (to half a
            pixel). crop_matrix: [n, 2, 3] float32, picture → crop. person: [n]. label: [n] index into `labels`, which
            are (age, gender, ethnicity). light, background, background_grey: [n] index into `LIGHTS` and `BACKGROUNDS`
            (the last of the picture without its colours). names: [n], empty where no columns travel. columns: others of
            the prepared set, float16.
    """

    source: str
    crops: np.ndarray
    outline: np.ndarray
    crop_matrix: np.ndarray
    person: np.ndarray
    label: np.ndarray
    light: np.ndarray
    background: np.ndarray
    background_grey: np.ndarray
    names: np.ndarray
    labels: list[tuple[int | None, str | None, str | None]]
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.crops)


def training_rows(faces: Faces, limit: int | None) -> np.ndarray:
    """Rows that may be trained on, at most `limit` of them, evenly chosen."""
    rows = split_rows(faces, held_out=False)
    return rows if limit is None or limit >= len(rows) else rows[np.arange(limit) * len(rows) // limit]


def held_rows(faces: Faces, trained: bool, count: int) -> np.ndarray:
    """The first `count` rows for validation: held-out ones, or any of a set that is not trained on."""
    return (split_rows(faces, held_out=True) if trained else np.arange(len(faces)))[:count]


def write_shards(
    source: str, rows: np.ndarray, folder: Path, quality: int, columns: Iterable[str] = ()
) -> list[Path]:
    """Write the rows of a prepared set into ``folder/{source}-{k}.npz``, each of `SHARD_BYTES` at most.

    Raises:
        InputError: the set is not prepared, or has no such column.
    """
    faces = load_faces(source)
    if unknown := set(columns) - set(COLUMNS):
        raise InputError(f"There is no column {min(unknown)!r}: a prepared set has {', '.join(COLUMNS)}.")
    extra = {name: getattr(faces, name) for name in columns}
    row_bytes = _ROW_BYTES + sum(2 * int(np.prod(values.shape[1:])) for values in extra.values())
    labels: dict[tuple[Any, ...], int] = {}
    written: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    for part, encoded in _parts(faces, rows, quality, row_bytes):
        table = _table(faces, part, labels) | {k: v[part].astype(np.float16) for k, v in extra.items()}
        table["names"] = faces.names[part] if extra else np.full(len(part), "")
        lengths = np.array([len(one) for one in encoded], np.uint32)
        blob = np.frombuffer(b"".join(encoded), np.uint8)
        about = {"source": source, "labels": list(labels), "columns": list(extra)}
        path = folder / f"{source}-{len(written):03d}.npz"
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary, blob=blob, length=lengths, about=np.array(json.dumps(about)), **table
            )
        if path.stat().st_size > SHARD_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, over {SHARD_BYTES}: report this.")
        written.append(path)
    return written


def _parts(
    faces: Faces, rows: np.ndarray, quality: int, row_bytes: int
) -> Iterator[tuple[np.ndarray, list[bytes]]]:
    part: list[int] = []
    encoded: list[bytes] = []
    size = 0
    for row in rows:
        one = encode(np.asarray(faces.crops[row]), quality)
        if part and size + len(one) + row_bytes > SHARD_BYTES - 2**17:
            yield np.array(part), encoded
            part, encoded, size = [], [], 0
        part.append(int(row))
        encoded.append(one)
        size += len(one) + row_bytes
    if part:
        yield np.array(part), encoded


def encode(crop: ByteImage, quality: int) -> bytes:
    """WebP bytes of an RGB picture; `LOSSLESS` keeps every level."""
    buffer = io.BytesIO()
    image = Image.fromarray(crop)
    image.save(buffer, "WEBP", lossless=quality == LOSSLESS, quality=quality, method=4)
    return buffer.getvalue()


def decode(data: bytes) -> ByteImage:
    """[H, W, 3] uint8 of what `encode` made."""
    return np.asarray(Image.open(io.BytesIO(data), formats=("WEBP",)).convert("RGB"))


def _table(faces: Faces, rows: np.ndarray, labels: dict[tuple[Any, ...], int]) -> dict[str, np.ndarray]:
    """What a row has beside its picture; `labels` grows."""
    outline = faces.landmarks[rows][:, list(OVAL), :2]
    codes = []
    for row in rows:
        crop, landmarks = np.asarray(faces.crops[row]), faces.landmarks[row]
        label = read_label(faces.source, str(faces.names[row]))
        number = labels.setdefault((label.age, label.gender, label.ethnicity), len(labels))
        colours = background_colour(crop), background_colour(grey(crop))
        light = LIGHTS.index(light_words(crop, landmarks))
        codes.append((number, light, *(BACKGROUNDS.index(colour) for colour in colours)))
    label_, light_, colour, colour_grey = np.array(codes, np.uint16).reshape(-1, 4).T
    return {
        "outline": (outline - faces.crops.shape[1] / 2).round().clip(-128, 127).astype(np.int8),
        "crop_matrix": faces.crop_matrix[rows].astype(np.float16),
        "person": faces.person[rows].astype(np.int32),
        "label": label_,
        "light": light_.astype(np.uint8),
        "background": colour.astype(np.uint8),
        "background_grey": colour_grey.astype(np.uint8),
    }


def grey(crop: ByteImage) -> ByteImage:
    """[H, W, 3] without its colours."""
    return np.repeat((crop @ LUMA)[..., None].round().astype(np.uint8), 3, axis=2)


def read_shards(paths: Sequence[Path]) -> list[Pictures]:
    """The pictures of all shards, one entry a set, in the order of the shards.

    Raises:
        InputError: a file is missing, damaged, or no shard.
    """
    found: dict[str, list[Pictures]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in paths:
            one = _read(path, pool)
            found.setdefault(one.source, []).append(one)
    return [_joined(parts) for parts in found.values()]


def _read(path: Path, pool: ThreadPoolExecutor) -> Pictures:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(str(arrays.pop("about")))
        blob, ends = arrays.pop("blob"), np.cumsum(arrays.pop("length"), dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        pieces = (blob[a:b].tobytes() for a, b in zip(starts, ends, strict=True))
        crops = np.stack(list(pool.map(decode, pieces)))
        outline = arrays["outline"].astype(np.float32) + crops.shape[1] / 2
        own = {f.name: arrays[f.name] for f in fields(Pictures) if f.name in arrays}
        own |= {"outline": outline, "crop_matrix": arrays["crop_matrix"].astype(np.float32)}
        columns = {name: arrays[name] for name in about["columns"]}
        labels = [(age, gender, ethnicity) for age, gender, ethnicity in about["labels"]]
        return Pictures(source=about["source"], crops=crops, labels=labels, columns=columns, **own)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"The shard {path} cannot be read ({error}): prepare the slices again.") from error


def _joined(parts: list[Pictures]) -> Pictures:
    """Shards of one set as one; the last one's labels contain the others'."""
    values: dict[str, Any] = {}
    for field in fields(Pictures):
        if field.name not in ("source", "labels", "columns"):
            values[field.name] = np.concatenate([getattr(part, field.name) for part in parts])
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Pictures(source=parts[0].source, labels=parts[-1].labels, columns=columns, **values)


def write_prepared(pictures: Sequence[Pictures], cache: Path) -> None:
    """Pictures as prepared sets, which any stage reads by `dataset.load_faces`; a column that did not travel is NaN.

    Pictures of the same set are joined.
    """
    cache.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[int, ...]] = {"landmarks": (478, 3), "blendshapes": (52,), "matrix": (4, 4)}
    shapes["embedding"] = (128,)
    for source in dict.fromkeys(one.source for one in pictures):
        ours = [one for one in pictures if one.source == source]
        table: dict[str, FloatArray] = {}
        for name in COLUMNS:
            empty = [np.full((len(one), *shapes[name]), np.nan, np.float32) for one in ours]
            filled = [one.columns.get(name, nothing) for one, nothing in zip(ours, empty, strict=True)]
            table[name] = np.concatenate(filled).astype(np.float32)
        for name in ("crop_matrix", "person"):
            table[name] = np.concatenate([getattr(one, name) for one in ours])
        table["name"] = np.concatenate([one.names for one in ours])
        np.save(cache / f"{source}.crops.npy", np.concatenate([one.crops for one in ours]))
        np.savez(cache / f"{source}.table.npz", allow_pickle=False, **table)
