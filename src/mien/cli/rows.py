"""What `--pairs` is to every verb: a CSV file's rows, made in batches, and an account of every one."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from mien.cli.checks import MAX_SEED
from mien.cli.console import BAD_INPUT, counting_bar, encodable, print_json, say, tell
from mien.cli.pictures import (
    check_places,
    expression_files,
    files,
    keep,
    keep_tables,
    numbered,
    remind,
    spare,
)
from mien.expressions.spec import parse
from mien.files import check_writable, make_folder, write_text
from mien.images import SUFFIXES
from mien.making.rows import BadRow, Line, Row, deliver
from mien.making.wishes import MAX_BATCH, Request
from mien.provenance import check_format, check_surroundings
from mien.spread import Cluster, spread
from mien.tables import read_table, stored, to_csv
from mien.types import InputError, nearest

if TYPE_CHECKING:
    from mien.making.rows import Work
    from mien.making.telling import Tell

CELL, COLUMNS = 192, 9  # of a sheet: px of a picture's side, pictures in a row
Cells = Mapping[str, str]
Requests = tuple[Request, ...]
RESULTS = "results.csv"


@dataclass(frozen=True)
class Format:
    """A verb's columns; an empty cell is one that was not given.

    Attributes:
        folder: where files are looked for. known: the columns. count: results of each row. things: what is made. first:
            the columns of the results that come first. scored_by: who gave their scores.
    """

    folder: Path
    known: ClassVar[tuple[str, ...]]
    things: ClassVar[str]
    first: ClassVar[tuple[str, ...]]
    scored_by: ClassVar[Mapping[str, str]] = {}
    count = 1

    def check(self, path: Path, columns: Sequence[str]) -> None:
        """`InputError` if the header of `path` will not do."""
        for column in columns:
            if column not in self.known:
                hint = nearest(column, self.known)
                raise InputError(
                    f"{path} has a column `{column}`{hint}: its columns are {','.join(self.known)}."
                )

    def check_out(self, out: Path) -> object:
        """`InputError` if nothing can be written under this name."""
        return check_format(out)

    def ask(self, cells: Cells, number: int) -> tuple[Any, str]:
        """What a row asks for, and the name of its file if the row gives no `out`; `InputError` if it will not do."""
        raise NotImplementedError

    def shown(self, cells: Cells) -> Line:
        """What the results repeat of a row that could not be read."""
        return {}

    def repeated(self, asked: Any) -> Line:
        """What they repeat of one that could."""
        return {}

    def file(self, cells: Cells, name: str) -> Path | None:
        """The file that a cell names."""
        return stored(self.folder, cells[name]) if cells.get(name) else None

    def expression(self, cells: Cells) -> str | None:
        """The expression of a row, with the files that it names looked for from `folder`."""
        return located(cells["expression"], self.folder) if cells.get("expression") else None

    def files(self, cells: Cells) -> list[Path]:
        """What a row reads, even one that cannot be made."""
        several = [one.strip() for one in cells.get("identity", "").split(";")]
        named = [cells.get(name, "") for name in ("photo", "video", "identity")]
        named += [*several, *(one.partition("=")[2] for one in several)]
        pictures = [stored(self.folder, name) for name in named if name]
        return [*pictures, *expression_files(self.expression(cells))]


def read_rows(
    path: Path, out_dir: Path, form: Format, overwrite: bool = False
) -> tuple[list[Row], list[BadRow]]:
    """The rows of a table (`mien.tables.read_table`) that can be tried, and those that are wrong in themselves.
    out_dir: where results go. overwrite: also what `mien` did not make is replaced. Raises `InputError`: the file
    cannot be read, its header will not do, it has no rows, or the results would replace it.
    """
    spare(files([path]), [out_dir / RESULTS])
    table = read_table(path, check=lambda columns: form.check(path, columns))
    rows: list[Row] = []
    bad: list[BadRow] = []
    tried: list[tuple[Row, Line]] = []
    taken: dict[Path, int] = {}
    given: set[Hashable] = set()
    for one in table.rows:
        number, line, cells = one.number, one.line, one.cells
        given |= files(form.files(cells))
        try:
            if one.extra:
                raise InputError("has more cells than there are columns: put texts with commas in quotes.")
            asked, name = form.ask(cells, number)
            out = out_dir / _below(cells.get("out") or name, form.check_out)
            if out in taken:
                raise InputError(f"row {taken[out]} writes {out.name} already: give another `out`.")
            taken[out] = number
            row = Row(number, line, tuple(numbered(out, form.count)), asked, form.repeated(asked))
            tried.append((row, form.shown(cells)))
        except InputError as error:
            bad.append(BadRow(number, line, str(error), form.shown(cells)))
    for row, shown in tried:
        try:
            spare(given, row.places)  # of all rows: what one reads, none replaces
            keep(row.places, overwrite)
            rows.append(row)
        except InputError as error:
            bad.append(BadRow(row.number, row.line, str(error), shown))
    if not rows and not bad:
        raise InputError(f"{path} has no row below its header: add one.")
    return rows, bad


def seed_of(cells: Cells, otherwise: int) -> int:
    """The row's seed, or the run's where the cell is empty. Raises `InputError`: it is not a whole number from 0,
    or too large for a generator."""
    seed = cells.get("seed")
    if not seed:
        return otherwise
    if not (seed.isascii() and seed.isdigit() and len(seed) < 20 and int(seed) <= MAX_SEED):
        raise InputError(f"the seed {seed} is not a whole number from 0 to {MAX_SEED}: correct it.")
    return int(seed)


def located(expression: str, folder: Path) -> str:
    """An expression with the pictures (or the JSON file) it names looked for from `folder`; words stay."""
    whole = stored(folder, expression)
    if os.path.isfile(whole):  # pathlib's raises where a cell is too long for a name
        return str(whole)
    if expression[0] in "{[":
        return expression
    items = []
    for item in (item.strip() for item in expression.split("+")):
        name, colon, weight = item.rpartition(":") if ":" in item else (item, "", "")
        items.append(f"{stored(folder, name)}{colon}{weight}" if names_file(name) else item)
    return "+".join(items)


def check_there(pictures: Iterable[Path], expression: str | None) -> None:
    """`InputError` if a row names a picture that is not there, or an expression that means nothing."""
    for picture in pictures:
        if not os.path.exists(picture):
            raise InputError(f"{picture} does not exist: check the name.")
    if expression is not None:
        parse(expression)


def names_file(text: str) -> bool:
    """Whether an expression is a picture or a JSON file rather than words."""
    return Path(text).suffix.lower() in (*SUFFIXES, ".json")


def make_rows(
    work: Callable[[Tell | None], Work],
    form: Format,
    given: Mapping[str, Any],
    cluster: Cluster | None = None,
) -> None:
    """Make every row that can be made; bad ones are named. Exit code 2 if any was bad. Raises `InputError`: the table
    cannot be used, or nothing can be written to the folder.

    Args:
        work: makes who makes the rows, given whom to tell; None: in a process elsewhere, of `cluster`.
        given: the verb's parameters.
    """
    pairs, out_dir, overwrite = (given[name] for name in ("pairs", "out_dir", "overwrite"))
    sheet = given.get("sheet")
    rows, bad = read_rows(pairs, out_dir, form, overwrite)
    results = check_writable(make_folder(out_dir, "choose another --out-dir") / RESULTS)
    if sheet is not None:
        check_places([sheet], [pairs], overwrite)
    keep_tables([results], "row,", overwrite)
    check_surroundings()
    table: list[Line] = []

    def refuse(row: BadRow) -> None:
        say(f"mien: {pairs} row {row.number} (line {row.line}): {row.reason}")
        table.append({"row": row.number, **row.shown, "error": row.reason})

    for row in bad:
        refuse(row)
    if rows:
        share = max(1, min(given.get("batch_size", 1), MAX_BATCH // form.count) // form.count)
        chunks = [rows[start : start + share] for start in range(0, len(rows), share)]
        said: set[str] = set()
        remind(given["quiet"])
        with counting_bar(given["quiet"], total=len(rows), desc=form.things, unit="row") as bar:
            for done in spread(partial(work, None if cluster else tell), chunks, cluster):
                for message in done.said:
                    if message not in said:
                        tell(message)
                said.update(done.said)
                for outcome in deliver(done):
                    if isinstance(outcome, BadRow):
                        bad.append(outcome)
                        refuse(outcome)
                    else:
                        table += outcome
                    bar.update()
                _write_results(results, table, form.first)
    table.sort(key=lambda line: line["row"])
    _write_results(results, table, form.first)
    if sheet is not None and any("out" in line for line in table):
        save_sheet(sheet, table, {row.number: row.asked[0].expression for row in rows})
    if given["as_json"]:
        scored = {"scored_by": form.scored_by} if form.scored_by else {}
        print_json({"results": str(results), **scored, "rows": table})
    else:
        count = sum(1 for line in table if "out" in line)
        print(f"{count} {form.things.removesuffix('s') if count == 1 else form.things} in {out_dir}")
        told = "every setting and score (by the embedded analyser and recogniser)"
        print(f"{results}  {told if form.scored_by else 'what became of each row'}")
    if bad:
        say(f"mien: {len(bad)} of the rows could not be made: see `error` in {results}.")
        raise typer.Exit(BAD_INPUT)


def save_sheet(place: Path, table: Sequence[Line], expressions: Mapping[int, object]) -> None:
    """All results of a table side by side, each under its expression (row number → what was asked for)."""
    from PIL import Image

    from mien.provenance import PARTLY_GENERATED, save_image
    from mien.sheets import sheet

    cells = []
    for line in table:
        if "out" in line:
            with Image.open(str(line["out"])) as picture:
                label = Path(str(expressions[line["row"]] or "")).name
                cells.append((label, picture.convert("RGB")))
                cells[-1][1].thumbnail((CELL, CELL))
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    save_image(sheet(rows, CELL), place, {"kind": "sheet"}, PARTLY_GENERATED)


def _below(out: str, check: Callable[[Path], object]) -> Path:
    """`out`, if it is the name of a result below the output folder."""
    path = Path(out)
    check(path)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"out {out} leaves the output folder: give a name below it.")
    return path


def _write_results(path: Path, table: Sequence[Line], first: Sequence[str]) -> None:
    names = dict.fromkeys([*first, *(name for line in table for name in line if name != "error"), "error"])
    rows = ([line.get(name, "") for name in names] for line in table)
    write_text(path, encodable(to_csv([list(names), *rows])))
