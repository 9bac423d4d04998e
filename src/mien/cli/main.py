"""Assembles the verbs into `mien`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer import Option

from mien import __version__
from mien.cli.console import Verbs
from mien.cli.options import Group

# In one line each, for the list that `mien --help` shows; the whole is each verb's own docstring.
VERBS = {
    "generate": "Portraits of a person with an expression, one or many.",
    "reface": "Another face, another expression or both, in a photo.",
    "travel": "A person from expression to expression: film or sheet.",
    "film": "A photo that moves as a film's face does.",
    "invent": "People who do not exist, to try everything on.",
    "studio": "All of it in a browser.",
    "inspect": "What pictures say of how they were made.",
    "analyze": "Faces, pose and blendshapes of pictures.",
    "evaluate": "Score pictures of any method: expression, identity, pose.",
    "expressions": "The 135 words for a face; labelled pictures of your own.",
    "models": None,
    "data": None,
    "study": None,
    "train": "Run a recipe; resumed after a kill.",
}


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # transformers warns of torchvision, which nothing here needs
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def assembled(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command line with these verbs: to build all of them takes longer than most need to start."""
    app = Group(
        name="mien",
        cls=Verbs,
        help="A portrait of this person, with that expression. Offline, on a laptop.",
        epilog="Example: mien generate me.jpg smile.jpg -o portrait.png. Other people's faces need their consent.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for verb in verbs:
        module = import_module(f"mien.cli.{verb}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb, short_help=VERBS[verb])
        else:
            app.command(short_help=VERBS[verb])(getattr(module, verb))
    return app


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return assembled()


def main() -> None:
    """The `mien` command."""
    # OpenMP's threads otherwise spin while they wait: on a busy machine that made this ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # typer's pydantic otherwise looks for plugins in every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if isinstance(sys.stdout, io.TextIOWrapper):  # files' names need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    assembled([first] if first in VERBS else VERBS)()


if __name__ == "__main__":
    main()
