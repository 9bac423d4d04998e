"""What `mien film` makes of its parameters (`how`), which are checked: films, motions, and a camera's picture."""

from __future__ import annotations

import sys
import threading
from typing import Any

from PIL import Image

from mien.cli.console import counting_bar, progress_bar, tell
from mien.expressions.motion import write_motion
from mien.expressions.spec import parse
from mien.face.subject import Subject
from mien.making import filming, following
from mien.making import live as camera
from mien.making.footage import Footage
from mien.making.photographs import Photographs
from mien.making.telling import Telling
from mien.making.wishes import PhotoWish
from mien.pipelines.photo import HIDDEN_MOUTH, Sitter
from mien.pipelines.photo_film import Puppet
from mien.pipelines.photo_retouch import Recast, Retouch
from mien.pipelines.photo_swap import SwapPipeline
from mien.types import InputError


def make(how: dict[str, Any]) -> filming.Report:
    """A film, written to its `output`; `tell` is told what a person should know."""
    if how["expression"] is not None or how["identity"] is not None:
        return _change(how)

    def ready(puppet: Puppet) -> None:
        if how["relative"] is None and not puppet.relative:
            how["tell"](
                "Photo and film show the same person, so their face is matched as it is; not so with --relative."
            )

    with filming.opened(how["driver"]) as driver, progress_bar(how["quiet"], unit=" frames") as progress:
        photographs = _photographs(how)
        order = filming.Order(how["output"], photographs.settings, _chooser(how), how["audio"], progress)
        return filming.move(driver, lambda: _puppet(how, photographs), order, how["relative"], ready)


def record(how: dict[str, Any]) -> filming.Report:
    """How a film's face moves, written to `motion`."""
    with Footage(how["source"], filming.LOOKED_AT) as footage:
        choose = _chooser(how)
        rest = following.resting(footage, choose).rest
        with progress_bar(how["quiet"], unit=" frames") as progress:
            moves, report = filming.record(footage, rest, choose, progress)
    write_motion(how["motion"], moves)
    return report


def live(how: dict[str, Any]) -> filming.Report:
    """A photo driven by a camera, shown on `out` until Ctrl-C."""
    with camera.open_camera(how["driver"]) as footage:
        puppet = _puppet(how, _photographs(how))
        height, width = puppet.sitter.image.shape[:2]
        resting = threading.Event()
        with camera.VirtualCamera(how["out"], (width, height)) as shown:
            threading.Thread(target=_await_key, args=(resting,), daemon=True).start()
            tell(f"{how['out']} shows the photo. Enter: this is your rest. Ctrl-C ends.")
            with counting_bar(how["quiet"], unit=" frames", leave=False) as bar:

                def progress(frames: int, dropped: int) -> None:
                    bar.set_postfix(dropped=dropped, refresh=False)
                    bar.update(frames - bar.n)

                report = camera.live(footage.frames(), puppet, shown.show, _chooser(how), resting, progress)
    report.stopped = False
    return report


def _await_key(pressed: threading.Event) -> None:
    for _ in sys.stdin:
        pressed.set()


def _change(how: dict[str, Any]) -> filming.Report:
    with Footage(how["source"], how["size"]) as footage:
        footage.first()
        photographs, choose = _photographs(how), _chooser(how)
        person = following.resting(footage, choose)
        calm, smooth = _calm(how, photographs, person), how["smooth"]
        changed: Recast | Retouch
        if how["identity"] is not None:
            with Telling(how["tell"], ("serves better",))():
                swapper = SwapPipeline(photographs.scorer.analyse)
                (sitter,) = swapper.identity(how["identity"], how["photo_face"])
            changed, told = Recast(sitter, person.rest, calm, smooth), {"task": "identity"}
        else:
            asked = parse(how["expression"])
            chosen = {name: how[name] for name in ("strength", "region", "smooth")}
            changed = Retouch(
                photographs.pipe,
                calm,
                photographs.target(asked).expression,
                relative=how["relative"] is not False,
                teeth=person.widest,
                **chosen,
            )
            told = {"expression": "a picture" if any(part.picture for part in asked.parts) else asked.text}
        settings = {**photographs.settings, **told, "smooth": smooth}
        with progress_bar(how["quiet"], unit=" frames") as progress:
            order = filming.Order(how["output"], settings, choose, how["audio"], progress)
            return filming.change(footage, changed, order)


def _calm(how: dict[str, Any], photographs: Photographs, person: following.Resting) -> Sitter:
    """A film's person in their calmest frame."""
    try:
        return photographs.pipe.sit(Subject(Image.fromarray(person.image), person.face))
    except InputError as error:
        said = str(error).removeprefix("the photo: ").replace("use a photo", "use a film")
        raise InputError(f"{how['source']}: in its calmest frame {said}") from error


def _chooser(how: dict[str, Any]) -> following.Chooser:
    return following.Chooser(how["face"], str(how["driver"] or how["source"]), how["tell"])


def _photographs(how: dict[str, Any]) -> Photographs:
    chosen = {name: how[name] for name in ("strength", "region", "teeth")}
    wish = PhotoWish(kind="film", **chosen, relative=how["relative"] is not False, face=how["photo_face"])
    return Photographs(wish, how["tell"])


def _puppet(how: dict[str, Any], photographs: Photographs) -> Puppet:
    """The photo, ready to be moved."""
    sitter = filming.sit(photographs, how["source"], how["size"])
    if how["region"] in ("mouth", "all") and sitter.hides_mouth:
        how["tell"](f"{how['source']}: {HIDDEN_MOUTH}.")
    chosen = {name: how[name] for name in ("strength", "region", "pose", "smooth")}
    return Puppet(sitter, relative=how["relative"] is not False, **chosen)
