"""`mien generate --from`: the same picture again, bit for bit; and every way in which it cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.making.model import Model
from mien.making.repeating import read_settings
from mien.provenance import read_provenance, save_image
from mien.types import InputError
from mien.weights.bases import find_folder

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
IDENTITY, EXPRESSION = EXAMPLES / "identity.png", EXAMPLES / "expression.png"


def generate(*words: Any) -> Any:
    return CliRunner().invoke(app, ["generate", *map(str, words), "--quiet"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with unusual settings: two of a photo's expression, one of a word's, one of a mix, a batch of three."""
    folder = tmp_path_factory.mktemp("made")
    options = ["--steps", 2, "--seed", 7, "--prompt", "a photo, é", "--guidance", 3.1, "--id-scale", 0.9]
    for words in (
        [IDENTITY, EXPRESSION, "-o", folder / "two.png", "-n", 2, "--strip", folder / "strip.png"],
        [IDENTITY, EXPRESSION, "-o", folder / "photo.jpg"],
        [IDENTITY, "joy", "-o", folder / "word.webp"],
        [IDENTITY, f"{EXPRESSION}:0.6+surprise:0.4", "-o", folder / "mix.png"],
        [IDENTITY, '{"jawOpen": 0.7, "mouthPucker": 0.1}', "-o", folder / "shapes.png"],
        [IDENTITY, "anger:0.5", "-o", folder / "half.png"],
    ):
        result = generate(*words, *options)
        assert result.exit_code == 0, result.output
    shutil.copy(IDENTITY, folder / "me.png")
    shutil.copy(EXPRESSION, folder / "smile.png")
    rows = [
        "me.png,smile.png,1,b1.png",
        "me.png,disgust,2,b2.webp",
        'smile.png,"me.png:0.5+joy:0.5",3,b3.jpg',
    ]
    (folder / "pairs.csv").write_text("\n".join(["identity,expression,seed,out", *rows]))
    result = generate("--pairs", folder / "pairs.csv", "--out-dir", folder, *options)
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("two-1.png", [IDENTITY, EXPRESSION]),
        ("two-2.png", [IDENTITY, EXPRESSION]),
        ("photo.jpg", [IDENTITY, EXPRESSION]),
        ("word.webp", [IDENTITY]),
        ("word.webp", [IDENTITY, "joy"]),
        ("mix.png", [IDENTITY, f"{EXPRESSION}:0.6+surprise:0.4"]),
        ("shapes.png", [IDENTITY]),
        ("half.png", [IDENTITY]),
        ("b1.png", [IDENTITY, EXPRESSION]),
        ("b2.webp", [IDENTITY]),
        ("b3.jpg", [EXPRESSION, f"{IDENTITY}:0.5+joy:0.5"]),
    ],
)
def test_the_same_bytes_again(tmp_path: Path, made: Path, name: str, inputs: list[Any]) -> None:
    out = tmp_path / name
    result = generate("--from", made / name, *inputs, "-o", out)
    assert result.exit_code == 0, result.output
    assert "bit for bit" in result.stdout and "the embedded model does not know" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert out.read_bytes() == (made / name).read_bytes()


def test_other_formats_and_copies_of_the_inputs(tmp_path: Path, made: Path) -> None:
    """A lossless copy of the person's picture will do, and the result may go into another format."""
    Image.open(IDENTITY).convert("RGB").save(tmp_path / "copy.webp", lossless=True)
    out = tmp_path / "again.webp"
    result = generate("--from", made / "two-2.png", tmp_path / "copy.webp", EXPRESSION, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["identical"] is True and told["images"][0]["seed"] == 8
    first, second = read_provenance(made / "two-2.png"), read_provenance(out)
    assert first is not None and second is not None and first["settings"] == second["settings"]


def test_nothing_of_the_people_is_in_the_metadata(made: Path) -> None:
    salts = set()
    for path in made.iterdir():
        if path.suffix not in (".png", ".webp", ".jpg") or path.stem in ("me", "smile"):
            continue
        found = read_provenance(path)
        assert found is not None
        text = json.dumps(found)
        for word in ("identity.png", "expression.png", "me.png", "smile.png", str(made), str(EXAMPLES)):
            assert word not in text, path
        salts.add(json.dumps(found["settings"].get("inputs", {}).get("salt", path.name)))
    assert len(salts) == 10  # the two of one run share theirs, all others have their own


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["two-1.png"], "does not hold the person's picture"),
        (["two-1.png", IDENTITY], "does not hold the expression's picture"),
        (["two-1.png", EXPRESSION, EXPRESSION], "another identity picture than"),
        (["two-1.png", IDENTITY, IDENTITY], "another expression"),
        (["two-1.png", IDENTITY, "joy"], "another expression:"),
        (["word.webp", IDENTITY, "anger"], "another expression:"),
        (["two-1.png", "absent.png", EXPRESSION], "absent.png does not exist"),
        (["strip.png", IDENTITY, EXPRESSION], "not a picture of `mien generate`: give the picture"),
        (["me.png", IDENTITY, EXPRESSION], "not a picture of `mien generate`"),
        (["pairs.csv", IDENTITY, EXPRESSION], "not a picture"),
        (["absent.png", IDENTITY, EXPRESSION], "absent.png"),
        (["two-1.png", IDENTITY, EXPRESSION, "--seed", 8], "--seed is the picture's own"),
        (["two-1.png", IDENTITY, EXPRESSION, "--prompt", "x"], "--prompt is the picture's own"),
        (["two-1.png", IDENTITY, EXPRESSION, "-o", "x.gif"], "end the name"),
    ],
)
def test_what_cannot_be_repeated(tmp_path: Path, made: Path, words: list[Any], sentence: str) -> None:
    out = tmp_path / "out.png"
    place = [] if "-o" in words else ["-o", out]
    result = generate("--from", made / words[0], *words[1:], *place)
    assert result.exit_code == 2 and sentence in result.stderr, result.output
    assert result.stderr.count("\n") == 1 and result.stdout == "" and list(tmp_path.iterdir()) == []


