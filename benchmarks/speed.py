"""How long a portrait takes and how much memory it needs, on this machine.

    python -m benchmarks.speed [--out runs/bench] [--threads 2] [--repeats 5]

Warm: one image at default steps, in a process that has made one before. Cold: the whole command, from the
shell to the file, over the time that importing torch and diffusers takes by itself. Memory: the command's
peak resident set. Other work on the machine makes every number worse; the load is printed with them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.table import Row, exact, publish, run
from mien.metrics.statistics import Interval
from mien.types import InputError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# VmHWM, not ru_maxrss: that one still counts what the timing process held when it forked.
PEAK = """
import sys
from pathlib import Path
from mien.cli.main import main
sys.argv = ["mien", *sys.argv[1:]]
try:
    main()
finally:
    told = Path("/proc/self/status").read_text()
    print("peak", told.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def seconds(command: list[str], repeats: int) -> tuple[Interval, Interval, str]:
    """Wall time and processor time of a command (median, shortest, longest), and what it last said on stderr."""
    times, busy = [], []
    for _ in range(repeats):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            raise InputError(f"The timed command failed: {done.stderr.strip()[-400:]}")
    return spread(times), spread(busy), done.stderr


def cold_command(identity: Path, expression: Path, repeats: int) -> tuple[Interval, Interval, float]:
    """`mien generate` from the shell to the file: wall time, processor time, and peak memory in GB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PEAK, "generate", str(identity), str(expression)]
        command += ["-o", str(Path(folder) / "out.png"), "--quiet"]
        cold, busy, said = seconds(command, repeats)
    return cold, busy, float(said.rsplit("peak ", 1)[1].split()[0]) * 1024 / 1e9  # KiB


def warm_seconds(
    identity: Path, expression: Path, threads: int, repeats: int
) -> tuple[Interval, Interval, int]:
    """A portrait in a process that has made one before: wall time, processor time, and the steps it took."""
    import torch

    import mien

    torch.set_num_threads(threads)
    pipe = mien.load("mini", device="cpu")
    pipe(identity=identity, expression=expression)
    times, busy = [], []
    for seed in range(repeats):
        start, before = time.perf_counter(), time.process_time()
        pipe(identity=identity, expression=expression, seed=seed)
        times.append(time.perf_counter() - start)
        busy.append(time.process_time() - before)
    return spread(times), spread(busy), pipe.steps


def spread(times: list[float]) -> Interval:
    """Median, shortest and longest."""
    return Interval(float(np.median(times)), min(times), max(times))


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--identity", type=Path, default=EXAMPLES / "identity.png")
    parser.add_argument("--expression", type=Path, default=EXAMPLES / "expression.png")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the commands below, and of torch here
    load = os.getloadavg()[0]
    for picture in (arguments.identity, arguments.expression):
        if not picture.is_file():
            raise InputError(f"{picture} does not exist: give --identity and --expression pictures.")

    imports, imports_busy, _ = seconds([sys.executable, "-c", "import torch, diffusers"], arguments.repeats)
    cold, cold_busy, peak = cold_command(arguments.identity, arguments.expression, arguments.repeats)
    ratios = (cold.value / imports.value, cold.low / imports.value, cold.high / imports.value)

    warm, _, steps = warm_seconds(
        arguments.identity, arguments.expression, arguments.threads, arguments.repeats
    )
    note = f"median of {arguments.repeats} [shortest, longest]"
    rows = [
        Row(
            "warm: seconds an image, default steps",
            warm,
            2.0,
            False,
            ".2f",
            note=f"{note}, {steps} steps",
        ),
        Row(
            "cold: `mien generate` / importing torch and diffusers",
            Interval(*ratios),
            3.0,
            False,
            ".2f",
            note=note,
        ),
        Row("the same in processor time", exact(cold_busy.value / imports_busy.value), spec=".2f", note=note),
        Row("cold: `mien generate`, seconds", cold, None, False, ".2f", note=note),
        Row("importing torch and diffusers, seconds", imports, None, False, ".2f", note=note),
        Row("peak memory of `mien generate`, GB", exact(peak), 1.5, False, ".2f"),
    ]
    details = {"threads": arguments.threads, "load_average_at_start": load}
    publish(
        arguments.out,
        "speed",
        f"Speed, {arguments.threads} threads, load {load:.1f} at the start",
        rows,
        details,
    )


if __name__ == "__main__":
    run(main)
