"""Pictures that were made: as a model drew them, and with all that is told and kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from mien.making.recording import Fingerprints
from mien.making.subjects import Looked
from mien.making.wishes import Request
from mien.metrics.words import warning, words
from mien.provenance import PARTLY_GENERATED, save_image
from mien.provenance.hashes import hash_pixels
from mien.sheets import sheet
from mien.types import FloatArray

if TYPE_CHECKING:
    from mien.pipelines.reface import Scene

Progress = Callable[[int, int, Any], None]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a model drew of a request.

    Attributes:
        image: PIL RGB. slot, batch: which image of how many in one batch it was.
        scene: of a refaced photo. mask: [H, W] in [0, 1], what of it was generated; None: all.
    """

    looked: Looked
    image: Image.Image
    slot: int
    batch: int
    scene: Scene | None = None
    mask: FloatArray | None = None


@dataclass(frozen=True)
class Made:
    """A picture ready to be written: `told` a person (prompt, seed, …), its scores, and all that its metadata keep."""

    image: Image.Image
    told: dict[str, Any]
    scores: dict[str, float | None]
    settings: dict[str, Any]
    mask: FloatArray | None
    photo: Path | None = None

    @property
    def verdict(self) -> str:
        """The scores in everyday words: "looks like the person: very; follows the expression: well; sharp"."""
        return words(self.scores) if self.scores.get("id") is not None else "no face found"

    @property
    def warning(self) -> str | None:
        """What is poor about it and what to try, for a person; None: nothing is."""
        engine = "photo" if self.settings.get("engine") == "photo" else "diffusion"
        return warning(self.scores, engine=engine) if self.scores.get("id") is not None else None

    @property
    def line(self) -> dict[str, Any]:
        """All that is told of it, as JSON values: a row of a table."""
        return {**self.told, **self.scores, "verdict": self.verdict, "warning": self.warning}

    def save(self, place: Path) -> Path:
        """Write it with its provenance, and with what the photo in the file `photo` says of itself."""
        return save_image(self.image, place, self.settings, mask=self.mask, photo=self.photo)


class Recorder(Protocol):
    """What made a picture, as its metadata keep it: a model of diffusion, or the photo engine."""

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of its files, by part."""

    @property
    def environment(self) -> dict[str, Any]:
        """What the last bits of a picture depend on beside its settings."""


class Maker(Protocol):
    """Portraits or refaced photos, all of one engine and of one wish."""

    kind: str

    @property
    def model(self) -> Recorder:
        """What makes them."""

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that all pictures of the run share, as JSON values; folders without their path."""

    def look(self, request: Request) -> Looked:
        """A request's pictures, seen; `InputError` if one cannot be used."""

    def make(self, looked: Sequence[Looked], callback: Progress | None = None) -> list[Drawn]:
        """What the model draws of them, in one batch; `InputError` if one spoils it."""

    def score(self, drawn: Drawn) -> dict[str, float | None]:
        """Its scores; those that cannot be told are None, and all are where it shows no face."""

    def told(self, drawn: Drawn) -> dict[str, Any]:
        """What of its own a picture says beside its scores."""

    def inputs(self, drawn: Drawn, prints: Fingerprints) -> dict[str, Any]:
        """Fingerprints of what it was made of."""

    def cells(self, drawn: Drawn) -> list[tuple[str, Image.Image]]:
        """The faces that it was made of, labelled for a contact sheet."""

    def shown(self, drawn: Drawn) -> Image.Image:
        """Its own face, cropped alike."""


def record(
    model: Recorder, inputs: dict[str, Any], pixels: Image.Image, slot: int = 0, batch: int = 1
) -> dict[str, Any]:
    """What the metadata of a picture say beyond its settings.

    Args:
        inputs: salted fingerprints of what it was made of. pixels: what the model drew, before the mark.
        slot, batch: which image of how many in one batch it was.
    """
    return {
        "inputs": inputs,
        "models": model.hashes,
        "environment": model.environment,
        "batch": {"size": batch, "slot": slot},
        "pixels": hash_pixels(pixels),
    }


def finish(maker: Maker, drawn: Drawn, prints: Fingerprints) -> Made:
    """Score a picture, and collect what its metadata keep, for it to be made again."""
    told, scores = maker.told(drawn), maker.score(drawn)
    inputs = {"salt": prints.salt, **maker.inputs(drawn, prints)}
    found = record(maker.model, inputs, drawn.image, drawn.slot, drawn.batch)
    settings = {**maker.settings, **told, **found, "scores": scores}
    photo = drawn.looked.request.photo if maker.kind == "reface" else drawn.looked.request.identity
    file = photo if isinstance(photo, Path) and drawn.mask is not None else None
    return Made(drawn.image, told, scores, settings, drawn.mask, file)


def save_strip(maker: Maker, drawn: Sequence[Drawn], place: Path) -> Path:
    """Write what was given and what came of it side by side, faces cropped alike; it says that a part of it was
    generated."""
    request = drawn[0].looked.request
    row = [*maker.cells(drawn[0]), *(("result", maker.shown(one)) for one in drawn)]
    settings = {**maker.settings, "kind": "strip", "prompt": request.prompt, "seed": request.seed}
    return save_image(sheet([row]), place, settings, PARTLY_GENERATED)
