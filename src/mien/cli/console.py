"""What all verbs share: how they speak, how they fail, and how a mistyped word is answered."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from mien.errors import InputError, reason

BAD_INPUT = 2
EXTRA = 'put words that belong together in quotes, "big smile"; add --help for what else a verb takes.'
_QUOTED = re.compile("'([^' ]+)'")
_KINDS = {"integer": "a whole number", "int": "a whole number", "float": "a number"}
_KIND = re.compile(f"a valid ({'|'.join(_KINDS)})( range)?")


class Verbs(TyperGroup):
    """The verbs of `mien`. Bad input becomes one sentence on stderr and exit code 2, for every verb."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] == "help":
            if not args[1:]:
                print(ctx.get_help())
                ctx.exit()
            args = [args[1], "--help"]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as error:
            if not isinstance(error, InputError):
                raise
            first, *more = getattr(error, "lines", [str(error)])
            say(f"mien: {first}")
            for line in more:
                say(line)
            raise typer.Exit(BAD_INPUT) from error
        except OSError as error:
            if error.filename is None or isinstance(error, BrokenPipeError):
                raise
            say(f"mien: {error.filename}: {reason(error)}: check its name and permissions.")
            raise typer.Exit(BAD_INPUT) from error
        except Exception as error:
            if not callable(told := getattr(error, "format_message", None)):  # of click's UsageError
                raise
            said = _KIND.sub(lambda kind: _KINDS[kind[1]], _QUOTED.sub(r"\1", told().rstrip(".")))
            verb = getattr(getattr(error, "ctx", None), "command_path", "mien")
            if said.startswith("Got unexpected extra argument"):
                said += f": {EXTRA}"
            else:
                said += f"{'' if said.endswith('?') else ':'} `{verb} --help` says what it takes."
            say(f"mien: {said[0].lower()}{said[1:]}")
            raise typer.Exit(BAD_INPUT) from error


def say(message: str) -> None:
    """One line for a person, on stderr (stdout is kept for results), above a progress bar if there is one. A message
    may quote strangers: nothing in it is obeyed by the terminal."""
    from tqdm import tqdm

    tqdm.write(_printable(" ".join(message.splitlines())), file=sys.stderr)


def tell(message: str) -> None:
    """`say`, as mien's own words."""
    say(f"mien: {message}")


def plain(value: Any) -> str:
    """A stranger's value for a terminal: one line that is not too long, nothing that the terminal would obey."""
    return _printable(value if isinstance(value, str) else repr(value))[:500]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def encodable(text: str) -> str:
    """`text` for a file in UTF-8: what of a file's name is not text is written as \\udce9."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_json(value: Any) -> None:
    """A result for a machine, on stdout; NaN and infinity are refused, as JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a file's name that is not text, or a terminal that does not know the letters
        text = json.dumps(value, indent=2, allow_nan=False)
    print(text)


Told = tuple[Any, Iterable[object]]
"""A verb's answer: a value for --json, and lines (or rich's tables) for a person."""


def show(told: Told, as_json: bool) -> None:
    """Print an answer on stdout, in one of its two forms."""
    value, lines = told
    if as_json:
        print_json(value)
        return
    for line in lines:
        if isinstance(line, str):
            print(line)
        else:
            from rich.console import Console

            Console().print(line)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], **columns: Any) -> object:
    """A table for a terminal, without lines; `columns`: rich's own arguments of all but the last, which is folded."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for head in heads[:-1]:
        made.add_column(head, **columns)
    made.add_column(heads[-1], overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made


def counting_bar(quiet: bool, **how: Any) -> Any:
    """tqdm's progress bar, if it is to be shown; `how`: its own arguments."""
    from tqdm import tqdm

    return tqdm(disable=True if quiet else None, **how)


@contextmanager
def progress_bar(quiet: bool, **how: Any) -> Iterator[Callable[..., None]]:
    """A progress bar as a callback of how much is done, and of how much, and of more, which is not shown; `how`: tqdm's
    own arguments."""
    with counting_bar(quiet, leave=False, **how) as bar:

        def progress(done: int, of: int | None, *more: object) -> None:
            bar.total = of or None
            bar.update(done - bar.n)

        yield progress
