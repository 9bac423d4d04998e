"""The recipes that are installed, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from mien.types import InputError


def names() -> list[str]:
    """Of all that are installed."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def find(recipe: str | Path) -> Path:
    """The file of a recipe: one that is given, or one that is installed under this name.

    Raises:
        InputError: there is none.
    """
    path, known = Path(recipe), names()
    if path.is_file():
        return path
    if str(recipe) in known:
        return Path(__file__).with_name(f"{recipe}.yaml")
    near = difflib.get_close_matches(path.stem, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise InputError(f"There is no recipe {recipe}{hint}: give a file, or {', '.join(known)}.")
