"""`mien reface --pairs`: what a row of the file asks for, and its photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.console import nearest
from mien.cli.pictures import numbered
from mien.cli.reface.wish import SCORED_BY, Request, generated_part
from mien.cli.rows import (
    Account,
    Cells,
    Line,
    Row,
    check_there,
    located,
    make_rows,
    read_rows,
    row_expression_files,
    seed_of,
)
from mien.provenance import save_image
from mien.provenance.hashes import new_salt
from mien.tables import stored
from mien.types import InputError

if TYPE_CHECKING:
    from mien.cli.reface.refaces import Refaces
    from mien.pipelines.reface import Refaced

COLUMNS = ("photo", "identity", "expression", "prompt", "seed", "out")
ACCOUNT = Account("photos", ("row", "out", "task", "prompt", "seed", "id", "exp", "pose"), SCORED_BY)
Requests = tuple[Request, ...]
Made = tuple["Refaced", int, int]  # a result; which of how many in its batch


@dataclass(frozen=True)
class RequestFormat:
    """A row's columns; an empty cell is one that was not given.

    Attributes:
        folder: where pictures are looked for. prompt, seed: for rows that name none. count: results of each row.
    """

    folder: Path
    prompt: str
    seed: int
    count: int

    def check(self, path: Path, columns: Sequence[str]) -> None:
        for column in columns:
            if column not in COLUMNS:
                hint = nearest(column, COLUMNS)
                raise InputError(
                    f"{path} has a column `{column}`{hint}: its columns are {','.join(COLUMNS)}."
                )

    def ask(self, cells: Cells, number: int) -> tuple[Requests, str]:
        prompt = cells.get("prompt") or self.prompt
        photo, identity = (
            stored(self.folder, cells[name]) if cells.get(name) else None for name in ("photo", "identity")
        )
        expression = located(cells["expression"], self.folder) if cells.get("expression") else None
        if photo is None and not prompt.strip():
            raise InputError("there is neither a photo nor a prompt: name one of them.")
        if identity is None and expression is None:
            raise InputError("nothing is to be changed: name an identity, an expression or both.")
        check_there(filter(None, (photo, identity)), expression)
        seed = seed_of(cells, self.seed)
        requests = tuple(Request(photo, identity, expression, prompt, seed + j) for j in range(self.count))
        return requests, f"{number:04d}_{photo.stem if photo else 'scene'}.png"

    def files(self, cells: Cells) -> list[Path]:
        pictures = [stored(self.folder, cells[name]) for name in ("photo", "identity") if cells.get(name)]
        return [*pictures, *row_expression_files(cells.get("expression"), self.folder)]

    def shown(self, cells: Cells) -> Line:
        return {}


class RefaceRows:
    """Photos of rows (`mien.cli.rows.Maker`)."""

    def __init__(self, refaces: Refaces) -> None:
        self._refaces = refaces
        self._said: set[str] = set()

    @property
    def settings(self) -> Line:
        return self._refaces.settings

    def look(self, row: Row[Requests]) -> Requests:
        return row.asked  # the pipeline reads the pictures of a batch itself

    def make(self, looked: Sequence[Requests]) -> list[list[Made]]:
        requests = [request for requests in looked for request in requests]
        batch = self._refaces.make(requests, said=self._said)
        results = ((result, slot, len(batch)) for slot, result in enumerate(batch))
        return [[next(results) for _ in requests] for requests in looked]

    def save(self, row: Row[Requests], looked: Requests, made: list[Made]) -> list[Line]:
        lines, salt = [], new_salt()
        for request, place, one in zip(looked, numbered(row.out, len(looked)), made, strict=True):
            result, slot, size = one
            image = result.image()
            scores = self._refaces.score(image, result.scene, request)
            record = self._refaces.record(request, result, image, salt, slot, size)
            settings = {**self.settings, **record, "scores": scores}
            save_image(image, place, settings, mask=generated_part(request, result))
            own = {name: record[name] for name in ("prompt", "seed", "task")}
            lines.append({"out": str(place), **own, **scores})
        return lines

    def shown(self, row: Row[Requests]) -> Line:
        return {}


def run(
    load: Callable[[], Refaces],
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
    read = read_rows(pairs, out_dir, RequestFormat(pairs.parent, prompt, seed, count), count, overwrite)
    make_rows(
        lambda: RefaceRows(load()),
        read,
        count,
        batch_size,
        pairs,
        out_dir,
        ACCOUNT,
        overwrite,
        as_json,
        quiet,
    )
