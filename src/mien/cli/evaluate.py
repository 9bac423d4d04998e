"""`mien evaluate`: judge pictures of any method, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from mien.cli import options
from mien.cli.console import BAD_INPUT, counting_bar, print_json, tell
from mien.cli.pictures import keep_tables
from mien.errors import InputError
from mien.files import check_writable, make_folder

if TYPE_CHECKING:
    from mien.metrics.evaluate import Seen
    from mien.spread import Cluster

CHUNK = 8  # pictures a worker of a cluster looks at at once


@options.verb(options.CLUSTER, ("overwrite", "quiet"))
def evaluate(
    context: typer.Context,
    pairs: Path | None = None,
    folder: Path | None = None,
    out_dir: Path = Path("evaluation"),
    method: list[str] | None = None,
    analyser: str = "embedded",
    recogniser: str = "embedded",
    conditioned_by: list[str] | None = None,
    as_json: Annotated[bool, Option("--json")] = False,
) -> None:
    """Score pictures against their identity and their expression picture, whatever method made them.

    Writes scores.csv, summary.json and report.html. Rows that cannot be judged are named, and the exit code
    is then 2; a result without a face is counted.

    Args:
        pairs: CSV: identity, expression, a column for each method; same_person and background if you have them.
        folder: Or a folder that holds identity/, expression/ and one for each method.
        out_dir: Where the three files of the report go.
        method: Judge only this column or folder; may be repeated.
        analyser: Who scores expression and pose: embedded or mediapipe.
        recogniser: Who scores identity: embedded, dlib, arcface, auraface, or an .onnx or .pth file.
        conditioned_by: An encoder that the methods were conditioned by; may be repeated. Draws a warning.
        as_json: Print the summary as JSON on stdout.
    """
    if (pairs is None) == (folder is None):
        raise InputError("Give --pairs FILE.csv or --folder DIR, one of them.")
    cluster = options.cluster(context)
    overwrite, quiet = context.params["overwrite"], context.params["quiet"]
    from mien.metrics.pairs import read_csv, read_folder

    if pairs is not None:
        rows, wrong = read_csv(pairs, method)
    else:
        rows, wrong = read_folder(folder or Path(), method)
    from mien.metrics import report
    from mien.metrics.evaluate import BAD_INPUTS, UNREADABLE, pictures
    from mien.metrics.evaluate import evaluate as judge
    from mien.metrics.scoring import load_scorer

    check_writable(make_folder(out_dir, "choose another --out-dir") / "report.html")
    keep_tables([out_dir / name for name in report.FILES], "row,method,state,", overwrite)
    scorer = load_scorer(analyser, recogniser)
    seen = {} if cluster is None else _looked_at(pictures(rows), analyser, recogniser, cluster, quiet)
    with counting_bar(quiet, total=len(rows), desc="judging", unit="row") as bar:
        evaluation = judge(rows, scorer, conditioned_by or (), bar.update, seen)
    evaluation.warnings = [*wrong, *evaluation.warnings]
    for warning in evaluation.warnings:
        tell(warning)
    files = report.write(evaluation, out_dir)
    if as_json:
        print_json(report.summary(evaluation))
    else:
        print(report.table(evaluation))
        for name in evaluation.methods[:-2]:
            print(f"{name}: {evaluation.said(name) or 'nothing can be told'}")
        print(f"scored by {scorer.analyser} (expression) and {scorer.recogniser} (identity); 95% intervals")
        for path in files:
            print(path)
    if wrong or any(verdict.state in (BAD_INPUTS, UNREADABLE) for verdict in evaluation.verdicts):
        raise typer.Exit(BAD_INPUT)


def _looked_at(
    paths: Sequence[Path], analyser: str, recogniser: str, cluster: Cluster, quiet: bool
) -> dict[Path, Seen]:
    """What the workers of a cluster see in pictures."""
    from mien.spread import spread

    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    found: dict[Path, Seen] = {}
    with counting_bar(quiet, total=len(paths), desc="looking", unit="picture") as bar:
        for some in spread(partial(_observer, analyser, recogniser), chunks, cluster):
            found |= some
            bar.update(len(some))
    return found


def _observer(analyser: str, recogniser: str) -> Callable[[Sequence[Path]], dict[Path, Seen]]:
    from mien.metrics.evaluate import look_at
    from mien.metrics.scoring import load_scorer

    return partial(look_at, load_scorer(analyser, recogniser))
