"""`mien reface`: another face, another expression or both, in a photo that otherwise stays as it is."""

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
from mien.making.wishes import PhotoWish, RefaceWish, Request

SINGLE = ("photo", "identity", "expression")
EVERY = "all"  # an expression: each of the 135 words, as a table of them
BESIDE_WORDS = ("pairs", "source", "output", "strip", "force")


def reface(
    context: typer.Context,
    photo: Annotated[
        Path | None, typer.Argument(metavar="PHOTO", help="The photo; only one face in it changes.")
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE | FACE=FILE",
            help="Whose face it gets: a picture, or several of one person. left=FILE right=FILE: of several people.  "
            "[default: stays the same person]",
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option(
            help="Its expression: a picture, a word, an emoji, a mix, blendshapes; all: each of the 135 words, with "
            "--out-dir.  [default: stays]"
        ),
    ] = None,
    engine: options.Engine = "auto",
    strength: options.Strength = 1.0,
    relative: options.Relative = True,
    region: options.Region = "all",
    teeth: options.Teeth = None,
    finish: options.Finish = None,
    finish_strength: options.FinishStrength = options.FINISH_STRENGTH,
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
            callback=options.scheduler,
            help="A scheduler of diffusers: PNDM, DDIM, UniPCMultistep ...  [default: the model's own, or PNDM]",
        ),
    ] = None,
    guidance: options.Guidance = None,
    id_scale: options.IdScale = 1.0,
    expression_scale: options.ExpressionScale = 1.0,
    num_images: options.Count = 1,
    face: Annotated[
        str,
        typer.Option(help="Which face of the photo: largest, left, right, N from 0, the largest, or all."),
    ] = "largest",
    identity_face: Annotated[str, typer.Option(help="The same for the identity's picture.")] = "largest",
    expression_face: options.ExpressionFace = "largest",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: Annotated[
        str,
        typer.Option(
            callback=options.backbone,
            help="mini, or a folder or hub id that takes a background; without PHOTO also sd15, sdxl and their like.",
        ),
    ] = "mini",
    adapter: options.Adapter = None,
    strip: Annotated[
        Path | None, typer.Option(help="Also draw photo | identity | expression | result here.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns photo,identity,expression,prompt,seed,out.")
    ] = None,
    out_dir: options.OutDir = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="With --out-dir: all results on one picture, each under its expression."),
    ] = None,
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
    """Give a face in PHOTO another expression, another identity, or both; the rest stays.

    The photo's own pixels are moved, and with --identity that person's are laid in, at any size; all else keeps every
    bit. With --prompt, another --backbone, or --engine diffusion, the face is drawn anew.

    With --expression all --out-dir DIR: each of the 135 words, in one photo or scene; --sheet draws all on one picture.

    With --pairs FILE --out-dir DIR: every row of a CSV file, and DIR/results.csv with every setting and score.
    Pictures named in the CSV are looked for from the CSV's own folder.

    With --from PICTURE PHOTO: that picture again, bit for bit on the same kind of machine. The pictures it was made
    from are not in it and have to be given, as then; words are.

    Other people's faces need their consent. Results say that they were generated.
    """
    began = time.perf_counter()
    possible = photo is not None or pairs is not None
    if expression == EVERY:
        if wrong := next((one for one in BESIDE_WORDS if options.is_given(context, one)), None):
            raise InputError(f"--{wrong.replace('source', 'from')} does not go with --expression all.")
        if photo is None and not prompt.strip():
            raise InputError("Give a photo, or --prompt with the scene to put the face in.")
        from mien.cli.requests import write_words

        pairs, identity = write_words(out_dir, photo, identity or (), overwrite), None
    else:
        options.check_mode(context, SINGLE)
    cluster = options.cluster(context, pairs is not None)

    if source is not None:
        output = place_again(output, source, options.is_given(context, "output"))
        one, people = options.parse_people(identity or ())
        again = Asked.of({**context.params, "output": output}, began)
        repeat("reface", context.params, {"photo": photo, "identity": one}, again, people)
        return
    if pairs is None and sheet is not None:
        raise InputError("--sheet is of many results: add --pairs, or --expression all; --strip is of one.")
    if pairs is None and photo is None and not prompt.strip():
        raise InputError("Give a photo, or --prompt with the scene to put the face in.")
    one, people = options.parse_people(identity or ())
    if pairs is None and not identity and expression is None:
        raise InputError("Nothing is to be changed: give --identity, --expression or both.")
    wish: RefaceWish | PhotoWish
    if options.by_photo(context, possible, pairs, ("prompt", "sentence")):
        wish = options.wish_of(context, PhotoWish, kind="reface")
        if people and "" in people:
            people = {wish.face: people[""]}
    else:
        if people or face == "all":
            what = "several pictures of identities" if people else "--face all"
            raise InputError(
                f"{what} belong to the photo engine: give one, or nothing that asks for diffusion."
            )
        wish = options.wish_of(context, RefaceWish)

    load = partial(open_maker, wish, backbone, device, dtype, adapter, scheduler)
    if pairs is not None and out_dir is not None:
        from mien.cli.requests import ACCOUNTS, RequestFormat
        from mien.cli.rows import make_rows
        from mien.making.rows import RowMaker

        for_several = wish.face if isinstance(wish, PhotoWish) else None
        form = RequestFormat(pairs.parent, prompt, seed, num_images, for_several)
        run = (pairs, out_dir, batch_size, overwrite, as_json, quiet, sheet)
        make_rows(partial(RowMaker, load), form, ACCOUNTS["reface"], *run, cluster=cluster)
    else:
        request = Request(one, expression, prompt, seed, photo, people)
        make(partial(load, tell), request, num_images, Asked.of(context.params, began))
