"""`mien film`: a photo that moves as a film's face does, or a film whose person has another expression."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli import options
from mien.cli.console import choice, print_json, tell
from mien.cli.pictures import expression_files, files, keep, keep_tables, remind, spare

if TYPE_CHECKING:
    from mien.making.filming import Report
    from mien.making.following import Resting
    from mien.making.photographs import Photographs
    from mien.pipelines.photo import Sitter
    from mien.pipelines.photo_film import Puppet
    from mien.pipelines.photo_retouch import Recast, Retouch

INTERRUPTED = 130
STILL = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
OUTPUT = Path("film.mp4")
ONE = ("source", "driver", "output", "expression", "identity", "motion", "out")  # of one film alone


def film(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTO", help="A photo to move; or a film, with --expression, --identity or --motion."
        ),
    ] = None,
    driver: Annotated[
        Path | None,
        typer.Argument(
            metavar="VIDEO", help="What moves it: a film, a motion (.json), a camera (/dev/video0)."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The film: .mp4 or .mov.")] = OUTPUT,
    expression: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Of a film: another expression for its person, throughout."),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FACE", help="Of a film: a photo of whoever gets its person's place."),
    ] = None,
    motion: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Of a film: write how its face moves.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DEVICE", help="Of a camera: the virtual camera to show it on.")
    ] = None,
    strength: Annotated[float, typer.Option(min=0, max=1.5, help="How much of the movement.")] = 1.0,
    region: Annotated[str, typer.Option(help="What may move: all, eyes, brows or mouth.")] = "all",
    pose: Annotated[
        bool, typer.Option("--pose/--no-pose", help="The head turns too, up to 15 degrees.")
    ] = True,
    relative: Annotated[
        bool | None,
        typer.Option(
            "--relative/--absolute",
            help="Take over how the face moves from its rest, or match it as it is. Unless said, the latter where "
            "photo and film show the same person.",
        ),
    ] = None,
    smooth: Annotated[
        float, typer.Option(min=0, max=10, help="Against tremor; 0 follows every reading.")
    ] = 1.0,
    face: Annotated[
        str, typer.Option(help="Whose face in the film: largest, left, right, or N from 0.")
    ] = "largest",
    photo_face: Annotated[str, typer.Option(help="The same for the photo.")] = "largest",
    teeth: options.Teeth = None,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Longer side of the film at most, px.")] = 1280,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="The film's sound, untouched.")] = True,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV of films to make: photo,video,expression,identity,out.")
    ] = None,
    out_dir: options.OutDir = None,
    ray: options.Ray = None,
    workers: options.Workers = 2,
    gpus: options.Gpus = 0.0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Let the face in VIDEO drive PHOTO: every frame, at its own time, with its sound.

    mien film me.jpg speech.mp4 -o talking.mp4

    mien film speech.mp4 --expression joy -o happy.mp4

    mien film speech.mp4 --identity friend.jpg -o friend.mp4

    mien film speech.mp4 --motion speech.json

    With --pairs FILE --out-dir DIR: a film of each row, of a photo and a video, or of a video and an expression or
    identity, and DIR/results.csv.

    Ctrl-C ends the film where it is. Other people's faces need their consent. Films say that they were generated.
    """
    from mien.making.wishes import REGIONS
    from mien.types import InputError

    choice(region, REGIONS, "region")
    parsed = {"face": options.parse_face(face), "photo_face": options.parse_face(photo_face)}
    if pairs is not None or out_dir is not None:
        _rows(context, {**context.params, **parsed})
        return
    options.cluster(context, table=False)
    alone = [name for name in ("expression", "identity", "motion") if context.params[name] is not None]
    camera = driver is not None and is_camera(driver)
    moving = driver or (source if alone else None)
    for file in (source, None if camera else driver, identity, teeth):
        if file is not None and not os.path.exists(file):
            raise InputError(f"{file} does not exist: check the name.")
        if file is not None and os.path.isdir(file):
            raise InputError(f"{file} is a folder: give a file in it.")
    if moving is not None and moving.suffix.lower() in STILL:
        from mien.images import read_image

        read_image(moving)  # unless it only has the name of one
        raise InputError(
            f"{moving} is a picture, not a film: `mien reface` and `mien generate` give a photo its expression."
        )
    if source is None or (driver is None) != (len(alone) == 1) or (driver is not None and alone):
        raise InputError(
            "give a PHOTO and what moves it, or a film and --expression, --identity or --motion, or --pairs FILE.csv "
            "and --out-dir DIR."
        )
    if camera != (out is not None):
        raise InputError(
            "a camera and --out go together: mien film PHOTO /dev/video0 --out /dev/video10; `mien studio` shows it "
            "in a window."
        )
    given = [
        source,
        *([driver] if driver else []),
        *([teeth] if teeth else []),
        *([identity] if identity else []),
        *expression_files(expression),
    ]
    if motion is not None:
        spare(files(given), [motion])
        keep_tables([motion], '{\n  "schema": "mien.motion"', overwrite)
    elif not camera:
        from mien.provenance.film import check_film

        check_film(output)
        spare(files(given), [output])
        keep([output], overwrite)
    if expression is not None:
        from mien.expressions.spec import parse

        parse(expression)  # a mistake is told before anything is loaded
    remind(quiet)
    how = {**context.params, **parsed, "tell": tell}
    if motion is not None:
        finish(_record(how), motion, source, as_json)
    elif camera:
        finish(_live(how), how["out"], how["driver"], as_json)
    else:
        finish(make(how), output, driver or source, as_json)


