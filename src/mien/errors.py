"""The error of input that cannot be used, and the hint at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

WHY = "{why}"  # in a sentence of `saying`


class InputError(ValueError):
    """Input that cannot be used. The message is one sentence that names the input and the fix."""


@contextmanager
def saying(sentence: str, *kinds: type[Exception]) -> Iterator[None]:
    """An error of these kinds in the block becomes an `InputError` of this sentence, in which `WHY` stands for what the
    error says. One that is an `InputError` already passes."""
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise InputError(sentence.replace(WHY, reason(error))) from error


def optional(module: str, sentence: str) -> Any:
    """A module that need not be installed. Raises `InputError`: it is not; `sentence` says how to get it."""
    with saying(sentence, ImportError):
        return import_module(module)


def reason(error: Exception) -> str:
    """What the system says of an error, in a line for a sentence."""
    if said := getattr(error, "strerror", None):
        return str(said).lower()
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def choice(word: Any, words: Iterable[Any], what: str) -> Any:
    """`word`, if it is one of `words`. Raises `InputError`: it is none of them; the nearest is suggested."""
    words = tuple(words)
    if word in words:
        return word
    known = [str(one) for one in words if one]
    raise InputError(f"{what} {word!r} is unknown{nearest(str(word), known)}: choose {', '.join(known)}.")


def nearest(word: str, words: Iterable[str]) -> str:
    """ " (did you mean X?)" for an error's sentence, or nothing if no word is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
