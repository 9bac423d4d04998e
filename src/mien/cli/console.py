"""What all verbs share: how they speak, how they fail, and how a mistyped word is answered."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperGroup

BAD_INPUT = 2


class Verbs(TyperGroup):
    """The verbs of `mien`. Bad input becomes one sentence on stderr and exit code 2, for every verb."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as error:
            from mien.types import InputError

            if not isinstance(error, InputError):
                raise
            say(f"mien: {error}")
            raise typer.Exit(BAD_INPUT) from error


def say(message: str) -> None:
    """One line for a person, on stderr (stdout is kept for results), above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)


def print_json(value: Any) -> None:
    """A result for a machine, on stdout; NaN and infinity are refused, as JSON has none."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def nearest(word: str, words: Iterable[str]) -> str:
    """ " (did you mean X?)", or nothing if no word is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def choice(word: str, words: Iterable[str], what: str) -> str:
    """`word`, if it is one of `words`.

    Raises:
        InputError: it is none of them; the nearest is suggested.
    """
    words = tuple(words)
    if word in words:
        return word
    from mien.types import InputError

    raise InputError(f"{word} is no {what}{nearest(word, words)}: choose {', '.join(words)}.")
