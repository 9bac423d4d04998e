"""`mien train`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from mien.errors import InputError


def train(
    recipe: Annotated[str, Argument(metavar="RECIPE")],
    overrides: Annotated[list[str] | None, Argument(metavar="KEY=VALUE")] = None,
    out: Path = Path("runs"),
    dry_run: Annotated[bool, Option("--dry-run")] = False,
    minutes: float | None = None,
) -> None:
    """Train what RECIPE says; started again, it resumes from its last checkpoint.

    Args:
        recipe: A name, as mini_base or sd15_sfsr, or a file.
        overrides: Replace settings, as loop.steps=100.
        out: Folder of runs; a run that is there is resumed.
        dry_run: Build the models, print sizes and memory, and stop.
        minutes: Stop after so many, with a checkpoint to go on from.
    """
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
