"""What travels to a machine that is lent: code, recipe, parts, pictures and state, in folders of limited size.

Copied over one another into one folder there, the loads are whole again: its ``code`` goes on PYTHONPATH, the rest is
what `run` takes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from mien.types import InputError

LIMIT = 56 * 10**6  # bytes of a load: with the rest of a checkout under 64 MiB
PACKAGE = Path(__file__).resolve().parents[2]
LEFT_BEHIND = ("weights/mini", "studio", "cli", "expressions/faces", "data/face_mesh.npz")
FOLDERS = ("parts", "pictures", "held", "state")


def code_files() -> list[Path]:
    """The package's files that training needs, relative to the package: no weights, no programs for people."""
    found = []
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.is_file() and path.suffix in (".py", ".json") and not name.startswith(LEFT_BEHIND):
            found.append(Path(name))
    return found


def write_loads(
    folder: Path, out: Path, limit: int = LIMIT, wheels: Path | None = None, skip: Iterable[str] = ()
) -> list[tuple[Path, int]]:
    """Write ``out/load-1``, ``out/load-2`` … for a prepared folder and return them with their bytes.

    Args:
        wheels: folder of packages that the machine lacks, taken along as ``wheels``.
        skip: of ``code`` and `FOLDERS`, what lies there already.

    Raises:
        InputError: the folder was not prepared, or a single file is over the limit.
    """
    if not (folder / "recipe.json").is_file():
        raise InputError(f"{folder} holds no slices: make it by `python -m mien.training.slices prepare`.")
    skipped = set(skip)
    if unknown := skipped - {"code", *FOLDERS}:
        raise InputError(f"There is no {min(unknown)!r} to skip: choose from code, {', '.join(FOLDERS)}.")
    things: list[tuple[Path, str]] = [(folder / "recipe.json", "recipe.json")]
    if "code" not in skipped:
        things += [(PACKAGE / name, f"code/mien/{name.as_posix()}") for name in code_files()]
    for part in (name for name in FOLDERS if name not in skipped):
        files = sorted(p for p in (folder / part).rglob("*") if p.is_file())
        things += [(path, path.relative_to(folder).as_posix()) for path in files]
    if wheels is not None:
        things += [(path, f"wheels/{path.name}") for path in sorted(wheels.glob("*.whl"))]
    shutil.rmtree(out, ignore_errors=True)
    written = []
    for number, load in enumerate(divide(things, limit), start=1):
        place = out / f"load-{number}"
        for path, name in load:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / name)
        written.append((place, sum(path.stat().st_size for path, _ in load)))
    return written


def divide(things: list[tuple[Path, str]], limit: int) -> list[list[tuple[Path, str]]]:
    """Files in as few loads as the largest-first rule finds, each of at most `limit` bytes.

    Raises:
        InputError: a file is larger than that.
    """
    loads: list[list[tuple[Path, str]]] = []
    room: list[int] = []
    for thing in sorted(things, key=lambda one: (-one[0].stat().st_size, one[1])):
        size = thing[0].stat().st_size
        if size > limit:
            raise InputError(f"{thing[0]} has {size} bytes, over the load's {limit}: give a larger --limit.")
        place = next((k for k, left in enumerate(room) if left >= size), None)
        if place is None:
            loads.append([])
            room.append(limit)
            place = len(loads) - 1
        loads[place].append(thing)
        room[place] -= size
    return loads
