"""`mien reface` with a tiny model that draws nonsense, on the example pictures: what is kept, told and refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.cli.requests import write_words
from mien.provenance import PARTLY_GENERATED, read_provenance
from mien.tables import read_table
from mien.types import InputError
from tests.training.tiny_set import save_model

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
IDENTITY, EXPRESSION = EXAMPLES / "identity.png", EXAMPLES / "expression.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "sd15-inpainting")


def reface(model: Path, *words: Any) -> Any:
    """Run it with two steps and no progress bar, as the shell would."""
    options = ["--backbone", str(model), "--steps", "2", "--quiet"]
    return CliRunner().invoke(app, ["reface", *map(str, words), *options])


def test_only_the_face_that_is_meant_changes_in_the_file(model: Path, crowd: Path, tmp_path: Path) -> None:
    out, strip = tmp_path / "out.png", tmp_path / "strip.png"
    result = reface(
        model, crowd, "--expression", "joy", "--face", "right", "-o", out, "--strip", strip, "--json"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["images"][0]["task"] == "reenactment" and told["settings"]["scheduler"] == "PNDMScheduler"
    before, after = (np.asarray(Image.open(path).convert("RGB"), int) for path in (crowd, out))
    changed = np.abs(before - after).max(-1)
    assert changed[:, :400].max() == 0 and changed[120:240, 440:560].max() > 10
    assert changed[:80].max() == 0 and changed[280:].max() == 0
    found = read_provenance(out)
    assert found is not None and found["source_type"] == PARTLY_GENERATED
    assert "crowd" not in json.dumps(found) and found["settings"]["steps"] == 2
    with Image.open(strip) as drawn:  # photo, the word's picture, result
        assert drawn.width > 2.5 * drawn.height


def test_swap_says_how_well_it_went(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = reface(model, EXPRESSION, "--identity", IDENTITY, "-o", out, "-n", 2, "--scheduler", "ddim")
    assert result.exit_code == 0, result.output
    assert (
        "out-1.png" in result.stdout and (tmp_path / "out-2.png").is_file() and "seconds" not in result.stdout
    )


def test_rows_of_a_file(model: Path, tmp_path: Path) -> None:
    rows = [
        {"photo": IDENTITY, "expression": EXPRESSION, "seed": 4, "out": "a.png"},
        {"photo": tmp_path / "nothing.png", "expression": "joy"},
        {"photo": EXPRESSION},
        {"photo": EXPRESSION, "identity": IDENTITY, "expression": "joy:0.5"},
        {"photo": EXPRESSION, "expression": "joyy"},
    ]
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["photo", "identity", "expression", "seed", "out"])
        writer.writeheader()
        writer.writerows(rows)
    result = reface(model, "--pairs", tmp_path / "rows.csv", "--out-dir", tmp_path / "made")
    assert result.exit_code == 2
    table = list(csv.DictReader((tmp_path / "made" / "results.csv").open()))
    assert [bool(line["error"]) for line in table] == [False, True, True, False, True]
    assert "nothing.png" in table[1]["error"] and "nothing is to be changed" in table[2]["error"]
    assert "joy" in table[4]["error"] and table[0]["seed"] == "4"
    assert {p.name for p in (tmp_path / "made").glob("*.png")} == {"a.png", "0004_expression.png"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([IDENTITY], "Nothing is to be changed"),
        (["--identity", IDENTITY], "Give a photo, or --prompt"),
        (["BLANK", "--identity", IDENTITY], "the photo BLANK"),
        ([IDENTITY, "--identity", "BLANK"], "BLANK: no face"),
        ([IDENTITY, "--expression", "BLANK"], "BLANK: no face"),
        ([IDENTITY, "--expression", "joyful sadness"], "joyful sadness"),
        (["--prompt", "a park", "--expression", "joy"], "the scene made from 'a park'"),
        ([IDENTITY, "--expression", "joy", "--scheduler", "PNDN"], "did you mean pndm"),
        ([IDENTITY, "--expression", "joy", "--face", 7], "has no face 7"),
        ([IDENTITY, "--expression", "joy", "-o", "x.txt"], "end the name in"),
        (["--pairs", "rows.csv"], "belong together"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    model: Path, tmp_path: Path, words: list[Any], said: str
) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (200, 200), "grey").save(blank)
    words = [blank if word == "BLANK" else word for word in words]
    result = reface(model, *words, *([] if "-o" in words else ["-o", tmp_path / "out.png"]))
    assert result.exit_code == 2
    assert said.replace("BLANK", str(blank)) in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_what_of_a_prompt_has_no_effect_is_said_once(model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"photo,expression\n{IDENTITY},joy\n{IDENTITY},anger\n")
    words = ["--pairs", tmp_path / "rows.csv", "--out-dir", tmp_path / "made", "--batch-size", 1]
    result = reface(model, *words, "--prompt", "a photo of a person in a park " * 20)
    assert result.exit_code == 0, result.output
    (said,) = result.stderr.splitlines()
    assert said.startswith('mien: the prompt "a photo of a person') and "has no effect" in said


def test_a_table_becomes_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result under its expression; a sheet belongs to a table, and takes nobody's place."""
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(f"photo,expression\n{IDENTITY},joy\n{EXPRESSION},surprise\n")
    words = ["--pairs", "rows.csv", "--out-dir", "made", "--sheet", "sheet.png", "-q"]
    assert CliRunner().invoke(app, ["reface", *words]).exit_code == 0
    page = Image.open(tmp_path / "sheet.png")
    assert 2 * 192 < page.width < 2.2 * 192 and 192 < page.height < 1.3 * 192
    Image.new("RGB", (9, 9)).save(tmp_path / "sheet.png")
    again = CliRunner().invoke(app, ["reface", *words])
    assert again.exit_code == 2 and "sheet.png is there already" in again.output
    alone = CliRunner().invoke(app, ["reface", str(IDENTITY), "--expression", "joy", "--sheet", "x.png"])
    assert alone.exit_code == 2 and "add --pairs" in alone.output


def test_all_words_are_a_table_of_135(tmp_path: Path) -> None:
    """Of a photo, or of a person in a scene; nobody's table is replaced."""
    table = read_table(write_words(tmp_path / "of", IDENTITY, []))
    assert len(table.rows) == 135 == len({row.cells["out"] for row in table.rows})
    assert table.rows[0].cells | {"expression": ""} == {
        "photo": str(IDENTITY),
        "identity": "",
        "expression": "",
        "out": "adoration.png",
    }
    (tmp_path / "words.csv").write_text("mine\n")
    with pytest.raises(InputError, match="words.csv is there already"):
        write_words(tmp_path, None, [str(IDENTITY)])
    for words, said in (
        (["--expression", "all"], "add --out-dir"),
        (["--expression", "all", "--out-dir", str(tmp_path), "-o", "x.png"], "--output does not go with"),
        (["--expression", "all", "--out-dir", str(tmp_path / "of"), "--identity", "left=a.png"], "takes one"),
    ):
        told = CliRunner().invoke(app, ["reface", str(IDENTITY), *words])
        assert told.exit_code == 2 and said in told.output, told.output
