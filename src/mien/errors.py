"""The error of input that cannot be used, and the hint at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used. The message is one sentence that names the input and the fix."""


def nearest(word: str, words: Iterable[str]) -> str:
    """ " (did you mean X?)" for an error's sentence, or nothing if no word is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
