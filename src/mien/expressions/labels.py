"""The 135 words, their emoji, and what a face does for each: its prototype of blendshapes.

The words and their clusters are those of Shaver et al. (1987), which DiffSFSR takes as its 135 labels. A
prototype is written in ``labels.json`` as action units of the Facial Action Coding System with strengths in [0, 1],
with a reason and its sources; its ``units`` say what blendshapes a unit is, on the scale on which MediaPipe reads them
(strength 1 is about the strongest reading in a thousand faces; ``noseSneer`` and ``cheekSquint``, which it hardly
ever reports, are kept faint for those who drive ARKit's rigs with a prototype):

    prototype_j = min(1, sum over units u of strength_u * units[u]_j)

Where units 1 and 4 meet (the oblique brows of grief and fear), MediaPipe reads ``browInnerUp`` alone, so
``browDown`` is shortened by the strength of unit 1.

FACS describes muscles. For some words (alienation, homesickness) no face of their own is known; there the prototype
is the cluster's face with a difference, and `Label.why` says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mien.face.blendshapes import INDEX, NAMES
from mien.types import FloatArray, InputError


@dataclass(frozen=True, eq=False)
class Label:
    """One word.

    Attributes:
        word: lower case. cluster: one of the 25 of Shaver et al.; basic: the emotion it belongs to (love, joy,
            surprise, anger, sadness, fear). emoji: those that mean it. units: action unit -> strength in (0, 1]; a unit
            may end in L or R, the person's own side. why: the reason, in one line. sources: in full.
        prototype: [52] float64 in [0, 1], in the order of `mien.face.blendshapes.NAMES`; read-only.
    """

    word: str
    cluster: str
    basic: str
    emoji: tuple[str, ...]
    units: Mapping[str, float]
    why: str
    sources: tuple[str, ...]
    prototype: FloatArray


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("labels.json").read_text(encoding="utf-8"))
    return content


def units() -> dict[str, dict[str, float]]:
    """Action unit -> blendshapes at full strength; a stem stands for its Left and Right. Units 61 and 62 (eyes left,
    right) are the person's own left and right."""
    found: dict[str, dict[str, float]] = _content()["units"]
    return found


@cache
def labels() -> dict[str, Label]:
    """Every word's label, alphabetically."""
    content = _content()
    basic = {cluster: name for name, clusters in content["clusters"].items() for cluster in clusters}
    return {
        word: Label(
            word=word,
            cluster=entry["cluster"],
            basic=basic[entry["cluster"]],
            emoji=tuple(entry["emoji"]),
            units=entry["units"],
            why=entry["why"],
            sources=tuple(content["sources"][key] for key in entry["sources"]),
            prototype=prototype(entry["units"]),
        )
        for word, entry in content["words"].items()
    }


def prototype(strengths: Mapping[str, float]) -> FloatArray:
    """Blendshapes [52] in [0, 1], read-only, of action units with strengths; an unknown unit: KeyError."""
    vector = np.zeros(len(NAMES))
    for name, strength in strengths.items():
        sides = {"L": ("Left",), "R": ("Right",)}.get(name[-1], ("Left", "Right"))
        for stem, weight in units()[name.rstrip("LR")].items():
            for target in (stem,) if stem in INDEX else (f"{stem}{side}" for side in sides):
                vector[INDEX[target]] += strength * weight
    vector[[INDEX["browDownLeft"], INDEX["browDownRight"]]] *= 1 - strengths.get("1", 0.0)
    vector = vector.clip(0, 1)
    vector.setflags(write=False)
    return vector


def plain(symbol: str) -> str:
    """An emoji without what only varies its drawing: presentation selectors, skin tones, a woman's or man's sign."""
    kept = "".join(c for c in symbol if c not in "\ufe0e\ufe0f" and not "\U0001f3fb" <= c <= "\U0001f3ff")
    return re.sub("\u200d[\u2640\u2642]$", "", kept)


def get(word: str) -> Label:
    """The label of a word. Raises `InputError`: it is none of the 135; the nearest ones are named."""
    known = labels()
    if word not in known:
        raise InputError(
            f"{word!r} is not a word for an expression{nearest(word, known)}: "
            "`mien expressions list` prints all 135."
        )
    return known[word]


def nearest(
    word: str,
    known: Iterable[str],
    meaning: Callable[[str], object] = str,
    written: Callable[[str], str | None] = str,
) -> str:
    """ " (did you mean X, Y or Z?)" of words spelt alike, as `written`, the first of each `meaning`; or nothing.

    A word without something ("friendless") is never taken for one with it, and the first letter has to agree: few
    slips are there, and many opposites (unkind, kind).
    """
    without = "less"
    alike = [other for other in known if other[:1] == word[:1] and (without in other) == (without in word)]
    scores = {other: SequenceMatcher(None, other, word).ratio() for other in alike}
    best = max(scores.values(), default=0.0)
    # one letter wrong; of long words one in seven, and of words of four none: too many are alike
    slip = min(6 / 7, max(0.8, 1 - 1 / max(1, len(word))))
    slips = {other: 2 / 3 if len(word) == len(other) == 3 else slip for other in alike}
    near = [other for other in alike if scores[other] >= max(slips[other], best - 0.05)]
    near.sort(key=lambda other: -scores[other])
    firsts = {meaning(other): other for other in reversed(near)}
    return asked([str(written(other)) for other in reversed(firsts.values())][:3])


def asked(near: Sequence[str]) -> str:
    """ " (did you mean X, Y or Z?)", or nothing if there is none."""
    if not near:
        return ""
    return f" (did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}?)"


def similar(word: str, count: int = 5) -> list[tuple[str, float]]:
    """The words whose prototypes correlate most with this one's: (word, Pearson's r), best first."""
    known = labels()
    names = [name for name in known if name != word]
    r = correlations(get(word).prototype, np.stack([known[name].prototype for name in names]))
    return [(names[i], float(r[i])) for i in np.argsort(-r)[:count]]


def correlations(vector: FloatArray, others: FloatArray) -> FloatArray:
    """Pearson's r [n] of blendshapes [52] with each of [n, 52]; 0 where one of the two is constant."""
    a = vector - vector.mean()
    b = others - others.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a) * np.linalg.norm(b, axis=1)
    return np.divide(b @ a, lengths, out=np.zeros(len(b)), where=lengths > 0)
