"""Work spread over one process, or over a Ray cluster: the same worker, the same chunks, the same results.

A worker is made once a process by a function that can be pickled. Results come back to who asked, who alone writes
them down, so a worker holds nothing that could be lost: a chunk whose worker is killed is done again.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mien.errors import WHY, InputError, optional, saying

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Make = Callable[[], Callable[[Chunk], Result]]
PATIENCE = 10.0  # seconds to wait for a cluster's first answer
RETRIES = 3  # of a chunk whose worker died; one that kills every worker must end
# What of the command's surroundings its results depend on. Ray gives workers one thread, and sums their own order.
SURROUNDINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MIEN_")


@dataclass(frozen=True)
class Cluster:
    """Where work is spread. address: "local" starts Ray on this machine with as many CPUs as workers; "auto" finds the
    cluster this machine is part of; else a cluster's address. workers: how many processes, one CPU each. gpus: share of
    a GPU each of them holds."""

    address: str = "local"
    workers: int = 2
    gpus: float = 0.0


def spread(
    make: Make[Chunk, Result],
    chunks: Iterable[Chunk],
    cluster: Cluster | None = None,
    ordered: bool = False,
) -> Iterator[Result]:
    """The result of every chunk: in this process, or as they are done on a cluster; `ordered`: as the chunks are.
    Raises `InputError`: Ray isn't installed, the cluster isn't there, or a worker found its input wanting."""
    if cluster is not None:
        yield from _on_ray(make, chunks, cluster, ordered)
        return
    worker = None
    for chunk in chunks:
        worker = worker or make()
        yield worker(chunk)


def _on_ray(
    make: Make[Chunk, Result], chunks: Iterable[Chunk], cluster: Cluster, ordered: bool
) -> Iterator[Result]:
    """A worker is sent a chunk once it is ready, and the next when that is done: more are never in memory."""
    waiting = enumerate(chunks)
    if (first := next(waiting, None)) is None:
        return
    ray = optional("ray", 'Clusters need Ray: pip install "mien[ray]".')
    started = not ray.is_initialized()
    if started:
        _start(ray, cluster)
    workers = []
    try:
        needs = {"num_cpus": 1, "num_gpus": cluster.gpus, "max_restarts": -1, "max_task_retries": RETRIES}
        kind = ray.remote(**needs)(_Worker)
        workers = [kind.remote(make, os.getcwd(), _surroundings()) for _ in range(cluster.workers)]
        asked = {worker.ready.remote(): worker for worker in workers}
        numbers: dict[Any, int] = {}  # of the chunks in work
        results: dict[int, bytes] = {}
        to_do: tuple[int, Chunk] | None = first
        due = 0
        while to_do is not None or numbers:
            (done,), _ = ray.wait(list(asked))
            worker, answer = asked.pop(done), ray.get(done)
            if to_do is not None:
                reference = worker.work.remote(to_do[1])
                asked[reference], numbers[reference] = worker, to_do[0]
                to_do = next(waiting, None)
            if done in numbers:
                results[numbers.pop(done)] = answer
            while results and (number := due if ordered else min(results)) in results:
                result = pickle.loads(results.pop(number))
                if isinstance(result, InputError):
                    raise result
                due += 1
                yield result
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"The Ray cluster failed ({lines[-1]}): see its logs.") from error
    finally:
        if started:
            ray.shutdown()
        else:
            for worker in workers:
                ray.kill(worker)


def _start(ray: Any, cluster: Cluster) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if cluster.address == "local":
        slow = f"Ray did not start on this machine ({WHY}): try again when it is less busy, or without --ray."
        with saying(slow, Exception):  # a plain Exception is what Ray raises when a node is too slow to start
            ray.init(num_cpus=cluster.workers, include_dashboard=False, **quiet)
        return
    unreached = f"The Ray cluster {cluster.address} cannot be reached ({WHY}): start it, or choose local."
    with saying(unreached, OSError, ValueError, RuntimeError):
        if cluster.address != "auto":
            host, _, port = cluster.address.rpartition("/")[2].rpartition(":")
            socket.create_connection((host, int(port)), PATIENCE).close()  # Ray itself would end the process
        ray.init(address=cluster.address, **quiet)


def _surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(SURROUNDINGS)}


class _Worker:
    """A worker in one of Ray's processes. What it raises is its result: Ray repeats only what died."""

    def __init__(self, make: Make[Any, Any], folder: str, surroundings: dict[str, str]) -> None:
        self.make, self.folder, self.surroundings = make, folder, surroundings
        self.worker: Callable[[Any], Any] | None = None

    def ready(self) -> None:
        """Answers when the process is there."""

    def work(self, chunk: Any) -> bytes:
        """The pickled result, so that arrays in it can be written to as on one machine."""
        return pickle.dumps(self._do(chunk))

    def _do(self, chunk: Any) -> Any:
        try:
            self.worker = self.worker or self._begin()
            return self.worker(chunk)
        except InputError as error:
            return error
        except Exception as error:  # any other would be lost in Ray's own traceback
            return InputError(
                f"A worker of the cluster failed ({type(error).__name__}: {error}): mend it, run again."
            )

    def _begin(self) -> Callable[[Any], Any]:
        for name in [name for name in os.environ if name.startswith(SURROUNDINGS)]:
            del os.environ[name]
        os.environ.update(self.surroundings)
        unseen = f"A worker of the cluster does not see {self.folder}: give the command in a folder that all share."
        with saying(unseen, OSError):
            os.chdir(self.folder)  # names are looked for where the command was given
        return self.make()
