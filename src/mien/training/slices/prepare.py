"""Makes the folder of a recipe that is trained in slices: pictures, held-out pictures, parts, and the first state."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mien.data.dataset import load_faces
from mien.training.slices import recipe, state
from mien.training.slices.pictures import COLUMNS, LOSSLESS, held_rows, training_rows, write_shards
from mien.training.slices.run import HELD, PARTS, PICTURES, STATE
from mien.types import InputError


def prepare(
    path: Path, overrides: list[str], out: Path, tell: Callable[[str], None] = print
) -> recipe.SliceRecipe:
    """Write ``recipe.json``, ``pictures/``, ``held/``, ``parts/`` and ``state/`` into `out`.

    What is there already of pictures and state is kept: remove the folder to start afresh.

    Raises:
        InputError: the recipe is wrong, a set is not prepared, or a part is missing.
    """
    given = recipe.read_yaml(path, overrides)
    settings = recipe.check(given, path)
    own = settings.slices
    out.mkdir(parents=True, exist_ok=True)
    for name, source in own.parts.items():
        _copy(Path(source), out / PARTS / name)
    for source in own.sets:
        if list((out / PICTURES).glob(f"{source}-[0-9]*.npz")):
            continue
        rows = training_rows(load_faces(source), own.limits.get(source))
        shards = write_shards(source, rows, out / PICTURES, own.quality, own.columns)
        tell(f"{source}: {len(rows)} pictures, {_megabytes(shards):.1f} MB in {len(shards)} shards")
    for source, count in own.held.items():
        if list((out / HELD).glob(f"{source}-[0-9]*.npz")):
            continue
        rows = held_rows(load_faces(source), source in own.sets, count)
        shards = write_shards(source, rows, out / HELD, LOSSLESS, COLUMNS)
        tell(f"{source}: {len(rows)} held-out pictures, {_megabytes(shards):.1f} MB")
    if not (out / STATE / state.ABOUT).is_file():
        state.pack_start(Path(own.start), out / STATE, own.leave, {"history": []})
    recipe.write(given, out)
    return settings


def take(folder: Path, fetched: Path) -> dict[str, Any]:
    """Make a state that came back the one that the next slice goes on from; it is archived as ``slices/NNNN``, too.

    An archived state is taken again, to go back to it; a later one of the same number is then kept as ``NNNN.left``.

    Raises:
        InputError: it is not whole, or has nothing to do with the state that is there.
    """
    about = state.read_whole(fetched)
    history, known = about["history"], state.read_about(folder / STATE)["history"]
    shared = min(len(history), len(known))
    if not history or history[:shared] != known[:shared]:
        raise InputError(
            f"The state {fetched} has {len(history)} slices and does not follow the {len(known)} of {folder}: "
            "it was begun from another state."
        )
    archived = folder / "slices" / f"{len(history):04d}"
    if archived.is_dir() and state.read_about(archived)["files"] != about["files"]:
        left = archived.with_name(f"{archived.name}.left")
        shutil.rmtree(left, ignore_errors=True)
        archived.rename(left)
    for place in (archived, folder / STATE):
        if place.resolve() != fetched.resolve():
            state.copy(fetched, place, about)
    return history[-1]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    else:
        raise InputError(f"The part {source} does not exist: train or fetch it first.")


def _megabytes(paths: list[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6
