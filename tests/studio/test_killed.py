"""The studio killed while it writes a result: what was whole before is, what was not is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mien

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
FACE = Path(__file__).parent.parent.parent / "examples" / "identity.png"
PROGRAM = f"""
import os, signal, socket, sys
sys.path.insert(0, {str(Path(mien.__file__).parents[1])!r})
from pathlib import Path
from gradio_client import Client, handle_file
from mien.studio.app import serve
replace, write = os.replace, Path.write_bytes
def die(): os.kill(os.getpid(), signal.SIGKILL)
MOMENT
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
with serve({{"mini": "mini"}}, port=port, device="cpu") as (address, _, _):
    Client(address, verbose=False).predict(
        identity=handle_file({str(FACE)!r}), expression_picture=None, steps=1, variations=2, api_name="/portrait"
    )
"""
MOMENTS = {
    "half written": """
def half(self, data):
    if "portrait_1" in str(self):
        write(self, data[: len(data) // 2])
        die()
    return write(self, data)
Path.write_bytes = half
""",
    "before it has its name": """
def last(a, b, **options):
    if "portrait_1" in str(b):
        die()
    replace(a, b, **options)
os.replace = last
""",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_writing_the_second_of_two(tmp_path: Path, moment: str) -> None:
    from mien.provenance import read_provenance

    program = PROGRAM.replace("MOMENT", MOMENTS[moment])
    surroundings = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    killed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=surroundings
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (server,) = tmp_path.glob("mien-studio-*")
    shown = {path.name for path in (server / "uploads" / "results").glob("*/[!.]*")}
    assert "portrait_0.png" in shown and "portrait_1.png" not in shown
    for path in (server / "uploads" / "results").glob("*/[!.]*"):
        assert read_provenance(path) is not None, path  # whole, with its metadata
