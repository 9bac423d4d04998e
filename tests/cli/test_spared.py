"""What was given to a verb is never overwritten by what it makes; it is said before any model is loaded."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.cli.pictures import expression_files, files, keep_tables, place_again
from mien.cli.requests import PortraitFormat, RequestFormat
from mien.cli.rows import read_rows
from mien.provenance import save_image
from mien.provenance.animation import is_ours, is_replaceable, save_animation
from mien.types import InputError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SETTINGS = {
    "prompt": "", "negative_prompt": "", "seed": 0, "steps": 2, "guidance": 1.0, "id_scale": 1.0,
    "expression_scale": 1.0, "face": "largest", "expression_face": "largest", "identity_face": "largest",
    "backbone": "mini", "adapter": None, "device": "cpu", "dtype": "float32", "models": {}, "num_images": 1,
    "environment": {"threads": 1}, "batch": {"size": 1, "slot": 0}, "pixels": "5a", "scheduler": "DDIMScheduler",
    "inputs": {"salt": "5a", "photo": "5a", "identity": "5a", "expression": [{"weight": 1, "word": "joy"}]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user is: two people, a link to one of them, and pictures that were made here before."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLES / "identity.png", "me.png")
    shutil.copy(EXAMPLES / "expression.png", "smile.png")
    Path("link.png").symlink_to("me.png")
    Path("sub").mkdir()
    Image.open("me.png").save("film.gif")
    for name, kind in (("portrait.png", "portrait"), ("refaced.png", "reface")):
        save_image(Image.new("RGB", (64, 64)), name, {**SETTINGS, "kind": kind})
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "me.png", "joy", "-o", "me.png"],
        ["generate", "me.png", "joy", "-o", "sub/../me.png"],
        ["generate", "me.png", "joy", "-o", "link.png"],
        ["generate", "link.png", "joy", "-o", "me.png"],
        ["generate", "me.png", "joy", "--strip", "me.png"],
        ["generate", "me.png", "smile.png", "-o", "smile.png"],
        ["generate", "me.png", "smile.png:0.5+joy:0.5", "-o", "smile.png"],
        ["generate", "me.png", "smile.png:0.5", "-o", "smile.png"],
        ["generate", "portrait.png", "joy"],
        ["generate", "--from", "portrait.png", "me.png", "joy", "-o", "portrait.png"],
        ["generate", "--from", "portrait.png", "me.png", "anger", "--force", "-o", "me.png"],
        ["generate", "--from", "portrait.png", "me.png", "--strip", "portrait.png"],
        ["reface", "me.png", "--expression", "joy", "-o", "me.png"],
        ["reface", "me.png", "--identity", "smile.png", "-o", "smile.png"],
        ["reface", "me.png", "--expression", "smile.png", "--strip", "smile.png"],
        ["reface", "--from", "refaced.png", "me.png", "--identity", "smile.png", "-o", "refaced.png"],
        ["reface", "--from", "refaced.png", "me.png", "--identity", "smile.png", "-o", "smile.png"],
        ["travel", "film.gif", "joy", "anger", "-o", "film.gif"],
        ["travel", "me.png", "joy", "smile.png", "-o", "smile.png"],
        ["travel", "me.png", "joy", "anger", "-o", "x.gif", "--sheet", "me.png"],
    ],
)
def test_no_result_replaces_what_was_given(folder: Path, words: list[str]) -> None:
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "would be overwritten" in result.stderr, result.output
    assert result.stdout == "" and result.stderr.splitlines()[-1].startswith("mien: ")
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == before


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "me.png", "joy", "-o", "p.png", "--strip", "p.png"],
        ["generate", "me.png", "joy", "-o", "p.png", "-n", "2", "--strip", "./p-2.png"],
        ["generate", "--from", "portrait.png", "me.png", "-o", "p.png", "--strip", "p.png"],
        ["reface", "me.png", "--expression", "joy", "-o", "p.png", "--strip", "sub/../p.png"],
    ],
)
def test_no_result_replaces_another(folder: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "written twice" in result.stderr, result.output
    assert not list(folder.glob("p*-*")) and not Path("p.png").exists()


@pytest.mark.parametrize(
    ("verb", "source", "words"),
    [
        ("generate", "portrait.png", ["me.png"]),
        ("reface", "refaced.png", ["me.png", "--identity", "smile.png"]),
    ],
)
def test_from_the_default_s_own_name_goes_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str, source: str, words: list[str]
) -> None:
    places: list[list[Path]] = []

    def seen(written: list[Path], given: list[Path], overwrite: bool) -> None:
        places.append(written)
        raise InputError("that will do")

    monkeypatch.setattr("mien.cli.results.check_places", seen)
    CliRunner().invoke(app, [verb, "--from", source, *words])
    assert places == [[Path(source).with_stem(f"{Path(source).stem}-again")]]
    assert place_again(Path(source), Path("me.png"), chosen=False) == Path(source)
    assert place_again(Path(source), Path(source), chosen=True) == Path(source)


THEIRS = {
    "theirs.png": ["generate", "me.png", "joy", "-o", "theirs.png"],
    "theirs-2.png": ["generate", "me.png", "joy", "-o", "theirs.png", "-n", "2"],
    "strip.png": ["generate", "me.png", "joy", "-o", "new.png", "--strip", "strip.png"],
    "again.png": ["generate", "--from", "portrait.png", "me.png", "-o", "again.png"],
    "photo.jpg": ["reface", "me.png", "--expression", "joy", "-o", "photo.jpg"],
    "refaced-again.png": [
        "reface",
        "--from",
        "refaced.png",
        "me.png",
        "--identity",
        "smile.png",
        "-o",
        "refaced-again.png",
    ],
    "sheet.png": ["travel", "me.png", "joy", "anger", "-o", "sheet.png"],
    "travel.gif": ["travel", "me.png", "joy", "anger"],
    "beside.png": ["travel", "me.png", "joy", "anger", "-o", "x.gif", "--sheet", "beside.png"],
    "me.jpg": ["invent", "me.jpg"],
    "faces.png": ["analyze", "me.png", "--overlay", "faces.png"],
    "words.png": ["expressions", "sheet", "-o", "words.png"],
    "joy.png": ["expressions", "show", "joy", "-o", "joy.png"],
}


@pytest.mark.parametrize("name", THEIRS)
def test_what_mien_did_not_make_is_kept_without_being_asked(folder: Path, name: str) -> None:
    Image.new("RGB", (40, 40), "green").save(name)
    before = Path(name).read_bytes()
    result = CliRunner().invoke(app, THEIRS[name])
    assert result.exit_code == 2 and f"{name} is there already" in result.stderr, result.output
    assert "--overwrite" in result.stderr and Path(name).read_bytes() == before


def test_what_is_no_picture_is_kept_and_what_mien_made_is_not(folder: Path) -> None:
    sheet = ["expressions", "sheet", "--cluster", "envy", "--side", "32", "-o", "words.png"]
    Path("words.png").write_text("my words")
    Image.new("RGB", (40, 40)).save("theirs.png")
    assert CliRunner().invoke(app, sheet).exit_code == 2 and Path("words.png").read_text() == "my words"
    assert CliRunner().invoke(app, [*sheet, "--overwrite"]).exit_code == 0
    first = Path("words.png").read_bytes()
    save_image(Image.new("RGB", (64, 64)), "words.png", {"kind": "portrait"})
    assert CliRunner().invoke(app, sheet).exit_code == 0 and Path("words.png").read_bytes() == first
    assert is_ours("words.png") and not is_ours("theirs.png") and not is_ours("absent.png")
    save_animation([Image.new("RGB", (64, 64))] * 2, "ours.gif", {"kind": "travel"})
    assert is_ours("ours.gif") and not is_ours("film.gif")
    Path("gone.png").symlink_to("nowhere.png")
    assert not is_replaceable("gone.png") and is_replaceable("absent.png")


def test_rows_and_tables_keep_what_mien_did_not_make(folder: Path) -> None:
    Path("out").mkdir()
    Image.new("RGB", (40, 40)).save("out/theirs.png")
    shutil.copy("portrait.png", "out/ours.png")
    lines = [
        {"identity": "me.png", "expression": "joy", "out": f"{name}.png"}
        for name in ("theirs", "ours", "new")
    ]
    table = rows(folder / "pairs.csv", lines)
    good, bad = read_rows(table, Path("out"), PortraitFormat(folder, "", 0))
    assert [row.number for row in good] == [2, 3] and "theirs.png is there already" in bad[0].reason
    assert len(read_rows(table, Path("out"), PortraitFormat(folder, "", 0), overwrite=True)[0]) == 3

    places = [Path("results.csv"), Path("report.html")]
    keep_tables(places, "row,", False)
    for text, kept in (("row,out\n1,a.png\n", False), ("name,age\n", True)):
        places[0].write_text(text)
        if kept:
            with pytest.raises(InputError, match=r"results\.csv is there already"):
                keep_tables(places, "row,", False)
        keep_tables(places, "row,", kept)
    places[0].unlink()
    places[1].write_text("my own page")
    with pytest.raises(InputError, match=r"report\.html is there already"):
        keep_tables(places, "row,", False)


def test_a_table_of_analyze_is_kept(folder: Path) -> None:
    Path("faces.csv").write_text("name,age\n")
    result = CliRunner().invoke(app, ["analyze", "me.png", "--csv", "faces.csv"])
    assert result.exit_code == 2 and "faces.csv is there already" in result.stderr
    for more in (["--overwrite"], []):
        assert CliRunner().invoke(app, ["analyze", "me.png", "--csv", "faces.csv", *more]).exit_code == 0
        assert Path("faces.csv").read_text().startswith("path,face,")


def rows(path: Path, lines: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for line in lines for name in line)))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_no_row_replaces_what_any_row_reads(folder: Path) -> None:
    table = rows(
        folder / "pairs.csv",
        [
            {"identity": "me.png", "expression": "joy", "out": "me.png"},
            {"identity": "me.png", "expression": "smile.png:0.5+joy:0.5", "out": "a.png"},
            {"identity": "me.png", "expression": "joy", "out": "smile.png"},
            {"identity": "film.gif", "expression": "", "out": "x.png"},
            {"identity": "me.png", "expression": "joy", "out": "link.png"},
            {"identity": "absent.png", "expression": "x" * 5000, "out": "b.png"},
        ],
    )
    good, bad = read_rows(table, folder, PortraitFormat(folder, "", 0))
    assert [row.number for row in good] == [2]
    reasons = {row.number: row.reason for row in bad}
    shown = {row.number: row.shown for row in bad}
    assert "absent.png does not exist" in reasons[6]
    assert reasons.keys() == {1, 3, 4, 5, 6} and shown[1]["identity"] == "me.png"
    assert all("would be overwritten" in reasons[number] for number in (1, 3, 5))


def test_the_rows_of_reface_and_several_of_each(folder: Path) -> None:
    os.rename("smile.png", "a-2.png")
    lines = [
        {"photo": "me.png", "identity": "a-2.png", "expression": "", "out": "a.png"},
        {"photo": "portrait.png", "identity": "", "expression": "joy", "out": "b.png"},
        {"photo": "me.png", "identity": "", "expression": "refaced.png", "out": "c.png"},
    ]
    table = rows(folder / "pairs.csv", lines)
    good, bad = read_rows(table, folder, RequestFormat(folder, "", 0, 2))
    assert [row.number for row in good] == [2, 3] and "a-2.png" in bad[0].reason
    assert len(read_rows(table, folder, RequestFormat(folder, "", 0, 1))[0]) == 3
    for number, name in ((0, "portrait.png"), (1, "refaced.png")):
        lines[number]["out"] = name
    table = rows(folder / "pairs.csv", lines)
    good, _ = read_rows(table, folder, RequestFormat(folder, "", 0, 1))
    assert [row.number for row in good] == [3]


def test_the_table_of_results_does_not_replace_the_rows(folder: Path) -> None:
    table = rows(folder / "results.csv", [{"identity": "me.png", "expression": "joy"}])
    before = table.read_bytes()
    result = CliRunner().invoke(app, ["generate", "--pairs", "results.csv", "--out-dir", "."])
    assert result.exit_code == 2 and "would be overwritten" in result.stderr and table.read_bytes() == before


def test_files_of_an_expression(folder: Path) -> None:
    assert expression_files(None) == expression_files("joy:0.5+anger:0.5") == []
    assert expression_files("x" * 5000) == expression_files('{"jawOpen": 1}') == []
    assert expression_files("joy + smile.png:0.3") == [Path("smile.png")]
    assert len(files([Path("a\0.png"), Path("x" * 5000), Path("me.png"), Path("sub/../link.png")])) == 3
    Path("a+b.png").touch()
    assert expression_files("a+b.png") == [Path("a+b.png")]
