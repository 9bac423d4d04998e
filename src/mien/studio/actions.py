"""What the page can ask for of still pictures; each is a job's work and gives what the page shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mien.expressions.spec import Expression
from mien.face.analyze import analyze
from mien.face.blendshapes import NAMES
from mien.face.overlay import draw_faces, strongest
from mien.face.subject import Subject
from mien.images import read_image
from mien.making.made import Made, Maker, finish
from mien.making.recording import Fingerprints
from mien.making.swaps import Swaps
from mien.making.wishes import PhotoWish, PortraitWish, RefaceWish, Request
from mien.metrics.scoring import load_scorer
from mien.metrics.words import warning
from mien.metrics.words import words as in_words
from mien.pipelines.photo import PhotoPipeline, Sitter
from mien.pipelines.photo_swap import reduced
from mien.provenance import COMPOSITE, save_image
from mien.studio.engine import Engine, Job
from mien.studio.sessions import File, Session
from mien.studio.wishes import MAX_SEED, MOST_IMAGES, Fields, Look, Refused, picture, refusing
from mien.types import ByteImage, Face, InputError

MOST_FACES = 20  # boxed
PREVIEW, THUMB, DISPLAYED = 512, 144, 1600  # px of a longer side
PHOTO = "photo"  # the engine that is no model
VARIATIONS = (
    ("gentler", 0.6, "all"),
    ("stronger", 1.35, "all"),
    ("mouth only", 1.0, "mouth"),
    ("eyes only", 1.0, "eyes"),
)
MOST_MEASURED = 12


@dataclass(frozen=True)
class Ask:
    """A call of the page: who asks, and for what."""

    engine: Engine
    session: Session
    fields: Fields

    @property
    def face(self) -> int:
        """Which of the photo's."""
        return self.fields.whole("face", 0, MOST_FACES, 0)

    @property
    def model(self) -> str:
        """What draws: `PHOTO`, or the name of a model."""
        return self.fields.one_of("model", (PHOTO, *self.engine.backbones))


@dataclass(frozen=True)
class Seat:
    """A photo's person, ready: at full size, at a preview's, and head and shoulders for the palette."""

    subject: Subject

    @cached_property
    def full(self) -> Sitter:
        return PhotoPipeline().sit(self.subject)

    @cached_property
    def small(self) -> Sitter:
        return within(self.full, PREVIEW)

    @cached_property
    def thumb(self) -> Sitter:
        return within(self.full.framed(), THUMB)


def within(sitter: Sitter, longest: int) -> Sitter:
    """The sitter in a photo of at most `longest` px."""
    return reduced(sitter, min(1.0, longest / max(sitter.image.shape[:2])))


class Seated(Swaps):
    """The photo engine, with a photo that was looked at before."""

    def __init__(self, wish: PhotoWish, seat: Seat) -> None:
        super().__init__(wish)
        self._seat = seat

    def look_at(self, photo: Any) -> Subject:
        """See `Photographs`."""
        return self._seat.subject

    def sit(self, who: Subject) -> Sitter:
        """See `Photographs`."""
        return self._seat.full


def jpeg(image: ByteImage | Image.Image, quality: int = 85) -> bytes:
    """A picture [H, W, 3] RGB for the page, as JPEG bytes."""
    pixels = np.asarray(image)
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def give(session: Session, data: bytes, name: str, what: str) -> File:
    """Keep an uploaded picture and find its faces.

    Raises:
        InputError: it cannot be used.
    """
    image = picture(data, what)
    faces = list(analyze(image))[:MOST_FACES]
    id, place = session.place("original")
    place.write_bytes(data)
    file = File(id, place, Path(name).name[:80], image.size, faces)
    shown = image.copy()
    shown.thumbnail((DISPLAYED, DISPLAYED), Image.Resampling.LANCZOS)
    place.with_name("shown.jpg").write_bytes(jpeg(shown, 92))
    return session.add(file)


