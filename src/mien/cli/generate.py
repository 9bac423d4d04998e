"""`mien generate`: one portrait of this person with that expression, or a CSV file's worth of them."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options
from mien.cli.console import tell
from mien.cli.pictures import place_again
from mien.cli.results import Asked, make, repeat
from mien.errors import InputError
from mien.making.makers import open_maker
from mien.making.wishes import PhotoWish, PortraitWish, Request

SINGLE = ("identity", "expression")


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
    engine: options.Engine = "auto",
    strength: options.Strength = 1.0,
    relative: options.Relative = True,
    region: options.Region = "all",
    teeth: options.Teeth = None,
    finish: options.Finish = None,
    finish_strength: options.FinishStrength = options.FINISH_STRENGTH,
    prompt: options.Prompt = "",
    negative_prompt: options.NegativePrompt = "",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    id_scale: options.IdScale = 1.0,
    expression_scale: options.ExpressionScale = 1.0,
    lead: options.Lead = None,
    num_images: options.Count = 1,
    face: options.Face = "largest",
    expression_face: options.ExpressionFace = "largest",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: options.Backbone = "mini",
    adapter: options.Adapter = None,
    strip: Annotated[Path | None, typer.Option(help="Also draw identity | expression | result here.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns identity,expression[,prompt,seed,out].")
    ] = None,
    out_dir: options.OutDir = None,
    batch_size: options.BatchSize = 8,
    ray: options.Ray = None,
    workers: options.Workers = 2,
    gpus: options.Gpus = 0.0,
    source: options.Source = None,
    force: options.Force = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a portrait of the person in IDENTITY with the expression in EXPRESSION.

    It is the person's own photograph, head and shoulders, with that expression. With --prompt, another --backbone, or
    --engine diffusion, the portrait is drawn anew.

    With --pairs FILE --out-dir DIR: a portrait of each row, different people in one batch, and DIR/results.csv with
    every setting and score. Pictures named in the CSV are looked for from the CSV's own folder.

    With --from PICTURE IDENTITY [EXPRESSION]: that picture again, bit for bit on the same kind of machine. The
    pictures it was made from are not in it and have to be given; words are.

    Other people's faces need their consent. Portraits say that they were made, and how, in their metadata and by an
    invisible watermark: see `mien inspect`.
    """
    began = time.perf_counter()
    options.check_mode(context, SINGLE)
    cluster = options.cluster(context, pairs is not None)
    if source is not None:
        output = place_again(output, source, options.is_given(context, "output"))
        again = Asked.of({**context.params, "output": output}, began)
        repeat("portrait", context.params, {"identity": identity}, again)
        return
    wish: PortraitWish | PhotoWish
    if options.by_photo(context, True, pairs, ("prompt",)):
        wish = options.wish_of(context, PhotoWish, kind="portrait")
    else:
        wish = options.wish_of(context, PortraitWish)

    load = partial(open_maker, wish, backbone, device, dtype, adapter, None)
    if pairs is not None and out_dir is not None:
        from mien.cli.requests import ACCOUNTS, PortraitFormat
        from mien.cli.rows import make_rows
        from mien.making.rows import RowMaker

        form = PortraitFormat(pairs.parent, prompt, seed, num_images)
        run = (pairs, out_dir, batch_size, overwrite, as_json, quiet)
        make_rows(partial(RowMaker, load), form, ACCOUNTS["portrait"], *run, cluster=cluster)
    elif identity is not None and expression is not None:
        request = Request(identity, expression, prompt, seed)
        make(partial(load, tell), request, num_images, Asked.of(context.params, began))
    else:
        raise InputError(
            "Give an identity picture and an expression, or --pairs FILE.csv and --out-dir DIR, or --from PICTURE."
        )
