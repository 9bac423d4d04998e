"""What the page asks for, as JSON of a stranger: checked, and made into what the photo engine takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mien.expressions import everyday
from mien.expressions.faces import blendshapes
from mien.expressions.reading import at_rest
from mien.expressions.spec import MAX_LENGTH, Expression, Part, parse
from mien.face.blendshapes import INDEX, NAMES
from mien.face.subject import Subject
from mien.images import decode_image
from mien.making.wishes import REGIONS
from mien.pipelines.photo import STRONGEST
from mien.studio.engine import Cancelled
from mien.studio.sessions import File
from mien.types import FloatArray, InputError
from mien.warping.shapes import MOST_TURN
from mien.warping.target import expressed, reading

MAX_PIXELS = 24_000_000  # of an uploaded picture: what a phone makes
MAX_TEXT = 2000  # characters of a prompt
MAX_SEED = 2**32 - 1
MOST_IMAGES = 8
SMALLEST_MOVE = 0.01

# A slider in [-1, 1]: the blendshapes that it moves below 0, and above. Sides are the person's own.
SLIDERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "brows": (("browDownLeft", "browDownRight"), ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")),
    "left_eye": (("eyeBlinkLeft",), ("eyeWideLeft",)),
    "right_eye": (("eyeBlinkRight",), ("eyeWideRight",)),
    "gaze_x": (("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookOutLeft", "eyeLookInRight")),
    "gaze_y": (("eyeLookDownLeft", "eyeLookDownRight"), ("eyeLookUpLeft", "eyeLookUpRight")),
    "mouth": (("mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"), ("jawOpen",)),
    "smile": (("mouthFrownLeft", "mouthFrownRight"), ("mouthSmileLeft", "mouthSmileRight")),
}


class Refused(InputError):
    """What is wrong with a field of the page; `field`: which."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@contextmanager
def refusing(field: str, file: File | None = None) -> Iterator[None]:
    """Bad input is that of `field`; where a file lies is not told, but what it is called."""
    try:
        yield
    except (Cancelled, Refused):
        raise
    except InputError as error:
        said = str(error) if file is None else str(error).replace(str(file.path), file.name)
        raise Refused(field, said) from error


