"""Every file of weights: what it is, where it is, whether it is whole, and on what terms it may be used."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mien.errors import InputError, nearest, saying
from mien.files import user_folder
from mien.weights import copies

SHIPPED_FOLDER = Path(__file__).parent
MANIFEST = SHIPPED_FOLDER / "manifest.json"
# Models of others. None is needed; each is fetched only when asked for. A checksum is written there only if it is
# known, and `card` says from where; without one the file is called unverified, and so it is.
FOREIGN = SHIPPED_FOLDER / "foreign.json"


@dataclass(frozen=True)
class WeightFile:
    """One file. `path` is relative to the package's weights (shipped) or to the models folder (fetched). `sha256` and
    `size` (bytes) are of the file as it is used; None: not published. `url`: where it can be fetched; one that ends in
    .bz2 is unpacked on the way. `comfyui`: where ComfyUI's users have it, below ``models``."""

    path: str
    sha256: str | None = None
    size: int | None = None
    url: str | None = None
    comfyui: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model. `root` is what `path(name)` returns: a file, or the folder that holds several. `card` says in one line
    what it was trained on, for how long, and how it measures."""

    name: str
    purpose: str
    root: str
    files: tuple[WeightFile, ...]
    licence: str
    commercial: bool
    source: str
    year: int
    shipped: bool = False
    card: str = ""


class Status(Enum):
    """What `check` finds: whole; whole as far as can be told (no checksum is known); not there; damaged."""

    OK = "ok"
    UNVERIFIED = "unverified"
    MISSING = "missing"
    DAMAGED = "damaged"


def models_folder() -> Path:
    """Where fetched models lie: `MIEN_MODELS`, else ``mien/models`` in the platform's cache. Looking makes no folder.
    Raises `InputError`: there is no home folder."""
    own = os.environ.get("MIEN_MODELS")
    if not own:
        return user_folder("cache", "MIEN_MODELS to the folder of fetched models", "models")
    with saying(f"There is no home folder for {own}: set MIEN_MODELS to another.", RuntimeError):
        return Path(own).expanduser()


def entries() -> tuple[Entry, ...]:
    """All models: the shipped ones of ``manifest.json``, then those that are fetched."""
    return (*_read(MANIFEST), *_read(FOREIGN))


def entry(name: str) -> Entry:
    """The model of that name. Raises `InputError`: there is none; the nearest name is suggested."""
    known = {e.name: e for e in entries()}
    if name in known:
        return known[name]
    if name in bundles():
        raise InputError(f"{name} is several models: {', '.join(bundles()[name])}.")
    raise InputError(f"There is no model called {name}{nearest(name, known)}: see `mien models list`.")


def bundles() -> dict[str, tuple[str, ...]]:
    """Names of what belongs together -> names of the models."""
    content = json.loads(FOREIGN.read_text(encoding="utf-8"))
    return {name: tuple(models) for name, models in content.get("bundles", {}).items()}


def named(name: str) -> list[Entry]:
    """The models of a bundle, or the one of that name. Raises `InputError`: there is neither."""
    return [entry(one) for one in bundles().get(name, (name,))]


def place(model: Entry, file: WeightFile) -> Path:
    """Where `file` of `model` is, or would be; of a model in one file, a copy that another program has fetched."""
    own = (SHIPPED_FOLDER if model.shipped else models_folder()) / file.path
    if model.shipped or file.path != model.root or own.exists():
        return own
    return copies.find(file.url, file.comfyui) or own


def check(model: Entry, file: WeightFile) -> Status:
    """Look at one file on disk: its size and, where one is known, its sha256."""
    location = place(model, file)
    try:
        facts = location.stat()
        if not location.is_file():
            return Status.MISSING
        if file.size is not None and facts.st_size != file.size:
            return Status.DAMAGED
        if file.sha256 is None:
            return Status.UNVERIFIED
        found = sha256_of(location)
    except OSError:
        return Status.MISSING
    return Status.OK if found == file.sha256 else Status.DAMAGED


def path(name: str) -> Path:
    """The file or folder of a model, after checking every file at or below it (once a process). Raises `InputError`:
    unknown name; or a file is missing or damaged: the message says how to get it."""
    model = entry(name)
    below = [
        (other, file)
        for other in (_read(MANIFEST) if model.shipped else (model,))
        for file in other.files
        if file.path == model.root or file.path.startswith(f"{model.root}/") or other is model
    ]
    for owner, file in below:
        state = check(owner, file)
        if state in (Status.MISSING, Status.DAMAGED):
            raise InputError(remedy(owner, file, state))
    if len(model.files) == 1 and model.files[0].path == model.root:
        return place(model, model.files[0])
    return (SHIPPED_FOLDER if model.shipped else models_folder()) / model.root


def sized(model: Entry) -> bool:
    """Whether every file is there in its right size: what can be told in no time. `check` reads every byte."""
    for file in model.files:
        try:
            size = place(model, file).stat().st_size
        except OSError:
            return False
        if file.size not in (None, size):
            return False
    return True


def remedy(model: Entry, file: WeightFile, state: Status) -> str:
    """One sentence: what is wrong with the file, and what to do."""
    location = place(model, file)
    damaged = "is damaged (its sha256 or size is not the expected one)"
    wrong = "is not there" if state is Status.MISSING else damaged
    if model.shipped:
        return f"{location} of {model.name} {wrong}: install the package again."
    if file.url is None:
        return f"{location} of {model.name} {wrong}: get it from {model.source} and put it there."
    return (
        f"{location} of {model.name} {wrong}: run `mien models fetch {model.name}`, "
        f"or download {file.url} and put it there{' unpacked' if file.url.endswith('.bz2') else ''}."
    )


def verify(names: list[str] | None = None) -> list[tuple[Entry, WeightFile, Status]]:
    """Check the named models (default: the shipped ones and whatever was fetched), reading every byte."""
    if names:
        return [(model, file, check(model, file)) for model in map(entry, names) for file in model.files]
    found = [(model, file, check(model, file)) for model in entries() for file in model.files]
    return [row for row in found if row[0].shipped or row[2] is not Status.MISSING]


def sha256_of(location: Path) -> str:
    """Hex digest of a file, read block by block, once a process unless it has changed."""
    facts = location.stat()
    return sha256(location, facts.st_size, facts.st_mtime_ns)


@cache
def sha256(location: Path, size: int, modified: int) -> str:
    """Hex digest of a file; `size` and `modified` (ns) make a changed file a new question."""
    digest = hashlib.sha256()
    with location.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read(file: Path) -> tuple[Entry, ...]:
    return _entries(file, file.stat().st_mtime_ns) if file.exists() else ()


@lru_cache(maxsize=2)
def _entries(file: Path, modified: int) -> tuple[Entry, ...]:
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["entries"]
    return tuple(
        Entry(**{**row, "files": tuple(WeightFile(**of) for of in row["files"]), "shipped": file == MANIFEST})
        for row in rows
    )