def is_camera(name: str | Path) -> bool:
    """Whether a driver is a camera rather than a file: "camera", or a device of Linux."""
    return str(name) == "camera" or str(name).startswith("/dev/video")


def _rows(context: typer.Context, how: dict[str, Any]) -> None:
    """`--pairs`."""
    from mien.cli.film_rows import ACCOUNT, FilmFormat, FilmMaker
    from mien.cli.rows import make_rows
    from mien.types import InputError

    if how["pairs"] is None or how["out_dir"] is None:
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    if given := [name for name in ONE if options.is_given(context, name)]:
        raise InputError(
            f"{options.spelt(context, given[0])} is for one film; with --pairs the rows name what each is made of, and "
            "--out-dir says where the results go: leave it out."
        )
    cluster = options.cluster(context)
    run = (how["pairs"], how["out_dir"], 1, how["overwrite"], how["as_json"], how["quiet"])
    form = FilmFormat(how["pairs"].parent)
    make_rows(partial(FilmMaker, make, {**how, "quiet": True}), form, ACCOUNT, *run, cluster=cluster)


def make(how: dict[str, Any]) -> Report:
    """A film of the parameters `how`, written to its `output`; `tell` is told what a person should know."""
    if how["expression"] is not None or how["identity"] is not None:
        return _change(how)
    return _play(how) if str(how["driver"]).lower().endswith(".json") else _drive(how)


def _drive(how: dict[str, Any]) -> Report:
    from mien.making import filming, following
    from mien.making.footage import Footage

    with Footage(how["driver"], filming.LOOKED_AT) as footage:
        footage.first()
        choose = following.Chooser(how["face"], str(how["driver"]), how["tell"])
        photographs = _photographs(how)
        puppet = filming.prepared(footage, lambda: _puppet(how, photographs), choose, how["relative"])
        if how["relative"] is None and not puppet.relative:
            how["tell"](
                "Photo and film show the same person, so their face is matched as it is; not so with --relative."
            )
        settings = _settings(photographs, puppet)
        with bar(footage.count, how["quiet"]) as progress:
            return filming.drive(footage, puppet, how["output"], settings, choose, how["audio"], progress)


def _play(how: dict[str, Any]) -> Report:
    from mien.expressions.motion import read_motion
    from mien.making import filming

    moves = read_motion(how["driver"])
    photographs = _photographs(how)
    puppet = _puppet(how, photographs)
    settings = _settings(photographs, puppet)
    with bar(len(moves), how["quiet"]) as progress:
        return filming.play(moves, puppet, how["output"], settings, progress)


def _record(how: dict[str, Any]) -> Report:
    from mien.expressions.motion import write_motion
    from mien.making import filming, following
    from mien.making.footage import Footage

    with Footage(how["source"], filming.LOOKED_AT) as footage:
        choose = following.Chooser(how["face"], str(how["source"]), how["tell"])
        rest = following.resting(footage, choose).rest
        with bar(footage.count, how["quiet"]) as progress:
            moves, report = filming.record(footage, rest, choose, progress)
    write_motion(how["motion"], moves)
    return report


def _change(how: dict[str, Any]) -> Report:
    from mien.making import filming, following
    from mien.making.footage import Footage

    with Footage(how["source"], how["size"]) as footage:
        footage.first()
        photographs = _photographs(how)
        choose = following.Chooser(how["face"], str(how["source"]), how["tell"])
        person = following.resting(footage, choose)
        changed: Recast | Retouch
        if how["identity"] is not None:
            changed, told = _recast(how, photographs, person)
        else:
            changed, told = _retouch(how, photographs, person)
        settings = {**photographs.settings, **told, "smooth": how["smooth"]}
        with bar(footage.count, how["quiet"]) as progress:
            return filming.change(footage, changed, how["output"], settings, choose, how["audio"], progress)


def _calm(how: dict[str, Any], photographs: Photographs, person: Resting) -> Sitter:
    from PIL import Image

    from mien.face.subject import Subject
    from mien.types import InputError

    try:
        return photographs.pipe.sit(Subject(Image.fromarray(person.image), person.face))
    except InputError as error:
        said = str(error).removeprefix("the photo: ").replace("use a photo", "use a film")
        raise InputError(f"{how['source']}: in its calmest frame {said}") from error