def test_force_needs_from() -> None:
    result = generate(IDENTITY, EXPRESSION, "--force")
    assert result.exit_code == 2 and "--from" in result.stderr


def edited(source: Path, place: Path, **changes: Any) -> Path:
    found = read_provenance(source)
    assert found is not None
    return save_image(Image.open(source).convert("RGB"), place, {**found["settings"], **changes})


def test_other_weights_are_noticed(tmp_path: Path, made: Path) -> None:
    found = read_provenance(made / "word.webp")
    assert found is not None
    models = {**found["settings"]["models"], "adapter": "0" * 64}
    source = edited(made / "word.webp", tmp_path / "old.webp", models=models)
    refused = generate("--from", source, IDENTITY, "-o", tmp_path / "out.webp")
    assert (
        refused.exit_code == 2 and "the adapter's weights" in refused.stderr and "--force" in refused.stderr
    )
    forced = generate("--from", source, IDENTITY, "-o", tmp_path / "out.webp", "--force")
    assert forced.exit_code == 0, forced.output
    now = read_provenance(tmp_path / "out.webp")
    assert now is not None and now["settings"]["models"] == found["settings"]["models"]


def test_another_person_by_force_is_said(tmp_path: Path, made: Path) -> None:
    result = generate("--from", made / "word.webp", EXPRESSION, "-o", tmp_path / "out.webp", "--force")
    assert result.exit_code == 0, result.output
    assert "not the same bits" in result.stdout and "inputs are others" in result.stderr
    new, old = read_provenance(tmp_path / "out.webp"), read_provenance(made / "word.webp")
    assert new is not None and old is not None
    assert new["settings"]["inputs"]["identity"] != old["settings"]["inputs"]["identity"]


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 10**9}, {"steps": 0}, {"steps": True}, {"steps": "2"}, {"seed": -1}, {"seed": 2**70}, {"seed": 1.5},
        {"guidance": -1}, {"guidance": "3"}, {"prompt": 7}, {"face": "mine"}, {"face": -1}, {"face": [0]},
        {"backbone": ["mini"]}, {"device": "tpu"}, {"dtype": "int8"}, {"batch": {"size": 10**6, "slot": 0}},
        {"batch": {"size": 2, "slot": 2}}, {"batch": []}, {"inputs": {}}, {"inputs": None}, {"models": None},
        {"models": {"backbone": "../x"}}, {"environment": {"threads": 10**6}}, {"environment": 3}, {"pixels": "zz"},
        {"adapter": 5}, {"num_images": 0}, {"id_scale": None}, {"kind": "travel"},
        {"inputs": {"salt": "5a", "identity": "5a", "expression": []}},
        {"inputs": {"salt": "5a", "identity": "5a", "expression": [{"weight": 2, "word": "joy"}]}},
        {"inputs": {"salt": "5a", "identity": "5a", "expression": [{"weight": 1, "file": "/etc/passwd"}]}},
        {"inputs": {"salt": "5a", "identity": "5a", "expression": [{"weight": 1, "word": 5}]}},
        {"guidance": 10**400},
    ],
)  # fmt: skip
def test_edited_metadata_are_refused(tmp_path: Path, made: Path, change: dict[str, Any]) -> None:
    source = edited(made / "word.webp", tmp_path / "edited.webp", **change)
    with pytest.raises(InputError, match=r"edited\.webp"):
        read_settings(source, "portrait")


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"weight": 1, "word": "joyy"}, "joyy"),
        ({"weight": 1, "word": str(EXPRESSION)}, "edited"),
        ({"weight": 1, "word": "joy:0.2+anger:0.8"}, "edited"),
        ({"weight": 1, "blendshapes": {"jawOpen": 3}}, "jawOpen"),
        ({"weight": 1, "blendshapes": {}}, "edited"),
    ],
)
def test_edited_expressions_open_no_file(
    tmp_path: Path, made: Path, part: dict[str, Any], sentence: str
) -> None:
    found = read_provenance(made / "word.webp")
    assert found is not None
    inputs = {**found["settings"]["inputs"], "expression": [part]}
    source = edited(made / "word.webp", tmp_path / "edited.webp", inputs=inputs)
    result = generate("--from", source, IDENTITY, "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and sentence in result.stderr, result.output
    assert [p.name for p in tmp_path.iterdir()] == ["edited.webp"]


def test_metadata_choose_no_model(tmp_path: Path, made: Path) -> None:
    for change, option in (
        ({"backbone": "stranger/model"}, "--backbone"),
        ({"adapter": "stranger"}, "--adapter"),
    ):
        source = edited(made / "word.webp", tmp_path / "edited.webp", **change)
        result = generate("--from", source, IDENTITY, "-o", tmp_path / "out.png")
        assert result.exit_code == 2 and option in result.stderr and "stranger" in result.stderr


def test_an_adapter_s_settings_are_part_of_it(tmp_path: Path) -> None:
    mini = find_folder("mini")
    shutil.copytree(mini / "adapter", tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter.json"

    def made_by() -> str:
        return Model("mini", "cpu", adapter=str(tmp_path / "adapter")).hashes["adapter"]

    before = made_by()
    assert before == made_by()
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "guidance": 1.3}))
    assert before != made_by()
