"""Pictures that were made: as a model drew them, and with all that is told and kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from mien.face.align import cropped
from mien.face.subject import Subject
from mien.making.recording import Fingerprints
from mien.making.subjects import Looked
from mien.making.wishes import Request
from mien.metrics.words import warning, words
from mien.provenance import PARTLY_GENERATED, save_image
from mien.provenance.hashes import hash_pixels
from mien.sheets import sheet
from mien.types import Face, FloatArray

if TYPE_CHECKING:
    from mien.making.scoring import Judge

Progress = Callable[[int, int, Any], None]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a model drew of a request.

    Attributes:
        image: PIL RGB. slot, batch: which image of how many in one batch it was.
        photo: whose face was changed, a photo or a scene made from words; None: the portrait is drawn from nothing.
        face: where the image's face is; None: it has to be found.
        mask: [H, W] in [0, 1], what of it was generated; None: all. more: what is told of it beside prompt and seed.
    """

    looked: Looked
    image: Image.Image
    slot: int
    batch: int
    photo: Subject | None = None
    face: Face | None = None
    mask: FloatArray | None = None
    more: dict[str, Any] = field(default_factory=dict)


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
        if engine == "photo" and self.told.get("task") in ("face swapping", "swap all"):
            engine = "swap"
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

    scorer: Judge

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


def record(
    model: Recorder, inputs: dict[str, Any], pixels: Image.Image, slot: int = 0, batch: int = 1
) -> dict[str, Any]:
    """What the metadata of a picture say beyond its settings. inputs: salted fingerprints of what it was made of.
    pixels: what the model drew, before the mark. slot, batch: which image of how many in one batch it was."""
    return {
        "inputs": inputs,
        "models": model.hashes,
        "environment": model.environment,
        "batch": {"size": batch, "slot": slot},
        "pixels": hash_pixels(pixels),
    }


def finish(maker: Maker, drawn: Drawn, prints: Fingerprints) -> Made:
    """Score a picture, and collect what its metadata keep, for it to be made again."""
    told, scores = _told(maker.kind, drawn), maker.score(drawn)
    inputs = {"salt": prints.salt, **_inputs(maker.kind, drawn, prints)}
    found = record(maker.model, inputs, drawn.image, drawn.slot, drawn.batch)
    settings = {**maker.settings, **told, **found, "scores": scores}
    photo = drawn.looked.request.photo if maker.kind == "reface" else drawn.looked.request.identity
    file = photo if isinstance(photo, Path) and drawn.mask is not None else None
    return Made(drawn.image, told, scores, settings, drawn.mask, file)


def save_strip(maker: Maker, drawn: Sequence[Drawn], place: Path) -> Path:
    """Write what was given and what came of it side by side, faces cropped alike; it says that a part of it was
    generated."""
    request = drawn[0].looked.request
    row = _given(maker, drawn[0])
    for one in drawn:
        own = one.face or next(iter(maker.scorer.faces(one)), None)
        row.append(("result", one.image if own is None else cropped(one.image, own)))
    settings = {**maker.settings, "kind": "strip", "prompt": request.prompt, "seed": request.seed}
    return save_image(sheet([row]), place, settings, PARTLY_GENERATED)


def _told(kind: str, drawn: Drawn) -> dict[str, Any]:
    """What of its own a picture says beside its scores; the task of a "reface" by the paper's names."""
    request = drawn.looked.request
    told: dict[str, Any] = {"prompt": request.prompt, "seed": request.seed}
    if kind == "reface":
        told["task"] = "face swapping" if request.expression is None else "swap all"
        if request.identity is None and not request.people:
            told["task"] = "reenactment"
    return told | drawn.more


def _inputs(kind: str, drawn: Drawn, prints: Fingerprints) -> dict[str, Any]:
    """Fingerprints of what a picture was made of."""
    request, who, how = drawn.looked.request, drawn.looked.who, drawn.looked.how
    identity: Any = None if who is None else prints(who)
    photo = None if drawn.photo is None or not (request.photo or kind == "portrait") else prints(drawn.photo)
    expression = None if how is None else prints.describe(how.expression)
    if kind == "portrait":
        return {"identity": identity or photo, "expression": expression}
    if request.people:
        identity = [
            {"face": which, "pictures": [prints(picture) for picture in pictures]}
            for which, pictures in request.people.items()
        ]
    return {"photo": photo, "identity": identity, "expression": expression}


def _given(maker: Maker, drawn: Drawn) -> list[tuple[str, Image.Image]]:
    """The faces that a picture was made of, labelled for a contact sheet."""
    looked, scorer, found = drawn.looked, maker.scorer, []
    if drawn.photo is not None:
        name = "photo" if looked.request.photo or maker.kind == "portrait" else "scene"
        found.append((name, scorer.crop(drawn.photo.image, drawn.photo.face)))
    if looked.who is not None:
        found.append(("identity", scorer.crop(looked.who.image, looked.who.face)))
    if looked.how is not None:
        shown = looked.how.subject
        found.append(("expression", scorer.crop(looked.how.image, shown.face if shown else None)))
    return found
