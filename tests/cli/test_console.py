"""How the command line speaks and fails, without any model."""

from __future__ import annotations

import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mien import __version__
from mien.cli.checks import parse_face
from mien.cli.console import Verbs, plain, print_json, say, tell
from mien.cli.main import app
from mien.cli.pictures import numbered
from mien.cli.requests import PortraitFormat
from mien.cli.rows import located, read_rows
from mien.errors import choice
from mien.making.repeating import why
from mien.making.telling import Telling
from mien.making.wishes import Request
from mien.types import InputError, nearest

run = CliRunner().invoke


def test_help_lists_the_verbs_and_every_verb_has_help() -> None:
    group: Any = typer.main.get_command(app)
    assert set(group.commands) >= {"generate", "models", "train"}
    for name, verb in group.commands.items():
        for words in ([name], *([name, own] for own in getattr(verb, "commands", ()))):
            result = run(app, [*words, "--help"])
            assert result.exit_code == 0 and result.output.splitlines()[0].startswith("Usage:"), words
            listed = result.output.partition("Commands:")[2]
            assert "..." not in listed, f"the list of {name} cuts sentences short: give them short_help"
    assert "..." not in run(app, ["--help"]).output.partition("Commands:")[2]
    assert run(app, ["--version"]).output.strip() == f"mien {__version__}"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["generat"], "generate"),
        (["generate", "a", "b", "--sed", "1"], "--seed"),
        (["generate", "a", "b", "--face", "lagest"], "largest"),
        (["generate", "a", "b", "--dtype", "flaot32"], "float32"),
        (["generate", "a", "b", "--seed", str(2**63)], "too large"),
        (["models", "lst"], "list"),
        (["models", "fetch", "aurafac"], "auraface"),
        (["models", "verify", "analyzer_of_faces"], "mien models list"),
        (["train", "recipe.yaml", "loop.steps"], "KEY=VALUE"),
        (["train", "recipe.yaml"], "recipe.yaml"),
        (["generate"], "identity"),
        (["generate", "a.png"], "identity"),
        (["generate", "--pairs", "a.csv"], "--out-dir"),
        (["generate", "a", "b", "--out-dir", "c"], "belong together"),
        (["generate", "a", "--pairs", "p.csv", "--out-dir", "c"], "IDENTITY is for one picture"),
        (["generate", "--pairs", "p.csv", "--out-dir", "c", "-o", "a.png"], "--output is for one picture"),
        (
            ["generate", "--pairs", "p.csv", "--out-dir", "c", "--strip", "a.png"],
            "--strip is for one picture",
        ),
        (["reface", "a", "--pairs", "p.csv", "--out-dir", "c"], "PHOTO is for one picture"),
        (["reface", "--expression", "joy", "--pairs", "p.csv", "--out-dir", "c"], "--expression is for one"),
        (["reface", "--pairs", "p.csv", "--out-dir", "c", "-o", "a.png"], "--output is for one picture"),
        (["reface", "--pairs", "p.csv", "--out-dir", "c", "--strip", "a.png"], "--strip is for one picture"),
        (["generate", "a", "b", "--prompt", "\udcff"], "not text in UTF-8"),
        (["generate", "a", "b", "--negative-prompt", "\udcff"], "not text in UTF-8"),
        (["reface", "a", "--expression", "joy", "--prompt", "\udcff"], "not text in UTF-8"),
        (["travel", "a", "joy", "anger", "--prompt", "\udcff"], "not text in UTF-8"),
        (["invent", "--prompt", "\udcff"], "not text in UTF-8"),
        (
            ["generate", "--from", "a.png", "b", "--pairs", "p.csv", "--out-dir", "c"],
            "--pairs is the picture's own",
        ),
        (["generate", "--from", "a.png"], "a.png"),
        (["generate", "--from", "a.png", "b", "-n", "2"], "--num-images is the picture's own"),
        (["generate", "a", "b", "-o", "portrait"], "end the name"),
        (["generate", "a", "b", "-o", "absent/portrait.png"], "does not exist"),
        (["generate", "absent.png", "joy"], "absent.png does not exist"),
        (["generate", "--pairs", "absent.csv", "--out-dir", "c"], "absent.csv does not exist"),
    ],
)
def test_bad_words_are_answered(
    words: list[str], answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(app, words)
    assert result.exit_code == 2
    assert answer in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_bad_input_in_a_verb_is_one_line_on_stderr() -> None:
    bad = typer.Typer(cls=Verbs)

    @bad.command("input")
    def _input() -> None:
        raise InputError("me.png is no picture: give another.")

    @bad.command("bug")
    def _bug() -> None:
        raise ValueError("ours")

    result = run(bad, ["input"])
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        "mien: me.png is no picture: give another.\n",
    )
    assert isinstance(run(bad, ["bug"]).exception, ValueError)


