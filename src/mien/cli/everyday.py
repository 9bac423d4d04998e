"""What people say for an expression beside the 135 words: `mien expressions list --everyday` and `show` of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.console import print_json
from mien.errors import InputError

if TYPE_CHECKING:
    from mien.expressions.labels import Label


def list_short(chosen: Sequence[Label]) -> None:
    """The words by feeling, then what a face does, each with its emoji: a screen of them."""
    from textwrap import fill

    from mien.expressions.everyday import meanings

    groups: dict[str, list[str]] = {}
    for label in sorted(chosen, key=lambda label: (label.basic, label.cluster, label.word)):
        groups.setdefault(label.basic, []).append(f"{label.word} {' '.join(label.emoji[:1])}".strip())
    faces = [one for one in meanings().values() if one.shapes]
    groups["what a face does"] = [f"{one.name} {' '.join(one.emoji[:1])}".strip() for one in faces]
    for group, words in groups.items():
        print(f"{group}:\n{fill('; '.join(words), initial_indent='  ', subsequent_indent='  ')}")
    print(
        "\nAlso all that people say instead (happy, tired, scared, winking right, a bit sad): --everyday lists it.\n"
        "What a word does to a face: --long, mien expressions show WORD, mien expressions sheet."
    )


def list_everyday(as_json: bool) -> None:
    """Every meaning, faces first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mien.expressions.everyday import meanings

    known = sorted(meanings().values(), key=lambda meaning: (not meaning.shapes, meaning.name))
    if as_json:
        told = ("name", "words", "forms", "emoji")
        print_json(
            [{**{name: getattr(one, name) for name in told}, "blendshapes": one.shapes} for one in known]
        )
        return
    table = Table(box=None, pad_edge=False)
    for head in ("means", "emoji", "written as, in any form"):
        table.add_column(head, overflow="fold")
    for one in known:
        table.add_row(one.name, escape(" ".join(one.emoji)), ", ".join(one.forms))
    Console().print(table)


def show_everyday(text: str, output: Path | None, as_json: bool) -> None:
    """What a word that is known means; `InputError` if a picture of it is to be written to `output`."""
    from mien.expressions.everyday import find

    meaning = find(text)
    assert meaning is not None  # `_word` found it
    if output is not None:
        raise InputError(f"{text} has no shipped face, only the 135 words do: leave -o out.")
    if as_json:
        shapes = {"words": dict(meaning.words), "blendshapes": dict(meaning.shapes)}
        print_json({"word": meaning.name, "emoji": list(meaning.emoji), **shapes})
        return
    print(f"{meaning.name}  {' '.join(meaning.emoji)}".rstrip())
    for name, value in (*meaning.words.items(), *meaning.shapes.items()):
        print(f"  {name:<20} {value:.2f} {'#' * round(20 * value)}")
    print("  also: " + ", ".join(meaning.forms))
    if "tongue" in meaning.name:
        print("  MediaPipe's blendshapes have no tongue: the mouth is slightly open, and none is drawn")
