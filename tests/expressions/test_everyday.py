"""What people say for a face is understood, means one thing, and never the opposite."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from mien.expressions import everyday
from mien.expressions.everyday import find, meanings, near
from mien.expressions.labels import get, labels
from mien.face.blendshapes import FLIP, INDEX, NAMES

SAID = {
    "smile": ["smile", "smiling", "smiled", "smiles", "smiley", "smiling face", "a big smile", ":)"],
    "laugh": ["laugh", "laughing", "laughs", "laughter", "giggling", "haha", "lol"],
    "kiss": ["kiss", "kisses", "kissing", "kissy", "pursed lips", "puckered lips", "😗", "💋"],
    "wink": ["wink", "winking", "winked", "wink left", "left wink", "winking with the left eye", "😉", ";)"],
    "wink right": ["right-wink", "wink right", "winking with your right eye"],
    "cry": ["cry", "crying", "cried", "cries", "weeping", "sobbing", "tearful"],
    "grin": ["grin", "grinning", "grinned", "toothy smile"],
    "eyes closed": ["blink", "blinking", "eyes closed", "closed eyes", "eyes shut", "closing your eyes"],
    "tongue out": ["tongue", "tongue out", "sticking out her tongue", "😛"],
    "frown": ["frown", "frowning", "frowned", "furrowed brow"],
    "pout": ["pout", "pouting", "pouty", "sulking"],
    "smirk": ["smirk", "smirking", "crooked smile", "😏"],
    "duck face": ["duckface", "duck face", "duck lips"],
    "yawn": ["yawn", "yawning", "🥱"],
    "scream": ["scream", "screaming", "shouting", "yelled"],
    "squint": ["squint", "squinting", "eyes squinted", "narrowed eyes"],
    "raised eyebrow": [
        "sceptical",
        "skeptical",
        "🤨",
        "raised eyebrow",
        "raising one eyebrow",
        "left eyebrow raised",
    ],
    "neutral": ["neutral", "deadpan", "expressionless", "poker face", "no expression", "😐", "😶"],
    "bored": ["bored", "boring", "boredom", "indifferent"],
    "sleepy": ["tired", "exhausted", "sleepy", "drowsy", "half-closed eyes", "😪"],
    "asleep": ["sleeping", "asleep", "snoring", "😴"],
    "anger": ["angry", "angrily", "mad", "😠", "angry face"],
    "sadness": ["sad", "sadly", "sadder", "😢"],
    "happiness": ["happy", "happily", "happier", "happiest", "joyous"],
    "surprise": ["surprised", "surprising", "surprisingly", "😮"],
    "fear": ["scared", "scary", "afraid", "fearful", "😨"],
    "terror": ["terrified", "terrifying", "😱"],
    "disgust": ["disgusted", "disgusting", "gross", "yuck", "🤢"],
    "look aside": ["look left", "eyes left", "looking to the left"],
    "look aside right": ["look right", "looking to the right"],
}
ROOT = Path(__file__).parent.parent.parent
FACES = (
    "😀😃😄😁😆😅🤣😂🙂🙃🫠😉😊😇🥰😍🤩😘😗☺😚😙🥲😋😛😜🤪😝🤑🤗🤭🫢🫣🤫🤔🫡🤐🤨😐😑😶🫥😏😒🙄😬🤥🫨😌😔😪🤤😴🫩😷🤒🤕"
    "🤢🤮🤧🥵🥶🥴😵🤯🤠🥳🥸😎🤓🧐😕🫤😟🙁☹😮😯😲😳🥺🥹😦😧😨😰😥😢😭😱😖😣😞😓😩😫🥱😤😡😠🤬😈👿💀☠💩🤡👹👺👻👽👾🤖😺😸😹😻😼"
    "😽🙀😿😾🙈🙉🙊"
)


@pytest.mark.parametrize("name", SAID)
def test_what_people_say_is_understood(name: str) -> None:
    for text in SAID[name]:
        found = find(text)
        assert found is not None and found.name == name, text


def test_every_face_of_unicode_means_something_however_it_is_drawn() -> None:
    assert [face for face in FACES if find(face) is None] == []
    for drawn in ("😮\u200d💨", "☹\ufe0f", "🤷🏽\u200d♀\ufe0f", "😵\u200d💫", "🙂\u200d↔\ufe0f"):
        assert find(drawn) is not None, drawn


def test_no_form_and_no_emoji_means_two_things() -> None:
    by_form, by_emoji = defaultdict(set), defaultdict(set)
    for name, meaning in meanings().items():
        for form in (name, *meaning.forms):
            by_form[tuple(sorted(everyday._split(form)))].add(name)
        for symbol in meaning.emoji:
            by_emoji[everyday.labels.plain(symbol.casefold())].add(name)
    assert {form: names for form, names in by_form.items() if len(names) > 1} == {}
    assert {symbol: names for symbol, names in by_emoji.items() if len(names) > 1} == {}
    assert len(by_form) > 1000 and len(by_emoji) > 200


def test_every_form_and_every_name_is_understood_as_what_it_is_listed_for() -> None:
    for name, meaning in meanings().items():
        for form in (name, *meaning.forms, *meaning.emoji):
            found = find(form)
            assert found is not None and found.name == name, form


def test_meanings_are_words_of_the_135_or_blendshapes() -> None:
    assert meanings().keys() >= labels().keys()
    for meaning in meanings().values():
        assert bool(meaning.words) != bool(meaning.shapes)
        assert meaning.shapes.keys() <= INDEX.keys() and all(0 <= v <= 1 for v in meaning.shapes.values())
        assert all(word == "neutral" or get(word) for word in meaning.words)
        assert not meaning.words or sum(meaning.words.values()) == pytest.approx(1)


def test_left_and_right_are_mirror_images_of_one_sided_faces_and_halves_of_even_ones() -> None:
    for name in ("wink", "smirk", "raised eyebrow", "look left"):
        left, right = find(name), find(name.replace(" left", "") + " right")
        assert left is not None and right is not None
        assert right.shapes == {NAMES[FLIP[INDEX[shape]]]: value for shape, value in left.shapes.items()}
        assert find(right.name) == right  # what is written again means the same
    half = find("left eye closed")
    assert half is not None and half.shapes == {"eyeBlinkLeft": 1.0} and find(half.name) == half
    for text in ("sad left", "kiss right", "wink left right", "left"):
        assert find(text) is None, text


def test_degrees() -> None:
    for text, degree in (("slightly sad", 0.5), ("very sad", 1.0), ("a bit of a frown", 0.5), ("sad", 1.0)):
        found = find(text)
        assert found is not None and found.degree == degree, text


def test_blendshapes_can_be_typed() -> None:
    for text, shapes in (("jawOpen", ["jawOpen"]), ("MOUTHSMILE", ["mouthSmileLeft", "mouthSmileRight"])):
        found = find(text)
        assert found is not None and list(found.shapes) == shapes
    assert find("_neutral") is not None and find("_neutral").words == {"neutral": 1.0}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["not sad", "never smiling", "without a laugh", "un-happy", "friendless", "qqq", "fat", "not sooo sad"],
)
def test_what_is_negated_or_strange_is_neither_understood_nor_guessed(text: str) -> None:
    assert find(text) is None and near(text) == ""


def test_hints_come_from_the_same_feeling() -> None:
    for wrong, right in (
        ("suprised", "surprised"),
        ("laughng", "laugh"),
        ("hapy", "happy"),
        ("cryng", "cry"),
    ):
        assert right in near(wrong), wrong
    assert near("angry scream") == " (did you mean anger+scream?)"
    for word in ("smile", "laughing", "kiss", "crying"):
        assert near(word).count("did you mean") <= 1 and not set(near(word).split()) & {
            "spite",
            "loathing",
            "bliss",
            "caring",
        }


def test_hints_are_words_and_are_not_given_for_words_that_mean_something_else() -> None:
    assert [near(word) for word in ("shift", "silver", "cutting", "shake head")] == [""] * 4
    assert "ying" not in near("shakng")


def test_other_languages_get_the_english_word() -> None:
    for words, english in (
        ("lächeln LÄCHELN sourire sonrisa sorriso улыбка 笑顔 微笑 미소", "smile"),
        ("wütend enojado fâché fache arrabbiato boos", "anger"),
        ("traurig triste грустный 悲しい", "sadness"),
        ("müde fatigué cansado", "sleepy"),
    ):
        for word in words.split():
            assert find(word) is None and near(word) == f" (did you mean {english}?)", word
    assert near("geschlossene Augen") == " (did you mean eyes closed?)"


def test_what_is_stretched_repeated_or_said_of_two_things() -> None:
    for text, name in (
        ("sooo happy", "happiness"),
        ("yaaay", "excitement"),
        ("😂😂😂", "amusement"),
        ("😉!", "wink"),
    ):
        found = find(text)
        assert found is not None and found.name == name, text
    for text in (">:(", ">:)", "T.T", "(^_^)", ":'D", "<3", "¯\\_(ツ)_/¯", ":3", "D:"):
        assert find(text) is not None, text
    both, smile = find("smiling with eyes closed"), find("smile")
    assert both is not None and smile is not None
    assert both.shapes == {**smile.shapes, "eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    acted = find("angry but smiling")
    assert acted is not None and min(acted.shapes[name] for name in ("browDownLeft", "mouthSmileLeft")) > 0.3


def test_labels_shown_elsewhere_can_be_typed() -> None:
    """What the gallery of the README is labelled with."""
    tree = ast.parse((ROOT / "examples/make.py").read_text(encoding="utf-8"))
    (value,) = (
        n.value for n in tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "EXPRESSIONS"
    )
    assert value is not None
    shown = list(ast.literal_eval(value))
    assert {"wink", "pucker"} <= set(shown)
    assert [name for name in shown if find(name) is None] == []


def test_compounds_are_their_words() -> None:
    for joined, apart in (
        ("crosseyed", "cross eyed"),
        ("eyesclosed", "eyes closed"),
        ("tongueout", "tongue out"),
    ):
        assert find(joined) == find(apart) is not None
    assert find("carpet") is None and find("unhappyjoy") is None
