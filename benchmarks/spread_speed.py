"""How much faster two workers of Ray are than one: the same chunks, in one run.

    python -m benchmarks.spread_speed [--rows 24] [--chunks 20] [--seconds 2]

`--rows` photographs of nobody (`examples/people`) get an expression, a row a chunk, as `mien reface --pairs --ray
local` makes them. Then chunks that wait (as on a GPU) for `--seconds`, so that the ratio shows what spreading costs,
whatever else the processors do. Starting Ray and loading models is not counted: the clock runs from when every worker
has given a result.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mien.making.makers import open_maker
from mien.making.rows import Row, RowMaker
from mien.making.wishes import PhotoWish, Request
from mien.spread import Cluster, spread

PEOPLE = Path(__file__).parents[1] / "examples" / "people"
EXPRESSIONS = ("joy", "surprise", "anger", "sadness")


def waiter(seconds: float) -> Callable[[int], None]:
    """A worker that waits."""
    return lambda chunk: time.sleep(seconds)


def rows(count: int, folder: Path) -> list[list[Row]]:
    """Rows of a table, each alone in a chunk."""
    photos = sorted(PEOPLE.glob("*_rest.jpg"))
    asked = [
        Request(None, EXPRESSIONS[i % len(EXPRESSIONS)], photo=photos[i % len(photos)]) for i in range(count)
    ]
    return [[Row(i, i, (folder / f"{i}.png",), (request,))] for i, request in enumerate(asked)]


def rate(make: Callable[[], Callable[[Any], Any]], chunks: Sequence[Any], workers: int) -> float:
    """Chunks a second, once every worker has given a result."""
    times = [time.perf_counter() for _ in spread(make, chunks, Cluster("local", workers))]
    return (len(times) - workers) / (times[-1] - times[workers - 1])


def report(what: str, make: Callable[[], Callable[[Any], Any]], chunks: Sequence[Any]) -> None:
    """Print the rates of one and of two workers, and their ratio."""
    one, two = (rate(make, chunks, workers) for workers in (1, 2))
    print(f"{what}: one worker {one:.2f} a second, two {two:.2f}: {two / one:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed-up of two Ray workers over one.")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the `mien` command does
    load = partial(open_maker, PhotoWish("reface"), "mini", "auto", "auto", None, None)
    with TemporaryDirectory() as folder:
        report("rows of photographs", partial(RowMaker, load), rows(arguments.rows, Path(folder)))
    report("waiting chunks", partial(waiter, arguments.seconds), range(arguments.chunks))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