def seat(ask: Ask) -> Seat:
    """The person that a call names by `photo` and `face`.

    Raises:
        Refused: there is no such photo or face, or it cannot be used.
    """
    with refusing("photo"):
        file = ask.session.file(ask.fields.given.get("photo"), "photo")
        if not file.faces:
            raise InputError("No face was found in the photo: use one in which a face is large and well lit.")
        face = ask.fields.whole("face", 0, len(file.faces) - 1, 0)

        def make() -> Seat:
            made = Seat(Subject(read_image(file.path), file.faces[face], len(file.faces)))
            _ = made.full  # says now what is wrong with the photo
            return made

        found: Seat = ask.engine.seat((ask.session.key, file.id, face), make)
    return found


def subject(ask: Ask, name: str, called: str) -> Subject | None:
    """The largest face of another picture that a call names; None: it names none.

    Raises:
        Refused: it is gone, or shows no face.
    """
    if not ask.fields.given.get(name):
        return None
    with refusing(name):
        file = ask.session.file(ask.fields.given[name], called)
    if not file.faces:
        raise Refused(name, f"No face was found in the {called}: use another picture.")
    return Subject(read_image(file.path), file.faces[0], len(file.faces))


def preview(ask: Ask, small: bool = False) -> bytes:
    """The photo with the look of a call, quickly and reduced, as JPEG bytes; `small`: head and shoulders."""
    who, look = seat(ask), Look.read(ask.fields)
    reference = subject(ask, "reference", "picture of the expression")
    expression, strength = look.expression(who.subject, reference)
    sitter = who.thumb if small else who.small
    options: dict[str, Any] = {"region": look.region, "turn": look.turn, "rounds": 0}
    return jpeg(PhotoPipeline().express(sitter, expression, strength, **options).drawn.image, 80)


def make(ask: Ask, job: Job) -> list[dict[str, Any]]:
    """Make what a call asks for: an expression, another face, or both; by the photo engine or a model.

    Returns:
        results as the page shows them, the newest last.
    """
    who, look = seat(ask), Look.read(ask.fields)
    reference = subject(ask, "reference", "picture of the expression")
    other = subject(ask, "other", "other person's picture")
    expression: Expression | None
    expression, strength = look.expression(who.subject, reference)
    if other is not None and strength == 0 and look.turn is None:
        expression = None
    if ask.model != PHOTO:
        return _draw(ask, job, who, look, expression, other)
    several = VARIATIONS if ask.fields.given.get("variations") else (("", 1.0, look.region),)
    request = Request(None if other is None else other.image, expression, "", 0, who.subject.image)
    results = []
    for number, (said, factor, region) in enumerate(several):
        job.check()
        stronger = min(1.5, strength * factor)
        maker = Seated(PhotoWish("reface", stronger, region=region, face=ask.face, turn=look.turn), who)
        (drawn,) = maker.make([maker.look(request)])
        made = finish(maker, drawn, Fingerprints())
        label = ", ".join(filter(None, [_label(look, reference, other), said]))
        results.append(_keep(ask, made, label))
        job.tell(number + 1, len(several), None)
    return results


def _draw(
    ask: Ask, job: Job, who: Seat, look: Look, expression: Expression | None, other: Subject | None
) -> list[dict[str, Any]]:
    """By a diffusion model: a portrait of the person from a prompt, or the photo's face drawn anew."""
    fields, model = ask.fields, ask.engine.model(ask.model)
    shared: dict[str, Any] = {
        "steps": fields.whole("steps", 0, 100, 0) or None,
        "guidance": fields.number("guidance", 0, 15, 0) or None,
        "id_scale": fields.number("id_scale", 0, 2, 1),
        "expression_scale": fields.number("expression_scale", 0, 2, 1),
        "face": ask.face,
    }
    seed, prompt = fields.whole("seed", 0, MAX_SEED, 0), fields.text("prompt")
    maker: Maker
    if fields.one_of("draws", ("portrait", "photo")) == "photo":
        from mien.making.refaces import Refaces

        maker = Refaces(model, RefaceWish(**shared))
        asked = [Request(None if other is None else other.image, expression, prompt, seed, who.subject.image)]
    else:
        from mien.making.portraits import Portraits

        count = fields.whole("count", 1, MOST_IMAGES, 1)
        maker = Portraits(model, PortraitWish(fields.text("negative"), num_images=count, **shared))
        person = who.subject.image if other is None else other.image
        asked = [Request(person, expression, prompt, seed + k) for k in range(count)]
    drawn = maker.make([maker.look(one) for one in asked], job.watch(model.backbone))
    prints, results = Fingerprints(), []
    for one in drawn:
        made = finish(maker, one, prints)
        results.append(_keep(ask, made, f"{_label(look, None, other)}, drawn, seed {made.told['seed']}"))
    return results


