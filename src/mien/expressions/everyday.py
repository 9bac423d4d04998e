"""What people say for a face, as what the 135 words and blendshapes can say: "smiling", "wink right", "tired", ":)".

``everyday.json`` has the meanings in base forms: forms of the 135 words ("scared" is fear), mixes of them
("bittersweet"), and faces that are actions, as blendshapes ("wink"). Inflections count only where they lead to a form
of the file. The order of a phrase's words does not matter. Left and right are the person's own, as ARKit and MediaPipe
name them. Nothing is guessed: a word that is left over ("not happy") makes the whole unknown, and `near` then offers
what is spelt alike or what its other words mean, never what they negate.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mien.expressions import labels
from mien.face.blendshapes import FLIP, INDEX, NAMES

NEUTRAL = "neutral"
LONGEST = 64  # characters of what is looked up
MOST_WORDS = 8
_SIDES = {"left": "Left", "right": "Right"}
_ENDINGS = (
    ("iness", "y"), ("ness", ""), ("fully", "ful"), ("ily", "y"), ("ly", ""), ("ies", "y"), ("ied", "y"),
    ("ier", "y"), ("iest", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("in'", ""), ("ed", ""),
    ("ed", "e"), ("er", ""), ("er", "e"), ("est", ""), ("est", "e"), ("y", ""), ("y", "e"), ("ful", ""),
)  # fmt: skip
_SHORTEST = 3  # letters that an ending leaves
_STRETCHED = re.compile(r"(.)\1{2,}")
_LINKS = re.compile(r"\s*(?:[,&]|\b(?:and|with|while|but|plus)\b)\s*")
_SEEN = 0.02  # of a blendshape, that a face shows it


@dataclass(frozen=True)
class Meaning:
    """What a word or a phrase means.

    Attributes:
        name: how to write it again. words: of the 135 or "neutral" -> shares that sum to 1; empty for a face.
        shapes: of a face, blendshapes by name -> [0, 1]; empty for words. degree: how much of it, in (0, 1].
        forms, emoji: what else means it, in base forms.
    """

    name: str
    words: Mapping[str, float]
    shapes: Mapping[str, float]
    degree: float = 1.0
    forms: tuple[str, ...] = ()
    emoji: tuple[str, ...] = ()


@cache
def meanings() -> dict[str, Meaning]:
    """Every meaning by its name: the 135 words, neutral, mixes and faces."""
    content = _content()
    symbols = {name: tuple(given.split()) for name, given in content["emoji"].items()}
    found = {
        NEUTRAL: Meaning(NEUTRAL, {NEUTRAL: 1.0}, {}, 1.0, _listed(content["neutral"]), symbols[NEUTRAL])
    }
    for word, label in labels.labels().items():
        emoji = (*label.emoji, *symbols.get(word, ()))
        found[word] = Meaning(word, {word: 1.0}, {}, 1.0, _listed(content["words"][word]), emoji)
    for name, (words, forms) in content["mixes"].items():
        found[name] = Meaning(name, words, {}, 1.0, _listed(forms))
    for name, (shapes, forms, *emoji) in content["faces"].items():
        found[name] = Meaning(
            name, {}, _of_stems(shapes), 1.0, _listed(forms), tuple(" ".join(emoji).split())
        )
    return found


def find(text: str) -> Meaning | None:
    """What a word, a phrase, an emoji, an emoticon or a blendshape's name means; None if it is not known."""
    text = unicodedata.normalize("NFC", text).strip()
    if not text or len(text) > LONGEST:
        return None
    lower = text.casefold()
    if (name := _symbol(lower)) is not None:
        return meanings()[name]
    if lower in _shapes():
        return _shapes()[lower]
    if lower in meanings():
        return meanings()[lower]
    if lower in _elsewhere() and (lower,) not in _index():
        return None
    if (found := _words(_split(lower)) or _together(lower)) is not None:
        return found
    for letter in ("\\1\\1", "\\1"):  # sooo, yaaay
        shorter = _STRETCHED.sub(letter, lower)
        if shorter != lower and (found := _words(_split(shorter))) is not None:
            return found
    return None


