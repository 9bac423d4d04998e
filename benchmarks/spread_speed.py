"""How much faster two workers of Ray are than one: the same chunks, in one run.

    python -m benchmarks.spread_speed [--chunks 12] [--seconds 0.5]

Every chunk waits (as on a GPU) for `--seconds`, so the ratio shows what spreading costs, whatever else the processors
do. Starting Ray is not counted: the clock runs from the first result to the last.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from mien.data.spread import on_ray


def waiter(seconds: float) -> Callable[[int], float]:
    """A worker that waits and says when it was done."""

    def work(chunk: int) -> float:
        time.sleep(seconds)
        return time.time()

    return work


def measure(workers: int, chunks: int, seconds: float) -> float:
    """Chunks a second between the first and the last result."""
    times = sorted(on_ray(partial(waiter, seconds), range(chunks), "local", workers))
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed-up of two Ray workers over one.")
    parser.add_argument("--chunks", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    rates = {n: measure(n, arguments.chunks, arguments.seconds) for n in (1, 2)}
    print(f"one worker {rates[1]:.2f} chunks/s, two {rates[2]:.2f}: {rates[2] / rates[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
