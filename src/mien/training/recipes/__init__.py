"""The recipes that are installed, by name."""

from __future__ import annotations

from pathlib import Path

from mien.errors import InputError, nearest


def names() -> list[str]:
    """Of all that are installed."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def find(recipe: str | Path) -> Path:
    """The file of a recipe: one that is given, or one that is installed under this name. Raises `InputError`: there is
    none."""
    path, known = Path(recipe), names()
    if path.is_file():
        return path
    if str(recipe) in known:
        return Path(__file__).with_name(f"{recipe}.yaml")
    raise InputError(f"There is no recipe {recipe}{nearest(path.stem, known)}: choose {', '.join(known)}.")
