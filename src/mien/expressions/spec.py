"""The expression language: whatever a person wrote, as an `Expression`.

    smile.jpg                        a picture
    joy                              one of the 135 words
    smiling, wink right, very sad    what people say (`mien.expressions.everyday`); left and right are the person's own
    😏                                an emoji that means one of all these
    neutral                          a face at rest
    anger:0.5, 50% anger             half of the way from neutral to anger
    joy:0.6+surprise:0.4             a mix; its parts are words, emoji, pictures or neutral
    {"jawOpen": 0.8, "browInnerUp": 0.4}    blendshapes by MediaPipe's (ARKit's) names, inline or a .json file

Weights: the parts of a mix have weights in (0, 1] that sum to 1, or none of them has one and all count alike.
One part alone may have any weight from 0 to 1: what is missing to 1 is neutral. Blendshapes that JSON leaves out
are those of a face at rest. A word wins over a file of that name: write ``./joy`` for the file.

What is parsed is untrusted: sizes are bounded, nothing is evaluated, and every mistake is one `InputError`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from mien.errors import InputError, saying
from mien.expressions import everyday, labels, presets
from mien.expressions.motion import from_json, is_motion, once
from mien.face.blendshapes import INDEX
from mien.face.subject import Subject
from mien.files import read_bytes
from mien.images import SUFFIXES

Kind = Literal["picture", "word", "blendshapes", "neutral"]
Given = str | Path | Image.Image | Subject | Mapping[str, float]

MAX_LENGTH = 65_536  # characters of a specification, inline or in a file
MAX_PARTS = 16
EXAMPLES = (
    "write in English what the face does or feels, as in smile 🙂, laugh 🤣, wink left 😉, kiss 😗, eyes closed, "
    "cry 😭, angry 😠, surprised 😮, scared 😨, sleepy 😪; `mien expressions list` prints all words."
)
TOLERANCE = 0.01  # of a mix's sum, for weights like 0.33
_PERCENT = re.compile(r"(?P<share>\d{1,3}) ?% (?P<name>\D+)|(?P<other>\D+):? (?P<rest>\d{1,3}) ?%")
_WEIGHT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One ingredient. Exactly one of `word`, `picture` and `shapes` is set, or none for neutral.

    Attributes:
        weight: in [0, 1]. word: one of the 135. picture: a file's path, a PIL picture, or one whose face is found.
        shapes: (name, value in [0, 1]) of the blendshapes that were given, in MediaPipe's order.
    """

    weight: float
    word: str | None = None
    picture: Path | Image.Image | Subject | None = None
    shapes: tuple[tuple[str, float], ...] | None = None

    @property
    def kind(self) -> Kind:
        """What this is."""
        if self.word is not None:
            return "word"
        if self.picture is not None:
            return "picture"
        return "neutral" if self.shapes is None else "blendshapes"


@dataclass(frozen=True)
class Expression:
    """An expression that was asked for. parts: at least one; what their weights lack to 1 is neutral. text: how to
    write it again; of a picture its file's name alone, for provenance tells no paths."""

    parts: tuple[Part, ...]
    text: str

    @property
    def rest(self) -> float:
        """How much of it is neutral beyond what the parts say, in [0, 1]."""
        missing = 1.0 - sum(part.weight for part in self.parts)
        return missing if missing > 1e-9 else 0.0

    @property
    def picture(self) -> Path | Image.Image | Subject | None:
        """The picture, if one picture at full strength is all there is."""
        return self.parts[0].picture if len(self.parts) == 1 and not self.rest else None

    @property
    def word(self) -> str | None:
        """The word, if one word at full strength is all there is."""
        return self.parts[0].word if len(self.parts) == 1 and not self.rest else None


