"""Writing files so that a reader never sees half of one, reading JSON, and naming what stands in the way."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from mien.errors import WHY, InputError, saying

_PART = re.compile(r"\..+\.[0-9a-f]{16}\.part(\.\w+)?")
HOMES = {
    "data": {
        "darwin": "~/Library/Application Support",
        "win32": "~/AppData/Local",
        "linux": "~/.local/share",
    },
    "cache": {"darwin": "~/Library/Caches", "win32": "~/AppData/Local", "linux": "~/.cache"},
}
FORGOTTEN = 24 * 3600  # seconds after which a temporary file is one that a killed process left behind


def check_writable(path: str | Path) -> Path:
    """`path`, or `InputError` if no file could be written there: ask before long work."""
    path = Path(path)
    with saying(f"Cannot write {path}: {WHY}; choose another place.", OSError):
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not an ordinary file"
            raise InputError(f"{path} is {kind}: give the name of a file to write.")
        if not path.parent.is_dir():
            raise InputError(f"The folder {path.parent} does not exist: create it, or write somewhere else.")
    with saying(f"The folder {path.parent} cannot be written to: choose another place.", OSError):
        tempfile.TemporaryFile(dir=path.parent).close()  # /proc and full disks do not keep what modes promise
    return path


def make_folder(folder: str | Path, advice: str = "choose another place") -> Path:
    """`folder`, made with those above it if it is not there. Raises `InputError`: it cannot be; `advice` is given."""
    folder = Path(folder)
    with saying(f"The folder {folder} cannot be made ({WHY}): {advice}.", OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there replaces `path` when the block ends well.

    The temporary name keeps the suffix, for writers that go by it. When the block fails, nothing is left; what a killed
    process leaves, a later one removes a day after. Raises `InputError`: the folder is missing or cannot be written to,
    or the disk is full.
    """
    path = check_writable(path)
    temporary = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(8)}.part{path.suffix}")
    _sweep(path.parent.resolve())
    try:
        with saying(f"Cannot write {path}: {WHY}; free space or choose another place.", OSError):
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 `text` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def read_bytes(path: str | Path, most: int = -1) -> bytes:
    """A file, or its first `most` bytes. Raises `InputError`: it is not there, or cannot be read."""
    with (
        saying(f"{path} cannot be read ({WHY}): check its name and permissions.", OSError, ValueError),
        saying(f"{path} does not exist: check the name.", FileNotFoundError),
        open(path, "rb") as handle,
    ):
        return handle.read(most)


def expand(path: str | Path) -> Path:
    """A path with ``~`` as the home folder; as it is where there is none, or nobody of that name (pathlib raises)."""
    return Path(os.path.expanduser(path))


def user_folder(kind: str, variable: str, *below: str) -> Path:
    """The account's folder ``mien`` for its "data" or "cache", by the platform. Looking makes no folder.

    Raises:
        InputError: there is no home folder; `variable` may name another.
    """
    base = os.environ.get(f"XDG_{kind.upper()}_HOME") or HOMES[kind].get(sys.platform, HOMES[kind]["linux"])
    with saying(f"There is no home folder for {base}: set {variable}, or HOME.", RuntimeError):
        return Path(base, "mien", *below).expanduser()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or one sentence on why not."""
    with (
        saying(f"{path}: is not readable as JSON", OSError, ValueError),
        saying(f"{path}: is missing: a complete diffusers folder is needed", FileNotFoundError),
    ):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not a JSON object")
    return content


@cache
def _sweep(folder: Path) -> None:
    """Once a process and folder: remove the temporary files that were left there more than a day ago."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > FORGOTTEN:
                        os.unlink(entry.path)
