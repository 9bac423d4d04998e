"""`mien generate --pairs`: a row's columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.cli.rows import (
    Account,
    Cells,
    Requests,
    check_there,
    located,
    names_file,
    row_expression_files,
    seed_of,
)
from mien.making.rows import Line
from mien.making.wishes import SCORED_BY, Request
from mien.provenance import check_format
from mien.tables import stored
from mien.types import InputError, nearest

REQUIRED = ("identity", "expression")
OPTIONAL = ("prompt", "seed", "out")
ACCOUNT = Account(
    "portraits", ("row", "identity", "expression", "out", "prompt", "seed"), SCORED_BY["portrait"]
)


@dataclass(frozen=True)
class PairFormat:
    """A row's columns: pictures are looked for from `folder`; `prompt` and `seed` are for rows that name none; `count`:
    portraits of each row."""

    folder: Path
    prompt: str
    seed: int
    count: int = 1

    def check(self, path: Path, columns: Sequence[str]) -> None:
        for name in REQUIRED:
            if name not in columns:
                hint = nearest(name, [column for column in columns if column not in OPTIONAL])
                raise InputError(
                    f"{path} has no column `{name}`{hint}, only {', '.join(columns)}: its first line must name the "
                    "columns."
                )
        for column in columns:
            if column not in (*REQUIRED, *OPTIONAL) and (hint := nearest(column, OPTIONAL)):
                raise InputError(f"{path} has a column `{column}`{hint}: rename it.")

    def check_out(self, out: Path) -> object:
        return check_format(out)

    def ask(self, cells: Cells, number: int) -> tuple[Requests, str]:
        for name in REQUIRED:
            if not cells[name]:
                raise InputError(f"the cell `{name}` is empty: name a picture.")
        identity = stored(self.folder, cells["identity"])
        expression = located(cells["expression"], self.folder)
        check_there([identity], expression)
        prompt, seed = cells.get("prompt") or self.prompt, seed_of(cells, self.seed)
        requests = tuple(Request(identity, expression, prompt, seed + j) for j in range(self.count))
        return requests, f"{number:04d}_{identity.stem}_{_stem(cells['expression'])}.png"

    def files(self, cells: Cells) -> list[Path]:
        identity = [stored(self.folder, cells["identity"])] if cells["identity"] else []
        return [*identity, *row_expression_files(cells["expression"], self.folder)]

    def shown(self, cells: Cells) -> Line:
        return {name: cells[name] for name in REQUIRED}

    def repeated(self, asked: Requests) -> Line:
        return {"identity": str(asked[0].identity), "expression": str(asked[0].expression)}


def _stem(expression: str) -> str:
    name = Path(expression).stem if names_file(expression) else expression
    return re.sub(r"[^\w.-]+", "-", name)[:40].strip("-") or "expression"
