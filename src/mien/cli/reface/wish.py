"""A refaced photo as the command line speaks of it: what is wanted, who scored it, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import say

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.expressions.spec import Expression
    from mien.pipelines.inputs import FaceChoice
    from mien.pipelines.reface import Refaced

SCORED_BY = {
    "analyser": "embedded",
    "recogniser": "embedded; both also condition the result, which flatters: judge with `mien evaluate`",
}


@dataclass(frozen=True)
class RefaceWish:
    """What is wanted of every photo of a run."""

    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    face: FaceChoice = "largest"
    identity_face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


@dataclass(frozen=True)
class Request:
    """One photo to be made: pictures, or their paths; what is None comes from the photo, the photo from the prompt."""

    photo: Path | Image | None
    identity: Path | Image | None
    expression: str | Expression | None
    prompt: str
    seed: int


def generated_part(request: Request, result: Refaced) -> Any:
    """The mask [H, W] of what was generated, None for a scene of ours, which was generated as a whole."""
    return None if request.photo is None else result.mask()


def report(made: Sequence[dict[str, Any]], strip: Path | None, seconds: float, total: float) -> None:
    """What a person wants to know of the photos just made."""
    for one in made:
        print(f"{one['path']}  {in_words(one)}")
    if strip:
        print(f"{strip}  photo | what was given | result")
    print("scores by the embedded analyser and recogniser")
    print(f"{seconds:.1f} s to generate, {total:.1f} s in all")
    if any(one["pose"] is None for one in made):
        say("mien: no face was found in a result: try another --seed.")


def in_words(scores: dict[str, Any]) -> str:
    """The scores of a result for a line of text."""
    if scores["pose"] is None:
        return "no face found"
    words = [f"ID {scores['id']:.2f} (best 1)"]
    if scores["exp"] is not None:
        words.append(f"Exp {scores['exp']:.3f} (best 0)")
    return "  ".join([*words, f"pose {scores['pose']:.1f} degrees off"])
