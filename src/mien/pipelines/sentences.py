"""DiffSFSR's form of a wish, "[ID] looks [word] in [place]"."""

from __future__ import annotations

import re

from mien.types import InputError

SENTENCE = re.compile(
    r"(?P<identity>\S.*?) looks (?P<expression>\S.*?) "
    r"(?P<place>(?:in|on|at|by|under|near|inside|outside|before|behind|beside|among|next to|with) .+)"
)


def read_sentence(sentence: str) -> tuple[str, str, str]:
    """ "[ID] looks [word] in [place]" -> (who, how, where): "me.jpg looks joyful in front of a lighthouse". Raises
    `InputError`: it is another sentence."""
    found = SENTENCE.fullmatch(sentence.strip())
    if found is None:
        raise InputError(f"{sentence!r} is not of the form PICTURE looks WORD in PLACE: write it so.")
    return found["identity"], found["expression"], found["place"]
