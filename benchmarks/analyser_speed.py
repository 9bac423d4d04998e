"""Pictures a second of the embedded analyser and of MediaPipe, measured by turns in one run.

    python -m benchmarks.analyser_speed [--n 192] [--rounds 5] [--threads 2] [--out runs/bench]

The pictures are held-out photographs. Other work on the machine slows both; the ratio is what to look at, and
processor time, which counts the cores that were busy, hardly changes with it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.held_out import photographs
from benchmarks.table import Row, publish, run
from mien.face.analyze import analyze, analyze_many
from mien.metrics.statistics import Interval

TEACHER = "MediaPipe, one at a time"


def spread(values: list[float]) -> Interval:
    """Median, smallest and largest."""
    return Interval(float(np.median(values)), min(values), max(values))


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=192, help="photographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    load = os.getloadavg()[0]

    import torch

    torch.set_num_threads(arguments.threads)
    half = arguments.n // 2
    pictures = photographs("utkface-adults")[: arguments.n - half] + photographs("lfw-gray")[:half]
    images = [picture.image for picture in pictures]
    calls: dict[str, Callable[[], object]] = {
        TEACHER: lambda: [analyze(image, "mediapipe") for image in images],
        "embedded, in batches": lambda: list(analyze_many(images)),
        "embedded, one at a time": lambda: [analyze(image) for image in images],
    }
    rates: dict[str, list[float]] = {name: [] for name in calls}
    busy: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(arguments.rounds + 1):  # the first is for warming up
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            if number:
                rates[name].append(len(images) / (time.perf_counter() - wall))
                busy[name].append(1000 * (time.process_time() - processor) / len(images))
    rows = []
    for name in [name for name in calls if name != TEACHER]:
        ratio = spread([ours / theirs for ours, theirs in zip(rates[name], rates[TEACHER], strict=True)])
        target = 1.0 if "batches" in name else None
        rows += [
            Row(
                f"{name}: pictures a second",
                spread(rates[name]),
                None,
                True,
                ".0f",
                {TEACHER: spread(rates[TEACHER])},
            ),
            Row(f"{name}: times as fast as MediaPipe", ratio, target, True, ".2f"),
            Row(
                f"{name}: processor time, ms",
                spread(busy[name]),
                None,
                False,
                ".1f",
                {TEACHER: spread(busy[TEACHER])},
            ),
        ]
    title = f"Speed of the analyser: {len(images)} photographs of 160 px, {arguments.threads} threads"
    note = {"load_average_at_start": load, "rounds": arguments.rounds}
    publish(arguments.out, "analyser_speed", f"{title}, median of {arguments.rounds} [range]", rows, note)


if __name__ == "__main__":
    run(main)
