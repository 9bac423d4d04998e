"""`--from PICTURE` of `mien generate` and `mien reface`: the same picture again, from what its metadata say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import tell
from mien.cli.pictures import expression_files, remind, steps_bar
from mien.cli.results import Asked, report
from mien.making.repeating import model_of, read_again, same_threads

if TYPE_CHECKING:
    from mien.pipelines.inputs import FaceChoice


def repeat(
    kind: str,
    given: Mapping[str, Any],
    pictures: dict[str, Path | None],
    asked: Asked,
    people: Mapping[FaceChoice, Sequence[Path]] | None = None,
) -> None:
    """Make the picture of --from again, of `kind`, and say whether it is the same, bit for bit. Raises `InputError`: it
    does not say how it was made; a picture or the weights are others than then (unless --force); or what is needed was
    not given.

    Args:
        given: the verb's parameters. pictures, people: see `mien.making.repeating.read_again`.
    """
    source, expression, force = given["source"], given["expression"], given["force"]
    faces = [path for files in (people or {}).values() for path in files]
    asked.check(1, [source, *filter(None, pictures.values()), *faces, *expression_files(expression)])
    again = read_again(source, kind, pictures, expression, force, people)
    old, adapter = again.old, given["adapter"]
    name, place = model_of(source, old, given["backbone"], adapter), same_threads(old, given["device"])

    from mien.making.made import finish, save_strip
    from mien.making.makers import open_maker

    maker = open_maker(again.wish, name, place, old["dtype"], adapter, old.get("scheduler"), tell)
    again.check(maker.model.hashes, force)
    remind(asked.quiet)
    ready = time.perf_counter()
    with steps_bar(asked.quiet) as progress:
        drawn = again.make(maker, progress)
    seconds = time.perf_counter() - ready
    made = finish(maker, drawn, again.prints)
    photo = None if made.mask is None else pictures["photo" if kind == "reface" else "identity"]
    made = replace(made, settings={**old, **made.settings}, photo=photo)
    made.save(asked.output)
    if asked.strip:
        save_strip(maker, [drawn], asked.strip)
    why = again.why(made)
    end = f"the same as {source}, bit for bit" if why is None else f"not the same bits as {source}"
    told = {"path": str(asked.output), **made.line}
    report(kind, [told], made.settings, seconds, asked, why is None, end)
    if why is not None:
        tell(why)
