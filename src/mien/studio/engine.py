"""Two threads for everybody: one for what takes a moment, one for films and models. Jobs one after another in each.

So a slider's preview or a camera's frame waits for no diffusion model.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from PIL import Image

from mien.errors import InputError, choice

LOADED = 2  # models kept in memory; the one that was not used for longest goes
SEATS = 8  # photos kept ready to be changed
PREVIEW_EVERY = 1.0  # seconds between two previews


class Cancelled(InputError):
    """The person, or the page going away, stopped the job."""


class Full(InputError):
    """Too many jobs wait."""


@dataclass(eq=False)
class Job:
    """One piece of work. `seconds`: how long it may take once its turn has come. `tell`: is told step, total and a
    picture so far (PIL RGB) or None."""

    session: Hashable
    seconds: float
    tell: Callable[[int, int, Image.Image | None], object]
    cancelled: threading.Event = field(default_factory=threading.Event)
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
                f"The job took longer than {self.seconds:g} seconds and was stopped: ask for less, or for fewer steps."
            )

    def watch(self, backbone: Any = None) -> Callable[[int, int, Any], None]:
        """A pipeline's callback: tells each step, with a preview decoded by `backbone` (None: none) now and then."""

        def callback(step: int, total: int, latents: Any) -> None:
            self.check()
            preview, now = None, time.monotonic()
            if backbone is not None and now - self._shown >= PREVIEW_EVERY and step < total:
                from mien.pipelines.diffusers_names import to_pil

                self._shown = now
                preview = to_pil(backbone.decode(latents[:1]).cpu())[0]
            self.tell(step, total, preview)

        return callback


def _alone() -> None:
    """What is quick is too small to be shared among threads of torch, which would wait for each other."""
    import torch

    torch.set_num_threads(1)  # of the calling thread alone


class Engine:
    """The models and the threads that they work in.

    Args:
        backbones: name that people choose -> what `load_backbone` takes. seconds: a job's limit. queue: jobs that may
            wait. adapters: name -> folder of its adapter; the others have their own.
    """

    def __init__(
        self,
        backbones: Mapping[str, str],
        device: str = "auto",
        seconds: float = 300.0,
        queue: int = 20,
        adapters: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.backbones, self.device, self.seconds, self.queue = backbones, device, seconds, queue
        self._adapters = adapters
        self._quick = ThreadPoolExecutor(1, "mien-quick", initializer=_alone)
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="mien-slow")
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._seats: OrderedDict[Hashable, Any] = OrderedDict()
        self._jobs: set[Job] = set()
        self._guard = threading.Lock()

    def run(
        self,
        session: Hashable,
        work: Callable[[Job], Any],
        slow: bool = False,
        tell: Callable[[int, int, Image.Image | None], object] = lambda step, total, preview: None,
    ) -> Future[Any]:
        """Do `work` when its turn comes, in the slow thread or the quick one.

        Raises:
            Full: too many wait.
        """
        job = Job(session, self.seconds, tell)
        with self._guard:
            if len(self._jobs) > self.queue:
                raise Full("Too many people are waiting: try again in a minute.")
            self._jobs.add(job)

        def turn() -> Any:
            try:
                job.start()
                return work(job)
            finally:
                with self._guard:
                    self._jobs.discard(job)

        return (self._slow if slow else self._quick).submit(turn)

    def frame(self, work: Callable[[], Any]) -> Future[Any]:
        """Do what follows a slider or a camera, in the quick thread; a page asks for one at a time."""
        return self._quick.submit(work)

    def stop(self, session: Hashable) -> int:
        """Stop the session's jobs at their next step; how many there were."""
        with self._guard:
            mine = [job for job in self._jobs if job.session == session]
        for job in mine:
            job.cancelled.set()
        return len(mine)

    def seat(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` made for `key`, remembered for the last `SEATS` keys; made in the calling thread."""
        with self._guard:
            if key in self._seats:
                self._seats.move_to_end(key)
                return self._seats[key]
        made = make()
        with self._guard:
            self._seats[key] = made
            while len(self._seats) > SEATS:
                self._seats.popitem(last=False)
        return made

    def model(self, backbone: str) -> Any:
        """The loaded model (`mien.making.model.Model`) of this name; only in the slow thread."""
        from mien.making.model import Model

        if choice(backbone, self.backbones, "model") not in self._loaded:
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)
            adapter = self._adapters.get(backbone)
            self._loaded[backbone] = Model(self.backbones[backbone], self.device, "auto", adapter, backbone)
        self._loaded.move_to_end(backbone)
        return self._loaded[backbone]

    def close(self) -> None:
        """Stop every job and let the models go."""
        with self._guard:
            for job in self._jobs:
                job.cancelled.set()
        for pool in (self._quick, self._slow):
            pool.shutdown(wait=True, cancel_futures=True)
        self._loaded.clear()
        self._seats.clear()
