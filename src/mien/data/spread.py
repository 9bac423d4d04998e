"""Work spread over one process, or over a Ray cluster: the same worker, the same chunks, the same results.

A worker is made once a process by a function that can be pickled. Results come back as they are done; who asks writes
them down, so a worker holds nothing that could be lost: a chunk whose worker is killed is done again by another.
"""

from __future__ import annotations

import logging
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from mien.types import InputError

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Make = Callable[[], Callable[[Chunk], Result]]
PATIENCE = 10.0  # seconds to wait for a cluster's first answer
RETRIES = 3  # of a chunk whose worker died; one that kills every worker must end


def here(make: Make[Chunk, Result], chunks: Sequence[Chunk]) -> Iterator[Result]:
    """The result of every chunk, in this process, in order."""
    if chunks:
        worker = make()
        for chunk in chunks:
            yield worker(chunk)


def on_ray(
    make: Make[Chunk, Result],
    chunks: Sequence[Chunk],
    address: str = "local",
    workers: int = 2,
    gpus: float = 0.0,
) -> Iterator[Result]:
    """The result of every chunk, from actors of Ray Data, as they are done.

    Args:
        make: is pickled to the workers. address: "local" starts Ray on this machine with as many CPUs as workers;
            "auto" finds the cluster this machine is part of; else a cluster's address. workers: how many actors, one
            CPU each. gpus: share of a GPU each worker holds.

    Raises:
        InputError: Ray isn't installed, the cluster isn't there, or a worker found its input wanting.
    """
    if not chunks:
        return
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError as error:
        raise InputError('Clusters need Ray: pip install "mien[ray]".') from error
    started = not ray.is_initialized()
    if started:
        _start(ray, address, workers)
    try:
        DataContext.get_current().enable_progress_bars = False  # the caller counts pairs
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        items = [{"chunk": pickle.dumps(chunk)} for chunk in chunks]
        results = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(make,),
            batch_size=1,
            compute=ActorPoolStrategy(size=min(workers, len(items))),
            num_cpus=1,
            num_gpus=gpus or None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
        for row in results.iter_rows():
            result = pickle.loads(row["result"])
            if isinstance(result, InputError):
                raise result
            yield result
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"The Ray cluster failed ({lines[-1]}): see its logs.") from error
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, address: str, workers: int) -> None:
    if address == "local":
        try:
            ray.init(
                num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
        except Exception as error:  # a plain Exception is what Ray raises when a node is too slow to start
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"Ray did not start on this machine ({reason}): try again when it is less busy, or without --ray."
            ) from error
        return
    try:
        if address != "auto":
            host, _, port = address.rpartition("/")[2].rpartition(":")
            socket.create_connection((host, int(port)), PATIENCE).close()  # Ray itself would end the process
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"The Ray cluster {address} cannot be reached ({reason}): start it, or choose local."
        ) from error


class _Actor:
    """A worker in one of Ray's processes. What it raises is its result: Ray repeats only what died."""

    def __init__(self, make: Make[Any, Any]) -> None:
        self.make = make
        self.worker: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"result": [pickle.dumps(self._do(pickle.loads(chunk))) for chunk in batch["chunk"]]}

    def _do(self, chunk: Any) -> Any:
        try:
            self.worker = self.worker or self.make()
            return self.worker(chunk)
        except InputError as error:
            return error
        except Exception as error:  # any other would be lost in Ray's own traceback
            return InputError(
                f"A worker of the cluster failed ({type(error).__name__}: {error}): mend it, run again."
            )