def test_a_file_that_stands_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    bad = typer.Typer(cls=Verbs)

    @bad.command("file")
    def _file() -> None:
        (tmp_path / "no" / "file").open()

    @bad.command("bug")
    def _bug() -> None:
        raise OSError(5, "of no file")

    @bad.command("pipe")
    def _pipe() -> None:
        raise BrokenPipeError(32, "whoever read has gone", "stdout")

    result = run(bad, ["file"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mien: {tmp_path / 'no' / 'file'}: no such file")
    assert result.stderr.count("\n") == 1
    assert isinstance(run(bad, ["bug"]).exception, OSError)
    assert "mien:" not in run(bad, ["pipe"]).output  # typer ends quietly


def test_nothing_that_is_said_is_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("mien: \x1b]0;title\x07 a\nb \u202e \udce9.png: é 😏")
    said = capsys.readouterr().err
    assert said.endswith("é 😏\n") and said.count("\n") == 1 and said[:-1].isprintable() and " a b " in said
    assert plain("\x9b31m") == "\ufffd31m" and plain(["\x1b"]) == "['\\x1b']" and len(plain("a" * 999)) == 500


def test_a_stranger_s_reasons_are_printable_and_short() -> None:
    new = dict.fromkeys(("device", "dtype", "scheduler"), "")
    old = {**new, "scheduler": "\x1b[31m" + "a" * 9999}
    said = why(old, {**new, "scheduler": "DDIM"})
    assert said.isprintable() and len(said) < 700
    same: dict[str, Any] = {**new, "inputs": {}, "models": {}}
    now = {"torch": "2", "processor": "x", "threads": 1}
    said = why({**same, "environment": {"torch": "\x1b[31m"}}, {**same, "environment": now})
    assert said.isprintable() and "torch" in said


def test_warnings_are_said_once_and_only_those_that_were_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telling = Telling(tell, ["the prompt "])
    for _ in range(2):
        with telling():
            warnings.warn("the prompt is too long", stacklevel=1)
            warnings.warn("the prompt is too long", stacklevel=1)
            warnings.warn("of the library", stacklevel=1)
    assert capsys.readouterr().err == "mien: the prompt is too long\n"


def test_words() -> None:
    assert nearest("mni", ["mini", "sd15"]) == " (did you mean mini?)"
    assert nearest("zzz", ["mini", "sd15"]) == ""
    assert choice("mini", ["mini"], "model") == "mini"
    assert [parse_face(word) for word in ("largest", "left", "right", "0", "12")] == [
        "largest",
        "left",
        "right",
        0,
        12,
    ]
    for word in ("-1", "1.5", "", "²"):
        with pytest.raises(InputError):
            parse_face(word)
    assert numbered(Path("a/b.png"), 1) == [Path("a/b.png")]
    assert numbered(Path("a/b.png"), 2) == [Path("a/b-1.png"), Path("a/b-2.png")]


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "é", "value": None})
    assert json.loads(capsys.readouterr().out) == {"name": "é", "value": None}
    with pytest.raises(ValueError):
        print_json({"value": float("nan")})


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_is_json_on_every_terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are no text, and terminals without the letters."""
    value, written = {"name": "\udce9t\udce9.png", "word": "é 😏"}, io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding, errors="strict"))
    print_json(value)
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode(encoding)) == value


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_of_a_csv(tmp_path: Path) -> None:
    text = 'identity, expression,prompt,seed,out,notes\na.png,b.png,"red, blue",5,x/c.jpg,hi\n\n'
    text += "c.png,d.png,,,,\n"
    path = write(tmp_path / "pairs.csv", text, "utf-8-sig")
    for name in "abcd":
        (tmp_path / f"{name}.png").touch()
    rows, bad = read_rows(path, tmp_path / "out", PortraitFormat(tmp_path, "default", 9))
    assert bad == []
    first, second = rows
    assert first.asked == (Request(tmp_path / "a.png", str(tmp_path / "b.png"), "red, blue", 5),)
    assert second.asked == (Request(tmp_path / "c.png", str(tmp_path / "d.png"), "default", 9),)
    assert (second.number, second.line) == (2, 4)
    assert first.places == (tmp_path / "out" / "x" / "c.jpg",)
    assert second.places == (tmp_path / "out" / "0002_c_d.png",)


@pytest.mark.parametrize(
    ("cell", "located_at"),
    [
        ("joy", "joy"),
        ("joy:0.5", "joy:0.5"),
        ("😏", "😏"),
        ('{"jawOpen": 0.5}', '{"jawOpen": 0.5}'),
        ("a.png", "PLACE/a.png"),
        ("sub/a.JPG", "PLACE/sub/a.JPG"),
        ("face.json", "PLACE/face.json"),
        ("a.png:0.5+joy:0.5", "PLACE/a.png:0.5+joy:0.5"),
        ("joy + a.png", "joy+PLACE/a.png"),
        ("one+two.png", "PLACE/one+two.png"),
        ('{"jawOpen": 0.5, ' + "x" * 300, '{"jawOpen": 0.5, ' + "x" * 300),
        ("joy:0.5+" * 40 + "joy", "joy:0.5+" * 40 + "joy"),
    ],
)
def test_where_a_rows_pictures_are(tmp_path: Path, cell: str, located_at: str) -> None:
    """From the CSV's own folder; words stay words. A file of that very name wins over a mix."""
    (tmp_path / "one+two.png").touch()
    assert located(cell, tmp_path) == located_at.replace("PLACE", str(tmp_path))


