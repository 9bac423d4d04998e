"""What came over the network, made into what the pipelines take; and what goes wrong, made into one sentence."""

from __future__ import annotations

import html
import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
from PIL import Image

from mien.expressions import everyday
from mien.expressions.spec import MAX_LENGTH, Expression, parse
from mien.images import decode_image
from mien.types import InputError

MAX_BYTES = 20_000_000  # of an uploaded file
MAX_PIXELS = 24_000_000  # of an uploaded picture: what a phone makes
MAX_TEXT = 2000  # characters of a prompt
MAX_SEED = 2**32 - 1

LOG = logging.getLogger("mien.studio")

# Sliders people know by sight, and the blendshapes that each moves.
SLIDERS: dict[str, tuple[str, ...]] = {
    "Smile": ("mouthSmileLeft", "mouthSmileRight"),
    "Mouth corners down": ("mouthFrownLeft", "mouthFrownRight"),
    "Jaw open": ("jawOpen",),
    "Lips puckered": ("mouthPucker",),
    "Lips funnelled": ("mouthFunnel",),
    "Lips stretched": ("mouthStretchLeft", "mouthStretchRight"),
    "Upper lip up": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "Lower lip down": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "Brows down": ("browDownLeft", "browDownRight"),
    "Inner brows up": ("browInnerUp",),
    "Outer brows up": ("browOuterUpLeft", "browOuterUpRight"),
    "Eyes squinted": ("eyeSquintLeft", "eyeSquintRight"),
    "Eyes wide": ("eyeWideLeft", "eyeWideRight"),
    "Eyes closed": ("eyeBlinkLeft", "eyeBlinkRight"),
}


def picture(path: str | None, name: str) -> Image.Image:
    """An uploaded picture, PIL RGB, upright; `name` is what messages call it.

    Raises:
        InputError: there is none, or it is no picture, damaged, too small or too large.
    """
    if path is None:
        raise InputError(f"There is no {name}: give one.")
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"The {name} has over {MAX_BYTES // 10**6} MB: give a smaller file.")
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"The {name} is not here any more: give it again.") from error
    if not data:
        raise InputError(f"The {name} is empty: save or copy the picture again.")
    return decode_image(data, f"The {name}", MAX_PIXELS)


def words(text: str | None) -> Expression:
    """An expression in words, emoji, a mix of them, or blendshapes as JSON. Unlike `parse`, it never looks at files.

    Raises:
        InputError: it is none of these.
    """
    text = (text or "").strip()
    if len(text) > MAX_LENGTH:
        raise InputError(f"The expression has {len(text)} characters, and the limit is {MAX_LENGTH}.")
    if text and text[0] not in "{[" and not _known(text):
        for item in text.split("+"):
            name = item if _known(item) else item.rpartition(":")[0] or item
            if not _known(name):
                near = everyday.near(name)
                raise InputError(
                    f"{shown(name.strip())} is no word or emoji for an expression{near}: the tab Expressions shows all."
                )
    return parse(text)


def positions(text: str) -> list[float]:
    """Where the sliders stand, in [0, 1] in the order of `SLIDERS`, for blendshapes that they wrote as JSON."""
    try:
        named = json.loads(text)
    except ValueError:
        named = {}
    named = named if isinstance(named, dict) else {}
    found = [named.get(shapes[0], 0.0) for shapes in SLIDERS.values()]
    return [float(value) if isinstance(value, (int, float)) else 0.0 for value in found]


def prompt(text: str | None, name: str = "prompt") -> str:
    """A prompt that is not too long.

    Raises:
        InputError: it is.
    """
    text = text or ""
    if len(text) > MAX_TEXT:
        raise InputError(f"The {name} has {len(text)} characters, and the limit is {MAX_TEXT}.")
    return text


def own(number: float | None) -> int | None:
    """0 and nothing mean the model's own number of steps."""
    return int(number) if number else None


def number(value: float | None, lowest: int, highest: int, name: str) -> int:
    """A whole number of a field that has no limits of its own.

    Raises:
        InputError: it is out of range.
    """
    if value is None or not lowest <= value <= highest:
        raise InputError(f"The {name} is out of range: give a whole number from {lowest} to {highest}.")
    return int(value)


def shown(text: str) -> str:
    """Somebody's text for a message or a log: one line, no control characters, at most 60 characters."""
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


class Told(gr.Error):
    """One sentence for the page, which shows messages as HTML: without markup."""

    def __init__(self, sentence: str) -> None:
        super().__init__(html.escape(sentence, quote=False), print_exception=False)


@contextmanager
def told() -> Iterator[None]:
    """Bad input becomes a message on the page; any other error too, in words that tell nothing, and a line in the log.

    The server goes on after both.
    """
    try:
        yield
    except gr.Error:
        raise
    except InputError as error:
        raise Told(str(error)) from None
    except Exception as error:
        where = " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno}"
            for frame in reversed(traceback.extract_tb(error.__traceback__)[-4:])
        )
        LOG.error("a job failed: %s %r at %s", type(error).__name__, str(error)[:300], where)
        raise Told(
            "Something went wrong in the model; the log has the details. Try again, or other settings."
        ) from None


def _known(name: str) -> bool:
    return everyday.find(name) is not None
