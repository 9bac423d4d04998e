"""Work spread over Ray: every chunk comes back, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mien.data import spread
from mien.types import InputError


def make(folder: Path, seconds: float = 0.0) -> Callable[[list[int]], list[int]]:
    """A worker that notes its process and what it does, takes its time, and squares numbers."""
    (folder / f"pid-{os.getpid()}").touch()

    def work(chunk: list[int]) -> list[int]:
        (folder / f"chunk-{chunk[0]}-{os.getpid()}").touch()
        time.sleep(seconds)
        return [number**2 for number in chunk]

    return work


def refuse() -> Callable[[list[int]], list[int]]:
    raise InputError("The weights are missing: fetch them.")


def pids(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("pid-*")]


CHUNKS = [[10 * i, 10 * i + 1] for i in range(8)]
WANTED = sorted(number**2 for chunk in CHUNKS for number in chunk)


def test_here_does_the_chunks_in_order(tmp_path: Path) -> None:
    results = list(spread.here(partial(make, tmp_path), CHUNKS))
    assert results == [[number**2 for number in chunk] for chunk in CHUNKS]
    assert pids(tmp_path) == [os.getpid()]


def test_nothing_to_do_makes_no_worker(tmp_path: Path) -> None:
    assert list(spread.here(refuse, [])) == [] and list(spread.on_ray(refuse, [])) == []


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"mien\[ray\]"):
        list(spread.on_ray(refuse, CHUNKS))


def test_a_node_that_does_not_start_gets_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")

    def slow(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(
        InputError, match="did not start on this machine .*timed out during startup.*less busy"
    ):
        list(spread.on_ray(partial(make, tmp_path), CHUNKS, "local"))


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    killed = None
    found: list[int] = []
    for result in spread.on_ray(partial(make, tmp_path, 0.5), CHUNKS, "local", workers=2):
        found += result
        if killed is None:
            killed = next(pid for pid in pids(tmp_path) if pid != os.getpid())
            os.kill(killed, signal.SIGKILL)
    assert sorted(found) == WANTED
    assert killed is not None and os.getpid() not in pids(tmp_path)
    assert set(pids(tmp_path)) - {killed}, "another process did the rest"
    assert not ray.is_initialized()


@pytest.mark.slow
def test_what_a_worker_says_is_said(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.raises(InputError, match="fetch them"):
        list(spread.on_ray(refuse, CHUNKS[:2], "local", workers=1))
    with pytest.raises(InputError, match="cannot be reached"):
        list(spread.on_ray(refuse, CHUNKS, "127.0.0.1:1", workers=1))
