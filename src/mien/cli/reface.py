"""`mien reface`: another face, another expression or both, in a photo that otherwise stays as it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from mien.cli import checks, options
from mien.cli.console import tell
from mien.cli.results import make, repeat
from mien.errors import InputError
from mien.making.wishes import PhotoWish, RefaceWish, Request

SINGLE = ("photo", "identity", "expression")
EVERY = "all"  # an expression: each of the 135 words, as a table of them
BESIDE_WORDS = ("pairs", "source", "output", "strip", "force")


def _face_or_all(word: str) -> str | int:
    return word if word == "all" else checks.parse_face(word)


@options.verb(options.ENGINE, options.FINISH, options.DIFFUSION, options.PICTURES)
def reface(
    context: typer.Context,
    photo: Annotated[Path | None, Argument(metavar="PHOTO")] = None,
    identity: Annotated[list[str] | None, Option(metavar="FILE | FACE=FILE")] = None,
    expression: str | None = None,
    prompt: Annotated[str, Option(callback=checks.text)] = "",
    output: Annotated[Path, Option("--output", "-o")] = Path("refaced.png"),
    steps: Annotated[int | None, Option(min=1)] = None,
    scheduler: Annotated[str | None, Option(callback=checks.scheduler)] = None,
    face: Annotated[str, Option(callback=_face_or_all)] = "largest",
    identity_face: Annotated[str, Option(callback=checks.parse_face)] = "largest",
    backbone: Annotated[str, Option(callback=checks.backbone)] = "mini",
    strip: Path | None = None,
    pairs: Path | None = None,
    sheet: Path | None = None,
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

    Args:
        photo: The photo; only one face in it changes.
        identity: Whose face it gets: a picture, or several of one person. left=FILE right=FILE: of several
            people.  [default: stays the same person]
        expression: Its expression: a picture, a word, an emoji, a mix, blendshapes; all: each of the 135 words, with
            --out-dir.  [default: stays]
        prompt: Without PHOTO: the scene, which is generated first. With it: what the face shows.
        output: The result: .png, .jpg or .webp.
        steps: Denoising steps.  [default: 50, or the model's]
        scheduler: A scheduler of diffusers: PNDM, DDIM, UniPCMultistep ...  [default: the model's own, or PNDM]
        face: Which face of the photo: largest, left, right, N from 0, the largest, or all.
        identity_face: The same for the identity's picture.
        backbone: mini, or a folder or hub id that takes a background; without PHOTO also sd15, sdxl and their like.
        strip: Also draw photo | identity | expression | result here.
        pairs: CSV with the columns photo,identity,expression,prompt,seed,out.
        sheet: With --out-dir: all results on one picture, each under its expression.
    """
    given = options.begun(context)
    possible = photo is not None or pairs is not None
    if expression == EVERY:
        if wrong := next((one for one in BESIDE_WORDS if options.is_given(context, one)), None):
            raise InputError(f"--{wrong.replace('source', 'from')} does not go with --expression all.")
        if photo is None and not prompt.strip():
            raise InputError("Give a photo, or --prompt with the scene to put the face in.")
        from mien.cli.requests import write_words

        pairs, identity = write_words(given["out_dir"], photo, identity or (), given["overwrite"]), None
    else:
        options.check_mode(context, SINGLE)
    cluster = options.cluster(context, pairs is not None)

    one, people = options.parse_people(identity or ())
    if given["source"] is not None:
        repeat("reface", given, {"photo": photo, "identity": one}, people)
        return
    if pairs is None and sheet is not None:
        raise InputError("--sheet is of many results: add --pairs, or --expression all; --strip is of one.")
    if pairs is None and photo is None and not prompt.strip():
        raise InputError("Give a photo, or --prompt with the scene to put the face in.")
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

    load, seed = options.loading(given, wish), given["seed"]
    if pairs is not None:
        from mien.cli.requests import RequestFormat
        from mien.cli.rows import make_rows
        from mien.making.rows import RowMaker

        for_several = wish.face if isinstance(wish, PhotoWish) else None
        form = RequestFormat(pairs.parent, prompt, seed, given["num_images"], for_several)
        make_rows(partial(RowMaker, load), form, {**given, "pairs": pairs}, cluster)
    else:
        make(partial(load, tell=tell), Request(one, expression, prompt, seed, photo, people), given)
