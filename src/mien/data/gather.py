"""Where pictures come from: a folder, WebDataset shards, a Hugging Face dataset; each as a stream of `Item`.

Nothing is read before it is asked for, but for tars, which are streams.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mien.data.shards import read_shard
from mien.data.split import split_key
from mien.errors import WHY, InputError, optional, saying
from mien.images import SUFFIXES
from mien.tables import nfc, read_table

HUB = "hf:"
LABELS = ("none", "folder", "name", "cluster")


@dataclass(frozen=True)
class Item:
    """One picture to be. `name`: relative to its source, unique there. `read`: its bytes, by a worker elsewhere too (it
    can be pickled); may raise `OSError`."""

    name: str
    read: Callable[[], bytes]
    identity: str | None = None
    prompt: str = ""


@dataclass(frozen=True)
class Source:
    """A place of pictures. `count`: how many there are, None where only reading on tells."""

    items: Callable[[], Iterator[Item]]
    count: int | None


def open_source(place: str, identity: str = "none", prompt: str = "") -> Source:
    """The pictures of a place. Raises `InputError`: there is no picture, or a label cannot be found.

    Args:
        place: a folder of pictures (with sub-folders), a ``.tar``, a folder or glob of them (WebDataset), a folder made
            by ``datasets.save_to_disk``, or ``hf:NAME[:SPLIT]`` of the hub or a local folder it can load.
        identity: where a person's label is: "none"; "folder", the name of a picture's folder; "name",
            ``First_Last_0001.jpg``; a ``.csv`` with the columns ``file``, ``identity`` and perhaps ``prompt``; else a
            column of the dataset, or a field of a sample (in its JSON, or a file of that extension). "cluster" reads
            none; see `mien.data.ingest`.
        prompt: the column or field that holds a caption; "" for none.
    """
    label = _labels(identity)
    column = "" if identity in LABELS or identity.endswith(".csv") else identity
    if place.startswith(HUB):
        return _dataset(place.removeprefix(HUB), column, prompt, label)
    path = Path(place)
    if path.is_dir() and any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
        return _dataset(place, column, prompt, label)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if found:
            names = [p.relative_to(path).as_posix() for p in found]
            pairs = list(zip(names, found, strict=True))
            return Source(lambda: (Item(n, p.read_bytes, *label(n)) for n, p in pairs), len(pairs))
    tars = sorted(path.glob("*.tar")) if path.is_dir() else [Path(p) for p in sorted(glob.glob(place))]
    if not tars or any(p.suffix != ".tar" for p in tars):
        raise InputError(
            f"{place} is not a folder of pictures ({', '.join(SUFFIXES)}), a .tar or a dataset: give one."
        )
    return Source(lambda: _samples(tars, column, prompt, label), None)


Label = Callable[[str], "tuple[str | None, str]"]


def _labels(identity: str) -> Label:
    """Name → (identity, prompt)."""
    if identity == "folder":
        return lambda name: (Path(name).parent.name or None, "")
    if identity == "name":
        return lambda name: (_person(name), "")
    if identity.endswith(".csv"):
        table = _read_labels(Path(identity))
        return lambda name: table.get(nfc(name), (None, ""))
    return lambda name: (None, "")


def _person(name: str) -> str | None:
    key = split_key(name)
    return None if key == name.rsplit("/", 1)[-1] else key


def _read_labels(path: Path) -> dict[str, tuple[str | None, str]]:
    rows = [row.cells for row in read_table(path, ("file", "identity")).rows]
    if not rows:
        raise InputError(f"{path} has no row below its header: add one.")
    return {nfc(row["file"]): (row["identity"] or None, row.get("prompt", "")) for row in rows}


def _from_fields(identity: str, prompt: str, fields: dict[str, Any], where: str) -> tuple[str | None, str]:
    """Identity and prompt by the names of fields. Raises `InputError`: a field that was asked for isn't there."""
    for name in (identity, prompt):
        if name and name not in fields:
            raise InputError(f"{where} has no field {name!r}, only {', '.join(fields) or 'pictures'}.")
    person = fields[identity] if identity else None
    text = fields[prompt] if prompt else ""
    return (None if person in (None, "") else str(person)), ("" if text is None else str(text))


def _samples(tars: list[Path], column: str, prompt: str, label: Label) -> Iterator[Item]:
    for tar in tars:
        for key, files in read_shard(tar):
            pictures = [name for name in files if f".{name.rsplit('.', 1)[-1]}" in SUFFIXES]
            fields: dict[str, Any] = {}
            if column or prompt:
                fields = {n: _text(data) for n, data in files.items() if n not in pictures and n != "json"}
                fields |= _json(files.get("json", b"{}"))
            for extension in pictures:
                name = f"{key}.{extension}" if len(tars) == 1 else f"{tar.stem}/{key}.{extension}"
                person, text = label(f"{key}.{extension}")
                if column or prompt:
                    by_field = _from_fields(column, prompt, fields, f"The sample {key} of {tar.name}")
                    person, text = by_field[0] or person, by_field[1] or text
                yield Item(name, partial(bytes, files[extension]), person, text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _dataset(name: str, column: str, prompt: str, label: Label) -> Source:
    """A dataset of the library ``datasets``: its first column of pictures. Nothing of its code is run."""
    datasets = optional("datasets", 'Hugging Face datasets need datasets: pip install "mien[datasets]".')
    place, _, split = name.partition(":") if not Path(name).exists() else (name, "", "")
    unread = f"The dataset {name} cannot be loaded ({WHY}): check its name."
    with saying(unread, OSError, ValueError, RuntimeError):
        files = (Path(place) / "state.json", Path(place) / "dataset_dict.json")
        saved = any(file.is_file() for file in files)
        data = (datasets.load_from_disk if saved else datasets.load_dataset)(place)
    if isinstance(data, dict):
        if not split and len(data) > 1:
            raise InputError(f"The dataset {name} has the splits {', '.join(data)}: write hf:{place}:SPLIT.")
        if split and split not in data:
            raise InputError(f"The dataset {name} has no split {split}, only {', '.join(data)}: name one.")
        data = data[split or next(iter(data))]
    images = [n for n, feature in data.features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise InputError(f"The dataset {name} has no column of pictures, only {', '.join(data.features)}.")
    data = data.cast_column(images[0], datasets.Image(decode=False))

    def items() -> Iterator[Item]:
        for i, row in enumerate(data):
            cell = row.pop(images[0]) or {"bytes": None, "path": None}
            file = Path(cell["path"] or "").name
            person, text = _from_fields(column, prompt, row, f"The dataset {name}")
            known = label(file)
            names = data.features[column].int2str if hasattr(data.features.get(column), "int2str") else str
            person = names(row[column]) if person is not None and column else known[0]
            read = partial(_read_cell, cell["bytes"], cell["path"])
            yield Item(f"{i:08d}_{file}" if file else f"{i:08d}", read, person, text or known[1])

    return Source(items, len(data))


def _read_cell(data: bytes | None, path: str | None) -> bytes:
    if data is not None:
        return bytes(data)
    if path is None:
        raise OSError("the cell is empty")
    return Path(path).read_bytes()
