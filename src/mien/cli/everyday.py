"""What people say for an expression beside the 135 words: `mien expressions list --everyday` and `show` of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.console import Told, table
from mien.errors import InputError

if TYPE_CHECKING:
    from mien.expressions.labels import Label


def in_short(chosen: Sequence[Label]) -> Iterator[str]:
    """The words by feeling, then what a face does, each with its emoji: a screen of them."""
    from textwrap import fill

    from mien.expressions.everyday import meanings

    groups: dict[str, list[str]] = {}
    for label in sorted(chosen, key=lambda label: (label.basic, label.cluster, label.word)):
        groups.setdefault(label.basic, []).append(f"{label.word} {' '.join(label.emoji[:1])}".strip())
    faces = [one for one in meanings().values() if one.shapes]
    groups["what a face does"] = [f"{one.name} {' '.join(one.emoji[:1])}".strip() for one in faces]
    for group, words in groups.items():
        yield f"{group}:\n{fill('; '.join(words), initial_indent='  ', subsequent_indent='  ')}"
    yield (
        "\nAlso all that people say instead (happy, tired, scared, winking right, a bit sad): --everyday lists it.\n"
        "What a word does to a face: --long, mien expressions show WORD, mien expressions sheet."
    )


def all_meanings() -> Told:
    """Every meaning, faces first."""
    from mien.expressions.everyday import meanings

    known = sorted(meanings().values(), key=lambda meaning: (not meaning.shapes, meaning.name))
    names = ("name", "words", "forms", "emoji")
    value = [{**{name: getattr(one, name) for name in names}, "blendshapes": one.shapes} for one in known]
    rows = ((one.name, " ".join(one.emoji), ", ".join(one.forms)) for one in known)
    return value, [table(("means", "emoji", "written as, in any form"), rows, overflow="fold")]


def meaning_of(text: str, output: Path | None) -> Told:
    """What a word that is known means; `InputError` if a picture of it is to be written to `output`."""
    from mien.expressions.everyday import find

    meaning = find(text)
    assert meaning is not None  # `_word` found it
    if output is not None:
        raise InputError(f"{text} has no shipped face, only the 135 words do: leave -o out.")
    shapes = {"words": dict(meaning.words), "blendshapes": dict(meaning.shapes)}
    lines = [
        f"{meaning.name}  {' '.join(meaning.emoji)}".rstrip(),
        *bars((*meaning.words.items(), *meaning.shapes.items())),
        "  also: " + ", ".join(meaning.forms),
    ]
    if "tongue" in meaning.name:
        lines.append(
            "  MediaPipe's blendshapes have no tongue: the mouth is slightly open, and none is drawn"
        )
    return {"word": meaning.name, "emoji": list(meaning.emoji), **shapes}, lines


def bars(values: Iterable[tuple[str, float]]) -> list[str]:
    """Names with their values in [0, 1], and a bar of each."""
    return [f"  {name:<20} {value:.2f} {'#' * round(20 * value)}" for name, value in values]
