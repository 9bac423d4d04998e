"""`mien film`: a photo that moves as a film's face does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import options
from mien.cli.console import choice, print_json, tell
from mien.cli.pictures import files, keep, remind, spare

if TYPE_CHECKING:
    from mien.making.filming import Report

INTERRUPTED = 130


def film(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo of the person.")],
    driver: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film whose face drives the photo.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The film: .mp4 or .mov.")] = Path(
        "film.mp4"
    ),
    strength: Annotated[float, typer.Option(min=0, max=1.5, help="How much of the movement.")] = 1.0,
    region: Annotated[str, typer.Option(help="What may move: all, eyes, brows or mouth.")] = "all",
    pose: Annotated[
        bool, typer.Option("--pose/--no-pose", help="The head turns too, up to 15 degrees.")
    ] = True,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative/--absolute", help="Take over how the face moves from its rest, or match it as it is."
        ),
    ] = True,
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
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Let the face in VIDEO drive PHOTO: every frame, at its own time, with its sound.

    mien film me.jpg speech.mp4 -o talking.mp4

    Ctrl-C ends the film where it is. Other people's faces need their consent. Films say that they were generated.
    """
    from mien.making.wishes import REGIONS, PhotoWish
    from mien.provenance.film import check_film

    choice(region, REGIONS, "region")
    chosen, chosen_photo = options.parse_face(face), options.parse_face(photo_face)
    check_film(output)
    spare(files([photo, driver, *([teeth] if teeth else [])]), [output])
    keep([output], overwrite)
    remind(quiet)
    from mien.making import filming
    from mien.making.footage import Footage
    from mien.making.photographs import Photographs
    from mien.pipelines.photo_film import Puppet

    with Footage(driver, filming.LOOKED_AT) as footage:
        footage.first()
        wish = PhotoWish("film", strength, relative, region, teeth, face=chosen_photo)
        photographs = Photographs(wish, tell)
        sitter = filming.sit(photographs, photo, size)
        puppet = Puppet(sitter, strength=strength, region=region, pose=pose, relative=relative, smooth=smooth)
        choose = filming.Chooser(chosen, str(driver), tell)
        puppet.rest(filming.resting(footage, choose)[0])
        settings = {**photographs.settings, "pose": pose, "smooth": smooth}
        with bar(footage.count, quiet) as progress:
            report = filming.drive(footage, puppet, output, settings, choose, audio, progress)
    finish(report, output, str(driver), as_json)


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar of frames, as a callback that is told how many are done."""
    from tqdm import tqdm

    with tqdm(total=total or None, unit=" frames", leave=False, disable=True if quiet else None) as shown:

        def progress(done: int) -> None:
            shown.update(done - shown.n)

        yield progress


def finish(report: Report, output: Path, source: str, as_json: bool) -> None:
    """Say what became of a film; what was lost, first."""
    if report.stopped:
        tell(f"stopped: the first {report.frames} frames are in {output}.")
    elif report.damaged or (report.promised and report.frames < report.promised):
        of = f"of {report.promised} " if report.promised else ""
        tell(f"{source} is damaged or cut short: {report.frames} {of}frames could be read, and were made.")
    if as_json:
        print_json({"file": str(output), **vars(report), "frames_per_second": report.speed})
    else:
        without = f", {report.faceless} without a face" if report.faceless else ""
        print(output)
        print(f"{report.frames} frames{without}, {report.seconds:.1f} s, {report.speed:.1f} frames a second")
    if report.stopped:
        raise typer.Exit(INTERRUPTED)
