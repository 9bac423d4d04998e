"""`mien study`: people judge pictures of several methods, on one page, and their answers become a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from mien.cli import options
from mien.cli.console import Told, say
from mien.errors import InputError

app = options.group("Let people judge pictures of several methods, blind.")


@app.command(short_help="The page that raters get, and its key.")
def make(
    folder: Annotated[Path, Argument(metavar="FOLDER")],
    output: Annotated[Path, Option("--output", "-o")] = Path("study.html"),
    question: list[str] | None = None,
    method: list[str] | None = None,
    size: Annotated[int, Option(min=64)] = 384,
    seed: Annotated[int, Option(min=0)] = 0,
    overwrite: Annotated[bool, Option("--overwrite")] = False,
) -> None:
    """Write one page that needs no network: send it to raters, and keep the key to yourself.

    The page shows every picture of every method in an order of each rater's own, does not say who made it, and saves
    the answers to a file. They are evaluated by `mien study evaluate`.

    Args:
        folder: Holds identity/, expression/ and a folder for each method, with pictures of the same names; or a CSV as
            of `mien evaluate --pairs`.
        output: The page; its key goes beside it.
        question: identity, expression, realism, quality (rated 1 to 5), same-person, same-expression (yes or no); may
            be repeated. Default: the four ratings.
        method: Only this folder or column; may be repeated.
        size: Pixels of a picture's longer side on the page.
        seed: Of the order in the page.
        overwrite: Replace a page that is there; its answers are then of no use.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output} is not a page: name it .html.")
    for path in (output, output.with_suffix(".key.json")):
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already: choose another name, or --overwrite.")
    from mien.metrics.pairs import read_csv, read_folder
    from mien.metrics.study import RATINGS
    from mien.metrics.study import make as write

    rows, wrong = (read_csv if folder.is_file() else read_folder)(folder, method)
    if wrong:
        raise InputError(wrong[0])
    study, key = write(rows, output, question or RATINGS, seed, size)
    answers = len(study.trials) * len(study.questions)
    print(f"{output}: {len(study.trials)} pictures, {len(study.methods)} methods, {answers} answers a rater")
    print(f"{key}: which method made which; keep it from raters")


@app.command(short_help="Raters' files into a table.")
def evaluate(
    key: Annotated[Path, Argument(metavar="KEY")],
    answers: Annotated[list[Path], Argument(metavar="ANSWERS...")],
    ours: str | None = None,
) -> Told:
    """Means with 95% intervals, analysis of variance and tests against --ours, from the files of all raters.

    A file that is incomplete, of another study, or of a rater who is there already, is named and nothing is evaluated.

    Args:
        key: The .key.json of the page.
        answers: Files that raters saved, or their folder.
        ours: The method that the others are tested against, as in DiffSFSR's Table 2.
    """
    from mien.metrics.study import read_all, read_key
    from mien.metrics.study_results import results, summary, table

    study = read_key(key)
    raters = read_all(answers, study)
    found = results(study, raters, ours)
    if len(raters) == 1:
        say("mien: one rater tells no interval and no test: ask more people.")
    value = {"raters": len(raters), "ours": ours, "questions": summary(found)}
    return value, [table(study, found, len(raters), ours)]