def parse(given: Given | Expression) -> Expression:
    """Read a specification. Raises `InputError`: it says nothing that is known; the sentence names what is near. given:
    a string or path of the language above, a PIL picture, or blendshapes by name."""
    if isinstance(given, Expression):
        return given
    if isinstance(given, (Image.Image, Subject)):
        return Expression((Part(1.0, picture=given),), "a picture")
    if isinstance(given, Mapping):
        return _blendshapes(dict(given), "what was given")
    if not isinstance(given, (str, Path)):
        raise InputError(
            f"{type(given).__name__} is not an expression: give a picture, word, emoji or blendshapes."
        )
    text = str(given).strip()
    if not text:
        raise InputError("The expression is empty: give a picture, a word such as joy, or blendshapes.")
    if len(text) > MAX_LENGTH:
        raise InputError(f"The expression has {len(text)} characters, and the limit is {MAX_LENGTH}.")
    if text[0] in "{[":
        return _blendshapes(_json(text, "The expression"), "the expression")
    if (whole := _find(text)) is not None:
        return Expression(_parts(whole, 1.0), text)
    return _file(Path(text)) if os.path.isfile(text) else _mix(text)


def _mix(text: str) -> Expression:
    if "+" not in text and all(":" in item for item in text.split(",")):
        text = text.replace(",", "+")
    items = [item.strip() for item in text.split("+")]
    if len(items) > MAX_PARTS:
        raise InputError(f"{_short(text)} has {len(items)} parts, and the limit is {MAX_PARTS}.")
    if "" in items:
        raise InputError(f"{_short(text)} has an empty part: write a mix as joy:0.6+surprise:0.4.")
    split = [_weighted(item) for item in items]
    weights = [weight for _, weight in split]
    for (name, _), weight in zip(split, weights, strict=True):
        if weight is not None and not 0 <= weight <= 1:  # also refuses nan
            raise InputError(f"The weight {weight:g} of {name} is out of range: give one from 0 to 1.")
    if len(items) > 1:
        given = [weight for weight in weights if weight is not None]
        if 0 < len(given) < len(items):
            raise InputError(f"{_short(text)} weighs some of its parts only: give a weight to all or none.")
        if given and abs(math.fsum(given) - 1) > TOLERANCE + 1e-9:
            raise InputError(
                f"The weights of {_short(text)} sum to {math.fsum(given):g}: make it 1, as by +neutral:x."
            )
    total = math.fsum(weight for weight in weights if weight is not None)
    parts: list[Part] = []
    texts = []
    for (name, _), weight in zip(split, weights, strict=True):
        share = 1 / len(items) if weight is None else weight if len(items) == 1 else weight / total
        known = _find(name)
        parts += [_picture(name, share)] if known is None else _parts(known, share)
        written = Path(name).name if known is None else name if known.degree < 1 else known.name
        texts.append(written if share == 1 and len(items) == 1 else f"{written}:{share:.4g}")
    if len(parts) > MAX_PARTS:
        raise InputError(f"{_short(text)} comes to {len(parts)} parts, and the limit is {MAX_PARTS}.")
    return Expression(tuple(parts), "+".join(texts))


def _find(text: str) -> everyday.Meaning | None:
    return presets.find(text) or everyday.find(text)


def _weighted(item: str) -> tuple[str, float | None]:
    if (share := _PERCENT.fullmatch(item)) is not None:
        return share["name"] or share["other"], float(share["share"] or share["rest"]) / 100
    name, colon, number = item.rpartition(":")
    if not colon or os.path.isfile(item) or _find(item) is not None:  # ":)"
        return item, None
    number = number.strip()
    if not _WEIGHT.fullmatch(number):
        if Path(item).suffix.lower() in SUFFIXES:  # C:\smile.jpg
            return item, None
        raise InputError(f"{number!r} is not a weight of {name.strip() or 'nothing'}: write it as joy:0.5.")
    if not name.strip():
        raise InputError(f"{item!r} weighs nothing: write it as joy:0.5.")
    return name.strip(), float(number)


