"""`mien reface`: another face, another expression or both, in a photo that otherwise stays as it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli import options
from mien.cli.consent import remind
from mien.cli.console import choice, print_json
from mien.cli.pictures import check_given, check_places, expression_files, numbered, place_again, steps_bar
from mien.cli.reface.wish import SCORED_BY, RefaceWish, Request, generated_part, report

if TYPE_CHECKING:
    from mien.cli.reface.refaces import Refaces

WITH_FROM = (
    "source", "photo", "identity", "expression", "output", "strip", "backbone", "adapter", "device", "force",
    "overwrite", "as_json", "quiet",
)  # fmt: skip
WITHOUT_PAIRS = ("photo", "identity", "expression", "output", "strip")


def reface(
    context: typer.Context,
    photo: Annotated[
        Path | None, typer.Argument(metavar="PHOTO", help="The photo; only one face in it changes.")
    ] = None,
    identity: Annotated[
        Path | None, typer.Option(help="Whose face it gets: a picture.  [default: stays the same person]")
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option(
            help="Its expression: a picture, a word, an emoji, a mix, blendshapes.  [default: stays]"
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            callback=options.text,
            help="Without PHOTO: the scene, which is generated first. With it: what the face shows.",
        ),
    ] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="The result: .png, .jpg or .webp.")] = Path(
        "refaced.png"
    ),
    seed: options.Seed = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps.  [default: 50, or the model's]")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="A scheduler of diffusers: PNDM, DDIM, UniPC ...  [default: the model's own, or PNDM]"
        ),
    ] = None,
    guidance: options.Guidance = None,
    id_scale: options.IdScale = 1.0,
    expression_scale: options.ExpressionScale = 1.0,
    num_images: Annotated[
        int,
        typer.Option(
            "--num-images", "-n", min=1, max=options.MAX_BATCH, help="Results, of seed, seed + 1 ..."
        ),
    ] = 1,
    face: Annotated[
        str, typer.Option(help="Which face of the photo: largest, left, right, or N from 0, the largest.")
    ] = "largest",
    identity_face: Annotated[str, typer.Option(help="The same for the identity's picture.")] = "largest",
    expression_face: Annotated[str, typer.Option(help="The same for the expression's picture.")] = "largest",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: Annotated[
        str, typer.Option(help="mini, or a folder or hub id that takes a background.")
    ] = "mini",
    adapter: options.Adapter = None,
    strip: Annotated[
        Path | None, typer.Option(help="Also draw photo | identity | expression | result here.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns photo,identity,expression,prompt,seed,out.")
    ] = None,
    out_dir: options.OutDir = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=options.MAX_BATCH, help="With --pairs: photos in work at a time.")
    ] = 8,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Make this picture again, from its metadata and the same pictures."),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="With --from: go on where models or pictures are others than then.")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Give a face in PHOTO another identity (swap), another expression (reenact), or both; the rest stays.

    With --pairs FILE --out-dir DIR: every row of a CSV file, and DIR/results.csv with every setting and score.
    Pictures named in the CSV are looked for from the CSV's own folder.

    With --from PICTURE PHOTO: that picture again, bit for bit on the same kind of machine. The pictures it was made
    from are not in it and have to be given, as then; words are.

    Other people's faces need their consent. Results say that they were generated.
    """
    choice(dtype, options.DTYPES, "precision")
    options.check_backbone(backbone)
    from mien.types import InputError

    if (pairs is None) != (out_dir is None):
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    if source is not None:
        from mien.cli.reface.repeat import repeat

        options.check_alone(context, WITH_FROM)
        output = place_again(output, source, options.is_given(context, "output"))
        request = (photo, identity, expression)
        repeat(source, *request, output, strip, backbone, adapter, device, force, overwrite, as_json, quiet)
        return
    if force:
        raise InputError("--force belongs to --from PICTURE: leave it out.")
    if pairs is None and photo is None and not prompt.strip():
        raise InputError("Give a photo, or --prompt with the scene to put the face in.")
    if pairs is None and identity is None and expression is None:
        raise InputError("Nothing is to be changed: give --identity, --expression or both.")
    if pairs is not None:
        options.check_rows(context, WITHOUT_PAIRS)
    wish = RefaceWish(
        steps=steps,
        guidance=guidance,
        id_scale=id_scale,
        expression_scale=expression_scale,
        face=options.parse_face(face),
        identity_face=options.parse_face(identity_face),
        expression_face=options.parse_face(expression_face),
    )

    def load() -> Refaces:
        from mien.cli.reface.refaces import Refaces

        remind(quiet)
        return Refaces(wish, backbone, device, dtype, adapter, scheduler)

    if pairs is not None and out_dir is not None:
        from mien.cli.reface.rows import run

        rows_at_a_time = min(batch_size, options.MAX_BATCH // num_images)
        run(load, pairs, out_dir, prompt, seed, num_images, rows_at_a_time, overwrite, as_json, quiet)
    else:
        places = numbered(output, num_images)
        given = [*filter(None, (photo, identity)), *expression_files(expression)]
        check_places([*places, *([strip] if strip else [])], given, overwrite)
        check_given(filter(None, (photo, identity)), expression)
        requests = [Request(photo, identity, expression, prompt, seed + j) for j in range(num_images)]
        _one(load, requests, places, strip, as_json, quiet)


def _one(
    load: Any, requests: list[Request], places: list[Path], strip: Path | None, as_json: bool, quiet: bool
) -> None:
    from mien.provenance import save_image
    from mien.provenance.hashes import new_salt

    began = time.perf_counter()
    refaces = load()
    ready = time.perf_counter()
    with steps_bar(quiet) as progress:
        results = refaces.make(requests, progress)
    seconds = time.perf_counter() - ready
    salt, made = new_salt(), []
    for slot, (request, place, result) in enumerate(zip(requests, places, results, strict=True)):
        image = result.image()
        scores = refaces.score(image, result.scene, request)
        record = refaces.record(request, result, image, salt, slot, len(requests))
        save_image(
            image,
            place,
            {**refaces.settings, **record, "scores": scores},
            mask=generated_part(request, result),
        )
        own = {name: record[name] for name in ("prompt", "seed", "task")}
        made.append({"path": str(place), **own, **scores})
    if strip:
        from mien.cli.reface.refaces import save_strip

        save_strip(strip, refaces, requests[0], results)
    total = time.perf_counter() - began
    if as_json:
        answer = {"images": made, "strip": str(strip) if strip else None, "settings": refaces.settings}
        print_json({**answer, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
        return
    report(made, strip, seconds, total)
