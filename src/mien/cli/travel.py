"""`mien travel`: one person from expression to expression, as a moving picture or a contact sheet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli import options
from mien.cli.consent import remind
from mien.cli.console import choice, passed_on, print_json
from mien.cli.generate.wish import Wish
from mien.cli.pictures import check_places, expression_files, files, keep, spare, steps_bar

if TYPE_CHECKING:
    from PIL import Image

MOVING = (".gif", ".mp4")
COLUMNS = 8
BATCH = 8


def travel(
    identity: Annotated[Path, typer.Argument(metavar="IDENTITY", help="A picture of the person.")],
    stops: Annotated[
        list[str],
        typer.Argument(
            metavar="FROM TO [VIA...]",
            help="Expressions in the order of the journey: words, emoji, mixes, pictures, blendshapes.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A film (.gif, .mp4) or a contact sheet (.png, .jpg, .webp)."),
    ] = Path("travel.gif"),
    frames: Annotated[int, typer.Option(min=2, help="Portraits in all.")] = 16,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Intensity: from neutral to each expression, and back between.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Beside a film, also draw its contact sheet here.")
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Frames a second of a film.")] = 8.0,
    back: Annotated[
        bool, typer.Option("--back", help="The film also runs backwards, so that it joins.")
    ] = False,
    prompt: options.Prompt = "",
    negative_prompt: options.NegativePrompt = "",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    id_scale: options.IdScale = 1.0,
    expression_scale: options.ExpressionScale = 1.0,
    face: Annotated[str, typer.Option(help="Whose face: largest, left, right, or N from 0.")] = "largest",
    expression_face: Annotated[str, typer.Option(help="The same for pictures of expressions.")] = "largest",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: options.Backbone = "mini",
    adapter: options.Adapter = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take the person in IDENTITY from one expression to the next: same noise, only the expression moves.

    mien travel me.jpg neutral joy surprise -o film.gif --sheet film.png

    Other people's faces need their consent. Films say that they were generated.
    """
    began = time.perf_counter()
    choice(dtype, options.DTYPES, "precision")
    options.check_backbone(backbone)
    from mien.expressions.spec import parse
    from mien.images import read_image
    from mien.pipelines import travel as journeys
    from mien.provenance import FORMATS
    from mien.provenance.animation import check_animation
    from mien.types import InputError

    if output.suffix.lower() in MOVING:
        check_animation(output)
    else:
        if output.suffix.lower() not in FORMATS:
            raise InputError(
                f"{output} is neither a film nor a picture: end the name in {', '.join((*MOVING, *FORMATS))}."
            )
        check_places([output], overwrite=overwrite)
        if sheet or back:
            raise InputError(
                f"{output} is a contact sheet itself: --sheet and --back go with a .gif or .mp4."
            )
    if sheet:
        check_places([sheet], overwrite=overwrite)
    given = [identity, *(path for stop in stops for path in expression_files(stop))]
    spare(files(given), [output, *([sheet] if sheet else [])])
    keep([output], overwrite)
    places = journeys.sweep(stops) if sweep else [parse(stop) for stop in stops]
    said = journeys.names(places, frames)  # also refuses too few frames
    image = read_image(identity)  # a mistake is told before the model is loaded
    wish = Wish(
        negative_prompt=negative_prompt,
        steps=steps,
        guidance=guidance,
        id_scale=id_scale,
        expression_scale=expression_scale,
        face=options.parse_face(face),
        expression_face=options.parse_face(expression_face),
    )
    remind(quiet)
    from mien.cli.generate.portraits import Portraits

    portraits = Portraits(wish, backbone, device, dtype, adapter)
    who, ways = portraits.look(identity, "face", image), [portraits.express(place) for place in places]
    with steps_bar(quiet) as progress, passed_on(["the prompt "], set()):  # of faces, `look` has said it
        images = journeys.travel(
            portraits.pipe,
            who.image,
            [way.expression for way in ways],
            frames,
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            steps=steps,
            guidance=guidance,
            id_scale=id_scale,
            expression_scale=expression_scale,
            face=wish.face,
            expression_face=wish.expression_face,
            batch_size=BATCH,
            callback=progress,
        )
    settings = {
        **portraits.settings,
        "kind": "travel",
        "expressions": ["a picture" if any(p.picture for p in stop.parts) else stop.text for stop in places],
        "frames": frames,
        "prompt": prompt,
        "seed": seed,
        "models": portraits.maker.hashes,
        "environment": portraits.maker.environment,
    }
    written = _write(images, said, output, sheet, settings, fps, back)
    seconds = time.perf_counter() - began
    if as_json:
        print_json(
            {
                "files": [str(path) for path in written],
                "frames": said,
                "settings": settings,
                "seconds": seconds,
            }
        )
        return
    for path in written:
        print(path)
    print(f"{frames} frames, {' -> '.join(stop.text for stop in places)}, {seconds:.1f} s in all")


def _write(
    images: list[Image.Image],
    said: list[str],
    output: Path,
    sheet: Path | None,
    settings: dict[str, Any],
    fps: float,
    back: bool,
) -> list[Path]:
    from mien.provenance import save_image
    from mien.provenance.animation import save_animation
    from mien.sheets import sheet as drawn

    written = []
    if output.suffix.lower() in MOVING:
        film = [*images, *images[-2:0:-1]] if back else images
        written.append(save_animation(film, output, settings, fps))
    place = sheet if written else output
    if place is not None:
        cells = list(zip(said, images, strict=True))
        rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
        written.append(save_image(drawn(rows, max(128, images[0].height // 2)), place, settings))
    return written
