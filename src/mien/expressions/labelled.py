"""Which pictures of a folder or a CSV file carry which word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mien.expressions import everyday, labels
from mien.expressions.faces import NEUTRAL
from mien.images import SUFFIXES
from mien.tables import read_table, stored
from mien.types import InputError


def find_labelled(place: str | Path) -> tuple[Path, list[tuple[str, str]]]:
    """The root and (path relative to it, word) of every picture of a CSV file (columns path and word) or folder,
    sorted.

    In a folder, a picture's word is the name of the nearest folder around it, also as ``012_joy`` or ``joy-3`` and
    below ``train/`` or ``test/``, which is how the 135-class set is laid out. Raises `InputError`: nothing is there, a
    word is unknown, or a folder's name holds none.
    """
    place = Path(place)
    if place.is_file() and place.suffix.lower() == ".csv":
        return place.parent, _read_csv(place)
    if not place.is_dir():
        raise InputError(f"{place} is neither a folder nor a .csv file: give labelled pictures.")
    found = []
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            inside = path.relative_to(place)
            word = next((w for folder in reversed(inside.parts[:-1]) if (w := _word_of(folder))), None)
            if word is None:
                stem = inside.parts[-2] if len(inside.parts) > 1 else place.name
                near = _near(stem)
                raise InputError(f"{path} lies in no folder named by a word{near}: rename it, or give a CSV.")
            found.append((inside.as_posix(), word))
    if not found:
        raise InputError(f"{place} holds no pictures: put them into a folder for each word.")
    return place, found


def _word_of(folder: str) -> str | None:
    name = re.sub(r"^[\d\W_]+|[\d\W_]+$", "", folder).casefold()
    return name if name == NEUTRAL or name in labels.labels() else None


def _near(name: str) -> str:
    """Of the 135 words, those that an everyday word means ("happy"), else those that are spelt alike."""
    known = everyday.find(name)
    return labels.asked(list(known.words)) if known else labels.nearest(name.casefold()[:40], labels.labels())


def _read_csv(place: Path) -> list[tuple[str, str]]:
    def check(columns: Sequence[str]) -> None:
        if not {"path", "word"} <= set(columns):
            raise InputError(f"{place} line 1: give the columns path and word.")

    found = []
    for row in read_table(place, check).rows:
        word = row.cells["word"].casefold()
        if word != NEUTRAL and word not in labels.labels():
            raise InputError(f"{place} line {row.line}: {word!r} is no word{_near(word)}.")
        path = stored(place.parent, row.cells["path"])
        inside = path if Path(row.cells["path"]).is_absolute() else path.relative_to(place.parent)
        found.append((inside.as_posix(), word))
    if not found:
        raise InputError(f"{place} has no rows: give the columns path and word.")
    if len({path for path, _ in found}) < len(found):
        raise InputError(f"{place} names a picture twice: give each once.")
    return found