class Fields:
    """A call's JSON object, read field by field.

    Raises:
        Refused: a value is not what the field takes.
    """

    def __init__(self, given: object) -> None:
        if not isinstance(given, dict):
            raise InputError("The call is no JSON object.")
        self.given: dict[str, Any] = given

    def number(self, name: str, low: float, high: float, otherwise: float) -> float:
        """A number from `low` to `high`."""
        value = self.given.get(name, otherwise)
        value = otherwise if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise Refused(name, f"{name} is out of range: give a number from {low:g} to {high:g}.")
        return float(value)

    def whole(self, name: str, low: int, high: int, otherwise: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.number(name, low, high, otherwise)
        if not value.is_integer():
            raise Refused(name, f"{name} is no whole number: give one from {low} to {high}.")
        return int(value)

    def text(self, name: str, longest: int = MAX_TEXT) -> str:
        """A text."""
        value = self.given.get(name) or ""
        if not isinstance(value, str):
            raise Refused(name, f"{name} is no text.")
        if len(value) > longest:
            raise Refused(name, f"{name} has {len(value)} characters, and the limit is {longest}.")
        return value.strip()

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        """One of `choices`, the first if nothing is said."""
        value = self.given.get(name) or choices[0]
        if value not in choices:
            raise Refused(name, f"{name} is one of: {', '.join(choices)}.")
        return str(value)


@dataclass(frozen=True)
class Look:
    """How a face shall look.

    Attributes:
        text: words, emoji, a mix or JSON; empty: none. strength: 0 to 1.5. region: what may change.
        sliders: name -> [-1, 1], those that are not 0. turn: yaw, pitch, roll in degrees; None: as it is.
    """

    text: str
    strength: float
    region: str
    sliders: Mapping[str, float]
    turn: tuple[float, float, float] | None

    @classmethod
    def read(cls, fields: Fields) -> Look:
        """Of a call."""
        given = Fields(fields.given.get("sliders") or {})
        if unknown := given.given.keys() - SLIDERS.keys():
            raise Refused("sliders", f"There is no slider {shown(str(min(unknown)))}.")
        moved = {name: given.number(name, -1, 1, 0) for name in SLIDERS}
        turn = fields.given.get("turn") or [0, 0, 0]
        if not isinstance(turn, list) or len(turn) != 3:
            raise Refused("turn", "turn is a list of yaw, pitch and roll in degrees.")
        angles = Fields(dict(zip(("yaw", "pitch", "roll"), turn, strict=True)))
        yaw, pitch, roll = (angles.number(name, -MOST_TURN, MOST_TURN, 0) for name in angles.given)
        return cls(
            fields.text("expression", MAX_LENGTH),
            fields.number("strength", 0, STRONGEST, 1),
            fields.one_of("region", REGIONS),
            {name: value for name, value in moved.items() if abs(value) > SMALLEST_MOVE},
            (yaw, pitch, roll) if yaw or pitch or roll else None,
        )

    def expression(self, photo: Subject, reference: Subject | None) -> tuple[Expression, float]:
        """The expression and its strength; where sliders moved, blendshapes that hold both, at strength 1.

        `reference`: a picture that shows it, in place of words.

        Raises:
            Refused: the words are unknown.
        """
        base = None
        if reference is not None:
            base = Expression((Part(1.0, picture=reference),), "a picture")
        elif self.text:
            base = words(self.text)
        if not self.sliders:
            return (parse("neutral"), 0.0) if base is None else (base, self.strength)
        change = _change(photo) if base is None else self.strength * _changes(base)
        for name, value in self.sliders.items():
            for shape in SLIDERS[name][value > 0]:
                change[INDEX[shape]] += abs(value)
        rest = at_rest()
        total = np.clip(rest + change, 0, 1)
        shapes = {
            name: round(float(total[k]), 4) for k, name in enumerate(NAMES) if k and abs(change[k]) > 0.01
        }
        return parse(shapes or {"jawOpen": round(float(rest[INDEX["jawOpen"]]), 4)}), 1.0


def _changes(expression: Expression) -> FloatArray:
    """How an expression moves the blendshapes [52] from their rest."""
    change = np.zeros(52)
    for part in expression.parts:
        if isinstance(part.picture, Subject):
            change += part.weight * _change(part.picture)
        else:
            change += part.weight * (blendshapes(part) - at_rest())
    return change


def _change(subject: Subject) -> FloatArray:
    face = subject.face
    return np.array(expressed(reading(face.blendshapes, face.landmarks))[:52])


def words(text: str) -> Expression:
    """An expression in words, emoji, a mix of them, or blendshapes as JSON. Unlike `parse`, it never looks at files.

    Raises:
        Refused: it is none of these.
    """
    text = text.strip()
    if text and text[0] not in "{[" and everyday.find(text) is None:
        for item in text.split("+"):
            name = item if everyday.find(item) else item.rpartition(":")[0] or item
            if everyday.find(name) is None:
                unknown = shown(name.strip())
                said = f"{unknown} is no word or emoji for an expression{everyday.near(name)}."
                raise Refused("expression", said)
    with refusing("expression"):
        return parse(text)


def picture(data: bytes, name: str) -> Image.Image:
    """An uploaded picture, PIL RGB, upright; `name` is what messages call it.

    Raises:
        InputError: it is no picture, damaged, too small or too large.
    """
    if not data:
        raise InputError(f"The {name} is empty: save or copy the picture again.")
    return decode_image(data, f"The {name}", MAX_PIXELS)


def shown(text: str) -> str:
    """Somebody's text for a message or a log: one line, no control characters, at most 60 characters."""
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def search(text: str, most: int = 60) -> list[str]:
    """Names of expressions that a text may mean, the likeliest first; for nothing the 135 words."""
    text = text.strip().casefold()[:100]
    known = everyday.meanings()
    if not text:
        return [name for name in known if known[name].words.get(name) == 1 and name != everyday.NEUTRAL]
    exact = everyday.find(text)
    first = [exact.name] if exact else []

    def rank(test: Callable[[str], bool]) -> list[str]:
        return [name for name, one in known.items() if any(map(test, (name, *one.forms)))]

    found = [
        *first,
        *rank(lambda form: form.startswith(text)),
        *rank(lambda form: bool(re.search(rf"\b{re.escape(text)}", form))),
        *rank(lambda form: len(text) > 2 and text in form),
    ]
    return list(dict.fromkeys(found))[:most]
