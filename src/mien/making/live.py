"""A photo driven by a camera, shown as a camera: frames are dropped rather than shown late.

Reading and writing cameras is Linux's (v4l2); elsewhere the studio does it in the browser (docs/film.md).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import WHY, InputError, saying
from mien.face.track import Tracker
from mien.making.ahead import ahead, one_thread_each
from mien.making.filming import Report
from mien.making.following import Chooser
from mien.making.footage import Footage, Shot
from mien.pipelines.photo_film import Puppet
from mien.provenance.animation import import_av
from mien.provenance.film import Mark
from mien.types import ByteImage

CAMERA = "/dev/video0"  # what "camera" means
ASKED = {"framerate": "30", "video_size": "640x480"}  # of a camera
RATE = Fraction(30)  # frames a second that a virtual camera promises
ELSEWHERE = "open `mien studio` and capture its window with OBS, as docs/film.md says"


def open_camera(name: str | Path) -> Footage:
    """The frames of a camera. Raises `InputError`: this is not Linux, there is no such camera, or it is in use."""
    if not sys.platform.startswith("linux"):
        raise InputError(f"{name}: cameras are read on Linux only; here {ELSEWHERE}.")
    place = CAMERA if str(name) == "camera" else str(name)
    if not Path(place).exists():
        raise InputError(f"There is no camera {place}: connect one, or name another, as /dev/video2.")
    return Footage(place, format="v4l2", options=ASKED)


class VirtualCamera:
    """A v4l2 loopback device that other programs see as a camera; a context manager. Raises `InputError`: this is not
    Linux, there is no such device, or it takes no pictures. place: the device, as /dev/video10. size: width and height
    px. format: FFmpeg's muxer."""

    def __init__(self, place: str | Path, size: tuple[int, int], format: str = "v4l2") -> None:
        av = import_av()
        if format == "v4l2":
            if not sys.platform.startswith("linux"):
                raise InputError(f"{place}: a virtual camera is Linux's; here {ELSEWHERE}.")
            if not Path(place).exists():
                raise InputError(
                    f"There is no device {place}: `sudo modprobe v4l2loopback video_nr=10` makes /dev/video10."
                )
        self._frame, self._mark, self._number = av.VideoFrame, Mark(), 0
        way = "name a device of v4l2loopback that no other program writes to"
        with saying(f"{place} takes no pictures ({WHY}): {way}.", OSError, ValueError):
            self._container = av.open(str(place), "w", format=format)
            stream = self._container.add_stream("rawvideo", rate=RATE)
            stream.width, stream.height = (side - side % 2 for side in size)
            stream.pix_fmt = "yuv420p"
            self._stream: Any = stream
            self._container.start_encoding()

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def show(self, image: ByteImage) -> None:
        """Show a frame [H, W, 3] uint8 RGB, with the watermark."""
        pixels = self._mark(np.ascontiguousarray(image[: self._stream.height, : self._stream.width]))
        picture = self._frame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = self._number, 1 / RATE
        self._number += 1
        self._container.mux(self._stream.encode(picture))


def latest(shots: Iterable[Shot]) -> Iterator[tuple[Shot, int]]:
    """The newest of `shots` whenever one is asked for, and how many were dropped before it."""
    due = 0
    for number, shot in ahead(enumerate(shots), 1, newest=True):
        yield shot, number - due
        due = number + 1


def live(
    shots: Iterable[Shot],
    puppet: Puppet,
    show: Callable[[ByteImage], object],
    choose: Chooser,
    resting: threading.Event,
    progress: Callable[[int, int], object] = lambda shown, dropped: None,
) -> Report:
    """A photo driven by a camera until it ends, or Ctrl-C. show: is given every frame that is drawn. resting: when set,
    the next face is taken for the driver's rest. progress: is told how many frames were shown, and how many of the
    camera's were dropped."""
    track, report, began = Tracker(choose), Report(), time.perf_counter()
    with one_thread_each():
        try:
            for shot, dropped in latest(shots):
                face = track(shot.image)
                if face is not None and resting.is_set():
                    puppet.rest(face)
                    resting.clear()
                show(puppet(face, float(shot.time)))
                report.frames += 1
                report.faceless += face is None
                report.dropped += dropped
                progress(report.frames, report.dropped)
        except KeyboardInterrupt:
            report.stopped = True
    report.seconds = time.perf_counter() - began
    return report
