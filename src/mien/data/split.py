"""What no training run may see: one picture (or person) in twenty, chosen by the SHA-256 of the file's name.

A rule over names holds for any folder of pictures. ``First_Last_0003.jpg`` (LFW's habit) goes by the person's name, so
that somebody is held out with all their pictures or not at all; every other file by its own full name.
"""

from __future__ import annotations

import hashlib
import re

HELD_OUT_ONE_IN = 20

_PERSON_AND_COUNTER = re.compile(r"(?P<person>[^\d_].*)_\d+")


def split_key(name: str) -> str:
    """What is hashed: the person's name in ``First_Last_NNNN.jpg``, else the file name without its folder."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    match = _PERSON_AND_COUNTER.fullmatch(name.rsplit(".", 1)[0])
    return match["person"] if match else name


def is_held_out(name: str) -> bool:
    """True for the 5% of names whose SHA-256, read as an integer, is divisible by 20.

    >>> is_held_out("Aaron_Eckhart_0001.jpg") == is_held_out("lfw/Aaron_Eckhart_0007.png")
    True
    """
    return is_held_out_key(split_key(name))


def is_held_out_key(key: str) -> bool:
    """`is_held_out` of what is hashed: a person's label, where one is known.

    >>> is_held_out_key("Aaron_Eckhart") == is_held_out("Aaron_Eckhart_0001.jpg")
    True
    """
    return int(hashlib.sha256(key.encode("utf-8")).hexdigest(), 16) % HELD_OUT_ONE_IN == 0
