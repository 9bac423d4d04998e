"""Work spread over Ray: every chunk comes back, also when a worker is killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mien.spread import Cluster, spread
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


def see() -> Callable[[str], tuple[str, str | None]]:
    """A worker that says where it is, and the value of a variable."""
    return lambda name: (os.getcwd(), os.environ.get(name))


def pids(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("pid-*")]


CHUNKS = [[10 * i, 10 * i + 1] for i in range(8)]
SQUARES = [[number**2 for number in chunk] for chunk in CHUNKS]


def test_one_process_does_the_chunks_in_order(tmp_path: Path) -> None:
    assert list(spread(partial(make, tmp_path), CHUNKS)) == SQUARES
    assert pids(tmp_path) == [os.getpid()]


def test_nothing_to_do_makes_no_worker() -> None:
    assert list(spread(refuse, [])) == [] and list(spread(refuse, [], Cluster())) == []


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"mien\[ray\]"):
        list(spread(refuse, CHUNKS, Cluster()))


class LateRay(SimpleNamespace):
    """Ray in this process, whose answers come in any order."""

    def __init__(self) -> None:
        super().__init__(exceptions=SimpleNamespace(RayError=RuntimeError), sent=[], rng=random.Random(0))

    def is_initialized(self) -> bool:
        return True

    def kill(self, worker: object) -> None:
        self.sent.clear()

    def remote(self, **needs: object) -> Callable[[type], Any]:
        def method(bound: Callable[..., object]) -> Any:
            def send(*arguments: object) -> object:
                reference = object()
                self.sent.append((reference, partial(bound, *arguments)))
                return reference

            return SimpleNamespace(remote=send)

        def begin(kind: type, *arguments: object) -> Any:
            worker = kind(*arguments)
            return SimpleNamespace(ready=method(worker.ready), work=method(worker.work))

        return lambda kind: SimpleNamespace(remote=partial(begin, kind))

    def wait(self, references: list[object]) -> tuple[list[object], list[object]]:
        assert [one[0] for one in self.sent] == references and len(references) <= 3, "one task a worker"
        return [self.rng.choice(references)], []

    def get(self, reference: object) -> object:
        found = next(one for one in self.sent if one[0] is reference)
        self.sent.remove(found)
        return found[1]()


def test_results_come_as_they_are_done_or_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", LateRay())
    work = partial(make, tmp_path)
    late = list(spread(work, CHUNKS, Cluster(workers=3)))
    assert late != SQUARES and sorted(late) == SQUARES
    assert list(spread(work, iter(CHUNKS), Cluster(workers=3), ordered=True)) == SQUARES
    with pytest.raises(InputError, match="fetch them"):
        list(spread(refuse, CHUNKS, Cluster()))


def test_a_node_that_does_not_start_gets_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")

    def slow(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(
        InputError, match="did not start on this machine .*timed out during startup.*less busy"
    ):
        list(spread(partial(make, tmp_path), CHUNKS, Cluster()))


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    killed = None
    found = []
    for result in spread(partial(make, tmp_path, 0.5), CHUNKS, Cluster(), ordered=True):
        found.append(result)
        if killed is None:
            killed = next(pid for pid in pids(tmp_path) if pid != os.getpid())
            os.kill(killed, signal.SIGKILL)
    assert found == SQUARES
    assert killed is not None and os.getpid() not in pids(tmp_path)
    assert set(pids(tmp_path)) - {killed}, "another process did the rest"
    assert not ray.is_initialized()


@pytest.mark.slow
def test_what_a_worker_says_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra mien[ray])")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.raises(InputError, match="fetch them"):
        list(spread(refuse, CHUNKS[:2], Cluster(workers=1)))
    with pytest.raises(InputError, match="cannot be reached"):
        list(spread(refuse, CHUNKS, Cluster("127.0.0.1:1")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIEN_WATERMARK", "off")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = list(spread(see, ["MIEN_WATERMARK", "OMP_NUM_THREADS"], Cluster(workers=1)))
    assert seen == [(str(tmp_path), "off"), (str(tmp_path), None)]