def _label(look: Look, reference: Subject | None, other: Subject | None) -> str:
    said = "as in the picture" if reference else look.text if not look.text.startswith("{") else "sliders"
    moved = "sliders" if look.sliders or look.turn else ""
    return ", ".join(dict.fromkeys(filter(None, ["another face" if other else "", said[:40], moved])))


def _keep(ask: Ask, made: Made, label: str) -> dict[str, Any]:
    id, place = ask.session.place("mien.png")
    made.save(place)
    file = File(id, place, f"{label or 'result'}.png", made.image.size)
    told = {"warning": warning(made.scores), "framed": made.settings["kind"] == "reface"}
    return remember(ask, file, kind="still", label=label, words=in_words(made.scores), **told)


def remember(ask: Ask, file: File, **told: Any) -> dict[str, Any]:
    """A result as the page shows it, among those of the session."""
    kept = {name: value for name, value in ask.fields.given.items() if name != "instead"}
    ask.session.add(file)
    result = {"id": file.id, "of": ask.fields.given["photo"], "wish": kept, "size": file.size, **told}
    ask.session.remember(result)
    return result


def invent(engine: Engine, session: Session, job: Job, seed: int) -> File:
    """Somebody who does not exist, as a photo."""
    from mien.making.portraits import Portraits

    model = engine.model(next(iter(engine.backbones)))
    (one,) = Portraits(model, PortraitWish()).invent(1, seed, callback=job.watch(model.backbone))
    buffer = io.BytesIO()
    one.image.save(buffer, "PNG")
    return give(session, buffer.getvalue(), "nobody.png", "picture")


def measure(session: Session, ids: Sequence[object], job: Job) -> dict[str, Any]:
    """What the analyser sees in pictures, and how alike their largest faces are to the first one's."""
    if not 1 <= len(ids) <= MOST_MEASURED:
        raise Refused("pictures", f"{len(ids)} pictures were given: give from 1 to {MOST_MEASURED}.")
    scorer, rows, first = load_scorer(), [], None
    for number, id in enumerate(ids, 1):
        job.check()
        file = session.file(id, f"picture {number}")
        image, faces = read_image(file.path), file.faces
        drawn_id, place = session.place("measured.png")
        drawn = draw_faces(image, faces)
        save_image(drawn, place, {"kind": "measured"}, COMPOSITE)
        session.add(File(drawn_id, place, f"measured_{number}.png", drawn.size))
        row: dict[str, Any] = {"name": file.name, "drawn": drawn_id, "faces": [as_json(f) for f in faces]}
        if faces:
            seen = scorer.observe_face(image, faces[0], len(faces))
            if first is None:
                first = seen
            else:
                values = scorer.compare(seen, first, first)
                row["compared"] = {
                    key: round(values[key], 3) for key in ("exp", "lms", "id_distance", "pose")
                }
                row["words"] = in_words({"id_distance": values["id_distance"]})
        rows.append(row)
    return {"pictures": rows}


def as_json(face: Face) -> dict[str, Any]:
    """A face's numbers without its 478 landmarks: box in px, pose in degrees, blendshapes in [0, 1]."""
    return {
        "box": [round(float(v), 1) for v in face.box],
        "confidence": round(face.confidence, 4),
        "pose": [round(float(v), 2) for v in face.pose],
        "strongest": {name: round(float(value), 2) for name, value in strongest(face.blendshapes, 4)},
        "blendshapes": {name: round(float(v), 4) for name, v in zip(NAMES, face.blendshapes, strict=True)},
    }
