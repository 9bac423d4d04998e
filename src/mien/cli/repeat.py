"""`--from PICTURE` of `mien generate` and `mien reface`: the same picture again, from what its metadata say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.console import tell
from mien.cli.pictures import check_places, expression_files, remind, steps_bar
from mien.cli.results import report
from mien.making.repeating import model_of, read_again, same_threads

if TYPE_CHECKING:
    from mien.pipelines.inputs import FaceChoice


def repeat(
    kind: str,
    source: Path,
    pictures: dict[str, Path | None],
    expression: str | None,
    output: Path,
    strip: Path | None,
    backbone: str,
    adapter: str | None,
    device: str,
    force: bool,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    people: Mapping[FaceChoice, Sequence[Path]] | None = None,
) -> None:
    """Make the picture `source` again, of `kind`, and say whether it is the same, bit for bit.

    Raises:
        InputError: `source` does not say how it was made; a picture or the weights are others than then
            (unless `force`); or what is needed was not given.
    """
    began = time.perf_counter()
    faces = [path for files in (people or {}).values() for path in files]
    given = [source, *filter(None, pictures.values()), *faces, *expression_files(expression)]
    check_places([output, *([strip] if strip else [])], given, overwrite)
    again = read_again(source, kind, pictures, expression, force, people)
    name, place = model_of(source, again.old, backbone, adapter), same_threads(again.old, device)
    from mien.making.made import finish, save_strip
    from mien.making.makers import open_maker

    maker = open_maker(again.wish, name, place, again.old["dtype"], adapter, again.old.get("scheduler"), tell)
    again.check(maker.model.hashes, force)
    remind(quiet)
    ready = time.perf_counter()
    with steps_bar(quiet) as progress:
        drawn = again.make(maker, progress)
    seconds = time.perf_counter() - ready
    made = finish(maker, drawn, again.prints)
    photo = None if made.mask is None else pictures["photo" if kind == "reface" else "identity"]
    made = replace(made, settings={**again.old, **made.settings}, photo=photo)
    made.save(output)
    if strip:
        save_strip(maker, [drawn], strip)
    why = again.why(made)
    end = f"the same as {source}, bit for bit" if why is None else f"not the same bits as {source}"
    told = {"path": str(output), **made.line}
    report(
        kind, [told], strip, made.settings, seconds, began, as_json, verbose, {"identical": why is None}, end
    )
    if why is not None:
        tell(why)
