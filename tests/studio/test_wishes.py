"""What strangers ask for: words that are never files, values within limits, sliders that add to an expression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.expressions.faces import blendshapes
from mien.expressions.reading import at_rest
from mien.expressions.spec import parse
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.face.subject import Subject
from mien.studio import wishes
from mien.studio.wishes import SLIDERS, Fields, Look, Refused, search
from mien.types import InputError
from tests.studio.conftest import FACE


@pytest.mark.parametrize(
    "text", ["joy", "😏", "anger:0.5", "joy:0.6+surprise:0.4", '{"jawOpen": 0.8}', " Joy "]
)
def test_words_are_read_as_on_the_command_line(text: str) -> None:
    assert wishes.words(text) == parse(text)


@pytest.mark.parametrize("template", ["{}", "{}:0.5", "joy+{}", "../{}", "./{}"])
def test_words_are_never_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "smile.png")
    (tmp_path / "shapes.json").write_text('{"jawOpen": 0.8}')
    monkeypatch.chdir(tmp_path)
    for name in ("smile.png", "shapes.json", str(tmp_path / "smile.png"), "/etc/passwd"):
        with pytest.raises(Refused, match="no word or emoji"):
            wishes.words(template.format(name))


@pytest.mark.parametrize("text", ["", "joi", '{"jawOpen": 9}', "[" * 5000, "joy:nan", "\x1b[2J"])
def test_bad_words_are_one_sentence_at_their_field(text: str) -> None:
    with pytest.raises(Refused) as caught:
        wishes.words(text)
    assert caught.value.field == "expression"
    assert len(str(caught.value)) < 300 and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"strength": 2},
        {"strength": "1"},
        {"strength": float("nan")},
        {"region": "ears"},
        {"sliders": {"ears": 1}},
        {"sliders": {"smile": 3}},
        {"sliders": [1]},
        {"turn": [90, 0, 0]},
        {"turn": "left"},
        {"expression": ["joy"]},
    ],
)
def test_what_is_out_of_range_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Look.read(Fields(given))


@pytest.fixture(scope="module")
def photo() -> Subject:
    image = Image.open(FACE).convert("RGB")
    return Subject(image, analyze(image)[0])


def test_a_slider_adds_to_the_expression(photo: Subject) -> None:
    look = Look.read(
        Fields({"expression": "joy", "strength": 0.5, "sliders": {"mouth": 0.4, "left_eye": -1}})
    )
    expression, strength = look.expression(photo, None)
    made, rest = blendshapes(expression.parts[0]), at_rest()
    wanted = rest + 0.5 * (blendshapes(parse("joy").parts[0]) - rest)
    wanted[INDEX["jawOpen"]] += 0.4
    wanted[INDEX["eyeBlinkLeft"]] += 1
    assert strength == 1 and np.abs(made - wanted.clip(0, 1)).max() < 0.02


def test_without_sliders_it_is_the_expression_itself(photo: Subject) -> None:
    assert Look.read(Fields({"expression": "joy", "strength": 0.5})).expression(photo, None) == (
        parse("joy"),
        0.5,
    )
    assert Look.read(Fields({"turn": [5, 0, 0]})).expression(photo, None)[1] == 0  # the photo's own stays


def test_sliders_move_blendshapes_that_exist() -> None:
    assert all(shape in INDEX for both in SLIDERS.values() for shapes in both for shape in shapes)


def test_everyday_words_are_found() -> None:
    assert len(search("")) == 135 and search("grief")[0] == "grief" and search("😏")
    assert any("smile" in name for name in search("smile")) and search("scared")[0] == "fear"
    assert all(parse(name) for text in ("smi", "tired", "w") for name in search(text))
    assert search("xqzw") == []


def test_pictures_have_limits() -> None:
    import io

    bomb = io.BytesIO()
    side = int(wishes.MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(bomb, "PNG")
    for data, said in (
        (bomb.getvalue(), "limit is 24 million"),
        (b"", "empty"),
        (b"x" * 99, "not a picture"),
    ):
        with pytest.raises(InputError, match=said):
            wishes.picture(data, "photo")
