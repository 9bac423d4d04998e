"""`mien film`: a photo that moves as a film's face does, or a film whose person has another expression."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from mien.cli import checks, options
from mien.cli.console import print_json, tell
from mien.cli.pictures import expression_files, files, keep, keep_tables, remind, spare
from mien.errors import InputError, choice
from mien.making.wishes import REGIONS

if TYPE_CHECKING:
    from mien.making.filming import Report

INTERRUPTED = 130
STILL = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
ONE = ("source", "driver", "output", "expression", "identity", "motion", "out")  # of one film alone


@options.verb(("teeth", "out_dir"), options.CLUSTER, options.TOLD)
def film(
    context: typer.Context,
    source: Annotated[Path | None, Argument(metavar="PHOTO")] = None,
    driver: Annotated[Path | None, Argument(metavar="VIDEO")] = None,
    output: Annotated[Path, Option("--output", "-o")] = Path("film.mp4"),
    expression: Annotated[str | None, Option(metavar="SPEC")] = None,
    identity: Annotated[Path | None, Option(metavar="FACE")] = None,
    motion: Annotated[Path | None, Option(metavar="OUT.json")] = None,
    out: Annotated[Path | None, Option(metavar="DEVICE")] = None,
    strength: Annotated[float, Option(min=0, max=1.5)] = 1.0,
    region: str = "all",
    pose: Annotated[bool, Option("--pose/--no-pose")] = True,
    relative: Annotated[bool | None, Option("--relative/--absolute")] = None,
    smooth: Annotated[float, Option(min=0, max=10)] = 1.0,
    face: Annotated[str, Option(callback=checks.parse_face)] = "largest",
    photo_face: Annotated[str, Option(callback=checks.parse_face)] = "largest",
    size: Annotated[int, Option(min=64, max=4096)] = 1280,
    audio: Annotated[bool, Option("--audio/--no-audio")] = True,
    pairs: Path | None = None,
) -> None:
    """Let the face in VIDEO drive PHOTO: every frame, at its own time, with its sound.

    mien film me.jpg speech.mp4 -o talking.mp4

    mien film speech.mp4 --expression joy -o happy.mp4

    mien film speech.mp4 --identity friend.jpg -o friend.mp4

    mien film speech.mp4 --motion speech.json

    With --pairs FILE --out-dir DIR: a film of each row, of a photo and a video, or of a video and an expression or
    identity, and DIR/results.csv.

    Ctrl-C ends the film where it is. Other people's faces need their consent. Films say that they were generated.

    Args:
        source: A photo to move; or a film, with --expression, --identity or --motion.
        driver: What moves it: a film, a motion (.json), a camera (/dev/video0).
        output: The film: .mp4 or .mov.
        expression: Of a film: another expression for its person, throughout.
        identity: Of a film: a photo of whoever gets its person's place.
        motion: Of a film: write how its face moves.
        out: Of a camera: the virtual camera to show it on.
        strength: How much of the movement.
        region: What may move: all, eyes, brows or mouth.
        pose: The head turns too, up to 15 degrees.
        relative: Take over how the face moves from its rest, or match it as it is. Unless said, the latter where photo
            and film show the same person.
        smooth: Against tremor; 0 follows every reading.
        face: Whose face in the film: largest, left, right, or N from 0.
        photo_face: The same for the photo.
        size: Longer side of the film at most, px.
        audio: The film's sound, untouched.
        pairs: CSV of films to make: photo,video,expression,identity,out.
    """
    choice(region, REGIONS, "region")
    how = {**context.params, "tell": tell}
    if pairs is not None or how["out_dir"] is not None:
        _rows(context, how)
        return
    options.cluster(context, table=False)
    alone = [name for name in ("expression", "identity", "motion") if how[name] is not None]
    camera = str(driver) == "camera" or str(driver).startswith("/dev/video")
    moving = driver or (source if alone else None)
    given = [
        file for file in (source, None if camera else driver, identity, how["teeth"]) if file is not None
    ]
    for file in given:
        if not os.path.exists(file):
            raise InputError(f"{file} does not exist: check the name.")
        if os.path.isdir(file):
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
    read = files([*given, *expression_files(expression)])
    if motion is not None:
        spare(read, [motion])
        keep_tables([motion], '{\n  "schema": "mien.motion"', how["overwrite"])
    elif not camera:
        from mien.provenance.film import check_film

        check_film(output)
        spare(read, [output])
        keep([output], how["overwrite"])
    if expression is not None:
        from mien.expressions.spec import parse

        parse(expression)  # a mistake is told before anything is loaded
    remind(how["quiet"])
    from mien.cli import film_making

    if motion is not None:
        finish(film_making.record(how), motion, source, how["as_json"])
    elif out is not None:
        finish(film_making.live(how), out, driver or source, how["as_json"])
    else:
        finish(film_making.make(how), output, driver or source, how["as_json"])


def _rows(context: typer.Context, how: dict[str, Any]) -> None:
    """`--pairs`."""
    if how["pairs"] is None or how["out_dir"] is None:
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    if given := [name for name in ONE if options.is_given(context, name)]:
        raise InputError(
            f"{options.spelt(context, given[0])} is for one film; with --pairs the rows name what each is made of, and "
            "--out-dir says where the results go: leave it out."
        )
    cluster = options.cluster(context)
    from mien.cli.film_rows import FilmFormat, FilmMaker
    from mien.cli.rows import make_rows

    work = partial(FilmMaker, {**how, "quiet": True})
    make_rows(work, FilmFormat(how["pairs"].parent), how, cluster)


def finish(report: Report, output: Path, source: Path, as_json: bool) -> None:
    """Say what became of a film; what was lost, first."""
    if report.stopped:
        tell(f"stopped: the first {report.frames} frames are in {output}.")
    elif said := report.lost(source):
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
