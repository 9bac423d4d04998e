"""Runs experiments whose results are not there, one after another; one that fails is named and the others go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from benchmarks.laboratory.claims import Result, Verdict, judge
from benchmarks.laboratory.experiments import Experiment
from mien.types import InputError

ROOT = Path(__file__).resolve().parents[2]
TAIL = 4096  # bytes of a log that are looked at for its last line


@dataclass(frozen=True)
class Outcome:
    """What is known of an experiment: its result (None: not measured), its verdicts, why it failed ("": it did not)."""

    experiment: Experiment
    folder: Path
    result: Result | None
    verdicts: list[Verdict]
    failure: str = ""


def look(experiment: Experiment, runs: Path, quick: bool, failure: str = "") -> Outcome:
    """The experiment's result, if it is there, judged. A result of a quick run does not count as one."""
    folder, result = runs / experiment.folder, None
    path = folder / experiment.result
    if path.is_file():
        try:
            result = Result.read(path)
            samples = experiment.samples(folder)
        except (InputError, ValueError) as error:
            return Outcome(experiment, folder, None, _judged(experiment, None), failure or str(error))
        result = replace(result, samples={**result.samples, **samples})
        if "--quick" in result.command.split() and not quick:
            result = None
    return Outcome(experiment, folder, result, _judged(experiment, result), failure)


def _judged(experiment: Experiment, result: Result | None) -> list[Verdict]:
    return [judge(claim, result) for claim in experiment.claims(result)]


def run_all(
    experiments: Sequence[Experiment],
    runs: Path,
    quick: bool,
    again: Sequence[str],
    console: Console,
    prepared: Path | None = None,
) -> list[Outcome]:
    """Measure what is not there (or is named in `again`), and judge everything.

    `prepared`: folder of the prepared sets (None: as the environment says).
    """
    outcomes: list[Outcome] = []
    ended: dict[tuple[str, ...], str] = {}  # command → how it failed; two experiments may share a command
    for number, experiment in enumerate(experiments, 1):
        place = f"[{number}/{len(experiments)}] {experiment.name}"
        found = look(experiment, runs, quick)
        words = experiment.words(runs, quick)
        if found.result is not None and experiment.name not in again:
            console.print(f"{place}: there already", highlight=False, markup=False)
        elif tuple(words) in ended and ended[tuple(words)]:
            found = replace(found, failure=ended[tuple(words)])
            console.print(f"{place}: failed with the one before", highlight=False, markup=False)
        else:
            cost = "" if quick else f" (about {experiment.minutes} minutes of processor time)"
            console.print(f"{place}: python {' '.join(words)}{cost}", highlight=False, markup=False)
            cache = {"MIEN_CACHE": str(prepared.resolve())} if prepared is not None else {}
            before = os.times()
            failure = _run(words, cache, runs / "lab" / "logs" / f"{experiment.name}.log", console)
            ended[tuple(words)] = failure
            found = look(experiment, runs, quick, failure)
            if not found.failure and found.result is None:
                found = replace(found, failure=f"wrote no {experiment.folder}/{experiment.result}")
            said = f"failed: {found.failure}" if found.failure else f"done in {_spent(before)}"
            console.print(f"{place}: {said}", highlight=False, markup=False)
        outcomes.append(found)
    return outcomes


def _spent(before: os.times_result) -> str:
    """Minutes since then, and those of the children's processor time."""
    now = os.times()
    used = now.children_user + now.children_system - before.children_user - before.children_system
    return f"{(now.elapsed - before.elapsed) / 60:.1f} minutes, {used / 60:.1f} of processor time"


def _run(words: list[str], environment: dict[str, str], log: Path, console: Console) -> str:
    """Run a benchmark, its output into `log`; why it failed, "" if it did not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            # Unbuffered, or what goes to stdout comes into the log after the error that it was said before.
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with console.status("") as status:
                while process.poll() is None:
                    status.update(escape(_last_line(log)))
                    try:
                        process.wait(1.0)
                    except subprocess.TimeoutExpired:
                        continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode < 0:
        return f"ended by signal {-process.returncode}"
    return "" if process.returncode == 0 else _last_line(log) or f"exit code {process.returncode}"


def _last_line(log: Path) -> str:
    """The last thing that was said, with what a progress bar has overwritten left out."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL), os.SEEK_SET)
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return lines[-1][:200] if lines else ""