def _retouch(how: dict[str, Any], photographs: Photographs, person: Resting) -> tuple[Retouch, Any]:
    from mien.expressions.spec import parse
    from mien.pipelines.photo_retouch import Retouch

    asked = parse(how["expression"])
    sitter = _calm(how, photographs, person)
    wanted = photographs.target(asked).expression
    chosen = {name: how[name] for name in ("strength", "region", "smooth")}
    told = "a picture" if any(part.picture for part in asked.parts) else asked.text
    relative = how["relative"] is not False
    retouch = Retouch(photographs.pipe, sitter, wanted, relative=relative, teeth=person.widest, **chosen)
    return retouch, {"expression": told}


def _recast(how: dict[str, Any], photographs: Photographs, person: Resting) -> tuple[Recast, Any]:
    from mien.making.telling import Telling
    from mien.pipelines.photo_retouch import Recast
    from mien.pipelines.photo_swap import SwapPipeline

    swapper = SwapPipeline(photographs.scorer.analyse)
    with Telling(how["tell"], ("serves better",))():
        (sitter,) = swapper.identity(how["identity"], how["photo_face"])
    return Recast(sitter, person.rest, _calm(how, photographs, person), how["smooth"]), {"task": "identity"}


def _live(how: dict[str, Any]) -> Report:
    from tqdm import tqdm

    from mien.making import following, live

    with live.open_camera(how["driver"]) as footage:
        puppet = _puppet(how, _photographs(how))
        height, width = puppet.sitter.image.shape[:2]
        resting = threading.Event()
        with live.VirtualCamera(how["out"], (width, height)) as camera:
            threading.Thread(target=_await_key, args=(resting,), daemon=True).start()
            tell(f"{how['out']} shows the photo. Enter: this is your rest. Ctrl-C ends.")
            choose = following.Chooser(how["face"], str(how["driver"]), how["tell"])
            with tqdm(unit=" frames", leave=False, disable=True if how["quiet"] else None) as shown:

                def progress(frames: int, dropped: int) -> None:
                    shown.set_postfix(dropped=dropped, refresh=False)
                    shown.update(frames - shown.n)

                report = live.live(footage.frames(), puppet, camera.show, choose, resting, progress)
    report.stopped = False
    return report


def _await_key(pressed: threading.Event) -> None:
    for _ in sys.stdin:
        pressed.set()


def _photographs(how: dict[str, Any]) -> Photographs:
    from mien.making.photographs import Photographs
    from mien.making.wishes import PhotoWish

    chosen = {name: how[name] for name in ("strength", "region", "teeth")}
    wish = PhotoWish(kind="film", **chosen, relative=how["relative"] is not False, face=how["photo_face"])
    return Photographs(wish, how["tell"])


def _puppet(how: dict[str, Any], photographs: Photographs) -> Puppet:
    """The photo, ready to be moved."""
    from mien.making.filming import sit
    from mien.pipelines.photo import HIDDEN_MOUTH
    from mien.pipelines.photo_film import Puppet

    sitter = sit(photographs, how["source"], how["size"])
    if how["region"] in ("mouth", "all") and sitter.hides_mouth:
        how["tell"](f"{how['source']}: {HIDDEN_MOUTH}.")
    chosen = {name: how[name] for name in ("strength", "region", "pose", "smooth")}
    return Puppet(sitter, relative=how["relative"] is not False, **chosen)


def _settings(photographs: Photographs, puppet: Puppet) -> dict[str, Any]:
    """What the film says of how it was made."""
    chosen = ("strength", "region", "pose", "relative", "smooth")
    return {**photographs.settings, **{name: getattr(puppet, name) for name in chosen}}


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar of frames, as a callback that is told how many are done."""
    from tqdm import tqdm

    with tqdm(total=total or None, unit=" frames", leave=False, disable=True if quiet else None) as shown:

        def progress(done: int) -> None:
            shown.update(done - shown.n)

        yield progress


def finish(report: Report, output: Path, source: Path, as_json: bool) -> None:
    """Say what became of a film; what was lost, first."""
    from mien.cli.film_rows import lost

    if report.stopped:
        tell(f"stopped: the first {report.frames} frames are in {output}.")
    elif said := lost(report, source):
        tell(said)
    if as_json:
        print_json({"file": str(output), **vars(report), "frames_per_second": report.speed})
    else:
        without = "".join(
            f", {count} {what}"
            for count, what in ((report.faceless, "without a face"), (report.dropped, "dropped"))
            if count
        )
        print(output)
        frames = f"{report.frames} frame{'' if report.frames == 1 else 's'}{without}"
        print(f"{frames}, {report.seconds:.1f} s, {report.speed:.1f} frames a second")
    if report.stopped:
        raise typer.Exit(INTERRUPTED)
