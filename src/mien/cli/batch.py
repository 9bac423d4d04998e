"""`mien generate --pairs`: reading the rows, making them in batches, and accounting for every one."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from tqdm import tqdm

from mien.cli.consent import remind
from mien.cli.console import BAD_INPUT, nearest, print_json, say
from mien.cli.generate import SCORED_BY, numbered
from mien.expressions.spec import parse
from mien.files import check_writable, write_text
from mien.images import SUFFIXES
from mien.provenance import check_format, check_surroundings, save_image
from mien.provenance.hashes import new_salt
from mien.types import InputError

if TYPE_CHECKING:
    from mien.cli.portraits import Portraits, Subject, Target

    Looked = tuple["Row", Subject, Target]

REQUIRED = ("identity", "expression")
OPTIONAL = ("prompt", "seed", "out")


@dataclass(frozen=True)
class Row:
    """One row of the file: its number (from 1), its line as an editor counts, and what it asks for.

    `expression` is as `mien.expressions.spec.parse` takes it, with the places of its pictures.
    """

    number: int
    line: int
    identity: Path
    expression: str
    prompt: str
    seed: int
    out: Path


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be made, and why."""

    number: int
    line: int
    reason: str
    identity: str = ""
    expression: str = ""


def read_rows(path: Path, out_dir: Path, prompt: str, seed: int) -> tuple[list[Row], list[BadRow]]:
    """The rows that can be tried, and those that are wrong in themselves.

    Args:
        path: CSV in UTF-8 with a header. Pictures are looked for from its folder.
        out_dir: where portraits go. prompt, seed: for rows that name none.

    Raises:
        InputError: the file cannot be read, or its header lacks a column.
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
        _check_columns(path, reader.fieldnames)
        taken: dict[Path, int] = {}
        for number, cells in enumerate(reader, 1):
            try:
                row = _row(cells, number, reader.line_num, path.parent, out_dir, prompt, seed)
                if row.out in taken:
                    raise InputError(
                        f"row {taken[row.out]} writes {row.out.name} already: give another `out`."
                    )
                taken[row.out] = number
                rows.append(row)
            except InputError as error:
                names = [str(cells.get(name) or "") for name in REQUIRED]
                bad.append(BadRow(number, reader.line_num, str(error), *names))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file at line {reader.line_num} ({error}): correct it.") from error
    if not rows and not bad:
        raise InputError(f"{path} has no row below its header: add a pair.")
    return rows, bad


def run(
    load: Callable[[], Portraits],
    pairs: Path,
    out_dir: Path,
    prompt: str,
    seed: int,
    batch_size: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make every row; bad ones are named and the others still made. Exit code 2 if any was bad."""
    rows, bad = read_rows(pairs, out_dir, prompt, seed)
    results = out_dir / "results.csv"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out_dir} cannot be made: choose another --out-dir.") from error
    check_writable(results)
    check_surroundings()
    table: list[dict[str, Any]] = []

    def refuse(row: BadRow) -> None:
        say(f"mien: {pairs} row {row.number} (line {row.line}): {row.reason}")
        pictures = {"identity": row.identity, "expression": row.expression}
        table.append({"row": row.number, **pictures, "error": row.reason})

    for row in bad:
        refuse(row)
    if rows:
        portraits = load()
        remind(quiet)
        share = max(1, batch_size // portraits.wish.num_images)
        with tqdm(total=len(rows), desc="portraits", unit="row", disable=quiet) as bar:
            for start in range(0, len(rows), share):
                for outcome in _make(portraits, rows[start : start + share]):
                    if isinstance(outcome, BadRow):
                        bad.append(outcome)
                        refuse(outcome)
                    else:
                        table += [{**portraits.settings, **line} for line in outcome]
                    bar.update()
                _write_results(results, table)
    table.sort(key=lambda line: line["row"])
    _write_results(results, table)
    if as_json:
        print_json({"results": str(results), "scored_by": SCORED_BY, "rows": table})
    else:
        print(f"{sum(1 for line in table if 'out' in line)} portraits in {out_dir}")
        print(f"{results}  every setting and score (by the embedded analyser and recogniser)")
    if bad:
        say(f"mien: {len(bad)} of the rows could not be made: see `error` in {results}.")
        raise typer.Exit(BAD_INPUT)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    for name in REQUIRED:
        if name not in columns:
            hint = nearest(name, [column for column in columns if column not in OPTIONAL])
            raise InputError(f"{path} has no column `{name}`{hint}: its first line must name the columns.")
    for column in columns:
        if column not in (*REQUIRED, *OPTIONAL) and (hint := nearest(column, OPTIONAL)):
            raise InputError(f"{path} has a column `{column}`{hint}: rename it.")


def _row(
    cells: dict[str | None, Any], number: int, line: int, folder: Path, out_dir: Path, prompt: str, seed: int
) -> Row:
    if cells.get(None):
        raise InputError("has more cells than the header has columns: put texts with commas in quotes.")
    values = {key: (value or "").strip() for key, value in cells.items() if key is not None}
    for name in REQUIRED:
        if not values[name]:
            raise InputError(f"the cell `{name}` is empty: name a picture.")
    identity, expression = folder / values["identity"], located(values["expression"], folder)
    if values.get("seed"):
        if not (values["seed"].isascii() and values["seed"].isdigit()):
            raise InputError(f"the seed {values['seed']} is not a whole number from 0: correct it.")
        seed = int(values["seed"])
    out = Path(values.get("out") or f"{number:04d}_{identity.stem}_{_stem(values['expression'])}.png")
    check_format(out)
    if out.is_absolute() or ".." in out.parts:
        raise InputError(f"out {out} leaves the output folder: give a name below it.")
    return Row(number, line, identity, expression, values.get("prompt") or prompt, seed, out_dir / out)


def located(expression: str, folder: Path) -> str:
    """An expression with the pictures (or the JSON file) it names looked for from `folder`; words stay."""
    if (folder / expression).is_file():
        return str(folder / expression)
    if expression[0] in "{[":
        return expression
    items = []
    for item in (item.strip() for item in expression.split("+")):
        name, colon, weight = item.rpartition(":") if ":" in item else (item, "", "")
        items.append(f"{folder / name}{colon}{weight}" if _names_file(name) else item)
    return "+".join(items)


def _names_file(text: str) -> bool:
    return Path(text).suffix.lower() in (*SUFFIXES, ".json")


def _stem(expression: str) -> str:
    name = Path(expression).stem if _names_file(expression) else expression
    return re.sub(r"[^\w.-]+", "-", name)[:40].strip("-") or "expression"


def _make(portraits: Portraits, rows: Sequence[Row]) -> Iterator[BadRow | list[dict[str, Any]]]:
    """What became of each row: the lines of its portraits for the results, or why there is none."""
    looked: list[Looked] = []
    for row in rows:
        try:
            who = portraits.look(row.identity, "face")
            how = portraits.express(parse(row.expression))
            looked.append((row, who, how))
        except InputError as error:
            yield _bad(row, str(error))
    if looked:
        yield from _batch(portraits, looked)


def _batch(portraits: Portraits, looked: Sequence[Looked]) -> Iterator[BadRow | list[dict[str, Any]]]:
    began = time.perf_counter()
    try:
        images = portraits.make(
            [(who, how) for _, who, how in looked],
            [row.prompt for row, _, _ in looked],
            [row.seed for row, _, _ in looked],
        )
    except InputError as error:
        if len(looked) > 1:  # one of them spoilt the batch: each alone, so that it can be named
            for one in looked:
                yield from _batch(portraits, [one])
        else:
            yield _bad(looked[0][0], str(error))
        return
    seconds = (time.perf_counter() - began) / len(images)
    count = portraits.wish.num_images
    for index, (row, who, how) in enumerate(looked):
        lines, salt = [], new_salt()
        try:
            row.out.parent.mkdir(parents=True, exist_ok=True)
            mine = images[index * count : (index + 1) * count]
            for number, (place, image) in enumerate(zip(numbered(row.out, count), mine, strict=True)):
                scores = portraits.score(image, who, how)
                own = {"prompt": row.prompt, "seed": row.seed + number}
                record = portraits.record(who, how, image, salt, index * count + number, len(images))
                save_image(image, place, {**portraits.settings, **own, **record, "scores": scores})
                pictures = {"identity": str(row.identity), "expression": str(row.expression)}
                line = {"row": row.number, **pictures, "out": str(place), **own, **scores}
                lines.append({**line, "face_found": scores["id"] is not None, "seconds": seconds})
            yield lines
        except OSError as error:
            yield _bad(row, f"the folder {row.out.parent} cannot be made ({error.strerror}): free the name.")
        except InputError as error:
            yield _bad(row, str(error))


def _bad(row: Row, reason: str) -> BadRow:
    return BadRow(row.number, row.line, reason, str(row.identity), str(row.expression))


def _write_results(path: Path, table: Sequence[dict[str, Any]]) -> None:
    first = ("row", "identity", "expression", "out", "prompt", "seed")
    names = dict.fromkeys([*first, *(name for line in table for name in line if name != "error"), "error"])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
