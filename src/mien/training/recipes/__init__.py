"""The recipes that are installed, by name."""

from __future__ import annotations

from pathlib import Path

from mien.errors import choice


def names() -> list[str]:
    """Of all that are installed."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def find(recipe: str | Path) -> Path:
    """The file of a recipe: one that is given, or one that is installed under this name. Raises `InputError`: there is
    none."""
    path = Path(recipe)
    return (
        path if path.is_file() else Path(__file__).with_name(f"{choice(str(recipe), names(), 'recipe')}.yaml")
    )
