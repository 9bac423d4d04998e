"""A manifest is whole or not there: killed while one is written, the one before is read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mien

pytest.importorskip("pyarrow", reason="manifests are Parquet: pip install mien[data]")
MOMENTS = {
    "before a byte": "parquet.write_table = lambda *a, **k: die()",
    "half written": """
whole = parquet.write_table
def half(table, place, **options):
    whole(table, place, **options)
    data = Path(place).read_bytes()
    Path(place).write_bytes(data[: len(data) // 2])
    die()
parquet.write_table = half
""",
    "before it is on disk": "os.fsync = lambda descriptor: die()",
    "before it has its name": "os.replace = lambda a, b: die()",
}


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_writing_a_manifest(tmp_path: Path, moment: str, old: bool) -> None:
    from mien.data.records import MANIFEST, Manifest, Record
    from mien.types import InputError

    if old:
        Manifest.of([Record(key="old", name="n")], tmp_path).write()
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(mien.__file__).parents[1])!r})
from pathlib import Path
from pyarrow import parquet
from mien.data.records import Manifest, Record
def die(): os.kill(os.getpid(), signal.SIGKILL)
{MOMENTS[moment]}
Manifest.of([Record(key=f"new{{n}}", name="n") for n in range(50)], sys.argv[1]).write()
"""
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name[0] != "."] == ([MANIFEST] if old else [])
    if old:
        assert Manifest.read(tmp_path).values("key") == ["old"]
    else:
        with pytest.raises(InputError, match="does not exist"):
            Manifest.read(tmp_path)
    Manifest.of([Record(key="next", name="n")], tmp_path).write()  # what was left is not in the way
    assert Manifest.read(tmp_path).values("key") == ["next"]
