"""Training in slices (docs/slices.md).

python -m mien.training.slices prepare recipes/slices/mini_base.yaml        # a folder with all that is needed
python -m mien.training.slices run runs/slices/mini_base --seconds 540      # one slice, here
python -m mien.training.slices loads runs/slices/mini_base                  # the folders for a machine that is lent
python -m mien.training.slices take runs/slices/mini_base FETCHED           # the state that came back from it
python -m mien.training.slices status runs/slices/mini_base                 # what the slices brought, and the next
python -m mien.training.slices report runs/slices/mini_base --page docs/slices.md
python -m mien.training.slices export runs/slices/mini_base OUT             # the model, as its stage exports it
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

BEGAN = time.monotonic()  # before torch is imported, which takes seconds of a slice


def main(words: list[str] | None = None) -> None:
    """Command line of this module; the package's own errors are one line and exit code 2."""
    from mien.types import InputError

    given = _parser().parse_args(words)
    try:
        COMMANDS[given.verb](given)
    except (InputError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mien.training.slices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="make a recipe's folder from prepared sets")
    prepare.add_argument("recipe", type=Path)
    prepare.add_argument("overrides", nargs="*", metavar="key=value")
    prepare.add_argument("--out", type=Path, help="default: runs/slices/NAME")
    run = verbs.add_parser("run", help="train one slice")
    run.add_argument("folder", type=Path)
    run.add_argument("--out", type=Path, help="for the state alone; default: it becomes the folder's own")
    run.add_argument("--seconds", type=float, default=540.0, help="all in, from the start of this command")
    run.add_argument("--start", type=Path, help="state to go on from; default: the folder's")
    run.add_argument("--plan", type=int, help="steps, instead of what fits: to repeat a slice")
    run.add_argument("--stop", type=int, help="last step, of a slice that the clock cut off")
    run.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    run.add_argument("--threads", type=int, default=0, help="of torch on the CPU; 0: as many as it likes")
    loads = verbs.add_parser("loads", help="write the folders that travel")
    loads.add_argument("folder", type=Path)
    loads.add_argument("--out", type=Path, help="default: FOLDER/loads")
    loads.add_argument("--limit", type=float, default=56.0, help="MB of each")
    loads.add_argument("--wheels", type=Path, help="folder of packages that the machine lacks")
    loads.add_argument("--skip", nargs="*", default=[], help="what lies there already: code, pictures, …")
    take = verbs.add_parser("take", help="go on from a state that came back")
    take.add_argument("folder", type=Path)
    take.add_argument("fetched", type=Path)
    status = verbs.add_parser("status", help="what the slices brought, and what the next is expected to")
    status.add_argument("folder", type=Path)
    status.add_argument("--images", type=float, help="of the next slice; default: as many as the last")
    report = verbs.add_parser("report", help="table, curve and forecast into a page")
    report.add_argument("folder", type=Path)
    report.add_argument("--page", type=Path, default=Path("docs/slices.md"))
    export = verbs.add_parser("export", help="write the model of a state")
    export.add_argument("folder", type=Path, help="a run's folder, or a state's")
    export.add_argument("target", type=Path)
    return parser


def _prepare(given: argparse.Namespace) -> None:
    from mien.training.slices.prepare import prepare

    out = given.out or Path("runs/slices") / given.recipe.stem
    prepare(given.recipe, given.overrides, out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB")


def _run(given: argparse.Namespace) -> None:
    import torch

    from mien.training.slices.run import run

    if given.threads:
        torch.set_num_threads(given.threads)
    out = given.out or given.folder / "fresh"
    entry = run(
        given.folder, out, given.seconds, BEGAN, given.start, given.plan, given.stop, given.device, _tell
    )
    print(
        f"slice {entry['slice']}: {entry['steps']} steps, {entry['images']} pictures; the state is in {out}"
    )
    if given.out is None:
        import shutil

        from mien.training.slices.prepare import take

        take(given.folder, out)
        shutil.rmtree(out)


def _tell(line: str) -> None:
    print(line, flush=True)  # a log that is cut off should not lose its end


def _loads(given: argparse.Namespace) -> None:
    from mien.training.slices.loads import write_loads

    out = given.out or given.folder / "loads"
    for place, size in write_loads(given.folder, out, int(given.limit * 1e6), given.wheels, given.skip):
        print(f"{place}: {size / 1e6:.1f} MB")


def _take(given: argparse.Namespace) -> None:
    from mien.training.slices.prepare import take

    entry = take(given.folder, given.fetched)
    print(f"slice {entry['slice']} taken: {given.folder / 'state'} is what the next goes on from")


def _status(given: argparse.Namespace) -> None:
    from mien.training.slices.report import forecast, table
    from mien.training.slices.state import read_about

    history = read_about(given.folder / "state")["history"]
    print(table(history, given.folder / "slices"))
    print(forecast(history, given.images))


def _report(given: argparse.Namespace) -> None:
    from mien.training.slices import recipe
    from mien.training.slices.report import write_page
    from mien.training.slices.state import read_about

    history = read_about(given.folder / "state")["history"]
    write_page(history, given.folder / "slices", recipe.load(given.folder).run, given.page)


def _export(given: argparse.Namespace) -> None:
    from mien.training.slices.state import MOMENTS, unpack

    inside = given.folder / "state"
    unpack(inside if inside.is_dir() else given.folder, given.target)
    (given.target / MOMENTS).unlink()


COMMANDS = {
    "prepare": _prepare,
    "run": _run,
    "loads": _loads,
    "take": _take,
    "status": _status,
    "report": _report,
    "export": _export,
}

if __name__ == "__main__":
    main()
