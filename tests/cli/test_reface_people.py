"""`mien reface --identity` by the photo engine: several people, everybody, the same again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.provenance import read_provenance

PEOPLE = Path(__file__).parents[2] / "examples/people"
ANA, MAY, RAJ, SMILE = (PEOPLE / f"{name}.jpg" for name in ("ana_rest", "may_rest", "raj_rest", "raj_smile"))
SIDE = 400


def reface(*words: Any) -> Any:
    return CliRunner().invoke(app, ["reface", *map(str, words), "--quiet"])


def side_by_side(path: Path, sizes: tuple[int, int]) -> Path:
    picture = Image.new("RGB", (2 * SIDE, SIDE), (120, 130, 140))
    for k, (name, size) in enumerate(zip(("ana_rest", "ben_rest"), sizes, strict=True)):
        picture.paste(Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((size, size)), (k * SIDE, 0))
    picture.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    side_by_side(folder / "two.png", (SIDE, SIDE))
    side_by_side(folder / "parent.png", (SIDE, SIDE // 2))
    people = ["--identity", f"left={MAY}", "--identity", f"right={RAJ}", "--identity", f"right={SMILE}"]
    made = reface(folder / "two.png", *people, "-o", folder / "both.png", "--strip", folder / "strip.png")
    assert made.exit_code == 0, made.output
    return folder


def test_each_person_is_recorded_by_a_fingerprint_with_their_face(folder: Path) -> None:
    settings = (read_provenance(folder / "both.png") or {})["settings"]
    recorded = settings["inputs"]["identity"]
    assert [(one["face"], len(one["pictures"])) for one in recorded] == [("left", 1), ("right", 2)]
    assert settings["task"] == "face swapping" and "may_rest" not in json.dumps(settings)
    changed = (np.asarray(Image.open(folder / "both.png")) != np.asarray(Image.open(folder / "two.png"))).any(
        2
    )
    assert changed[:, :SIDE].mean() > 0.05 and changed[:, SIDE:].mean() > 0.05
    assert not changed[:20].any()


def test_several_people_again_bit_for_bit(folder: Path) -> None:
    people = ["--identity", f"left={MAY}", "--identity", f"right={RAJ}", "--identity", f"right={SMILE}"]
    again = [folder / "two.png", *people, "--from", folder / "both.png", "-o", folder / "again.png"]
    result = reface(*again)
    assert result.exit_code == 0 and "bit for bit" in result.output, result.output
    before, after = (np.asarray(Image.open(folder / name)) for name in ("both.png", "again.png"))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("identities", "says"),
    [
        ([f"left={MAY}"], "does not hold the 3 pictures of its new faces"),
        ([], "does not hold the 3 pictures of its new faces"),
        ([f"left={RAJ}", f"right={RAJ}", f"right={SMILE}"], "made from other identity pictures"),
    ],
)
def test_others_than_then_are_refused(folder: Path, identities: list[str], says: str) -> None:
    given = [word for one in identities for word in ("--identity", one)]
    result = reface(folder / "two.png", *given, "--from", folder / "both.png", "-o", folder / "no.png")
    assert (
        result.exit_code == 2 and says in " ".join(result.output.split()) and not (folder / "no.png").exists()
    )


def test_two_equal_faces_are_refused_and_the_larger_of_two_is_told(folder: Path) -> None:
    refused = reface(MAY, "--identity", folder / "two.png", "-o", folder / "no.png")
    assert refused.exit_code == 2 and "two faces about as large" in " ".join(refused.output.split())
    told = reface(MAY, "--identity", folder / "parent.png", "-o", folder / "told.png")
    assert told.exit_code == 0 and "shows 2 faces, the largest is used" in " ".join(told.output.split())


def test_several_people_in_a_row_of_a_table(folder: Path) -> None:
    """The same as by --identity, and a row that names a face for one of them alone is told."""
    for name in (MAY, RAJ, SMILE):
        (folder / name.name).write_bytes(name.read_bytes())
    people = f"left={MAY.name};right={RAJ.name};right={SMILE.name}"
    rows = ["photo,identity,out", f"two.png,{people},row.png", f"two.png,left={MAY.name};{RAJ.name},no.png"]
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    result = reface("--pairs", folder / "rows.csv", "--out-dir", folder / "rows")
    assert result.exit_code == 2 and "row 2" in result.output and "does not say which face" in result.output
    made, once = (np.asarray(Image.open(path)) for path in (folder / "rows/row.png", folder / "both.png"))
    np.testing.assert_array_equal(made, once)


def test_diffusion_takes_no_several_people_of_a_row(folder: Path) -> None:
    (folder / "two.csv").write_text(f"photo,identity\ntwo.png,left={MAY};right={RAJ}\n")
    result = reface("--pairs", folder / "two.csv", "--out-dir", folder / "none", "--engine", "diffusion")
    assert result.exit_code == 2 and "only the photo engine takes several" in " ".join(result.output.split())
