"""One model thread for everybody: jobs one after another, each with a time limit, previews and a way to stop it."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any

from PIL import Image

from mien.studio.sessions import Sessions
from mien.types import InputError

LOADED = 2  # models kept in memory; the one that was not used for longest goes
PREVIEW_EVERY = 1.0  # seconds between two previews
SESSION_AGE = 3600  # seconds after which a result is removed


class Cancelled(InputError):
    """The person, or the page going away, stopped the job."""


@dataclass(frozen=True)
class Step:
    """Where a job is: `step` of `total`, and a picture of it so far (PIL RGB), if it is time for one."""

    step: int
    total: int
    preview: Image.Image | None


@dataclass(eq=False)
class Job:
    """One piece of work. `seconds`: how long it may take once its turn has come."""

    session: str
    seconds: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    updates: SimpleQueue[Step] = field(default_factory=SimpleQueue)
    _deadline: float = float("inf")
    _shown: float = 0.0

    def start(self) -> None:
        """Its turn has come.

        Raises:
            Cancelled: it was stopped while it waited.
        """
        self._deadline = time.monotonic() + self.seconds
        self.check()

    def check(self) -> None:
        """Called between steps.

        Raises:
            Cancelled: it was stopped. InputError: it takes too long.
        """
        if self.cancelled.is_set():
            raise Cancelled("The job was stopped.")
        if time.monotonic() > self._deadline:
            raise InputError(
                f"The job took longer than {self.seconds:g} seconds and was stopped: "
                "ask for fewer steps, pictures or frames."
            )

    def watch(self, backbone: Any) -> Callable[[int, int, Any], None]:
        """A pipeline's callback: reports each step, with a preview decoded by `backbone` (None: no preview) now and
        then."""

        def callback(step: int, total: int, latents: Any) -> None:
            from mien.pipelines.portrait import to_pil

            self.check()
            preview, now = None, time.monotonic()
            if backbone is not None and now - self._shown >= PREVIEW_EVERY and step < total:
                self._shown = now
                preview = to_pil(backbone.decode(latents[:1]).cpu())[0]
            self.updates.put(Step(step, total, preview))

        return callback


class Engine:
    """The models, and the folder that results are written to.

    Args:
        folder: exists, and is this server's own: what lies in it is removed when it is old. Uploads lie beside it.
        backbones: name that people choose -> what `load_backbone` takes. seconds: a job's limit.
        adapters: name -> folder of its adapter; the others have their own.
    """

    def __init__(
        self,
        folder: Path,
        backbones: dict[str, str],
        device: str = "auto",
        seconds: float = 300.0,
        adapters: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder, self.backbones, self.device, self.seconds = folder, backbones, device, seconds
        self._adapters = adapters
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="mien-model")
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._jobs: set[Job] = set()
        self._guard = threading.Lock()
        self.sessions = Sessions(self._forget)
        self.kept: frozenset[Path] = frozenset()

    def run(self, session: str, work: Callable[[Job], Any]) -> Iterator[Any]:
        """Do `work` in the model's thread: yields each `Step`, then what it returned.

        Closing the iterator stops the job at its next step.

        Raises:
            InputError: what `work` raises, it was stopped, or it took too long.
        """
        job = Job(session, self.seconds)
        with self._guard:
            self._jobs.add(job)

        def turn() -> Any:
            job.start()
            return work(job)

        future = self._worker.submit(turn)
        try:
            while not future.done():
                with suppress(Empty):
                    yield job.updates.get(timeout=0.1)
            yield future.result()
        finally:
            job.cancelled.set()
            with self._guard:
                self._jobs.discard(job)

    def stop(self, session: str) -> int:
        """Stop the session's jobs; how many there were."""
        with self._guard:
            mine = [job for job in self._jobs if job.session == session]
        for job in mine:
            job.cancelled.set()
        return len(mine)

    def model(self, backbone: str) -> Any:
        """The loaded model (`mien.making.model.Model`) of this name; only in the model's thread."""
        from mien.making.model import Model

        if backbone not in self.backbones:
            raise InputError(f"There is no backbone of that name here: choose {', '.join(self.backbones)}.")
        if backbone not in self._loaded:
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)
            adapter = self._adapters.get(backbone)
            self._loaded[backbone] = Model(self.backbones[backbone], self.device, "auto", adapter, backbone)
        self._loaded.move_to_end(backbone)
        return self._loaded[backbone]

    def new_folder(self, session: str) -> Path:
        """A new folder for one job's results, whose name nobody can guess; old ones are removed."""
        self.sweep()
        place = self.folder / secrets.token_hex(16)
        place.mkdir(mode=0o700)
        self.sessions.hold(session, place)
        return place

    def sweep(self, age: float = SESSION_AGE) -> None:
        """Remove results that were last written more than `age` seconds ago."""
        self.sessions.prune()
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > age:
                        remove(Path(entry.path))

    def _forget(self, path: Path) -> None:
        """Remove a file or folder of a session that is over, if it lies where the server's own do.

        Gradio names uploads by their content, so somebody's may be one of the page's own, `kept`.
        """
        home = self.folder.parent.resolve()
        if path.resolve().is_relative_to(home) and path not in (home, self.folder, *self.kept):
            remove(path)

    def close(self) -> None:
        """Stop every job and let the models go."""
        self.sessions.close()
        with self._guard:
            for job in self._jobs:
                job.cancelled.set()
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._loaded.clear()


def remove(path: Path) -> None:
    """Remove a file, or a folder with what is in it; a link itself, never where it points."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
