"""`mien expressions` and `mien travel`, as a user would call them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.expressions.faces import FOLDER, RENDERED
from mien.expressions.library import INDEX
from mien.provenance import read_metadata, read_provenance
from mien.provenance.animation import read_animation

IDENTITY = Path(__file__).parent.parent.parent / "examples" / "identity.png"


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_list_has_every_word_and_can_be_narrowed() -> None:
    words = json.loads(run("expressions", "list", "--json").stdout)
    assert len(words) == 135 and words[0]["word"] == "adoration" and words[0]["sources"]
    shown = run("expressions", "list", "--cluster", "surprise").stdout
    assert "astonishment" in shown and "browInnerUp" in shown and "sadness" not in shown
    wrong = run("expressions", "list", "--cluster", "surprize")
    assert wrong.exit_code == 2 and "did you mean surprise" in wrong.stderr


def test_a_word_is_explained_with_its_picture(tmp_path: Path) -> None:
    result = run("expressions", "show", "disdainful", "-o", tmp_path / "contempt.png")
    assert result.exit_code == 0, result.output
    for said in ("contempt", "anger / disgust", "source: Ekman", "mouthSmileRight", "like it: "):
        assert said in result.stdout
    said = read_metadata(tmp_path / "contempt.png")
    assert said is not None and said.source_type == RENDERED
    assert Image.open(tmp_path / "contempt.png").size == (256, 256)
    wrong = run("expressions", "show", "hapiness")
    assert wrong.exit_code == 2 and "did you mean happiness" in wrong.stderr


def test_everyday_words_are_listed_and_shown(tmp_path: Path) -> None:
    listed = {
        one["name"]: one for one in json.loads(run("expressions", "list", "--everyday", "--json").stdout)
    }
    assert "tired" in listed["sleepy"]["forms"] and listed["sadness"]["words"] == {"sadness": 1.0}
    assert listed["wink"]["blendshapes"]["eyeBlinkLeft"] == 1 and "😉" in listed["wink"]["emoji"]
    shown = run("expressions", "list", "--everyday").stdout
    assert "duck face" in shown and "😘" in shown and ":)" in shown
    wink = run("expressions", "show", "winking right")
    assert wink.exit_code == 0 and "eyeBlinkRight" in wink.stdout and "also: " in wink.stdout
    assert "sadness" in run("expressions", "show", "sad").stdout
    assert "have no tongue" in run("expressions", "show", "😜").stdout and "tongue" not in wink.stdout
    for given, said in (
        (["show", "wink", "-o", tmp_path / "wink.png"], "no shipped face"),
        (["list", "--everyday", "--cluster", "joy"], "leave it out"),
        (["show", "smil"], "did you mean smile"),
    ):
        wrong = run("expressions", *given)
        assert wrong.exit_code == 2 and said in wrong.stderr
    assert not list(tmp_path.iterdir())


def test_the_sheet_shows_all(tmp_path: Path) -> None:
    few = ("--side", 32, "--cluster", "surprise")
    assert run("expressions", "sheet", "-o", tmp_path / "all.png", *few).exit_code == 0
    assert Image.open(tmp_path / "all.png").width > 4 * 32
    assert run("expressions", "sheet", "-o", tmp_path / "all.txt").exit_code == 2


@pytest.mark.slow
def test_a_library_is_built_and_drawn_from(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for word, other in (("joy", "joy"), ("joy", "glee"), ("anger", "anger"), ("anger", "amusement")):
        (tmp_path / word).mkdir(exist_ok=True)
        shutil.copy(FOLDER / f"{other}.webp", tmp_path / word / f"{other}.webp")
    built = run("expressions", "build", tmp_path, "-q")
    assert built.exit_code == 0 and "4 pictures of 2 words" in built.stdout and (tmp_path / INDEX).is_file()
    drawn = run("expressions", "draw", tmp_path, "joy", "--seed", 1).stdout.strip()
    assert Path(drawn).is_file() and Path(drawn).parent.name == "joy"
    near = run("expressions", "draw", tmp_path, "--near", "rage", "--json")
    assert json.loads(near.stdout)[0]["path"].endswith("anger.webp")
    doubts = json.loads(run("expressions", "mislabelled", tmp_path, "--json").stdout)
    assert [doubt["path"] for doubt in doubts] == ["anger/amusement.webp"] and doubts[0]["nearest"] == "joy"
    assert run("expressions", "draw", tmp_path, "fear").exit_code == 2


@pytest.mark.slow
def test_a_journey_becomes_a_film_and_a_sheet(tmp_path: Path) -> None:
    film, sheet = tmp_path / "film.gif", tmp_path / "film.png"
    result = run(
        "travel",
        IDENTITY,
        "neutral",
        "joy",
        "😮",
        "-o",
        film,
        "--sheet",
        sheet,
        "--frames",
        3,
        "--steps",
        1,
        "-q",
    )
    assert result.exit_code == 0, result.output
    said, of_sheet = read_animation(film), read_provenance(sheet)
    assert said is not None and said["settings"]["expressions"] == ["neutral", "joy", "😮"]
    assert of_sheet is not None and of_sheet["settings"]["frames"] == 3
    assert str(IDENTITY.parent) not in json.dumps([said, of_sheet])
    with Image.open(film) as shown:
        assert shown.n_frames == 3 and shown.size == (128, 128)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("joy",), "at least two expressions"),
        (("joy", "angr"), "did you mean anger"),
        (("joy", "anger", "--frames", 2, "-o", "x.avi"), "x.avi is not a film or sheet"),
        (("joy", "anger", "-o", "x.png", "--back"), "a sheet: --sheet"),
        (("joy", "anger", "fear", "--frames", 2, "-o", "x.png"), "2 frames for 3 expressions"),
    ],
)
def test_journeys_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[Any, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("travel", IDENTITY, *words)
    assert result.exit_code == 2 and said in result.stderr and not list(tmp_path.iterdir())