def test_bad_rows_are_named_and_the_others_kept(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    lines = [
        "identity,expression,seed,out",
        "a,joy,1,good.png",
        ",joy,1,",
        "a,joy,x,",
        "a,joy,-1,",
        "a,joy,1,good.png",
    ]
    lines += [
        "a,joy,1,../up.png",
        "a,joy,1,/etc/up.png",
        "a,joy,1,c.txt",
        "a,joy,1,d.png,extra",
        "a",
        "a,joy,2,e.png",
    ]
    rows, bad = read_rows(
        write(tmp_path / "p.csv", "\n".join(lines)), tmp_path, PortraitFormat(tmp_path, "", 0)
    )
    assert [row.number for row in rows] == [1, 11]
    reasons = {b.number: b.reason for b in bad}
    assert sorted(reasons) == list(range(2, 11))
    expected = {
        2: "`identity` is empty", 3: "seed x", 4: "seed -1", 5: "row 1 writes good.png",
        6: "leaves", 7: "leaves", 8: "end the name", 9: "quotes", 10: "`expression` is empty",
    }  # fmt: skip
    for number, words in expected.items():
        assert words in reasons[number]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("identity,expression\n", "no row"),
        ("identty,expression\na,b\n", "did you mean identty"),
        ("identity;expresion\na;b\n", "did you mean expresion"),
        ("identity,expression,promt\na,b,c\n", "did you mean prompt"),
        ('identity,expression\n"a,b\n', "not a CSV file at line"),
        ("identity,expression\n\0\0", "p.csv"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rows, bad = read_rows(write(tmp_path / "p.csv", text), tmp_path, PortraitFormat(tmp_path, "", 0))
        raise InputError(f"p.csv: {rows} {bad}")


def test_models_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    rows = json.loads(run(app, ["models", "list", "--json"]).stdout)
    assert {"name", "purpose", "file", "sha256", "licence", "source", "year", "commercial_use"} <= rows[
        0
    ].keys()
    by_name = {row["name"]: row for row in rows}
    assert by_name["face_landmarker"]["commercial_use"] and not by_name["arcface_w600k_r50"]["commercial_use"]
    table = run(app, ["models", "list"]).stdout.splitlines()
    at = table[0].index("commercial use")
    terms = {
        line.split()[0]: line[at:].split()[0] for line in table[1:] if line and "mien models" not in line
    }
    assert terms["face_landmarker"] == "allowed" and terms["arcface_w600k_r50"] == terms["mini-unet"] == "NO"
    assert terms.keys() == by_name.keys()
    in_full = run(app, ["models", "list", "arcface_w600k_r50"]).stdout
    assert "NO commercial use" in in_full and by_name["arcface_w600k_r50"]["sha256"] in in_full
    assert str(tmp_path / "w600k_r50.onnx") in in_full and "analyser" not in in_full
    assert by_name["analyser"]["sha256"] in run(app, ["models", "list", "--long"]).stdout

    offline = run(app, ["models", "fetch", "arcface_ms1mv3_r100", "--quiet"])
    assert (
        offline.exit_code == 2
        and str(tmp_path / "ms1mv3_arcface_r100_fp16" / "backbone.pth") in offline.stderr
    )

    (tmp_path / "face_landmarker.task").write_bytes(b"not it")
    result = run(app, ["models", "verify", "face_landmarker"])
    assert result.exit_code == 2
    assert "damaged" in result.stdout and "mien models fetch face_landmarker" in result.stderr
    states = json.loads(run(app, ["models", "verify", "--json"]).stdout)
    assert [row["status"] for row in states if row["name"] == "face_landmarker"] == ["damaged"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reface", "me.jpg", "--strength", "5"], "invalid value for --strength: 5.0 is not in the range"),
        (["reface", "me.jpg", "--strength", "big"], "invalid value for --strength: big is not a number"),
        (["generate", "me.jpg", "--steps", "0.5"], "invalid value for --steps: 0.5 is not a whole number"),
        (["reface", "me.jpg", "big", "smile"], "got unexpected extra argument(s) (big smile): put words"),
        (["reface", "--expresion", "joy"], "no such option: --expresion"),
        (["refase"], "no such command refase"),
    ],
)
def test_a_mistyped_command_line_is_answered_in_one_line(words: list[str], said: str) -> None:
    result = run(app, words)
    assert result.exit_code == 2 and result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"mien: {said}")


def test_a_film_is_no_folder_and_no_text_with_a_picture_s_name(tmp_path: Path) -> None:
    text = tmp_path / "me.jpg"
    text.write_text("nothing")
    assert "is a folder" in run(app, ["film", str(text), str(tmp_path)]).stderr
    assert "is not a picture" in run(app, ["film", str(text), "--expression", "joy"]).stderr
