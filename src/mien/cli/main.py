"""Assembles the verbs into `mien`."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from mien import __version__
from mien.cli import data, expressions, models, study
from mien.cli.analyze import analyze
from mien.cli.console import Verbs
from mien.cli.evaluate import evaluate
from mien.cli.film import film
from mien.cli.generate import generate
from mien.cli.inspect import inspect
from mien.cli.invent import invent
from mien.cli.reface import reface
from mien.cli.studio import studio
from mien.cli.train import train
from mien.cli.travel import travel

app = typer.Typer(
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


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # transformers warns of torchvision, which nothing here needs
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


# In one line each, for the list that `mien --help` shows; the whole is each verb's own docstring.
for _verb, _line in (
    (generate, "Portraits of a person with an expression, one or many."),
    (reface, "Another face, another expression or both, in a photo."),
    (travel, "A person from expression to expression: film or sheet."),
    (film, "A photo that moves as a film's face does."),
    (invent, "People who do not exist, to try everything on."),
    (studio, "All of it in a browser."),
    (inspect, "What pictures say of how they were made."),
    (analyze, "Faces, pose and blendshapes of pictures."),
    (evaluate, "Score pictures of any method: expression, identity, pose."),
):
    app.command(short_help=_line)(_verb)
app.add_typer(
    expressions.app, name="expressions", short_help="The 135 words for a face; labelled pictures of your own."
)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(study.app, name="study")
app.command(short_help="Run a recipe; resumed after a kill.")(train)


def main() -> None:
    """The `mien` command."""
    # OpenMP's threads otherwise spin while they wait: on a busy machine that made this ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # typer's pydantic otherwise looks for plugins in every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if isinstance(sys.stdout, io.TextIOWrapper):  # files' names need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
