"""Whose a file is that a result would replace: what `mien` made says so, everything else is somebody's own."""

from __future__ import annotations

import os
from pathlib import Path

from mien.provenance import read_metadata
from mien.provenance.animation import COMMENTED, read_animation
from mien.types import InputError


def is_ours(path: str | Path) -> bool:
    """Whether a picture, GIF or MP4 carries the metadata that `mien` writes; a file that cannot be read does not."""
    path = Path(path)
    try:
        if path.suffix.lower() in COMMENTED:
            return read_animation(path) is not None
        said = read_metadata(path)
    except InputError:
        return False
    return said is not None and said.settings is not None


def is_replaceable(path: str | Path) -> bool:
    """Whether nothing is lost where a result is written to `path`: nothing is there, or something that `is_ours`."""
    return not os.path.lexists(path) or is_ours(path)
