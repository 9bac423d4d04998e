"""A portrait as the command line speaks of it: what is wanted, who scored it, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import say

if TYPE_CHECKING:
    from mien.pipelines.inputs import FaceChoice

SCORED_BY = {
    "analyser": "embedded",
    "recogniser": "embedded; it also conditions the portrait, so `id` flatters: judge with `mien evaluate`",
}


@dataclass(frozen=True)
class Wish:
    """What is wanted of every portrait of a run; pictures, prompts and seeds are each portrait's own."""

    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    num_images: int = 1
    face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


def report(made: Sequence[dict[str, Any]], strip: Path | None, seconds: float, total: float) -> None:
    """What a person wants to know of the portraits just made."""
    for one in made:
        print(f"{one['path']}  {in_words(one)}")
    if strip:
        print(f"{strip}  identity | expression | result")
    print("scores by the embedded analyser and recogniser")
    print(f"{seconds:.1f} s to generate, {total:.1f} s in all")
    if any(one["id"] is None for one in made):
        say("mien: no face was found in a portrait: try another --seed.")


def in_words(scores: dict[str, Any]) -> str:
    """The three scores of a portrait for a line of text; LMS needs a picture of the expression."""
    if scores["id"] is None:
        return "no face found"
    words = f"ID {scores['id']:.2f} (best 1)  Exp {scores['exp']:.3f} (best 0)"
    return words if scores["lms"] is None else f"{words}  LMS {scores['lms']:.2f} (best 0)"
