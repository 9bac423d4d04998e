"""Pictures go when the page is closed, when the server stops, and when a killed one's place is found."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import pytest

import mien
from mien.studio import folders
from mien.studio.engine import Engine
from mien.studio.folders import own_folder
from mien.studio.sessions import Presence, Sessions


@pytest.fixture
def gone() -> list[Path]:
    return []


def wait_for(ended: threading.Event) -> None:
    assert ended.wait(30)


def test_what_a_closed_page_held_is_removed_and_what_others_hold_is_not() -> None:
    gone: list[Path] = []
    ended = threading.Event()

    def remove(path: Path) -> None:
        gone.append(path)
        ended.set()

    sessions = Sessions(remove, grace=0.01)
    sessions.hold("me", "/a", None, "/both")
    sessions.hold("you", "/both")
    sessions.opened("me")
    sessions.opened("you")
    sessions.closed("me")
    wait_for(ended)
    assert gone == [Path("/a")]
    sessions.forget("you")  # its page is open: nothing happens
    assert gone == [Path("/a")]


def test_a_page_that_comes_back_loses_nothing(gone: list[Path]) -> None:
    sessions = Sessions(gone.append, grace=3600)
    sessions.hold("me", "/a")
    for _ in range(2):  # two connections of one page
        sessions.opened("me")
    sessions.closed("me")
    assert not sessions._ending
    sessions.closed("me")
    timer = sessions._ending["me"]
    sessions.opened("me")
    assert timer.finished.is_set() and not sessions._ending  # cancelled
    sessions.closed("me")
    sessions.close()
    assert gone == [] and not sessions._ending


def test_what_is_gone_is_let_go(tmp_path: Path, gone: list[Path]) -> None:
    sessions = Sessions(gone.append)
    (tmp_path / "there").touch()
    sessions.hold("me", tmp_path / "there", tmp_path / "gone")
    sessions.hold("you", tmp_path / "gone")
    sessions.prune()
    assert dict(sessions._held) == {"me": {tmp_path / "there"}}


def test_a_heartbeat_is_a_page(gone: list[Path]) -> None:
    sessions = Sessions(gone.append, grace=3600)
    during: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        during.append(sessions._open["abc"])
        raise ConnectionError

    async def call(path: str) -> None:
        await Presence(app, sessions)({"type": "http", "path": path}, None, None)  # type: ignore[arg-type]

    for path in ("/gradio_api/heartbeat/abc", "/gradio_api/call/portrait"):
        with pytest.raises(ConnectionError):
            asyncio.run(call(path))
    assert during == [1, 0] and list(sessions._ending) == ["abc"]
    sessions.close()


def test_only_the_servers_own_files_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    results = tmp_path / "uploads" / "results"
    results.mkdir(parents=True)
    upload, shipped = tmp_path / "uploads" / "me.png", tmp_path / "uploads" / "word.webp"
    for path in (outside, upload, shipped):
        path.write_bytes(b"x")
    engine = Engine(results, {})
    engine.kept = frozenset({shipped})
    place = engine.new_folder("me")
    for path in (outside, results / ".." / ".." / "outside.png", results, results.parent, upload, shipped):
        engine.sessions.hold("me", path)
    engine.sessions.forget("me")
    assert not place.exists() and not upload.exists()
    assert outside.is_file() and results.is_dir() and shipped.is_file()
    engine.close()


SERVER = f"""
import sys, time
sys.path.insert(0, {str(Path(mien.__file__).parents[1])!r})
from mien.studio.folders import own_folder
with own_folder() as folder:
    (folder / "uploads").mkdir()
    (folder / "uploads" / "me.png").write_bytes(b"a face")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_what_a_killed_server_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env={"TMPDIR": str(tmp_path)}
        )
        for _ in range(2)
    ]
    killed, alive = (Path(server.stdout.readline().strip()) for server in servers if server.stdout)
    servers[0].send_signal(signal.SIGKILL)
    servers[0].wait()
    assert (killed / "uploads" / "me.png").is_file()
    with own_folder() as mine:
        assert not killed.exists() and (alive / "uploads" / "me.png").is_file()
        assert oct(mine.stat().st_mode)[-3:] == "700"
    assert not mine.exists()
    servers[1].kill()
    servers[1].wait()
    for server in servers:
        assert server.stdout is not None
        server.stdout.close()


def test_a_server_that_starts_is_not_taken_for_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken, others = folders._taken, []

    def meanwhile(handle: IO[bytes]) -> bool:
        if not others:
            others.append(True)
            with own_folder():  # another server, just before this one has its lock
                pass
        return taken(handle)

    monkeypatch.setattr(folders, "_taken", meanwhile)
    with own_folder() as mine:
        assert others and mine.is_dir()