def _parts(meaning: everyday.Meaning, weight: float) -> tuple[Part, ...]:
    weight *= meaning.degree
    if meaning.shapes:
        return (Part(weight, shapes=_ordered(meaning.shapes)),)
    return tuple(
        Part(weight * share, word=None if word == everyday.NEUTRAL else word)
        for word, share in meaning.words.items()
    )


def _picture(name: str, weight: float) -> Part:
    if os.path.isfile(name):
        if Path(name).suffix.lower() == ".json":
            raise InputError(f"{name} cannot be part of a mix: give blendshapes alone.")
        return Part(weight, picture=Path(name))
    if Path(name).suffix.lower() in (*SUFFIXES, ".json") or "/" in name or "\\" in name:
        raise InputError(f"{_short(name)} does not exist: check the name.")
    if os.path.isdir(name):
        raise InputError(f"{_short(name)} is a folder: give a picture in it.")
    near = everyday.near(name)
    raise InputError(
        f"{_short(name)} is neither a word nor an emoji for an expression{near}, nor a file: "
        + ("`mien expressions list` prints all words." if near else EXAMPLES)
    )


def _file(path: Path) -> Expression:
    if path.suffix.lower() != ".json":
        return Expression((Part(1.0, picture=path),), path.name)
    data = read_bytes(path, MAX_LENGTH * 16 + 1)
    if len(data) > MAX_LENGTH * 16:
        raise InputError(f"{path} is over {MAX_LENGTH * 16} bytes: give one face's blendshapes.")
    with saying(f"{path} is not UTF-8 text: save the JSON again.", UnicodeDecodeError):
        text = data.decode("utf-8-sig")
    return _blendshapes(_json(text, str(path)), str(path))


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{name} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            'write it as {"jawOpen": 0.8}.'
        ) from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        wrong = f"{name} is not a JSON object of blendshapes: write it as"
        raise InputError(wrong + ' {"jawOpen": 0.8}.') from error


def _blendshapes(content: Any, name: str) -> Expression:
    """Also what `mien analyze --json` prints of one picture, its largest face, and a motion of one frame."""
    if is_motion(content):
        motion = from_json(content, name)
        if len(motion) > 1:
            raise InputError(f"{_short(name)} is a motion of {len(motion)} frames: play it by `mien film`.")
        content = dict(zip(INDEX, motion.coefficients[0].tolist(), strict=True))
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        faces = content[0].get("faces")
        if isinstance(faces, list) and faces:
            content = faces[0]
    if isinstance(content, dict) and isinstance(content.get("blendshapes"), dict):
        content = content["blendshapes"]
    if not isinstance(content, dict) or not content:
        raise InputError(f"{_short(name)} holds no blendshapes: write them as" + ' {"jawOpen": 0.8}.')
    shapes = {}
    for key, value in content.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"The blendshape {_short(str(key))} is not a number: give one from 0 to 1.")
        if not 0 <= value <= 1:  # also refuses nan
            raise InputError(f"The blendshape {_short(str(key))} is out of range: give a number from 0 to 1.")
        if key == "tongueOut" and value == 0:  # ARKit always sends it, MediaPipe does not have it
            continue
        if key == "tongueOut":
            raise InputError("tongueOut cannot be made, for a tongue is never put out: leave it out.")
        shape = re.sub("_[LR]$", lambda m: {"_L": "Left", "_R": "Right"}[m[0]], str(key))
        if shape not in INDEX:
            raise InputError(f"{_short(str(key))} is not a blendshape{labels.nearest(shape, INDEX)}.")
        if shape in shapes:
            raise InputError(f"{_short(name)} says {shape} twice: give each blendshape once.")
        shapes[shape] = float(value)
    ordered = _ordered(shapes)
    return Expression((Part(1.0, shapes=ordered),), json.dumps(dict(ordered)))


def _ordered(shapes: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((key, shapes[key]) for key in INDEX if key in shapes)


def _short(text: str) -> str:
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= 60 else f"{shown[:24]}…{shown[-35:]}"  # a path's name is at its end
