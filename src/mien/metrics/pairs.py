"""What `mien evaluate` judges: rows of an identity, an expression, and one picture for every method."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mien.images import is_picture, list_folder, unread
from mien.tables import read_table, stored
from mien.types import InputError

INPUTS = ("identity", "expression")
SAME = "same_person"  # optional: another photograph of the identity's person, to calibrate the identity score
BACKGROUND = "background"  # optional: the picture that gives the pose and all the rest (DiffSFSR's I_bkg)
ENCODERS = ("identity_encoder", "expression_encoder")  # optional: what conditioned the row's results
NO_CONTROL, COPY = "identity picture", "expression picture"  # what every method is judged beside
NOT_METHODS = (*INPUTS, SAME, BACKGROUND, *ENCODERS, "prompt", "seed", "note")


@dataclass(frozen=True)
class EvaluationRow:
    """One row. `number` counts from 1; `results` maps each method to its picture, None where it gave none. `background`
    gives the pose, None: the identity picture does. `encoders`: those of `ENCODERS` that the row names."""

    number: int
    identity: Path
    expression: Path
    same_person: Path | None
    results: dict[str, Path | None]
    background: Path | None = None
    encoders: dict[str, str] = field(default_factory=dict)


def read_csv(path: str | Path, only: Sequence[str] | None = None) -> tuple[list[EvaluationRow], list[str]]:
    """Rows of a table (`mien.tables.read_table`) with the columns ``identity``, ``expression`` and one for each method.
    Raises `InputError`: the file cannot be read, a column is missing, a method is called as a baseline, or there is no
    row.

    Pictures are looked for from the CSV's folder, then from the current one (as in the results.csv of `mien generate
    --pairs`, whose method is the column ``out``). Optional columns: ``same_person``, another photograph of the
    identity's person; ``background``, the picture whose pose the result should have (else the identity's);
    ``identity_encoder`` and ``expression_encoder``, names of what conditioned the results. ``prompt``, ``seed`` and
    ``note`` are left alone. An empty cell of a method is a picture that it failed to give.

    Args:
        only: judge these columns alone; None: every other column is a method.

    Returns:
        The rows, and one sentence for each that is wrong in itself and was left out.
    """
    path = Path(path)
    methods: list[str] = []

    def check(columns: Sequence[str]) -> None:
        methods.extend(_chosen([name for name in columns if name not in NOT_METHODS], only))
        if not methods:
            raise InputError(f"{path} has no column of results: add one for each method, named after it.")

    rows, wrong = [], []
    for line in read_table(path, INPUTS, check).rows:
        number, row = line.number, line.cells
        if line.extra or line.short:
            count = "more" if line.extra else "fewer"
            wrong.append(f"{path}, row {number} has {count} cells than there are columns: correct it.")
            continue
        empty = [name for name in INPUTS if not row[name]]
        if empty:
            wrong.append(f"{path}, row {number} has an empty {empty[0]}: name a picture.")
            continue
        rows.append(
            EvaluationRow(
                number,
                _place(path.parent, row["identity"]),
                _place(path.parent, row["expression"]),
                _place(path.parent, row[SAME]) if row.get(SAME) and not _is_number(row[SAME]) else None,
                {method: _place(path.parent, row[method]) if row[method] else None for method in methods},
                _place(path.parent, row[BACKGROUND]) if row.get(BACKGROUND) else None,
                {column: row[column] for column in ENCODERS if row.get(column)},
            )
        )
    if not rows:
        raise InputError(wrong[0] if wrong else f"{path} has no rows: add one for each pair.")
    return rows, wrong


def read_folder(
    folder: str | Path, only: Sequence[str] | None = None
) -> tuple[list[EvaluationRow], list[str]]:
    """The same from folders: ``identity/NAME.png``, ``expression/NAME.png`` and ``METHOD/NAME.png``. Raises
    `InputError`: a folder is missing, empty or cannot be read, a method is called as a baseline, or an identity has no
    expression.

    Names are matched without their suffix; every other sub-folder with pictures is a method, but ``same_person`` and
    ``background``, as of `read_csv`. Pictures that belong to no identity are left out, with a sentence a folder.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # pathlib's raises below a folder that cannot be read
        raise InputError(f"{folder} is not a folder: it must hold identity/, expression/ and one a method.")
    found = {sub.name: _pictures(sub) for sub in list_folder(folder, Path.is_dir)}
    for name in INPUTS:
        if not found.get(name):
            raise InputError(f"{folder / name} holds no picture: put one there for each pair.")
    named = [name for name, pictures in found.items() if pictures and name not in NOT_METHODS]
    methods = _chosen(named, only)
    if not methods:
        raise InputError(f"{folder} has no folder of results: add one for each method, named after it.")
    rows = []
    for number, (name, identity) in enumerate(sorted(found["identity"].items()), start=1):
        if name not in found["expression"]:
            raise InputError(f"{folder / 'expression'} has no picture {name}: every identity needs one.")
        rows.append(
            EvaluationRow(
                number,
                identity,
                found["expression"][name],
                found.get(SAME, {}).get(name),
                {method: found[method].get(name) for method in methods},
                found.get(BACKGROUND, {}).get(name),
            )
        )
    wrong = unread([folder / sub for sub in found])
    for sub in (*INPUTS[1:], SAME, BACKGROUND, *methods):
        if lost := sorted(found.get(sub, {}).keys() - found["identity"].keys()):
            others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            wrong.append(f"{folder / sub} has {lost[0]}{others}, which no identity goes with: left out.")
    return rows, wrong


def _chosen(methods: list[str], only: Sequence[str] | None) -> list[str]:
    unknown = [name for name in only or () if name not in methods]
    if unknown:
        raise InputError(f"There is no method called {unknown[0]}: choose of {', '.join(methods) or 'none'}.")
    chosen = list(only) if only else methods
    taken = [name for name in chosen if name in (NO_CONTROL, COPY)]
    if taken:
        raise InputError(f"A method is called {taken[0]!r}, as a baseline of the report is: rename it.")
    return chosen


def _is_number(cell: str) -> bool:
    """Whether a cell is a score: `mien generate --pairs` writes one of the same name, ``same_person``."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _place(folder: Path, cell: str) -> Path:
    """Where a cell's picture is: from the CSV's folder; if it is not there, from where the command was given."""
    near, here = stored(folder, cell), stored(Path(), cell)
    # os.path: pathlib's raise where a cell is words too long for a name
    return here if not os.path.exists(near) and os.path.exists(here) else near


def _pictures(folder: Path) -> dict[str, Path]:
    pictures: dict[str, Path] = {}
    for path in list_folder(folder, is_picture):
        if path.stem in pictures:
            raise InputError(f"{path} and {pictures[path.stem].name} have one name: keep one of them.")
        pictures[path.stem] = path
    return pictures
