"""`mien train`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import InputError


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name, as mini_base or sd15_sfsr, or a file.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Replace settings, as loop.steps=100.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs; a run that is there is resumed.")] = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build the models, print sizes and memory, and stop.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many, with a checkpoint to go on from.")
    ] = None,
) -> None:
    """Train what RECIPE says; started again, it resumes from its last checkpoint."""
    import math

    if minutes is not None and not minutes > 0:
        raise InputError(f"--minutes must be more than 0, not {minutes:g}.")

    for override in overrides or []:
        if "=" not in override:
            raise InputError(f"{override} is not KEY=VALUE: write for instance loop.steps=100.")
    from mien.training.recipes import find

    found = find(recipe)  # a wrong name is said before anything heavy is imported, and so is what is missing
    if not dry_run:
        from mien.training.outlook import check

        check(found, overrides or [])
    from mien.cli.console import tell
    from mien.training.recipe import run

    try:
        print(run(recipe, overrides, out, dry_run, math.inf if minutes is None else minutes))
    except FloatingPointError as error:
        tell(f"{error}.")
        raise typer.Exit(1) from error
