"""`mien generate` with the shipped models, on the example pictures: what a user would do, and get wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mien
from mien.cli.main import app
from mien.cli.options import MAX_BATCH
from mien.face.analyze import analyze
from mien.provenance import read_provenance, watermark

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
IDENTITY, EXPRESSION = EXAMPLES / "identity.png", EXAMPLES / "expression.png"


def generate(*words: Any) -> Any:
    """Run it with two steps and no progress bar, as the shell would."""
    return CliRunner().invoke(app, ["generate", *map(str, words), "--steps", "2", "--quiet"])


def pixels_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), float)


def pixels(path: Path) -> np.ndarray:
    return pixels_of(Image.open(path))


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait of the two examples with seed 3."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    result = generate(IDENTITY, EXPRESSION, "-o", path, "--seed", 3, "--verbose")
    assert result.exit_code == 0, result.output
    assert f"{path}  looks like the person: " in result.stdout and "follows the expression: " in result.stdout
    assert "LMS" in result.stdout and " s to generate" in result.stdout
    return path


def test_the_portrait_carries_its_settings_and_no_path(portrait: Path) -> None:
    found = read_provenance(portrait)
    assert found is not None
    settings = found["settings"]
    assert settings["seed"] == 3 and settings["steps"] == 2 and settings["backbone"] == "mini"
    assert {"id", "exp", "lms"} <= settings["scores"].keys()
    text = json.dumps(found)
    assert "identity.png" not in text and str(portrait.parent) not in text


def test_json_strip_and_several_images(tmp_path: Path, portrait: Path) -> None:
    words = ["-o", tmp_path / "p.jpg", "--strip", tmp_path / "s.png", "-n", 2, "--json", "--seed", 3]
    result = generate(IDENTITY, EXPRESSION, *words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [image["seed"] for image in told["images"]] == [3, 4]
    assert [Path(image["path"]).name for image in told["images"]] == ["p-1.jpg", "p-2.jpg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p-1.jpg", "p-2.jpg", "s.png"]
    assert told["settings"]["guidance"] is not None and "flatters" in told["scored_by"]["recogniser"]
    assert np.abs(pixels(tmp_path / "p-1.jpg") - pixels(portrait)).mean() < 6  # JPEG, batch of two
    assert np.abs(pixels(tmp_path / "p-1.jpg") - pixels(tmp_path / "p-2.jpg")).mean() > 6
    width, height = Image.open(tmp_path / "s.png").size
    assert 3 < width / height < 4.2
    assert read_provenance(tmp_path / "s.png") is not None


def test_five_lines_of_python(portrait: Path) -> None:
    pipe = mien.load("mini")
    images = pipe(identity=IDENTITY, expression=EXPRESSION, seed=3, steps=2)
    assert np.abs(pixels_of(watermark.embed(images[0])) - pixels(portrait)).max() <= 2


def test_which_face(tmp_path: Path, crowd: Path, portrait: Path) -> None:
    names = {"largest": "a.png", "left": "b.png", "right": "c.png", "1": "d.png"}
    made = {}
    for face, name in names.items():
        result = generate(crowd, EXPRESSION, "-o", tmp_path / name, "--face", face)
        assert result.exit_code == 0, result.output
        assert ("2 faces" in result.stderr and "crowd.png" in result.stderr) == (face == "largest")
        made[face] = pixels(tmp_path / name)
    assert np.abs(made["largest"] - made["left"]).max() == 0
    assert np.abs(made["right"] - made["1"]).max() == 0
    assert np.abs(made["left"] - made["right"]).mean() > 2
    missing = generate(crowd, EXPRESSION, "-o", tmp_path / "e.png", "--face", 2)
    assert missing.exit_code == 2 and "crowd.png" in missing.stderr and not (tmp_path / "e.png").exists()


def test_pictures_that_differ_in_their_files_alone_give_one_portrait(tmp_path: Path, portrait: Path) -> None:
    original = Image.open(IDENTITY).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    original.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    original.convert("RGBA").save(tmp_path / "alpha.png")
    for name in ("turned.png", "alpha.png"):
        out = tmp_path / f"out_{name}"
        assert generate(tmp_path / name, EXPRESSION, "-o", out, "--seed", 3).exit_code == 0
        assert np.abs(pixels(out) - pixels(portrait)).max() == 0


def test_print_and_deep_pictures_can_be_used(tmp_path: Path) -> None:
    original = Image.open(IDENTITY)
    original.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    grey = np.asarray(original.convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "deep.png")
    for name in ("print.jpg", "deep.png"):
        result = generate(tmp_path / name, EXPRESSION, "-o", tmp_path / f"out_{name}")
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", ["nobody", "truncated", "words", "dot", "huge", "absent", "folder"])
@pytest.mark.parametrize("role", ["identity", "expression"])
def test_bad_pictures(tmp_path: Path, kind: str, role: str) -> None:
    bad = tmp_path / "in" / "bad.jpg"
    bad.parent.mkdir()
    if kind == "nobody":
        Image.new("RGB", (200, 200), (90, 120, 150)).save(bad)
    elif kind == "truncated":
        Image.open(IDENTITY).convert("RGB").save(bad)
        bad.write_bytes(bad.read_bytes()[:1500])
    elif kind == "words":
        bad.write_text("no picture")
    elif kind == "dot":
        Image.new("RGB", (1, 1)).save(bad)
    elif kind == "huge":
        Image.new("1", (20_000, 20_000)).save(bad, "PNG")
    elif kind == "folder":
        bad.mkdir()
    inputs = (bad, EXPRESSION) if role == "identity" else (IDENTITY, bad)
    result = generate(*inputs, "-o", tmp_path / "out.png", "--strip", tmp_path / "strip.png")
    assert result.exit_code == 2
    assert result.stdout == "" and result.stderr.count("\n") == 1 and "bad.jpg" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_csv_with_bad_rows(tmp_path: Path, crowd: Path) -> None:
    Image.new("RGB", (200, 200), (90, 120, 150)).save(tmp_path / "nobody.png")
    lines = ["identity,expression,prompt,seed,out"]
    lines += [
        f"{IDENTITY},{EXPRESSION},a photo,5,first.png",
        f"nobody.png,{EXPRESSION},,,",
        "absent.png,b.png,,,",
    ]
    lines += [f"{IDENTITY},{EXPRESSION},,five,", f"crowd.png,{EXPRESSION},,,sub/second.webp"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    result = generate("--pairs", tmp_path / "pairs.csv", "--out-dir", out, "--seed", 9)
    assert result.exit_code == 2, result.output
    for row, words in {2: "nobody.png", 3: "absent.png", 4: "five"}.items():
        (said,) = [line for line in result.stderr.splitlines() if f"row {row} " in line]
        assert words in said
    assert "3 of the rows" in result.stderr and "crowd.png shows 2 faces" in result.stderr
    rows = {row["row"]: row for row in csv.DictReader((out / "results.csv").open(encoding="utf-8"))}
    assert list(rows) == ["1", "2", "3", "4", "5"]
    assert rows["1"]["prompt"] == "a photo" and rows["1"]["seed"] == "5" and rows["5"]["seed"] == "9"
    assert rows["1"]["steps"] == "2" and rows["1"]["backbone"] == "mini" and rows["1"]["error"] == ""
    assert "nobody.png" in rows["2"]["identity"] and "no face" in rows["2"]["error"]
    assert sorted(p.name for p in out.iterdir()) == ["first.png", "results.csv", "sub"]
    assert Image.open(out / "sub" / "second.webp").size == (128, 128)
    alone = tmp_path / "alone.png"
    words = ["-o", alone, "--seed", 5, "--prompt", "a photo"]
    assert generate(IDENTITY, EXPRESSION, *words).exit_code == 0
    assert np.abs(pixels(alone) - pixels(out / "first.png")).max() <= 2, (
        "company in a batch changed a portrait"
    )


def test_a_csv_without_bad_rows_ends_well(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(
        f"identity,expression\n{IDENTITY},{EXPRESSION}\n{EXPRESSION},{IDENTITY}\n"
    )
    result = generate("--pairs", tmp_path / "pairs.csv", "--out-dir", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["row"] for row in told["rows"]] == [1, 2]
    assert (tmp_path / "out" / "0001_identity_expression.png").exists()


def test_words_as_expressions(tmp_path: Path, portrait: Path) -> None:
    """A word needs no second picture; it has no landmarks, so no LMS, and the strip shows its shipped face."""
    made = {}
    for number, words in enumerate(("joy", "joy:0.5", '{"jawOpen": 0.9}')):
        place, strip = tmp_path / f"{number}.png", tmp_path / f"{number}_strip.png"
        result = generate(IDENTITY, words, "-o", place, "--seed", 3, "--strip", strip, "--verbose")
        assert result.exit_code == 0, result.output
        assert "Exp" in result.stdout and "LMS" not in result.stdout
        made[words] = pixels(place)
        assert Image.open(strip).width > 700
        found = read_provenance(place)
        assert found is not None and found["settings"]["scores"]["lms"] is None
        assert found["settings"]["scores"]["exp"] is not None
    assert np.abs(made["joy"] - made["joy:0.5"]).mean() > 0.5
    told = generate(IDENTITY, "joyy", "-o", tmp_path / "no.png")
    assert told.exit_code == 2 and "joy" in told.stderr and told.stderr.count("\n") == 1


def test_a_csv_with_words(tmp_path: Path) -> None:
    for source, name in ((IDENTITY, "me.png"), (EXPRESSION, "smile.png")):
        (tmp_path / name).write_bytes(source.read_bytes())
    rows = ["me.png,joy", 'me.png,"smile.png:0.5+surprise:0.5"', "me.png,smile.png", "me.png,joyy"]
    rows.append('me.png,"{""jawOpen"": 0.7}"')
    (tmp_path / "pairs.csv").write_text("\n".join(["identity,expression", *rows]))
    result = generate("--pairs", tmp_path / "pairs.csv", "--out-dir", tmp_path / "out")
    assert result.exit_code == 2 and "row 4" in result.stderr and "joyy" in result.stderr
    made = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
    assert made == [
        "0001_me_joy.png",
        "0002_me_smile.png-0.5-surprise-0.5.png",
        "0003_me_smile.png",
        "0005_me_jawOpen-0.7.png",
    ]
    lines = list(csv.DictReader((tmp_path / "out" / "results.csv").open(encoding="utf-8")))
    assert [line["error"] == "" for line in lines] == [True, True, True, False, True]
    assert lines[0]["expression"] == "joy" and lines[0]["lms"] == "" and lines[2]["lms"] != ""


def test_no_more_at_a_time_than_can_be_repeated(tmp_path: Path) -> None:
    result = generate(IDENTITY, EXPRESSION, "-o", tmp_path / "out.png", "-n", MAX_BATCH + 1)
    assert result.exit_code == 2 and not list(tmp_path.iterdir())
    assert "not in the range 1<=x<=64" in result.stderr


def test_what_of_a_prompt_has_no_effect_is_said_once(tmp_path: Path) -> None:
    rows = [f"{IDENTITY},joy", f"{IDENTITY},anger"]
    (tmp_path / "pairs.csv").write_text("\n".join(["identity,expression", *rows]))
    words = ["--pairs", tmp_path / "pairs.csv", "--out-dir", tmp_path / "out", "--batch-size", 1]
    result = generate(*words, "--prompt", "a photo of a person in a park " * 20)
    assert result.exit_code == 0, result.output
    said = sorted(result.stderr.splitlines())
    assert [line.split('"')[0] for line in said] == [
        "mien: the embedded model does not know ",
        "mien: the prompt ",
    ]
    assert "has no effect" in said[1]


def test_the_strip_s_faces_are_cropped_alike(tmp_path: Path) -> None:
    """The eyes of the person, who stands small and aside in a larger photo, and of the result are at one height."""
    photo = Image.new("RGB", (640, 480), "white")
    with Image.open(IDENTITY) as person:
        photo.paste(person.convert("RGB").resize((240, 240)), (380, 200))
    photo.save(tmp_path / "photo.png")
    strip = tmp_path / "strip.png"
    result = generate(tmp_path / "photo.png", "wink right", "-o", tmp_path / "p.png", "--strip", strip)
    assert result.exit_code == 0, result.output
    drawn = Image.open(strip).convert("RGB")
    side, gap = 256, 8
    top = drawn.height - side - gap
    eyes = []
    for column in (0, 2):
        left = gap + column * (side + gap)
        (face,) = analyze(drawn.crop((left, top, left + side, top + side)))
        eyes.append(face.landmarks[[33, 133, 362, 263], :2])
    assert np.abs(eyes[0] - eyes[1]).max() < 12  # px of 256
