"""`mien generate`: one portrait of this person with that expression, or a CSV file's worth of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli import options
from mien.cli.console import choice, print_json
from mien.cli.generate.wish import SCORED_BY, Wish, report
from mien.cli.pictures import check_places, expression_files, numbered, place_again, steps_bar

if TYPE_CHECKING:
    from mien.cli.generate.portraits import Portraits

WITH_FROM = (
    "source", "identity", "expression", "output", "strip", "backbone", "adapter", "device", "force", "overwrite",
    "as_json", "quiet",
)  # fmt: skip
WITHOUT_PAIRS = ("identity", "expression", "output", "strip")


def generate(
    context: typer.Context,
    identity: Annotated[
        Path | None, typer.Argument(metavar="IDENTITY", help="A picture of the person.")
    ] = None,
    expression: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPRESSION",
            help="The expression: a picture of anybody's, a word (joy), an emoji, a mix (joy:0.6+surprise:0.4) "
            "or blendshapes as JSON.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The portrait: .png, .jpg or .webp.")] = Path(
        "portrait.png"
    ),
    prompt: options.Prompt = "",
    negative_prompt: options.NegativePrompt = "",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    id_scale: options.IdScale = 1.0,
    expression_scale: options.ExpressionScale = 1.0,
    num_images: Annotated[
        int, typer.Option("--num-images", "-n", min=1, max=options.MAX_BATCH, help="Portraits of each pair.")
    ] = 1,
    face: Annotated[
        str, typer.Option(help="Whose face: largest, left, right, or N, counted from 0, the largest.")
    ] = "largest",
    expression_face: Annotated[str, typer.Option(help="The same for the expression picture.")] = "largest",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: options.Backbone = "mini",
    adapter: options.Adapter = None,
    strip: Annotated[Path | None, typer.Option(help="Also draw identity | expression | result here.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns identity,expression[,prompt,seed,out].")
    ] = None,
    out_dir: options.OutDir = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=options.MAX_BATCH, help="With --pairs: portraits in work at a time.")
    ] = 8,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Make this picture again, from its metadata and the same IDENTITY."),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="With --from: go on where models or pictures are others than then.")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a portrait of the person in IDENTITY with the expression in EXPRESSION.

    With --pairs FILE --out-dir DIR: a portrait of each row, different people in one batch, and
    DIR/results.csv with every setting and score. Pictures named in the CSV are looked for from the CSV's
    own folder.

    With --from PICTURE IDENTITY [EXPRESSION]: that picture again, bit for bit on the same kind of machine. The
    pictures it was made from are not in it and have to be given; words are.

    Other people's faces need their consent. Portraits are marked as generated, in their metadata and by an
    invisible watermark: see `mien inspect`.
    """
    began = time.perf_counter()
    choice(dtype, options.DTYPES, "precision")
    options.check_backbone(backbone)
    from mien.types import InputError

    if (pairs is None) != (out_dir is None):
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    if source is not None:
        from mien.cli.generate.repeat import repeat

        options.check_alone(context, WITH_FROM)
        output = place_again(output, source, options.is_given(context, "output"))
        repeat(
            source,
            identity,
            expression,
            output,
            strip,
            backbone,
            adapter,
            device,
            force,
            overwrite,
            as_json,
            quiet,
        )
        return
    if force:
        raise InputError("--force belongs to --from PICTURE: leave it out.")
    if pairs is not None:
        options.check_rows(context, WITHOUT_PAIRS)
    elif identity is None or expression is None:
        raise InputError(
            "Give an identity picture and an expression, or --pairs FILE.csv and --out-dir DIR, or --from PICTURE."
        )
    wish = Wish(
        negative_prompt=negative_prompt,
        steps=steps,
        guidance=guidance,
        id_scale=id_scale,
        expression_scale=expression_scale,
        num_images=num_images,
        face=options.parse_face(face),
        expression_face=options.parse_face(expression_face),
    )

    def load() -> Portraits:
        from mien.cli.generate.portraits import Portraits

        return Portraits(wish, backbone, device, dtype, adapter)

    if pairs is not None and out_dir is not None:
        from mien.cli.generate.rows import run

        rows_at_a_time = min(batch_size, options.MAX_BATCH // num_images)
        run(load, pairs, out_dir, prompt, seed, num_images, rows_at_a_time, overwrite, as_json, quiet)
    elif identity is not None and expression is not None:
        _one(load, identity, expression, output, strip, prompt, seed, wish, overwrite, as_json, quiet, began)


def _one(
    load: Any,
    identity: Path,
    expression: str,
    output: Path,
    strip: Path | None,
    prompt: str,
    seed: int,
    wish: Wish,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    began: float,
) -> None:
    from mien.cli.consent import remind
    from mien.expressions.spec import parse
    from mien.images import read_image
    from mien.provenance import save_image
    from mien.provenance.hashes import new_salt

    places = numbered(output, wish.num_images)
    check_places([*places, *([strip] if strip else [])], [identity, *expression_files(expression)], overwrite)
    identity_image, wanted = read_image(identity), parse(expression)
    for part in wanted.parts:
        if isinstance(part.picture, Path):
            read_image(part.picture)  # a bad one is named before the models are loaded
    portraits = load()
    who = portraits.look(identity, "face", identity_image)
    how = portraits.express(wanted)
    remind(quiet)
    ready = time.perf_counter()
    with steps_bar(quiet) as progress:
        images = portraits.make([(who, how)], [prompt], [seed], progress)
    seconds = time.perf_counter() - ready
    settings = {**portraits.settings, "prompt": prompt}
    salt = new_salt()
    made = []
    for number, (place, image) in enumerate(zip(places, images, strict=True)):
        scores = portraits.score(image, who, how)
        record = portraits.record(who, how, image, salt, number, len(images))
        save_image(image, place, {**settings, "seed": seed + number, **record, "scores": scores})
        made.append({"path": str(place), "seed": seed + number, **scores})
    if strip:
        from mien.cli.generate.portraits import save_strip

        save_strip(strip, portraits, who, how, images, {**settings, "seed": seed})
    total = time.perf_counter() - began
    if as_json:
        result = {"images": made, "strip": str(strip) if strip else None, "settings": settings}
        print_json({**result, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
        return
    report(made, strip, seconds, total)
