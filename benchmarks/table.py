"""Acceptance tables: a number with its interval, its target beside it, and whether it was met."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from factory.faces.sources import shared_dir
from mien import __version__
from mien.files import write_text
from mien.metrics.statistics import Interval
from mien.types import InputError


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        what: the measure. value: its estimate. target: the number to reach, None if there is none.
        at_least: whether the target is a floor (else a ceiling). spec: how to print it. baselines: by name.
        note: counts, in words.
    """

    what: str
    value: Interval
    target: float | None = None
    at_least: bool = True
    spec: str = ".3f"
    baselines: dict[str, Interval] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the estimate reaches the target; None if there is no target."""
        if self.target is None:
            return None
        if math.isnan(self.value.value):
            return False
        return self.value.value >= self.target if self.at_least else self.value.value <= self.target


def exact(value: float) -> Interval:
    """A number without an interval (a time, a size)."""
    return Interval(float(value), float(value), float(value))


def show(interval: Interval, spec: str) -> str:
    """``0.812 [0.790, 0.833]``; the interval is left out if it is the number itself."""
    if math.isnan(interval.value):
        return "n/a"
    if len({f"{part:{spec}}" for part in interval}) == 1:
        return f"{interval.value:{spec}}"
    return f"{interval:{spec}}"


def markdown(title: str, rows: list[Row]) -> str:
    """The rows as a table in Markdown, its columns padded so that it reads well in a terminal too."""
    names = list(dict.fromkeys(name for row in rows for name in row.baselines))
    lines = [["measure", "result [95%]", "target", "met", *names, "of"]]
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        target = "" if row.target is None else f"{sign} {row.target:{row.spec}}"
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        others = [show(row.baselines[name], row.spec) if name in row.baselines else "" for name in names]
        lines.append([row.what, show(row.value, row.spec), target, met, *others, row.note])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    padded.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return f"### {title}\n\n" + "\n".join(padded) + "\n"


def environment() -> dict[str, Any]:
    """When and with what the numbers were made."""
    import torch

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "mien": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} CPU cores",
        "threads": torch.get_num_threads(),
    }


def publish(out: Path, name: str, title: str, rows: list[Row], details: dict[str, Any]) -> str:
    """Write ``<name>.md`` and ``<name>.json`` into `out`, print the table, and return it.

    `details` go into the JSON as they are. Of a key ``samples``, arm → measure → a number an example (None: none),
    the laboratory makes paired comparisons.
    """
    out.mkdir(parents=True, exist_ok=True)
    facts = environment()
    made = f"{facts['date']}, {facts['machine']}, torch {facts['torch']}"
    script = f"benchmarks.{Path(sys.argv[0]).stem}"
    text = markdown(title, rows) + f"\nMeasured {made}, by `python -m {script}`.\n"
    content = {
        "title": title,
        "environment": facts,
        "command": shlex.join(["python", "-m", script, *sys.argv[1:]]),
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        **details,
    }
    write_text(out / f"{name}.md", text)
    write_text(out / f"{name}.json", json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    print("\n" + text, flush=True)
    return text


def run(main: Callable[[], None]) -> None:
    """Call a benchmark's main; bad input ends it with one sentence and exit code 2, like a command."""
    try:
        with suppress(InputError):  # the judges' model is among the data beside the project
            os.environ.setdefault("MIEN_SHARED", str(shared_dir()))
        main()
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
