"""Expressions that a person has saved under names of their own: motions of one frame, each a file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.expressions import everyday
from mien.expressions.motion import read_motion, still, write_motion
from mien.face.blendshapes import NAMES
from mien.files import make_folder, user_folder
from mien.types import FloatArray, InputError

NAME = re.compile(r"[^\W_][\w-]{0,39}")


def folder() -> Path:
    """Where they lie: ``mien/expressions`` in the platform's folder of data. Raises `InputError`: there is no home."""
    return user_folder("data", "XDG_DATA_HOME", "expressions")


def names() -> list[str]:
    """The names of those that are saved, in order."""
    return sorted(path.stem for path in folder().glob("*.json") if NAME.fullmatch(path.stem))


def check_name(name: str) -> None:
    """Whether an expression may have this name. Raises `InputError`: it is none, or means something already."""
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r:.60} cannot name an expression: use up to 40 letters, digits, hyphens.")
    known = everyday.find(name)
    if known is not None and name.casefold() in (known.name, *known.forms):
        raise InputError(f"{name} is a word for an expression already: choose another name.")


def save(name: str, coefficients: FloatArray) -> Path:
    """Keep coefficients [52] in [0, 1] under a name; what had it is replaced. Raises `InputError`: as `check_name`, or
    the folder cannot be written to."""
    check_name(name)
    place = folder() / f"{name}.json"
    make_folder(place.parent, "set XDG_DATA_HOME to another")
    write_motion(place, still(np.clip(coefficients, 0, 1)))
    return place


def remove(name: str) -> None:
    """Forget a name. Raises `InputError`: nothing is saved under it."""
    if name not in names():
        raise InputError(f"{name!r:.60} is not a saved expression: `mien expressions saved` lists them.")
    (folder() / f"{name}.json").unlink()


def find(name: str) -> everyday.Meaning | None:
    """What is saved under a name, as if it were a word; None: nothing. Raises `InputError`: its file is damaged."""
    if not NAME.fullmatch(name) or not (place := folder() / f"{name}.json").is_file():
        return None
    shapes = dict(zip(NAMES, read_motion(place).coefficients[0].tolist(), strict=True))
    return everyday.Meaning(name=name, words={}, shapes=shapes, forms=(name,), emoji=())
