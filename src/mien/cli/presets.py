"""`mien expressions save`, `saved` and `remove`: expressions under names of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.cli import options
from mien.cli.console import print_json, tell


def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it: letters, digits, hyphens.")],
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION", help="Words, emoji, a mix, a picture, blendshapes, a file of them."
        ),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also replace one of that name.")] = False,
) -> None:
    """Keep an expression under a name of your own, which then works wherever an expression is asked for.

    mien expressions save my-grin "joy:0.7+smug:0.3"

    Of a picture only the face's movement from its rest is kept, as blendshapes.
    """
    from mien.expressions import presets
    from mien.expressions.spec import parse
    from mien.types import InputError

    presets.check_name(name)
    if not overwrite and name in presets.names():
        raise InputError(f"{name} is saved already: choose another name, or add --overwrite to replace it.")
    from mien.face.analyze import analyze
    from mien.making.subjects import Looker
    from mien.pipelines.photo_film import coefficients

    look = Looker(analyze, "largest", "largest", ("--face", "--face"), tell)
    print(presets.save(name, coefficients(look.target(parse(expression)).expression)))


def saved(as_json: options.Json = False) -> None:
    """The expressions saved under names of your own, and their strongest blendshapes."""
    from mien.expressions import presets

    found = {name: presets.find(name) for name in presets.names()}
    shapes = {name: dict(meaning.shapes) for name, meaning in found.items() if meaning is not None}
    if as_json:
        print_json(shapes)
        return
    for name, values in shapes.items():
        strongest = sorted(values.items(), key=lambda pair: -pair[1])[:3]
        print(f"{name}  {', '.join(f'{shape} {value:.2f}' for shape, value in strongest)}")


def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="One that `saved` lists.")]) -> None:
    """Forget a saved expression."""
    from mien.expressions import presets

    presets.remove(name)
