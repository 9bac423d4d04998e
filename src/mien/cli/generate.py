"""`mien generate`: one portrait of this person with that expression, or a CSV file's worth of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from mien.cli import options
from mien.cli.console import tell
from mien.cli.results import make, repeat
from mien.errors import InputError
from mien.making.wishes import PhotoWish, PortraitWish, Request

SINGLE = ("identity", "expression")


@options.verb(options.ENGINE, options.FINISH, options.WORDS, options.DIFFUSION, options.PICTURES)
def generate(
    context: typer.Context,
    identity: Annotated[Path | None, Argument(metavar="IDENTITY")] = None,
    expression: Annotated[str | None, Argument(metavar="EXPRESSION")] = None,
    output: Annotated[Path, Option("--output", "-o")] = Path("portrait.png"),
    lead: Annotated[float | None, Option(min=0, max=0.99)] = None,
    strip: Path | None = None,
    pairs: Path | None = None,
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

    Args:
        identity: A picture of the person.
        expression: The expression: a picture of anybody's, a word (joy), an emoji, a mix (joy:0.6+surprise:0.4) or
            blendshapes as JSON.
        output: The portrait: .png, .jpg or .webp.
        lead: Give the model the person's own photo with that expression, by the photo engine, as its reference, and
            start so far on the way to it; 0: not at all.  [default: the adapter's, 0.2 of published ones]
        strip: Also draw identity | expression | result here.
        pairs: CSV with the columns identity,expression[,prompt,seed,out].
    """
    given = options.begun(context)
    options.check_mode(context, SINGLE)
    cluster = options.cluster(context, pairs is not None)
    if given["source"] is not None:
        repeat("portrait", given, {"identity": identity})
        return
    wish: PortraitWish | PhotoWish
    if options.by_photo(context, True, pairs, ("prompt",)):
        wish = options.wish_of(context, PhotoWish, kind="portrait")
    else:
        wish = options.wish_of(context, PortraitWish)

    load = options.loading(given, wish)
    prompt, seed = given["prompt"], given["seed"]
    if pairs is not None:
        from mien.cli.requests import PortraitFormat
        from mien.cli.rows import make_rows
        from mien.making.rows import RowMaker

        form = PortraitFormat(pairs.parent, prompt, seed, given["num_images"])
        make_rows(partial(RowMaker, load), form, given, cluster)
    elif identity is not None and expression is not None:
        make(partial(load, tell=tell), Request(identity, expression, prompt, seed), given)
    else:
        raise InputError(
            "Give an identity picture and an expression, or --pairs FILE.csv and --out-dir DIR, or --from PICTURE."
        )
