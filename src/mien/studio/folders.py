"""The server's own folder: gone when it stops, and where it was killed, when the next one starts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PREFIX, LOCK = "mien-studio-", "lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder that this account alone can read.

    A lock in it, held as long as the process lives, tells it from those that killed servers left: these are removed.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), left.open("rb+") as handle:  # another account's cannot be opened
            if _taken(handle):
                shutil.rmtree(left.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        unlocked = folder / f"{LOCK}.new"
        with unlocked.open("wb") as handle:
            if _taken(handle):
                # Only now: one that others see before it is held looks like a killed server's.
                unlocked.rename(folder / LOCK)
            yield folder


def _taken(handle: IO[bytes]) -> bool:
    """Whether the lock was free and is ours now; False on systems without such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
