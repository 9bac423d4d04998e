"""Tables as spreadsheets save them, read in one way: comma, semicolon or tab; UTF-8, UTF-16 or Windows' code page.

What is written here (`results.csv` and the like) is always plain UTF-8 with commas.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import InputError
from mien.files import read_bytes

DELIMITERS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BOOKS = {
    b"PK\x03\x04": "a spreadsheet's own file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF",
}
# What cp1252 makes of other code pages: bytes that no Western text has inside words, and runs of accented letters.
_UNLIKELY = re.compile("[\x80-\x9f‚ƒ„†‡ˆ‰‹›˜]|[¡-ÿ]{3}")


@dataclass(frozen=True)
class Row:
    """One row. `number`: from 1, blank rows not counted. `line`: its last one in the file, from 1. `cells`: by column.
    `extra`: it has filled cells beyond the last named column. `short`: it has fewer cells than the header."""

    number: int
    line: int
    cells: dict[str, str]
    extra: bool = False
    short: bool = False


@dataclass(frozen=True)
class Table:
    """A file's columns, in order, and its rows."""

    columns: list[str]
    rows: list[Row]


def read_table(
    path: str | Path,
    needed: Sequence[str] = (),
    check: Callable[[Sequence[str]], None] = lambda columns: None,
) -> Table:
    """A CSV file with a header, as any spreadsheet writes it. Raises `InputError`: there is no such file, it is not a
    table, its text cannot be told, a column is named twice, or one of those `needed` is not there.

    The cells may be separated by comma, semicolon, tab or bar (what splits the header most), lines end in LF, CRLF or
    CR; a line ``sep=;`` at the top is obeyed. UTF-8 and UTF-16 are read with and without their mark, else Windows'
    Western code page (cp1252), or Mac Roman where lines end in CR. Blanks around cells, rows of empty cells and columns
    without name and content are dropped. check: is shown the columns before any row is looked at; may raise
    `InputError`.
    """
    path = Path(path)
    text, separator, above = _split(_decode(path, _read(path)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    filled = (cells for cells in reader if any(cell.strip(f" {DELIMITERS}") for cell in cells))
    rows: list[Row] = []
    try:
        header = [cell.strip() for cell in next(filled, [])]
        named = [name for name in header if name]
        if not named:
            raise InputError(f"{path} is empty: its first line must name the columns.")
        if double := next((name for name in named if named.count(name) > 1), None):
            raise InputError(f"{path} has the column {double!r} twice: give every column a name of its own.")
        if lacking := next((name for name in needed if name not in named), None):
            raise InputError(f"{path} has no column {lacking!r}: its first line must name it.")
        check(named)
        for number, given in enumerate(filled, 1):
            cells = [cell.strip() for cell in given] + [""] * (len(header) - len(given))
            extra = any(cells[len(header) :]) or any(
                cell for name, cell in zip(header, cells, strict=False) if not name
            )
            by_name = {name: cell for name, cell in zip(header, cells, strict=False) if name}
            rows.append(Row(number, reader.line_num + above, by_name, extra, len(given) < len(header)))
    except csv.Error as error:
        line = reader.line_num + above
        raise InputError(f"{path} is not a CSV file at line {line} ({error}): correct it.") from error
    return Table(named, rows)


def to_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows of cells as the text of a CSV file, with commas."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text, columns as wide as they have to be, for a terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = (zip(line, widths, strict=True) for line in lines)
    return ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in padded]


def nfc(name: str) -> str:
    """A name in the normal form of most disks and spreadsheets, for comparing."""
    return unicodedata.normalize("NFC", name)


def stored(folder: Path, name: str) -> Path:
    """`name` in `folder` as the disk has it. Accents can be written in two normal forms, which look alike, and Windows
    writes folders with backslashes."""
    slashed = name.replace("\\", "/")
    for form in (name, *(unicodedata.normalize(how, slashed) for how in ("NFC", "NFD"))):
        if os.path.exists(folder / form):  # pathlib's raises where a cell is too long for a name
            return folder / form
    return folder / name


def _read(path: Path) -> bytes:
    data = read_bytes(path)
    for mark, kind in _BOOKS.items():
        if data.startswith(mark):
            raise InputError(f"{path} is {kind}, not a table of text: save it as CSV UTF-8.")
    return data


def _decode(path: Path, data: bytes) -> str:
    """The text of a file in UTF-8, UTF-16, cp1252 or Mac Roman; `InputError` if it is in none of them."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None:
        # of Latin text in UTF-16 every other byte is 0
        even, odd = data[:4096:2].count(0), data[1:4096:2].count(0)
        half = len(data[:4096]) // 5
        encoding = "utf-16-le" if odd > half else "utf-16-be" if even > half else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        high = [byte for byte in data if byte > 0x7F]
        mac = b"\n" not in data and 2 * sum(byte < 0xA0 for byte in high) > len(high)  # its accents lie there
        text = data.decode("mac-roman" if mac else "cp1252", "replace") if encoding == "utf-8" else "\0"
        if "\ufffd" in text or (_UNLIKELY.search(text) and not mac):
            raise InputError(f"{path} is in an unknown encoding: save it as CSV UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path} cannot be read as CSV (it is not text): save it as CSV UTF-8.")
    return text


def _split(text: str) -> tuple[str, str, int]:
    """The text below a line ``sep=;`` if there is one, what separates its cells, and how many lines were above."""
    if told := re.match(r"sep=(.)\r?\n?", text, re.IGNORECASE):
        return text[told.end() :], told[1], 1
    header = next((line for line in io.StringIO(text, newline=None) if line.strip(f" {DELIMITERS}\r\n")), "")

    def cells(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return text, max(DELIMITERS, key=cells), 0


def fills(path: str | Path, columns: Sequence[str]) -> bool:
    """Whether a table has anything in one of `columns`. Raises `InputError` as `read_table`."""
    return any(row.cells.get(name) for row in read_table(path).rows for name in columns)