def _words(words: list[str]) -> Meaning | None:
    if not 0 < len(words) <= MOST_WORDS:
        return None
    content = [word for word in words if word not in _lists()["fillers"]]
    plain = [word for word in content if word not in _content()["degrees"]]
    degree = 1.0
    for word in content:
        degree *= _content()["degrees"].get(word, 1.0)
    looking = [word for word in words if word in content or word.startswith("look")]  # "looking to the left"
    for some, share in ((words, 1.0), (looking, 1.0), (content, 1.0), (plain, degree)):
        if (meaning := _phrase(some)) is not None:
            return replace(meaning, degree=share)
    return _compound(words[0]) if len(words) == 1 else None


def _symbol(text: str) -> str | None:
    """The name of what an emoji or an emoticon means, also said several times, in brackets, or with a "!" after it."""
    plain = labels.plain(text)
    for one in (plain, plain.rstrip("!. "), plain.strip("()")):
        once = re.fullmatch(r"(.+?)\1*", one)
        for symbol in (one, once[1] if once else one):
            if (name := _symbols().get(symbol)) is not None:
                return name
    return None


def _together(text: str) -> Meaning | None:
    """Of "smiling with eyes closed" all that its two parts do, a face; None if one of them is not known."""
    for link in _LINKS.finditer(text):
        parts = [_words(_split(part)) for part in (text[: link.start()], text[link.end() :])]
        if all(parts):
            shapes: dict[str, float] = {}
            for name, value in (pair for part in parts if part for pair in _acted(part).items()):
                shapes[name] = max(value, shapes.get(name, 0.0))
            return Meaning(" with ".join(part.name for part in parts if part), {}, shapes)
    return None


def _acted(meaning: Meaning) -> dict[str, float]:
    """The blendshapes of a meaning: a face's own, or the prototypes of its words."""
    shapes = dict(meaning.shapes)
    for word, share in meaning.words.items():
        if word != NEUTRAL:
            for name, value in zip(NAMES, labels.get(word).prototype.tolist(), strict=True):
                shapes[name] = shapes.get(name, 0.0) + share * value
    return {name: value * meaning.degree for name, value in shapes.items() if value > _SEEN}


def names_tongue(expression: str) -> bool:
    """Whether an expression, or a part of a mix, is a face with its tongue out."""
    parts = [part.strip() for part in expression.split("+")]
    names = (expression, *parts, *(part.rpartition(":")[0] for part in parts))
    return any(meaning is not None and "tongue" in meaning.name for meaning in map(find, names))


def near(text: str) -> str:
    """ " (did you mean X or Y?)": what it is in English, what is spelt like it, or the words in it that are known.

    Nothing is near what is negated, or what is an English word itself, which means something else.
    """
    text = unicodedata.normalize("NFC", text[:LONGEST]).casefold()
    words = _split(text)
    if (name := _elsewhere().get(_bare("-".join(words)))) is not None:
        return labels.asked([name])
    if set(words) & _lists()["negations"]:
        return ""
    words = [word for word in words if word not in _lists()["fillers"] and word not in _content()["degrees"]]
    if len(words) == 1:
        if words[0] in _lists()["other"]:
            return ""
        single = {form: form for forms in _index() if len(forms) == 1 for form in forms}
        single |= {f"{_before_ing(form)}ing": form for form in single}
        names = {form: name for forms, name in _index().items() if len(forms) == 1 for form in forms}
        ordered = sorted(single, key=lambda form: form != names[single[form]])
        return labels.nearest(words[0], ordered, lambda form: names[single[form]], single.get)
    known = {word: found.name for word in words if (found := _phrase([word])) is not None}
    if any(word in _lists()["other"] for word in words if word not in known):
        return ""
    return labels.asked(["+".join(list(dict.fromkeys(known.values()))[:3])] if known else [])


def _phrase(words: list[str]) -> Meaning | None:
    if not words:
        return None
    if (name := _look(words)) is not None:
        return meanings()[name]
    sides = [word for word in words if word in _SIDES]
    rest = [word for word in words if word not in _SIDES]
    if len(sides) != 1:
        return None
    name = _look(rest) or _look([*rest, "left"])  # "look left" is written with its side
    return _sided(meanings()[name], sides[0]) if name else None


def _before_ing(form: str) -> str:
    """A verb as it stands before -ing: grin, grinn; smile, smil."""
    short = re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", form)
    return form + form[-1] if short else form.removesuffix("e")


def _compound(word: str) -> Meaning | None:
    """Of two words that are written as one, "crosseyed", what they mean apart."""
    for cut in range(_SHORTEST, len(word) - _SHORTEST + 1):
        if (name := _look([word[:cut], word[cut:]])) is not None:
            return meanings()[name]
    return None


