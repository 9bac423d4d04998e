"""`mien travel`: one person from expression to expression, as a moving picture or a contact sheet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from mien.cli import options, pictures
from mien.cli.console import print_json, progress_bar, tell
from mien.errors import InputError
from mien.making.wishes import PhotoWish, PortraitWish

MOVING = (".gif", ".mp4", ".webp")


@options.verb(options.ENGINE, options.WORDS, options.DIFFUSION, options.FACES, options.TOLD)
def travel(
    context: typer.Context,
    identity: Annotated[Path, Argument(metavar="IDENTITY")],
    stops: Annotated[list[str], Argument(metavar="FROM TO [VIA...]")],
    output: Annotated[Path, Option("--output", "-o")] = Path("travel.gif"),
    frames: Annotated[int, Option(min=2)] = 16,
    sweep: Annotated[bool, Option("--sweep")] = False,
    sheet: Path | None = None,
    fps: Annotated[float, Option(min=0.1, max=60)] = 8.0,
    back: Annotated[bool, Option("--back")] = False,
) -> None:
    """Take the person in IDENTITY from one expression to the next: nothing but the expression moves.

    mien travel me.jpg neutral joy surprise -o film.gif --sheet film.png

    Other people's faces need their consent. Films say that they were generated.

    Args:
        identity: A picture of the person.
        stops: Expressions in the order of the journey: words, emoji, mixes, pictures, blendshapes.
        output: A film (.gif, .mp4, .webp) or a contact sheet (.png, .jpg).
        frames: Portraits in all.
        sweep: Intensity: from neutral to each expression, and back between.
        sheet: Beside a film, also draw its contact sheet here.
        fps: Frames a second of a film.
        back: The film also runs backwards, so that it joins.
    """
    given = options.begun(context)
    overwrite, quiet = given["overwrite"], given["quiet"]
    by_photo = options.by_photo(context, True)
    from mien.expressions.spec import parse
    from mien.pipelines import travel as journeys
    from mien.provenance import FORMATS
    from mien.provenance.animation import check_animation

    if output.suffix.lower() in MOVING:
        check_animation(output)
    else:
        if output.suffix.lower() not in FORMATS:
            raise InputError(f"{output} is not a film or sheet: end the name in {', '.join(MOVING)} or .png.")
        pictures.check_places([output], overwrite=overwrite)
        if sheet or back:
            raise InputError(f"{output} is a sheet: --sheet and --back go with a film ({', '.join(MOVING)}).")
    if sheet:
        pictures.check_places([sheet], overwrite=overwrite)
    read = [identity, *(path for stop in stops for path in pictures.expression_files(stop))]
    pictures.spare(pictures.files(read), [output, *([sheet] if sheet else [])])
    pictures.keep([output], overwrite)
    places = journeys.sweep(stops) if sweep else [parse(stop) for stop in stops]
    journeys.positions(len(places), frames)  # refuses too few frames
    pictures.check_given([identity], None)  # a mistake is told before the model is loaded
    pictures.remind(quiet)
    from mien.making import films

    if by_photo:
        from mien.making.photographs import Photographs

        photographs = Photographs(options.wish_of(context, PhotoWish, kind="portrait"), tell)
        with progress_bar(quiet, desc="steps") as progress:
            film = films.photo_travel(photographs, identity, places, frames, callback=progress)
    else:
        wish = options.wish_of(context, PortraitWish)
        from mien.making.model import Model
        from mien.making.portraits import Portraits

        portraits = Portraits(Model(**options.model_of(given)), wish, tell)
        with progress_bar(quiet, desc="steps") as progress:
            film = films.travel(
                portraits, identity, places, frames, given["prompt"], given["seed"], callback=progress
            )
    written = film.write(output, sheet, fps, back)
    seconds = time.perf_counter() - given["began"]
    if given["as_json"]:
        files_made = [str(path) for path in written]
        print_json({"files": files_made, "frames": film.names, "settings": film.settings, "seconds": seconds})
        return
    from mien.metrics.words import warning, words

    for path in written:
        print(path)
    if film.scores is not None:
        print(words(film.scores) or "no face found")
        if poor := warning(film.scores, engine="photo" if by_photo else "diffusion"):
            tell(poor)
    print(f"{frames} frames, {' -> '.join(stop.text for stop in places)}, {seconds:.1f} s in all")
