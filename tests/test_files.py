"""Files appear whole or not at all: when the block fails, the process is killed, or the disk is full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mien import files
from mien.files import replacing, write_text
from mien.provenance import read_provenance, save_image
from mien.types import InputError

SOURCE = str(Path(files.__file__).parents[1])
COMMON = f"""
import os, signal, sys
sys.path.insert(0, {SOURCE!r})
from pathlib import Path
def die(): os.kill(os.getpid(), signal.SIGKILL)
"""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMON + code, *map(str, words)], capture_output=True, text=True, check=False
    )


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("old", [True, False])
def test_killed_while_writing(tmp_path: Path, old: bool) -> None:
    if old:
        write_text(tmp_path / "a.txt", "old")
    killed = run(
        """
from mien.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half of it")
    die()
""",
        tmp_path / "a.txt",
    )
    assert killed.returncode == -signal.SIGKILL
    assert visible(tmp_path) == (["a.txt"] if old else [])
    if old:
        assert (tmp_path / "a.txt").read_text() == "old"
    write_text(tmp_path / "a.txt", "new")  # what was left behind is not in the way
    assert (tmp_path / "a.txt").read_text() == "new"


# The moments of writing a picture: nothing yet, half of the bytes, all of them, metadata checked, on disk.
MOMENTS = {
    "before a byte": "Path.write_bytes = lambda self, data: die()",
    "half written": """
def half(self, data):
    with open(self, "wb") as handle:
        handle.write(data[: len(data) // 2])
    die()
Path.write_bytes = half
""",
    "before it is checked": "provenance.read_metadata = lambda path: die()",
    "before it is on disk": "os.fsync = lambda descriptor: die()",
    "before it has its name": "os.replace = lambda a, b: die()",
}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_writing_a_picture(tmp_path: Path, picture: Image.Image, moment: str, name: str) -> None:
    save_image(picture, tmp_path / name, {"seed": 1})
    killed = run(
        f"""
from PIL import Image
from mien import provenance
{MOMENTS[moment]}
provenance.save_image(Image.new("RGB", (256, 256), "red"), sys.argv[1], {{"seed": 2}})
""",
        tmp_path / name,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert visible(tmp_path) == [name]
    found = read_provenance(tmp_path / name)
    assert found is not None and found["settings"] == {"seed": 1}
    Image.open(tmp_path / name).load()


def test_killed_at_any_time(tmp_path: Path) -> None:
    """A process that writes pictures and a list of them without end, killed from outside after ever longer."""
    code = """
import json
from PIL import Image
from mien.files import write_text
from mien.provenance import save_image
import numpy as np
rng = np.random.default_rng(0)
folder, names = Path(sys.argv[1]), []
for number in range(10_000):
    image = Image.fromarray(rng.integers(0, 256, (300, 300, 3), np.uint8))
    name = f"{number % 3}{('.png', '.jpg', '.webp')[number % 3]}"
    save_image(image, folder / name, {"seed": number})
    write_text(folder / "list.json", json.dumps(list(range(5000 + number))))
    print(number, flush=True)
"""
    for written in (1, 4, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMON + code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(written):
            process.stdout.readline()
        time.sleep(0.013 * written)
        process.kill()
        process.wait()
        process.stdout.close()
        for name in visible(tmp_path):
            if name == "list.json":
                assert len(json.loads((tmp_path / name).read_text())) >= 5000
            else:
                Image.open(tmp_path / name).load()
                assert read_provenance(tmp_path / name) is not None
        assert "list.json" in visible(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_disk_that_is_full(tmp_path: Path, picture: Image.Image, name: str) -> None:
    """The kernel refuses every byte past 2,000 of a file: one sentence, the old picture, nothing else."""
    resource = pytest.importorskip("resource", reason="file size limits are a matter of POSIX systems")
    assert resource is not None
    save_image(picture, tmp_path / name, {"seed": 1})
    before = (tmp_path / name).read_bytes()
    full = run(
        """
import resource
import numpy as np
from PIL import Image
from mien.provenance import save_image
from mien.types import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
try:
    save_image(Image.fromarray(noise), sys.argv[1], {"seed": 2})
except InputError as error:
    print(error)
""",
        tmp_path / name,
    )
    assert full.returncode == 0, full.stderr
    assert full.stdout.count("\n") == 1 and name in full.stdout and "free space" in full.stdout
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_killed_processes_left_is_removed_a_day_later(tmp_path: Path) -> None:
    left = [tmp_path / f".a.{'0' * 15}{n}.part.png" for n in (1, 2)]
    mine = [tmp_path / name for name in (".a.part.png", ".hidden", "a.part.png", f".a.{'z' * 16}.part.png")]
    for path in (*left, *mine):
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    os.utime(left[1])
    write_text(tmp_path / "b.txt", "b")
    assert not left[0].exists()
    assert left[1].exists() and all(path.exists() for path in mine)


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as one, replacing(tmp_path / "a.txt") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"
    assert visible(tmp_path) == ["a.txt"] and len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"), replacing(tmp_path / "no" / "a.txt"):
        raise AssertionError("the block must not run")
    assert list(tmp_path.iterdir()) == []
