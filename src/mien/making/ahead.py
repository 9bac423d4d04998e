"""Work side by side: what is made in a thread of its own, a few pieces ahead of what uses it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import cv2
import torch

AHEAD = 4  # pieces that are in store

T = TypeVar("T")


def ahead(items: Iterable[T], size: int = AHEAD, newest: bool = False) -> Iterator[T]:
    """The same items, made in a thread of their own, `size` of them in store. newest: items are dropped rather than
    waited with."""
    store: queue.Queue[Any] = queue.Queue(size)
    stop, end = threading.Event(), object()

    def put(item: Any, drop: bool = False) -> None:
        while not stop.is_set():
            if drop and store.full():
                with suppress(queue.Empty):
                    store.get_nowait()
            with suppress(queue.Full):
                store.put(item, timeout=0.1)
                return

    def run() -> None:
        torch.set_num_threads(1)  # of this thread alone; the others keep every core at work
        try:
            for item in items:
                put(item, newest)
                if stop.is_set():
                    return
            put(end)
        except BaseException as error:  # told where the items are used
            put(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (item := store.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(1.0 if newest else None)  # a camera that stands still would never let it end


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Torch and OpenCV work in the thread that calls them: the stages already keep every core at work."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
