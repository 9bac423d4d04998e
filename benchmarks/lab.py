"""The laboratory: every claim of the two papers that can be tried at the embedded model's scale, on one page.

    python -m benchmarks.lab                      # all of it: hours; stopped and started again, it goes on
    python -m benchmarks.lab --list               # what there is, what is measured, how long the rest would take
    python -m benchmarks.lab --only controllers   # one experiment; the page shows the others as they stand
    python -m benchmarks.lab --quick              # a few minutes and meaningless numbers: to see that it runs
    python -m benchmarks.lab --report             # the page from what is there

An experiment is a benchmark of this folder with what a paper claims about its numbers (`laboratory.emojidiff`,
`laboratory.diffsfsr`). Results lie where the benchmarks put them, in ``runs/``, and are not measured again. The page is
``runs/lab/report.html``, and what came out of every claim ``results.json`` beside it. An experiment that fails is named
there, the others still run, and the exit code is then 2.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchmarks.laboratory import diffsfsr, emojidiff
from benchmarks.laboratory.report import BADGES, counted, write
from benchmarks.laboratory.runner import ROOT, look, run_all
from benchmarks.small_sets import few
from benchmarks.table import run

EXPERIMENTS = (*emojidiff.EXPERIMENTS, *diffsfsr.EXPERIMENTS)
NAMES = [experiment.name for experiment in EXPERIMENTS]
SETS = ("utkface-adults", "lfw-gray", "renders-train", "warped-train")  # that trainings draw from
FEW = (120, 24)  # of which a quick run sees a part: pictures to train on and held out


def main() -> None:
    """Command line of the laboratory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="run these")
    parser.add_argument("--again", nargs="+", choices=NAMES, default=[], metavar="NAME", help="measure anew")
    parser.add_argument("--quick", action="store_true", help="smallest settings, results of their own")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all results")
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    runs = given.runs if Path.cwd() == ROOT else given.runs.resolve()  # benchmarks are run from the checkout
    runs = runs / "lab_quick" if given.quick else runs
    if given.list:
        for experiment in EXPERIMENTS:
            found = look(experiment, runs, given.quick)
            state = "measured" if found.result else f"about {experiment.minutes} minutes"
            console.print(
                f"{experiment.name:12} {state:18} {experiment.paper}", highlight=False, markup=False
            )
        return
    chosen = [] if given.report else [e for e in EXPERIMENTS if e.name in {*given.only, *given.again}]
    prepared = runs / "prepared" if given.quick else None
    if prepared is not None and chosen:
        for source in SETS:
            few(source, prepared, *FEW)
    found = run_all(chosen, runs, given.quick, given.again, console, prepared)
    ran = {outcome.experiment.name: outcome for outcome in found}
    outcomes = [ran.get(e.name) or look(e, runs, given.quick) for e in EXPERIMENTS]
    page, _ = write(outcomes, runs / "lab", given.quick)
    counts = counted([verdict for outcome in outcomes for verdict in outcome.verdicts])
    told = ", ".join(f"{count} {BADGES[name][2]}" for name, count in counts.items())
    console.print(f"Claims: {told}. {page}", highlight=False, markup=False)
    failed = [outcome.experiment.name for outcome in outcomes if outcome.failure]
    if failed:
        Console(stderr=True, soft_wrap=True).print(
            f"failed: {', '.join(failed)}", highlight=False, markup=False
        )
        raise SystemExit(2)


if __name__ == "__main__":
    run(main)
