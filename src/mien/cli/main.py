"""Assembles the verbs into `mien`."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Annotated

import typer

from mien import __version__
from mien.cli.console import Verbs

VERBS = ("generate", "analyze", "evaluate", "models", "train")

app = typer.Typer(
    name="mien",
    cls=Verbs,
    help="A portrait of this person, with that expression. Offline, on a laptop.",
    epilog="Example: mien generate me.jpg smile.jpg -o portrait.png",
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
) -> None: ...


for _verb in VERBS:
    if importlib.util.find_spec(f"mien.cli.{_verb}") is None:
        continue
    _module = importlib.import_module(f"mien.cli.{_verb}")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_verb)
    else:
        app.command(_verb)(getattr(_module, _verb))


def main() -> None:
    """The `mien` command."""
    app()


if __name__ == "__main__":
    main()
