"""What the page can ask for of films: a photo that moves as a film, a motion or some expressions say."""

from __future__ import annotations

import re
from typing import Any

from mien.making import filming, films, following
from mien.making.footage import Footage
from mien.making.wishes import REGIONS, PhotoWish
from mien.pipelines.photo import HIDDEN_MOUTH, STRONGEST
from mien.pipelines.photo_film import Puppet
from mien.provenance.film import check_film
from mien.studio.actions import Seat, Seated, jpeg, seat, within
from mien.studio.engine import Cancelled, Engine, Job
from mien.studio.sessions import File, Session
from mien.studio.wishes import Fields, Refused, words
from mien.types import InputError

LONGEST = 1280  # px of a film's longer side
MOST_STOPS, FRAMES, RATE = 8, 12, 12.0  # of a journey; frames from stop to stop, frames a second


def film(engine: Engine, session: Session, fields: Fields, job: Job) -> dict[str, Any]:
    """The photo driven by a film or a motion file (`driver`), or through expressions (`stops`).

    Stopped, it ends where it is, and what is done can be played.
    """
    who = seat(engine, session, fields)
    id, place = session.place("mien.mp4")
    check_film(place)
    wish = PhotoWish(
        "film", fields.number("strength", 0, STRONGEST, 1), region=fields.one_of("region", REGIONS)
    )
    maker = Seated(wish, who)
    if fields.text("stops"):
        note = _journey(maker, who, fields, job, place)
    else:
        note = _driven(maker, who, session, fields, job, place)
    session.add(File(id, place, "film.mp4", (0, 0)))
    result = {
        "id": id, "kind": "film", "label": "film", "of": fields.given.get("photo"), "wish": fields.given,
        "words": note, "warning": None, "size": [0, 0], "framed": False,
    }  # fmt: skip
    place.with_name("shown.jpg").write_bytes(jpeg(who.thumb.image))
    session.remember(result)
    return result


def _driven(maker: Seated, who: Seat, session: Session, fields: Fields, job: Job, place: Any) -> str:
    try:
        driver = session.file(fields.given.get("driver"), "film that drives the photo")
    except InputError as error:
        raise Refused("driver", str(error)) from error
    chosen: dict[str, Any] = {
        "strength": maker.wish.strength,
        "region": maker.wish.region,
        "pose": fields.given.get("pose") is not False,
        "smooth": fields.number("smooth", 0, 10, 1),
    }

    def puppet() -> Puppet:
        return Puppet(within(who.full, LONGEST), **chosen)

    settings = {**maker.settings, **chosen}
    stopped, same = False, ""

    def progress(total: int) -> Any:
        def callback(done: int) -> None:
            nonlocal stopped
            job.tell(done, total, None)
            try:
                job.check()
            except Cancelled:
                if not stopped:
                    stopped = True
                    raise KeyboardInterrupt from None  # as Ctrl-C: what is done can be played

        return callback

    try:
        if driver.path.suffix == ".json":
            from mien.expressions.motion import read_motion

            moves = read_motion(driver.path)
            report = filming.play(moves, puppet(), place, settings, progress(len(moves)))
        else:
            with Footage(driver.path, filming.LOOKED_AT) as footage:
                footage.first()
                choose = following.Chooser("largest", "the film", lambda said: None)
                driven = filming.prepared(footage, puppet, choose)
                settings["relative"] = driven.relative
                same = "" if driven.relative else ". The same person in photo and film: matched as it is"
                job.check()
                watch = progress(footage.count)
                report = filming.drive(footage, driven, place, settings, choose, True, watch)
    except KeyboardInterrupt:
        raise Cancelled("The job was stopped.") from None
    except Cancelled:
        raise
    except InputError as error:
        raise Refused("driver", str(error).replace(str(driver.path), driver.name)) from error
    lost = f", {report.faceless} without a face" if report.faceless else ""
    began = "Stopped: the first " if report.stopped else ""
    hidden = (
        f". Note: {HIDDEN_MOUTH}" if maker.wish.region in ("mouth", "all") and who.full.hides_mouth else ""
    )
    return f"{began}{report.frames} frames{lost}, made at {report.speed:.0f} a second{same}{hidden}"


def _journey(maker: Seated, who: Seat, fields: Fields, job: Job, place: Any) -> str:
    stops = [stop.strip() for stop in re.split(r"[,\n→]", fields.text("stops")) if stop.strip()]
    if not 2 <= len(stops) <= MOST_STOPS:
        raise Refused("stops", f"{len(stops)} expressions on the way: give from 2 to {MOST_STOPS}.")
    try:
        places = [words(stop) for stop in stops]
    except Refused as error:
        raise Refused("stops", str(error)) from error
    count = FRAMES * (len(stops) - 1) + 1
    made = films.photo_travel(maker, who.subject.image, places, count, job.watch())
    made.write(place, None, RATE, True)
    return " → ".join(stops)
