"""Options that mean the same to several verbs: written once, so that every `--help` says the same of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.console import choice, nearest

if TYPE_CHECKING:
    from mien.pipelines.inputs import FaceChoice

FACES = ("largest", "left", "right")
BACKBONES = ("mini", "sd15", "sdxl")  # names of `mien.backbones.SPECS`, which brings torch with it
DTYPES = ("auto", "float32", "bfloat16", "float16")
MAX_BATCH = 64  # pictures in work at a time; what `--from` believes of a stranger's picture
MAX_SEED = 2**63 - 1  # what torch's generators take, with room for the seeds of a pair's other pictures


def text(text: str | None) -> str | None:
    """What the shell gave, if it is text: bytes that are none come as lone surrogates, which no tokenizer takes."""
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{text!r} is not text in UTF-8: write it again.") from error
    return text


def _small(seed: int) -> int:
    if seed > MAX_SEED:
        raise typer.BadParameter(f"{seed} is too large: give a number up to {MAX_SEED}.")
    return seed


Prompt = Annotated[str, typer.Option(callback=text, help="What the picture should look like.")]
NegativePrompt = Annotated[str, typer.Option(callback=text, help="What it should not look like.")]
Seed = Annotated[int, typer.Option(min=0, callback=_small, help="Same seed, same picture.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Denoising steps.  [default: the model's]")]
Guidance = Annotated[float | None, typer.Option(min=0, help="How strictly to obey.  [default: the model's]")]
IdScale = Annotated[float, typer.Option(min=0, help="Weight of the identity.")]
ExpressionScale = Annotated[float, typer.Option(min=0, help="Weight of the expression.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
Backbone = Annotated[str, typer.Option(help="mini, sd15, sdxl, a diffusers folder or a hub id.")]
Adapter = Annotated[str | None, typer.Option(help="Folder of an E-Adapter.  [default: the backbone's own]")]
OutDir = Annotated[Path | None, typer.Option(help="With --pairs: the folder to write to.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Also replace a file that mien did not make.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def parse_face(word: str) -> FaceChoice:
    """largest, left, right, or a number from 0.

    Raises:
        InputError: it is none of them.
    """
    if word.isascii() and word.isdigit():
        return int(word)
    if word in FACES:
        return word
    from mien.types import InputError

    known = f"{', '.join(FACES)} or a number from 0"
    raise InputError(f"--face {word} is unknown{nearest(word, FACES)}: choose {known}.")


def check_backbone(backbone: str) -> None:
    """`InputError` if it is neither a name, nor a folder, nor a hub id: said before anything heavy is imported."""
    if "/" not in backbone and not Path(backbone).is_dir():
        choice(backbone, BACKBONES, "backbone")


def is_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line, rather than being its default."""
    given = context.get_parameter_source(name)
    return given is not None and given.name == "COMMANDLINE"


def check_alone(context: typer.Context, allowed: Sequence[str]) -> None:
    """With --from the settings are the picture's own: `InputError` if another than `allowed` is given beside it."""
    from mien.types import InputError

    for name in context.params:
        if name not in allowed and is_given(context, name):
            raise InputError(f"{_spelt(context, name)} is the picture's own with --from: leave it out.")


def check_rows(context: typer.Context, single: Sequence[str]) -> None:
    """With --pairs the rows say what is made: `InputError` if one of `single`, which are one picture's, is given."""
    from mien.types import InputError

    for name in single:
        if is_given(context, name):
            raise InputError(
                f"{_spelt(context, name)} is for one picture; with --pairs the rows name the pictures, and --out-dir "
                "says where the results go: leave it out."
            )


def _spelt(context: typer.Context, name: str) -> str:
    """A parameter as it is written: --output, IDENTITY."""
    (found,) = (one for one in context.command.params if one.name == name)
    return found.opts[0] if found.param_type_name == "option" else name.upper()
