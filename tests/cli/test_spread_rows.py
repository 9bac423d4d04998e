"""Tables on a Ray cluster: the same pictures, results and sentences as in one process; a killed worker loses no row."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from tests.test_spread import LateRay

PEOPLE = Path(__file__).parents[2] / "examples" / "people"
TABLE = """identity;expression;out
ana_rest.jpg;joy;
two.png;surprise;sub/two.jpg
ben_rest.jpg;max_smile.jpg;
none.png;joy;
ben_rest.jpg;nonsense;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of small photographs of nobody, one of two people, and one without a face."""
    place = tmp_path_factory.mktemp("rows")
    small = {}
    for name in ("ana_rest", "ben_rest", "max_smile"):
        with Image.open(PEOPLE / f"{name}.jpg") as picture:
            small[name] = picture.convert("RGB").resize((256, 256))
        small[name].save(place / f"{name}.jpg")
    two = Image.new("RGB", (512, 256))
    two.paste(small["ana_rest"], (0, 0))
    two.paste(small["ben_rest"], (256, 0))
    two.save(place / "two.png")
    Image.new("RGB", (256, 256), "grey").save(place / "none.png")
    (place / "pairs.csv").write_text(TABLE)
    return place


def run(folder: Path, out: str, *more: str) -> tuple[int, str, list[dict[str, str]]]:
    """Exit code, what was said without bars, and the rows of the results but for times."""
    given = ["generate", "--pairs", str(folder / "pairs.csv"), "--out-dir", str(folder / out), "-q", *more]
    result = CliRunner().invoke(app, [*given, "--batch-size", "2"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    with (folder / out / "results.csv").open() as file:
        rows = [
            {k: v.replace(out, "OUT") for k, v in row.items() if k != "seconds"}
            for row in csv.DictReader(file)
        ]
    ours = [line for line in result.output.splitlines() if "(raylet)" not in line]  # Ray says that one died
    said = sorted(line.replace(out, "OUT") for line in ours)
    return result.exit_code, "\n".join(said), rows


def same(folder: Path, one: str, two: str) -> None:
    """Both have the same pictures, pixel by pixel."""
    names = [sorted(p.relative_to(folder / o) for p in (folder / o).rglob("*.*g")) for o in (one, two)]
    assert names[0] == names[1] and len(names[0]) == 3
    for name in names[0]:
        pixels = [np.asarray(Image.open(folder / o / name)) for o in (one, two)]
        assert np.array_equal(*pixels), name


def test_workers_elsewhere_make_what_one_process_makes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said, rows = run(folder, "here")
    assert code == 2 and "shows 2 faces" in said and "o face" in said
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    monkeypatch.setitem(sys.modules, "ray", LateRay())
    monkeypatch.setattr("mien.cli.options.find_spec", lambda name: object())
    assert run(folder, "away", "--ray", "local") == (code, said, rows)
    same(folder, "here", "away")


@pytest.mark.slow
def test_a_killed_worker_loses_no_row(folder: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")
    wanted = run(folder, "whole")
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            time.sleep(0.05)
            for pid in workers():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break

    threading.Thread(target=kill, daemon=True).start()
    assert run(folder, "killed", "--ray", "local", "--workers", "2") == wanted and killed
    same(folder, "whole", "killed")


def workers() -> list[int]:
    """Processes of Ray's workers that are at work."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if told.startswith(b"ray::_Worker.work"):
            found.append(int(place.name))
    return found