def _sided(meaning: Meaning, side: str) -> Meaning | None:
    """A face on one side: that half of an even one, a one-sided one or its mirror; None if it has no sides."""
    mirrored = {NAMES[FLIP[INDEX[name]]]: value for name, value in meaning.shapes.items()}
    if mirrored != meaning.shapes:
        if side == "left":
            return meaning
        return replace(meaning, name=f"{meaning.name} right", shapes=mirrored)
    other = _SIDES["right" if side == "left" else "left"]
    half = {name: value for name, value in meaning.shapes.items() if not name.endswith(other)}
    if len(half) == len(meaning.shapes):
        return None
    return replace(meaning, name=f"{meaning.name} {side}", shapes=half)


def _look(words: Iterable[str]) -> str | None:
    """The name of the meaning that has these words, or words of which they are forms, in any order."""
    choices = [[base for base in _bases(word) if base in _vocabulary()] for word in words]
    combinations = itertools.islice(itertools.product(*choices), 64)
    return next(
        (name for words in combinations if words and (name := _index().get(tuple(sorted(words))))), None
    )


def _bases(word: str, depth: int = 3) -> list[str]:
    """A word and all that it may be a form of, itself first."""
    found = [word]
    for ending, instead in _ENDINGS if depth else ():
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST - bool(instead) or stem[-1] == ending[0] == "y":
            continue
        shorter = [stem + instead]
        if not instead and len(stem) > _SHORTEST and stem[-1] == stem[-2]:
            shorter.append(stem[:-1])  # winning, sadder
        for one in shorter:
            found += (base for base in _bases(one, depth - 1) if base not in found)
    return found


def _bare(text: str) -> str:
    """A word without what stands above and below its letters."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _split(text: str) -> list[str]:
    words = (word.strip("'\"“”!?….;") for word in re.split(r"[\s\-_,]+", text.replace("’", "'")))
    return [word for word in words if word]


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("everyday.json").read_text("utf-8"))
    return content


@cache
def _lists() -> dict[str, frozenset[str]]:
    """Words that say nothing ("fillers"), that mean something else ("other"), and that negate ("negations")."""
    return {name: frozenset(_content()[name].split()) for name in ("fillers", "other", "negations")}


@cache
def _elsewhere() -> dict[str, str]:
    """Words of other languages, bare -> the name of their meaning in ours."""
    return {
        _bare(unicodedata.normalize("NFC", word).casefold()): name
        for name, words in reversed(_content()["elsewhere"].items())
        for word in words.split()
    }


@cache
def _index() -> dict[tuple[str, ...], str]:
    """The sorted words of each form -> the name of its meaning; names count before forms, whole forms before
    those without fillers; an emoji's name is a form of it."""
    found = {tuple(sorted(_split(name))): name for name in meanings()}
    forms = [(_split(form), name) for name, meaning in meanings().items() for form in meaning.forms]
    for symbol, name in _symbols().items():
        if len(symbol) == 1 and " " in (called := unicodedata.name(symbol, "").casefold()):
            forms.append((_split(called), name))
    for words, name in forms:
        found.setdefault(tuple(sorted(words)), name)
    for words, name in forms:
        short = sorted(word for word in words if word not in _lists()["fillers"])
        if len(short) > 1:
            found.setdefault(tuple(short), name)
    return found


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(word for words in _index() for word in words)


@cache
def _symbols() -> dict[str, str]:
    """Emoji and emoticons, without what varies their drawing -> the name of their meaning."""
    return {labels.plain(s.casefold()): name for name, meaning in meanings().items() for s in meaning.emoji}


@cache
def _shapes() -> dict[str, Meaning]:
    """Blendshapes' names and their stems, in lower case -> themselves in full."""
    names = {one for name in NAMES[1:] for one in (name, re.sub("(Left|Right)$", "", name))}
    return {
        name.casefold(): Meaning(name, {}, _of_stems({name: 1.0}))
        for name in names
        if name in INDEX or f"{name}Left" in INDEX
    }


def _of_stems(shapes: Mapping[str, float]) -> dict[str, float]:
    """Blendshapes of which a stem stands for its Left and Right; of a name that is unknown: KeyError."""
    full = {}
    for stem, value in shapes.items():
        for name in (stem,) if stem in INDEX else (f"{stem}Left", f"{stem}Right"):
            full[NAMES[INDEX[name]]] = float(value)
    return full


def _listed(forms: str) -> tuple[str, ...]:
    return tuple(form.strip() for form in forms.split(","))
