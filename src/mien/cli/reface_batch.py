"""`mien reface --pairs`: reading the rows, making them in batches, and accounting for every one."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from tqdm import tqdm

from mien.cli.batch import located
from mien.cli.console import BAD_INPUT, nearest, print_json, say
from mien.cli.generate import numbered
from mien.cli.reface import SCORED_BY, Request
from mien.files import check_writable, write_text
from mien.provenance import check_format, save_image
from mien.types import InputError

if TYPE_CHECKING:
    from mien.cli.refaces import Refaces

COLUMNS = ("photo", "identity", "expression", "prompt", "seed", "out")


@dataclass(frozen=True)
class Row:
    """One row of the file: its number (from 1), its line as an editor counts, its requests and where they go."""

    number: int
    line: int
    requests: tuple[Request, ...]
    out: Path


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be made, and why."""

    number: int
    line: int
    reason: str


def read_rows(
    path: Path, out_dir: Path, prompt: str, seed: int, count: int
) -> tuple[list[Row], list[BadRow]]:
    """The rows that can be tried, and those that are wrong in themselves.

    Args:
        path: CSV in UTF-8 with a header, of `COLUMNS`; an empty cell is one that was not given. Pictures are looked
            for from its folder.
        out_dir: where results go. prompt, seed: for rows that name none. count: results of each row.

    Raises:
        InputError: the file cannot be read, or a column is unknown.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the name.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text ({error}): save it as CSV.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    bad: list[BadRow] = []
    try:
        reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or []]
        for column in reader.fieldnames:
            if column not in COLUMNS:
                raise InputError(
                    f"{path} has a column `{column}`{nearest(column, COLUMNS)}: its columns are {','.join(COLUMNS)}."
                )
        taken: dict[Path, int] = {}
        for number, cells in enumerate(reader, 1):
            try:
                row = _row(cells, number, reader.line_num, path.parent, out_dir, prompt, seed, count)
                if row.out in taken:
                    raise InputError(
                        f"row {taken[row.out]} writes {row.out.name} already: give another `out`."
                    )
                taken[row.out] = number
                rows.append(row)
            except InputError as error:
                bad.append(BadRow(number, reader.line_num, str(error)))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file at line {reader.line_num} ({error}): correct it.") from error
    if not rows and not bad:
        raise InputError(f"{path} has no row below its header: add one.")
    return rows, bad


def run(
    load: Callable[[], Refaces],
    pairs: Path,
    out_dir: Path,
    prompt: str,
    seed: int,
    count: int,
    batch_size: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make every row; bad ones are named and the others still made. Exit code 2 if any was bad."""
    rows, bad = read_rows(pairs, out_dir, prompt, seed, count)
    results = out_dir / "results.csv"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out_dir} cannot be made: choose another --out-dir.") from error
    check_writable(results)
    table: list[dict[str, Any]] = []

    def refuse(row: BadRow) -> None:
        say(f"mien: {pairs} row {row.number} (line {row.line}): {row.reason}")
        table.append({"row": row.number, "error": row.reason})

    for row in bad:
        refuse(row)
    if rows:
        refaces = load()
        share = max(1, batch_size // count)
        with tqdm(total=len(rows), desc="photos", unit="row", disable=quiet) as bar:
            for start in range(0, len(rows), share):
                for outcome in _make(refaces, rows[start : start + share]):
                    if isinstance(outcome, BadRow):
                        bad.append(outcome)
                        refuse(outcome)
                    else:
                        table += [{**refaces.settings, **line} for line in outcome]
                    bar.update()
                _write_results(results, table)
    table.sort(key=lambda line: line["row"])
    _write_results(results, table)
    if as_json:
        print_json({"results": str(results), "scored_by": SCORED_BY, "rows": table})
    else:
        print(f"{sum(1 for line in table if 'out' in line)} photos in {out_dir}")
        print(f"{results}  every setting and score (by the embedded analyser and recogniser)")
    if bad:
        say(f"mien: {len(bad)} of the rows could not be made: see `error` in {results}.")
        raise typer.Exit(BAD_INPUT)


def _row(
    cells: dict[str | None, Any],
    number: int,
    line: int,
    folder: Path,
    out_dir: Path,
    prompt: str,
    seed: int,
    count: int,
) -> Row:
    if cells.get(None):
        raise InputError("has more cells than the header has columns: put texts with commas in quotes.")
    values = {key: (value or "").strip() for key, value in cells.items() if key is not None}
    told = values.get("prompt") or prompt
    photo, identity = (folder / values[name] if values.get(name) else None for name in ("photo", "identity"))
    expression = located(values["expression"], folder) if values.get("expression") else None
    if photo is None and not told.strip():
        raise InputError("there is neither a photo nor a prompt: name one of them.")
    if identity is None and expression is None:
        raise InputError("nothing is to be changed: name an identity, an expression or both.")
    if values.get("seed"):
        if not (values["seed"].isascii() and values["seed"].isdigit()):
            raise InputError(f"the seed {values['seed']} is not a whole number from 0: correct it.")
        seed = int(values["seed"])
    out = Path(values.get("out") or f"{number:04d}_{photo.stem if photo else 'scene'}.png")
    check_format(out)
    if out.is_absolute() or ".." in out.parts:
        raise InputError(f"out {out} leaves the output folder: give a name below it.")
    requests = tuple(Request(photo, identity, expression, told, seed + j) for j in range(count))
    return Row(number, line, requests, out_dir / out)


def _make(refaces: Refaces, rows: Sequence[Row]) -> Iterator[BadRow | list[dict[str, Any]]]:
    """What became of each row: the lines of its results, or why there is none."""
    began = time.perf_counter()
    requests = [request for row in rows for request in row.requests]
    try:
        made = refaces.make(requests)
    except InputError as error:
        if len(rows) > 1:  # one of them spoilt the batch: each alone, so that it can be named
            for row in rows:
                yield from _make(refaces, [row])
        else:
            yield BadRow(rows[0].number, rows[0].line, str(error))
        return
    seconds = (time.perf_counter() - began) / len(requests)
    results = iter(made)
    for row in rows:
        lines = []
        try:
            row.out.parent.mkdir(parents=True, exist_ok=True)
            for request, place in zip(row.requests, numbered(row.out, len(row.requests)), strict=True):
                result = next(results)
                image = result.image()
                scores = refaces.score(image, result.scene, request)
                own = {"prompt": request.prompt, "seed": request.seed, "task": refaces.task(request)}
                mask = result.mask() if request.photo is not None else None
                save_image(image, place, {**refaces.settings, **own, "scores": scores}, mask=mask)
                lines.append({"row": row.number, "out": str(place), **own, **scores, "seconds": seconds})
            yield lines
        except OSError as error:
            yield BadRow(
                row.number,
                row.line,
                f"the folder {row.out.parent} cannot be made ({error.strerror}): free the name.",
            )
        except InputError as error:
            yield BadRow(row.number, row.line, str(error))


def _write_results(path: Path, table: Sequence[dict[str, Any]]) -> None:
    first = ("row", "out", "task", "prompt", "seed", "id", "exp", "pose")
    names = dict.fromkeys([*first, *(name for line in table for name in line if name != "error"), "error"])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
