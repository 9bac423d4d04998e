"""Captions of the embedded default's pictures, from what their names and pixels tell."""

from __future__ import annotations

from dataclasses import dataclass

STYLES = ("colour photo", "black and white photo", "3d render")
AGES = ((30, "young"), (45, "adult"), (60, "middle-aged"), (200, "old"))


@dataclass(frozen=True)
class Label:
    """What a file's name tells. Unknown fields are None."""

    person: str
    age: int | None = None
    gender: str | None = None
    ethnicity: str | None = None


def age_words(age: int) -> str:
    """The word of an age in years."""
    return next(word for limit, word in AGES if age < limit)


def caption(
    style: str, label: Label, light: str, background: str, keep: tuple[bool, bool, bool, bool]
) -> str:
    """One caption, e.g. "colour photo of a young asian woman, light from the left, white background".

    Args:
        style: one of `STYLES`. keep: whether style, person, light and background are spoken of.
    """
    words = [age_words(label.age) if label.age is not None else "", label.ethnicity or ""]
    noun = label.gender or "person"
    person = " ".join(w for w in (*words, noun) if w and w != "other")
    article = "an" if person[0] in "aeio" else "a"
    parts = []
    if keep[0] and keep[1]:
        parts.append(f"{style} of {article} {person}")
    elif keep[0]:
        parts.append(style)
    elif keep[1]:
        parts.append(f"{article} {person}")
    if keep[2] and light:
        parts.append(light)
    if keep[3]:
        parts.append(f"{background} background")
    return ", ".join(parts)
