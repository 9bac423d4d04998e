"""The expression language: what it reads, and one clear sentence for all it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.expressions.spec import MAX_LENGTH, MAX_PARTS, Expression, Part, parse
from mien.types import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a picture, a file named like a word, and blendshapes."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save("smile.png")
    Image.new("RGB", (32, 32)).save("a+b:0.5.png")
    Path("joy").write_text("not a picture")
    Path("face.json").write_text('{"jawOpen": 0.8}')
    Path("words").mkdir()
    return tmp_path


@pytest.mark.parametrize("text", ["joy", "JOY", " joy ", "😄", "😄\ufe0f"])
def test_a_word_or_its_emoji(folder: Path, text: str) -> None:
    assert parse(text).parts == (Part(1.0, word="joy"),)
    assert parse(text).word == "joy" and parse(text).rest == 0


def test_neutral_is_a_part_without_anything() -> None:
    assert parse("neutral").parts == parse("😐").parts == (Part(1.0),)
    assert parse("neutral").parts[0].kind == "neutral"


def test_a_mix_and_its_weights() -> None:
    mixed = parse("joy:0.6 + surprise:0.4")
    assert [(part.word, part.weight) for part in mixed.parts] == [("joy", 0.6), ("surprise", 0.4)]
    assert mixed.rest == 0 and mixed.word is None
    assert parse(mixed.text) == mixed
    assert [part.weight for part in parse("joy+fear+neutral").parts] == pytest.approx([1 / 3] * 3)
    assert sum(part.weight for part in parse("joy:.33+fear:.33+anger:.33").parts) == pytest.approx(1)


def test_an_intensity_leaves_the_rest_to_neutral() -> None:
    half = parse("anger:0.5")
    assert half.parts == (Part(0.5, word="anger"),) and half.rest == 0.5 and half.word is None
    assert parse("anger:1").rest == 0 and parse("anger:0").rest == 1


def test_what_people_say_is_a_word_a_mix_or_a_face() -> None:
    assert parse("scared").parts == parse("😨").parts == (Part(1.0, word="fear"),)
    assert parse("very scared").parts == parse("Scared!").parts == parse("fear").parts
    assert parse("a bit scared").parts == (Part(0.5, word="fear"),) and parse("a bit scared").rest == 0.5
    assert parse("bittersweet").parts == (Part(0.5, word="happiness"), Part(0.5, word="sadness"))
    assert parse("poker face").parts == (Part(1.0),)
    (wink,) = parse("winking").parts
    assert wink.kind == "blendshapes" and dict(wink.shapes or ())["eyeBlinkLeft"] == 1
    assert parse("wink:0.5").rest == 0.5 and parse("jawOpen:0.8").parts[0].weight == 0.8
    assert parse(":)").parts == parse("smile").parts and parse(":):0.5").parts[0].weight == 0.5


def test_everyday_words_go_into_mixes_and_can_be_written_again() -> None:
    for text in ("wink right:0.6+joy:0.4", "bittersweet+wink", "slightly sad:0.5+😉:0.5", ":)+:("):
        mixed = parse(text)
        assert parse(mixed.text) == mixed, text
    assert [part.kind for part in parse("bittersweet+wink").parts] == ["word", "word", "blendshapes"]
    assert parse("slightly sad:0.5+joy:0.5").rest == pytest.approx(0.25)


def test_pictures_by_path_object_and_in_mixes(folder: Path) -> None:
    for way in ("smile.png", Path("smile.png"), str(folder / "smile.png")):
        assert parse(way).parts[0].kind == "picture" and parse(way).text == "smile.png"
    image = Image.new("RGB", (32, 32))
    assert parse(image).picture is image
    assert [part.kind for part in parse("smile.png:0.5+joy:0.5").parts] == ["picture", "word"]
    assert parse("a+b:0.5.png").picture == Path("a+b:0.5.png")  # a file is a file, whatever it is called
    assert str(folder) not in parse(folder / "smile.png").text


def test_a_word_wins_over_a_file_of_that_name(folder: Path) -> None:
    assert parse("joy").word == "joy"
    assert parse("./joy").picture == Path("joy")


def test_blendshapes_inline_from_a_file_and_as_a_mapping(folder: Path) -> None:
    wanted = (Part(1.0, shapes=(("eyeBlinkLeft", 1.0), ("jawOpen", 0.8))),)
    assert parse('{"jawOpen": 0.8, "eyeBlinkLeft": 1}').parts == wanted
    assert (
        parse('{"jawOpen": 0.8, "eyeBlink_L": 1, "tongueOut": 0}').parts == wanted
    )  # as ARKit's rigs say it
    assert parse({"jawOpen": 0.8, "eyeBlinkLeft": 1.0}).parts == wanted
    assert parse("face.json").parts == (Part(1.0, shapes=(("jawOpen", 0.8),)),)
    assert parse(parse("face.json").text) == parse("face.json")


def test_what_analyze_prints_is_blendshapes(folder: Path) -> None:
    printed = [{"path": "x.jpg", "faces": [{"box": [0, 0, 1, 1], "blendshapes": {"jawOpen": 0.8}}]}]
    Path("seen.json").write_text(json.dumps(printed))
    assert parse("seen.json").parts == parse("face.json").parts


BAD = {
    "": "is empty",
    "jooy": "did you mean joy",
    "joi": "did you mean joy",
    "not sad": "nor a file: write in English what the face does or feels",
    "lächeln": "did you mean smile",
    "käse": "nor a file: write in English .* smile 🙂",
    "🚲": "neither a word nor an emoji",
    "joy:1.5": "weight 1.5 of joy is out of range",
    "joy:-0.1": "out of range",
    "joy:nan": "out of range",
    "joy:": "not a weight",
    "joy:much": "'much' is not a weight of joy",
    ":0.5": "weighs nothing",
    "joy:0.6+surprise:0.6": "sum to 1.2",
    "joy:0.3+surprise:0.3": "sum to 0.6.*neutral:x",
    "joy:0.5+anger": "weighs some of its parts only",
    "joy+": "empty part",
    "+".join(["joy"] * (MAX_PARTS + 1)): f"{MAX_PARTS + 1} parts",
    "x" * (MAX_LENGTH + 1): "characters",
    "nobody.jpg": "nobody.jpg does not exist",
    "no/where": "does not exist",
    "words": "is a folder",
    "face.json:0.5+joy:0.5": "cannot be part of a mix",
    "{": "not valid JSON \\(line 1",
    "{}": "holds no blendshapes",
    "[1]": "holds no blendshapes",
    '{"jawOpn": 1}': "jawOpn is not a blendshape \\(did you mean jawOpen",
    '{"jawOpen": 1.2}': "jawOpen is out of range",
    '{"jawOpen": NaN}': "jawOpen is out of range",
    '{"jawOpen": "1"}': "jawOpen is not a number",
    '{"jawOpen": true}': "jawOpen is not a number",
    '{"jawOpen": 1, "jawOpen": 0}': "jawOpen twice",
    '{"eyeBlinkLeft": 1, "eyeBlink_L": 0}': "eyeBlinkLeft twice",
    '{"tongueOut": 0.5}': "tongueOut cannot be made",
    "[" * 30_000: "not a JSON object of blendshapes|not valid JSON",
    '{"jawOpen": 1' + "0" * 9000 + "}": "not a JSON object of blendshapes|out of range",
    "joy\0": "is neither",
    "+".join(["bittersweet"] * 9): "comes to 18 parts",
}


@pytest.mark.parametrize("text", BAD)
def test_what_it_does_not_know_gets_one_sentence(folder: Path, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        parse(text)
    said = str(caught.value)
    assert len(said) < 400 and "\n" not in said and "\0" not in said


def test_files_that_are_no_blendshapes(folder: Path) -> None:
    Path("latin.json").write_bytes(b'{"jawOpen\xff": 1}')
    Path("huge.json").write_bytes(b" " * (MAX_LENGTH * 16 + 1))
    for name, said in (("latin.json", "UTF-8"), ("huge.json", "over"), ("gone.json", "does not exist")):
        with pytest.raises(InputError, match=said):
            parse(name)
    os.mkfifo("pipe.png")  # opening it would wait for ever
    with pytest.raises(InputError, match="does not exist"):
        parse("pipe.png")


def test_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="int is not an expression"):
        parse(3)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="joyfear:+.05{}[]\"', \\/😄\ufe0f\0n", max_size=40))
def test_any_text_is_an_expression_or_one_sentence(text: str) -> None:
    try:
        found = parse(text)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(found, Expression) and found.parts
    assert 0 <= sum(part.weight for part in found.parts) <= 1 + 1e-9
    again = parse(found.text)  # what is written again can be read again
    assert [part.kind for part in again.parts] == [part.kind for part in found.parts]
    assert [part.weight for part in again.parts] == pytest.approx([p.weight for p in found.parts], abs=1e-3)
