"""Every benchmark of the embedded default, one after another, and one page of tables.

    python -m benchmarks.run_all [--out runs/bench] [--quick]

A benchmark that cannot run is named, the others still run, and the exit code is then 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from mien.files import write_text

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = (
    "portrait_benchmark",
    "model_card",
    "invented",
    "analyser_benchmark",
    "analyser_speed",
    "render_truth",
    "speed",
    "watermark",
)
QUICK = {
    "invented": ["--count", "20"],
    "analyser_speed": ["--rounds", "1"],
    "render_truth": ["--n", "40"],
    "speed": ["--repeats", "1"],
}


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--quick", action="store_true", help="few pictures: to see that it runs")
    arguments = parser.parse_args()
    failed = []
    for name in BENCHMARKS:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(arguments.out.resolve())]
        if arguments.quick:
            command += QUICK.get(name, ["--quick"])
        (arguments.out / f"{name}.md").unlink(missing_ok=True)  # no table of an earlier day
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
    tables = [path.read_text() for name in BENCHMARKS if (path := arguments.out / f"{name}.md").is_file()]
    page = arguments.out / "benchmarks.md"
    if tables:
        write_text(page, "\n".join(tables))
        print(f"\n{'=' * 100}\n\n" + "\n".join(tables) + f"\nAll tables: {page}")
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main()
