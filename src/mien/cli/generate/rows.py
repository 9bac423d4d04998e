"""`mien generate --pairs`: what a row of the file asks for, and its portraits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.consent import remind
from mien.cli.console import nearest
from mien.cli.generate.wish import SCORED_BY
from mien.cli.pictures import numbered
from mien.cli.rows import (
    Account,
    Cells,
    Line,
    Row,
    check_there,
    located,
    make_rows,
    names_file,
    read_rows,
    row_expression_files,
    seed_of,
)
from mien.expressions.spec import parse
from mien.provenance import save_image
from mien.provenance.hashes import new_salt
from mien.tables import stored
from mien.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.cli.generate.portraits import Portraits, Subject, Target

REQUIRED = ("identity", "expression")
OPTIONAL = ("prompt", "seed", "out")
ACCOUNT = Account("portraits", ("row", "identity", "expression", "out", "prompt", "seed"), SCORED_BY)


@dataclass(frozen=True)
class Pair:
    """What a row asks for. `expression` is as `mien.expressions.spec.parse` takes it, pictures with their places."""

    identity: Path
    expression: str
    prompt: str
    seed: int


@dataclass(frozen=True)
class PairFormat:
    """A row's columns: pictures are looked for from `folder`; `prompt` and `seed` are for rows that name none."""

    folder: Path
    prompt: str
    seed: int

    def check(self, path: Path, columns: Sequence[str]) -> None:
        for name in REQUIRED:
            if name not in columns:
                hint = nearest(name, [column for column in columns if column not in OPTIONAL])
                raise InputError(
                    f"{path} has no column `{name}`{hint}: its first line must name the columns."
                )
        for column in columns:
            if column not in (*REQUIRED, *OPTIONAL) and (hint := nearest(column, OPTIONAL)):
                raise InputError(f"{path} has a column `{column}`{hint}: rename it.")

    def ask(self, cells: Cells, number: int) -> tuple[Pair, str]:
        for name in REQUIRED:
            if not cells[name]:
                raise InputError(f"the cell `{name}` is empty: name a picture.")
        identity, expression = (
            stored(self.folder, cells["identity"]),
            located(cells["expression"], self.folder),
        )
        check_there([identity], expression)
        prompt = cells.get("prompt") or self.prompt
        pair = Pair(identity, expression, prompt, seed_of(cells, self.seed))
        return pair, f"{number:04d}_{identity.stem}_{_stem(cells['expression'])}.png"

    def files(self, cells: Cells) -> list[Path]:
        identity = [stored(self.folder, cells["identity"])] if cells["identity"] else []
        return [*identity, *row_expression_files(cells["expression"], self.folder)]

    def shown(self, cells: Cells) -> Line:
        return {name: cells[name] for name in REQUIRED}


class PortraitRows:
    """Portraits of rows (`mien.cli.rows.Maker`)."""

    def __init__(self, portraits: Portraits) -> None:
        self._portraits = portraits

    @property
    def settings(self) -> Line:
        return self._portraits.settings

    def look(self, row: Row[Pair]) -> tuple[Pair, Subject, Target]:
        who = self._portraits.look(row.asked.identity, "face")
        return row.asked, who, self._portraits.express(parse(row.asked.expression))

    def make(self, looked: Sequence[tuple[Pair, Subject, Target]]) -> list[list[tuple[Image, int, int]]]:
        """Each row's portraits, with their place in the batch and its size."""
        images = self._portraits.make(
            [(who, how) for _, who, how in looked],
            [pair.prompt for pair, _, _ in looked],
            [pair.seed for pair, _, _ in looked],
        )
        count = self._portraits.wish.num_images
        placed = [(image, slot, len(images)) for slot, image in enumerate(images)]
        return [placed[start : start + count] for start in range(0, len(placed), count)]

    def save(
        self, row: Row[Pair], looked: tuple[Pair, Subject, Target], made: list[tuple[Image, int, int]]
    ) -> list[Line]:
        (pair, who, how), salt, lines = looked, new_salt(), []
        for number, (place, (image, slot, size)) in enumerate(
            zip(numbered(row.out, len(made)), made, strict=True)
        ):
            scores = self._portraits.score(image, who, how)
            own = {"prompt": pair.prompt, "seed": pair.seed + number}
            record = self._portraits.record(who, how, image, salt, slot, size)
            save_image(image, place, {**self.settings, **own, **record, "scores": scores})
            line = {**self.shown(row), "out": str(place), **own, **scores}
            lines.append({**line, "face_found": scores["id"] is not None})
        return lines

    def shown(self, row: Row[Pair]) -> Line:
        return {"identity": str(row.asked.identity), "expression": str(row.asked.expression)}


def run(
    load: Callable[[], Portraits],
    pairs: Path,
    out_dir: Path,
    prompt: str,
    seed: int,
    count: int,
    batch_size: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make every row; bad ones are named and the others still made. Exit code 2 if any was bad."""

    def ready() -> PortraitRows:
        maker = PortraitRows(load())
        remind(quiet)
        return maker

    read = read_rows(pairs, out_dir, PairFormat(pairs.parent, prompt, seed), count, overwrite)
    make_rows(ready, read, count, batch_size, pairs, out_dir, ACCOUNT, overwrite, as_json, quiet)


def _stem(expression: str) -> str:
    name = Path(expression).stem if names_file(expression) else expression
    return re.sub(r"[^\w.-]+", "-", name)[:40].strip("-") or "expression"
