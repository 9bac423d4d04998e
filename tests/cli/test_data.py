"""`mien data` with the shipped models, on the example pictures: what a user would do, and get wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mien.cli.main import app
from mien.data.pairs import Pairs
from mien.data.records import Manifest

pytest.importorskip("pyarrow", reason="manifests need the extra mien[data]")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ANYTHING = ("--max-exp", 1, "--max-lms", 9, "--min-id-distance", 0, "--quality", "none", "--split", "all")


def data(*words: Any) -> Any:
    return CliRunner().invoke(app, ["data", *map(str, words)])


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of the example pictures, each a person, in two folders; one file is no picture."""
    place = tmp_path_factory.mktemp("faces")
    for person, picture in (("ann", "identity"), ("bob", "expression")):
        (place / "in" / person).mkdir(parents=True)
        shutil.copy(EXAMPLES / f"{picture}.png", place / "in" / person / "a.png")
    (place / "in" / "ann" / "b.jpg").write_bytes(b"no picture")
    result = data("ingest", place / "in", place / "out", "--identity", "folder", "--quiet")
    assert result.exit_code == 0, result.output
    assert "2 of 3 pictures, 2 people" in result.stdout and "rejected: 1 unreadable" in result.stdout
    return place / "out"


def test_a_set_is_made_and_shown(faces: Path) -> None:
    manifest = Manifest.read(faces)
    assert {manifest.values("identity")[row] for row in manifest.kept()} == {"ann", "bob"}
    assert manifest.array("embedding").shape == (3, 128)
    shown = json.loads(data("show", faces, "--json").stdout)
    assert shown["pictures"] == 3 and shown["kept"] == 2 and shown["rejected"] == {"unreadable": 1}
    assert shown["made"]["analyser"] == "embedded" and shown["made"]["size"] == 128


def test_pairs_are_made_and_taken_up(faces: Path, tmp_path: Path) -> None:
    first = data("idi", faces, tmp_path / "pairs", "--count", 2, "--steps", 1, *ANYTHING, "--quiet")
    assert first.exit_code == 0, first.output
    triples = json.loads((tmp_path / "pairs" / "summary.json").read_text())["methods"]
    assert (
        triples["all"]["pairs"] == 2
        and triples["restruct"]["pairs"] == 1 == triples["faceswap:photo"]["pairs"]
    )
    assert triples["faceswap:photo"]["kept"] == 1
    again = data("idi", faces, tmp_path / "pairs", "--count", 2, "--steps", 1, *ANYTHING, "--quiet", "--json")
    assert json.loads(again.stdout)["methods"] == triples
    pairs = Pairs.read(tmp_path / "pairs")
    assert all(pairs.crop(i, "reference").shape == (128, 128, 3) for i in range(len(pairs)))
    assert (
        "0 made now"
        in data("idi", faces, tmp_path / "pairs", "--steps", 1, "--count", 1, *ANYTHING, "-q").stdout
    )
    refused = data("idi", faces, tmp_path / "pairs", "--steps", 2, *ANYTHING, "--quiet")
    assert refused.exit_code == 2 and "was made with steps 1, not 2" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ingest", "nowhere", "OUT"), "not a folder of pictures"),
        (("ingest", EXAMPLES, "OUT", "--framing", "loose"), "framing 'loose' is unknown"),
        (("ingest", EXAMPLES, "OUT", "--identity", "no.csv"), "no.csv does not exist"),
        (("ingest", EXAMPLES, "OUT", "--analyser", "mine"), "mine"),
        (("show", "nowhere"), "does not exist"),
        (("idi", "nowhere", "OUT"), "does not exist"),
        (("idi", "SET", "OUT", "--method", "magic"), "the way to make references 'magic'"),
        (("idi", "SET", "OUT", "--method", "faceswap:command"), "needs a command line"),
        (("idi", "SET", "OUT", "--split", "test"), "split 'test' is unknown"),
        (("idi", "SET", "OUT", "--count", "0"), "at least 1"),
        (("idi", "SET", "OUT", "--max-exp", "-1"), "limit exp"),
        (("idi", "SET", "OUT", "--with-source", "--split", "all"), "two pictures"),
        (("idi", "SET", "OUT", "--split", "held_out"), "of the split held_out"),
        (("idi", "SET", "SET", "--split", "all", "--count", "1"), "give another folder"),
        (("idi", "SET", "OUT", "--split", "all", "--backbone", "no-such"), "no-such"),
    ],
)
def test_bad_input_gets_a_sentence(
    faces: Path, tmp_path: Path, words: tuple[Any, ...], sentence: str
) -> None:
    places = {"OUT": tmp_path / "out", "SET": faces}
    result = data(*(places.get(word, word) if isinstance(word, str) else word for word in words))
    assert result.exit_code == 2 and sentence in result.stderr
