"""Writing files so that a reader never sees half of one, and naming what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.types import InputError


def check_writable(path: str | Path) -> Path:
    """`path`, or `InputError` if no file could be written there: ask before long work."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not an ordinary file"
            raise InputError(f"{path} is {kind}: give the name of a file to write.")
        if not path.parent.is_dir():
            raise InputError(f"The folder {path.parent} does not exist: create it, or write somewhere else.")
    except OSError as error:
        raise InputError(f"Cannot write {path}: {_reason(error)}; choose another place.") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"The folder {path.parent} cannot be written to: choose another place.")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there replaces `path` when the block ends well.

    The temporary name keeps the suffix, for writers that go by it. When the block fails, nothing is left.

    Raises:
        InputError: the folder is missing or cannot be written to, or the disk is full.
    """
    path = check_writable(path)
    temporary = path.with_name(f".{path.stem[:80]}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise InputError(
                f"Cannot write {path}: {_reason(error)}; free some space or choose another place."
            ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 `text` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
