"""Tables as spreadsheet programs save them are read as the same rows; what is no table is named with the way out."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from mien.cli.requests import PortraitFormat, RequestFormat
from mien.cli.rows import read_rows
from mien.data.gather import _read_labels
from mien.expressions.library import find_labelled
from mien.making.wishes import Request
from mien.metrics.pairs import read_csv
from mien.tables import nfc, read_table, stored
from mien.types import InputError

CELLS = [["identity", "expression", "prompt"], ["é.png", "joy", 'red, "blue"'], ["b.png", "😏", ""]]


def quoted(cell: str, separator: str) -> str:
    """As spreadsheets do: in quotes where it holds a separator, a quote or a line's end."""
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in (separator, '"', "\n")) else cell


def text(separator: str, end: str, blank: str = "") -> str:
    rows = [separator.join(quoted(cell, separator) for cell in row) for row in CELLS]
    return end.join([*rows[:2], *([blank] if blank else []), rows[2], *([blank] * 3 if blank else [])]) + end


# name: the bytes that a program writes
SAVED = {
    "Excel, CSV UTF-8": text(",", "\r\n", ",,").encode("utf-8-sig"),
    "Excel in German, CSV UTF-8": text(";", "\r\n", ";;").encode("utf-8-sig"),
    "Excel, Unicode text": text("\t", "\r\n", "\t\t").encode("utf-16"),
    "LibreOffice": text(",", "\n").encode(),
    "LibreOffice, UTF-16 without a mark": text(";", "\n", ";;").encode("utf-16-le"),
    "UTF-16, big-endian": text(",", "\n").encode("utf-16-be"),
    "UTF-16, big-endian, marked": b"\xfe\xff" + text(",", "\n").encode("utf-16-be"),
    "Google Sheets, TSV": text("\t", "\r\n").encode(),
    "Numbers": text(";", "\n", ";;").encode(),
    "Mac's line ends": text(",", "\r", ",,").encode(),
    "sep= on top": b"sep=;\r\n" + text(";", "\r\n", ";;").encode(),
    "bars": text("|", "\n").encode(),
    "columns without name and content": text(",", "\n").replace("\n", ",,\n").encode(),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_spreadsheets_save_is_the_same_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(SAVED[name])
    table = read_table(path)
    assert table.columns == CELLS[0]
    assert [list(row.cells.values()) for row in table.rows] == CELLS[1:]
    assert [row.number for row in table.rows] == [1, 2] and not any(row.extra for row in table.rows)
    assert path.read_bytes().count(b"sep=") + 2 == table.rows[0].line


@pytest.mark.parametrize(("separator", "end"), [(",", "\r\n"), (";", "\r\n"), ("\t", "\r")])
def test_windows_code_page(tmp_path: Path, separator: str, end: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(
        separator.join(("file", "identity")).encode()
        + (f"{end}Zoë.png{separator}René “Ré” Größe" + end).encode("cp1252")
    )
    assert [row.cells for row in read_table(path).rows] == [
        {"file": "Zoë.png", "identity": "René “Ré” Größe"}
    ]


def test_macintosh_csv(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes("file;identity\rZoë.png;René “Ré” Größe\r".encode("mac-roman"))
    assert [row.cells for row in read_table(path).rows] == [
        {"file": "Zoë.png", "identity": "René “Ré” Größe"}
    ]


@pytest.mark.parametrize("encoding", ["cp1251", "shift-jis", "gb18030", "koi8-r", "cp850"])
def test_other_code_pages_are_named_rather_than_misread(tmp_path: Path, encoding: str) -> None:
    word = {"cp1251": "улыбка", "koi8-r": "улыбка", "shift-jis": "ひらがな", "gb18030": "微笑照片"}.get(
        encoding, "éé"
    )
    path = tmp_path / "pairs.csv"
    path.write_bytes(f"identity,expression\n{word}.png,joy\n".encode(encoding))
    with pytest.raises(InputError, match="unknown encoding: save it as CSV UTF-8"):
        read_table(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04xl/workbook.xml", "a spreadsheet's own file, not a table of text: save it as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel file"),
        (b"", "is empty: its first line must name the columns"),
        (b"\xef\xbb\xbf\r\n;;;\r\n", "is empty"),
        (b"a,b,a\n1,2,3\n", "column 'a' twice"),
        (b'a,b\n"1,2\n', "not a CSV file at line"),
        (b"a,b\n1,\0\0\n", "it is not text"),
        (b"\xff\xfe\x00\xd8", "it is not text"),
    ],
)
def test_what_is_no_table(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "t.csv")
    for place, why in ((tmp_path / "no.csv", "does not exist"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=why):
            read_table(place)


def test_lines_numbers_short_rows_and_rows_with_too_much(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"x\ny"\n,,\n2\n3,4,,5\n')
    first, short, extra = read_table(tmp_path / "t.csv").rows
    assert (first.number, first.line, first.cells) == (1, 3, {"a": "1", "b": "x\ny"})
    assert (short.number, short.line, short.short, short.cells) == (2, 5, True, {"a": "2", "b": ""})
    assert extra.extra and not extra.short and not first.extra


@pytest.mark.parametrize(("disk", "cell"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_every_verb_finds_names_in_the_other_normal_form(tmp_path: Path, disk: str, cell: str) -> None:
    folder = tmp_path / unicodedata.normalize(disk, "José")  # type: ignore[arg-type]
    folder.mkdir()
    there = folder / unicodedata.normalize(disk, "Zoë.png")  # type: ignore[arg-type]
    there.write_bytes(b"x")
    name = unicodedata.normalize(cell, "Zoë.png")  # type: ignore[arg-type]
    assert stored(folder, name) == there and stored(folder, "gone.png") == folder / "gone.png"

    def table(*lines: str) -> Path:
        path = folder / "t.csv"
        path.write_text("\n".join(lines), encoding="utf-16")
        return path

    (row,), _ = read_rows(
        table("identity;expression", f"{name};{name}"), tmp_path, PortraitFormat(folder, "", 0)
    )
    assert row.asked == (Request(there, str(there), "", 0),)
    (refaced,), _ = read_rows(
        table("photo\tidentity", f"{name}\t{name}"), tmp_path, RequestFormat(folder, "", 0, 1)
    )
    assert refaced.asked[0].photo == refaced.asked[0].identity == there
    (judged,), wrong = read_csv(table("identity;expression;ours", f"{name};{name};{name}", ";;"))
    assert wrong == [] and (judged.identity, judged.expression, judged.results["ours"]) == (
        there,
        there,
        there,
    )
    assert find_labelled(table("path;word", f"{name};Joy")) == (folder, [(there.name, "joy")])
    assert _read_labels(table("file;identity", f"{name};Zoë")) == {nfc(there.name): ("Zoë", "")}


def test_folders_as_windows_writes_them(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").write_bytes(b"x")
    assert stored(tmp_path, "photos\\me.png") == tmp_path / "photos" / "me.png"
