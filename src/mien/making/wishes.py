"""What is wanted: settings that all pictures of a run share, and what each picture is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.expressions.spec import Expression
    from mien.pipelines.inputs import FaceChoice

BACKBONES = ("mini", "sd15", "sdxl", "sd15-inpaint", "sdxl-inpaint")  # names of `mien.weights.bases.HUB_IDS`
ENGINES = ("auto", "photo", "diffusion")
REGIONS = ("all", "eyes", "brows", "mouth")  # of `mien.warping.target.REGIONS`
MAX_BATCH = 64  # pictures in work at a time; what a repetition believes of a stranger's picture
SCORED_BY = {
    "portrait": {
        "analyser": "embedded",
        "recogniser": "embedded; it also conditions the portrait, so `id` flatters: judge with `mien evaluate`",
    },
    "reface": {
        "analyser": "embedded",
        "recogniser": "embedded; both also condition the result, which flatters: judge with `mien evaluate`",
    },
}
_WORDS = {
    "id": "ID {:.2f} (best 1)",
    "exp": "Exp {:.3f} (best 0)",
    "lms": "LMS {:.2f} (best 0)",
    "pose": "pose {:.1f} degrees off",
}
_SAID = {"portrait": ("id", "exp", "lms"), "reface": ("id", "exp", "pose")}


@dataclass(frozen=True)
class PortraitWish:
    """What is wanted of every portrait of a run; pictures, prompts and seeds are each portrait's own."""

    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    lead: float | None = None
    num_images: int = 1
    face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


@dataclass(frozen=True)
class RefaceWish:
    """What is wanted of every refaced photo of a run."""

    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    face: FaceChoice = "largest"
    identity_face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


@dataclass(frozen=True)
class PhotoWish:
    """What is wanted of every picture of a run of the photo engine (`mien.pipelines.photo.PhotoPipeline.express`).

    Attributes:
        kind: "portrait" is framed as one, "reface" keeps the photo's size. teeth: another photo of the same person.
        turn: yaw, pitch, roll in degrees that the head turns on; None: it stays.
        finish: a model that draws again what the engine drew; finish_strength: how much (`mien.pipelines.finish`).
    """

    kind: str
    strength: float = 1.0
    relative: bool = True
    region: str = "all"
    teeth: Path | None = None
    turn: tuple[float, float, float] | None = None
    finish: str | None = None
    finish_strength: float = 0.35
    face: FaceChoice = "largest"
    identity_face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


@dataclass(frozen=True)
class Request:
    """One picture to be made, of pictures or their paths. A portrait is of an identity; a photo is refaced with an
    identity, an expression or both: what is None comes from the photo, and the photo from the prompt. `people`: instead
    of one identity, for each of some faces of the photo the pictures of its new person (photo engine)."""

    identity: Path | Image | None
    expression: str | Expression | None
    prompt: str = ""
    seed: int = 0
    photo: Path | Image | None = None
    people: Mapping[FaceChoice, Sequence[Path | Image]] | None = None

    @property
    def pictures(self) -> list[Path]:
        """The files that it names, but for those of its expression."""
        people = [picture for pictures in (self.people or {}).values() for picture in pictures]
        return [one for one in (self.photo, self.identity, *people) if isinstance(one, Path)]


def in_numbers(kind: str, scores: Mapping[str, Any]) -> str:
    """The scores that a person wants to see of a "portrait" or a "reface", in a line; those that are known."""
    if scores["id"] is None:
        return "no face found"
    known = [name for name in _SAID[kind] if scores.get(name) is not None]
    return "  ".join(_WORDS[name].format(scores[name]) for name in known)
