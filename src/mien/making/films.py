"""Films and contact sheets: one person from expression to expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.expressions.spec import Expression
from mien.making.made import Progress
from mien.making.scoring import Scores, worst
from mien.pipelines import travel as journeys
from mien.pipelines.photo_travel import travel as journey
from mien.provenance import DIGITAL_SOURCE_TYPE, PARTLY_GENERATED, save_image
from mien.provenance.animation import SUFFIXES, save_animation
from mien.sheets import sheet
from mien.types import FloatArray

if TYPE_CHECKING:
    from mien.making.photographs import Photographs
    from mien.making.portraits import Portraits

COLUMNS = 8  # of a contact sheet


@dataclass(frozen=True)
class Film:
    """Frames (PIL RGB), what each of them shows, and the settings that its files keep. `photo`: the file of the
    photograph that moves, whose author, copyright and date a contact sheet keeps. `scores`: of the frames at the stops,
    the worst."""

    images: list[Image.Image]
    names: list[str]
    settings: dict[str, Any]
    photo: Path | None = None
    scores: Scores | None = None

    def write(
        self, output: Path, contacts: Path | None = None, fps: float = 8.0, back: bool = False
    ) -> list[Path]:
        """Write it to `output`, a film or a contact sheet by its suffix; `contacts`: a sheet beside a film. `fps`:
        frames a second. `back`: the film also runs backwards, so that it joins."""
        written = []
        kind = PARTLY_GENERATED if self.settings.get("engine") == "photo" else DIGITAL_SOURCE_TYPE
        if output.suffix.lower() in SUFFIXES:
            frames = [*self.images, *self.images[-2:0:-1]] if back else self.images
            written.append(save_animation(frames, output, self.settings, fps, kind))
        place = contacts if written else output
        if place is not None:
            cells = list(zip(self.names, self.images, strict=True))
            rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
            drawn = sheet(rows, max(128, self.images[0].height // 2))
            written.append(save_image(drawn, place, self.settings, kind, photo=self.photo))
        return written


def photo_travel(
    photographs: Photographs,
    identity: Path | Image.Image,
    stops: Sequence[Expression],
    frames: int,
    callback: Progress | None = None,
) -> Film:
    """A film of the person's own photograph, through `stops`, by the wish of `photographs`. Raises `InputError`: a
    picture cannot be used, or there are too few stops or frames."""
    wish = photographs.wish
    places = journeys.positions(len(stops), frames)
    who = photographs.look_at(identity)
    sitter = photographs.sit(who)
    ways = [photographs.target(stop) for stop in stops]

    def report(done: int, total: int) -> None:
        if callback is not None:
            callback(done, total, None)

    chosen = (wish.strength, wish.relative, wish.region)
    images = journey(photographs.pipe, sitter, [way.expression for way in ways], places, *chosen, report)
    photo = identity if isinstance(identity, Path) else None
    at_stops = [images[_at(places, k)] for k in range(len(ways))]
    shown = zip(at_stops, ways, strict=True)
    scores = worst([photographs.judge(one, sitter, who, way) for one, way in shown])
    settings = {**_settings(photographs, stops, frames), "scores": scores}
    return Film(images, journeys.names(stops, frames), settings, photo, scores)


def travel(
    portraits: Portraits,
    identity: Path | Image.Image,
    stops: Sequence[Expression],
    frames: int,
    prompt: str = "",
    seed: int = 0,
    callback: Progress | None = None,
) -> Film:
    """A film of the person in a picture, through `stops`, by the wish of `portraits`. Raises `InputError`: a picture
    cannot be used, or there are too few stops or frames."""
    own = ("num_images", "face", "expression_face", "lead")
    wish = {name: value for name, value in vars(portraits.wish).items() if name not in own}
    who, ways = portraits.look.subject(identity, "identity"), [portraits.look.target(stop) for stop in stops]
    with portraits.telling():
        images = journeys.travel(
            portraits.pipe,
            who,
            [way.expression for way in ways],
            frames,
            prompt=prompt,
            seed=seed,
            callback=callback,
            **wish,
        )
    places = journeys.positions(len(stops), frames)
    scores = worst([portraits.judge(images[_at(places, k)], who, way) for k, way in enumerate(ways)])
    settings = {**_settings(portraits, stops, frames), "prompt": prompt, "seed": seed, "scores": scores}
    return Film(images, journeys.names(stops, frames), settings, scores=scores)


def _at(places: FloatArray, stop: int) -> int:
    """The frame that is nearest to a stop."""
    return int(np.abs(places - stop).argmin())


def _settings(maker: Portraits | Photographs, stops: Sequence[Expression], frames: int) -> dict[str, Any]:
    return {
        **maker.settings,
        "kind": "travel",
        "expressions": ["a picture" if any(p.picture for p in stop.parts) else stop.text for stop in stops],
        "frames": frames,
        "models": maker.model.hashes,
        "environment": maker.model.environment,
    }
