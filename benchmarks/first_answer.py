"""How soon `mien` answers: help, wrong arguments and missing files, beside the start of the interpreter.

    python -m benchmarks.first_answer [--times 9]

Each command runs `--times` times, in turn with `python -c pass` and `python -c "import typer"`; the table has medians.
The bar is half a second more than the interpreter alone needs, of the processor: what others do on the machine at the
same time does not count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from PIL import Image

BAR = 0.5  # seconds beyond the interpreter's start
MIEN = "from mien.cli.main import main; main()"
COMMANDS = (
    "--help", "reface --help", "film --help", "reface me.png", "reface absent.png --expression joy",
    "generate me.png smyle", "generate me.png traurig", "generate me.png joy --region nose",
    "generate --pairs absent.csv --out-dir out", "film me.png absent.mp4", "evaluate --pairs absent.csv",
    "data ingest absent out", "expressions list",
)  # fmt: skip
HEADS = ("command", "processor, s", "clock, s", "beyond the interpreter, s", "÷ interpreter", "met")


def seconds(code: str, words: str, folder: str) -> tuple[float, float]:
    """Seconds of the processor and of the clock that one run took."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *words.split()], cwd=folder, capture_output=True, check=False)
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return busy, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon the command line answers.")
    parser.add_argument("--times", type=int, default=9)
    times = parser.parse_args().times
    rows = {"python -c pass": ("pass", ""), 'python -c "import typer"': ("import typer", "")}
    rows |= {f"mien {words}": (MIEN, words) for words in COMMANDS}
    with TemporaryDirectory() as folder:
        Image.new("RGB", (64, 64)).save(Path(folder) / "me.png")
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(times):
            for name, (code, words) in rows.items():
                taken[name].append(seconds(code, words, folder))
    start = median(busy for busy, _ in taken["python -c pass"])
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for name, found in taken.items():
        busy, clock = (median(values) for values in zip(*found, strict=True))
        met = "yes" if busy - start <= BAR else "**no**"
        print(f"| `{name}` | {busy:.2f} | {clock:.2f} | {busy - start:.2f} | {busy / start:.1f} | {met} |")
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
