"""What the page can ask for of films: a photo that moves as a film, a motion or some expressions say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mien.making import filming, films, following
from mien.making.telling import silent
from mien.making.wishes import REGIONS, PhotoWish
from mien.pipelines.photo import HIDDEN_MOUTH, STRONGEST
from mien.pipelines.photo_film import Puppet
from mien.provenance.film import check_film
from mien.studio.actions import Ask, Seat, Seated, jpeg, remember, seat, within
from mien.studio.engine import Cancelled, Job
from mien.studio.sessions import File
from mien.studio.wishes import Refused, refusing, words

LONGEST = 1280  # px of a film's longer side
MOST_STOPS, FRAMES, RATE = 8, 12, 12.0  # of a journey; frames from stop to stop, frames a second


def film(ask: Ask, job: Job) -> dict[str, Any]:
    """The photo driven by a film or a motion file (`driver`), or through expressions (`stops`).

    Stopped, it ends where it is, and what is done can be played.
    """
    who, fields = seat(ask), ask.fields
    id, place = ask.session.place("mien.mp4")
    check_film(place)
    strength, region = fields.number("strength", 0, STRONGEST, 1), fields.one_of("region", REGIONS)
    maker = Seated(PhotoWish("film", strength, region=region), who)
    note = (_journey if fields.text("stops") else _driven)(maker, who, ask, job, place)
    place.with_name("shown.jpg").write_bytes(jpeg(who.thumb.image))
    told = {"words": note, "warning": None, "framed": False}
    return remember(ask, File(id, place, "film.mp4"), kind="film", label="film", **told)


def _driven(maker: Seated, who: Seat, ask: Ask, job: Job, place: Path) -> str:
    fields = ask.fields
    with refusing("driver"):
        driver = ask.session.file(fields.given.get("driver"), "film that drives the photo")
    chosen: dict[str, Any] = {
        "strength": maker.wish.strength,
        "region": maker.wish.region,
        "pose": fields.given.get("pose") is not False,
        "smooth": fields.number("smooth", 0, 10, 1),
    }

    stopped, same = False, ""

    def ready(puppet: Puppet) -> None:
        nonlocal same
        same = "" if puppet.relative else ". The same person in photo and film: matched as it is"
        job.check()

    def progress(done: int, of: int) -> None:
        nonlocal stopped
        job.tell(done, of, None)
        try:
            job.check()
        except Cancelled:
            if not stopped:
                stopped = True
                raise KeyboardInterrupt from None  # as Ctrl-C: what is done can be played

    choose = following.Chooser("largest", "the film", silent)
    order = filming.Order(place, maker.settings, choose, progress=progress)
    try:
        with refusing("driver", driver), filming.opened(driver.path) as film:
            report = filming.move(
                film, lambda: Puppet(within(who.full, LONGEST), **chosen), order, ready=ready
            )
    except KeyboardInterrupt:
        raise Cancelled("The job was stopped.") from None
    lost = f", {report.faceless} without a face" if report.faceless else ""
    began = "Stopped: the first " if report.stopped else ""
    hidden = (
        f". Note: {HIDDEN_MOUTH}" if maker.wish.region in ("mouth", "all") and who.full.hides_mouth else ""
    )
    return f"{began}{report.frames} frames{lost}, made at {report.speed:.0f} a second{same}{hidden}"


def _journey(maker: Seated, who: Seat, ask: Ask, job: Job, place: Path) -> str:
    stops = [stop.strip() for stop in re.split(r"[,\n→]", ask.fields.text("stops")) if stop.strip()]
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
