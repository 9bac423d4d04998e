"""Films of the photo engine: a photo driven by a film, or a film whose person has another expression.

Reading, looking, drawing and writing run beside each other, each a few frames ahead of the next: memory does not grow
with a film's length.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mien.expressions.motion import Motion, read_motion
from mien.images import read_image
from mien.making.ahead import AHEAD, ahead, one_thread_each
from mien.making.following import Chooser, follow, resting
from mien.making.footage import Footage, Shot
from mien.making.photographs import Photographs
from mien.metrics.scoring import load_scorer
from mien.pipelines.photo import Sitter
from mien.pipelines.photo_film import Puppet, Rest
from mien.pipelines.photo_retouch import Recast, Retouch
from mien.provenance.film import Colours, Writer, film
from mien.types import ByteImage, Face, InputError
from mien.warping.target import at_rest

DRAWERS = 2
SAME = 0.4  # distance of the recogniser's vectors up to which photo and film surely show the same person
LOOKED_AT = 960  # px of a driver's longer side: more is not looked at

Draw = Callable[[], ByteImage]
Progress = Callable[[int, int], object]  # is told frames written, and of how many; 0: that is not known


def unwatched(done: int, of: int) -> None:
    """`Progress` that nobody watches."""


@dataclass
class Report:
    """What became of a film.

    Attributes:
        frames: written. faceless: of these, without a face in the driver's frame. promised: by the file read; 0: it
        does not say. damaged: pieces of it that could not be decoded. seconds: taken. dropped: of a camera's, for lack
        of time. stopped: by Ctrl-C.
    """

    frames: int = 0
    faceless: int = 0
    promised: int = 0
    damaged: int = 0
    seconds: float = 0.0
    dropped: int = 0
    stopped: bool = False

    @property
    def speed(self) -> float:
        """Frames a second, all told."""
        return self.frames / max(self.seconds, 1e-9)

    def lost(self, source: Path) -> str | None:
        """What of the film `source` could not be read, for a person."""
        if not self.damaged and self.frames >= self.promised:
            return None
        if 0 < self.promised <= self.frames:
            return f"{source} is damaged: some of its {self.frames} frames show it."
        of = f"of {self.promised} " if self.promised else ""
        return f"{source} is damaged or cut short: {self.frames} {of}frames could be read, and were made."


def sit(photographs: Photographs, photo: Path, size: int) -> Sitter:
    """The person in a photo, reduced to `size` px of its longer side at most.

    Raises:
        InputError: the photo cannot be used.
    """
    image = read_image(photo)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return photographs.sit(photographs.look_at(image))


def prepared(
    footage: Footage, make: Callable[[], Puppet], choose: Chooser, relative: bool | None = None
) -> Puppet:
    """The puppet that `make` gives, with the rest of the film's person; both are sought at the same time.

    Args:
        relative: see `Puppet`; None: unless the film's person is the photo's.

    Raises:
        InputError: the photo or the film cannot be used.
    """
    with one_thread_each(), ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as other:
        sought = other.submit(resting, footage, choose)
        puppet = make()
        person = sought.result()
    puppet.rest(person.rest)
    if relative is None:
        sitter, recognise = puppet.sitter, load_scorer().recognise
        seen = [
            recognise(Image.fromarray(shown), its)
            for shown, its in ((sitter.image, sitter.face), (person.image, person.face))
        ]
        relative = float((seen[0] - seen[1]).norm()) > SAME
    puppet.relative = relative
    return puppet


@dataclass(frozen=True)
class Order:
    """A film that is asked for.

    Attributes:
        output: where it is written. settings: what made it beside the photo's own. choose: whose face of the driving
            film is meant. audio: the film's comes along.
    """

    output: Path
    settings: dict[str, Any]
    choose: Chooser
    audio: bool = True
    progress: Progress = unwatched

    def told(self, puppet: Puppet) -> dict[str, Any]:
        """What the film says of how a photo was moved."""
        chosen = ("strength", "region", "pose", "relative", "smooth")
        return {**self.settings, **{name: getattr(puppet, name) for name in chosen}}


@contextmanager
def opened(driver: Path) -> Iterator[Footage | Motion]:
    """What drives a photo: a film, or a motion (.json). Raises `InputError`: it cannot be used."""
    if driver.suffix.lower() == ".json":
        yield read_motion(driver)
        return
    with Footage(driver, LOOKED_AT) as footage:
        footage.first()
        yield footage


def move(
    driver: Footage | Motion,
    make: Callable[[], Puppet],
    order: Order,
    relative: bool | None = None,
    ready: Callable[[Puppet], object] = lambda puppet: None,
) -> Report:
    """A photo that moves as a film's face does, or as a motion says.

    Args:
        driver: of `opened`. make: gives the photo. relative: see `prepared`. ready: is given the photo before the first
            frame is drawn.

    Raises:
        InputError: the photo, what drives it, or the place cannot be used.
    """
    if isinstance(driver, Motion):
        puppet = make()
        ready(puppet)
        return play(driver, puppet, order)
    puppet = prepared(driver, make, order.choose, relative)
    ready(puppet)
    return drive(driver, puppet, order)


def drive(footage: Footage, puppet: Puppet, order: Order) -> Report:
    """A photo driven by a film; the puppet has its driver's rest.

    Raises:
        InputError: the film or the place cannot be used.
    """
    track = follow(order.choose)

    def step(shot: Shot) -> tuple[bool, Draw]:
        face = track(shot.image)
        if face is None:
            last = puppet.last
            return False, lambda: puppet.draw(last)
        moved = puppet.follow(face, float(shot.time))
        return True, lambda: puppet.draw(moved)

    height, width = puppet.sitter.image.shape[:2]
    stream, told = footage.audio if order.audio else None, order.told(puppet)
    with film(order.output, told, (width, height), footage.rate, footage.ticks, Colours(), stream) as writer:
        return run(footage, writer, step, stream is not None, order.progress)


def change(footage: Footage, retouch: Retouch | Recast, order: Order) -> Report:
    """A film whose person has another expression or face; frames without them stay as they are.

    Raises:
        InputError: the film or the place cannot be used.
    """
    track = follow(order.choose)

    def step(shot: Shot) -> tuple[bool, Draw]:
        face = track(shot.image)
        if face is None:
            return False, lambda: shot.image
        seen = retouch.follow(shot.image, face, float(shot.time))
        return True, lambda: retouch.draw(shot.image, seen)

    height, width = footage.first().image.shape[:2]
    stream, kind = footage.audio if order.audio else None, (footage.rate, footage.ticks, footage.colours)
    with film(order.output, order.settings, (width, height), *kind, stream) as writer:
        return run(footage, writer, step, stream is not None, order.progress, retouch.drawers)


def record(
    footage: Footage, rest: Rest, choose: Chooser, progress: Progress = unwatched
) -> tuple[Motion, Report]:
    """The motion of the face in a film. Frames without it repeat the frame before; before the first, the first.

    Raises:
        InputError: no face is found.
    """
    track, report, began = follow(choose), Report(promised=footage.count), time.perf_counter()
    times: list[float] = []
    seen: list[Face] = []
    for shot in ahead(footage.frames()):
        face = track(shot.image)
        report.faceless += face is None
        times.append(float(shot.time))
        if face is not None:
            seen += [face] * (len(times) - len(seen))
        elif seen:
            seen.append(seen[-1])
        report.frames += 1
        progress(report.frames, report.promised)
    if not seen:
        raise InputError(
            f"{footage.name}: no face was found: use a film in which a face is large and well lit"
        )
    report.seconds, report.damaged = time.perf_counter() - began, footage.damaged
    steady = np.abs(np.diff(times) * float(footage.rate) - 1).max(initial=0) < 0.1
    return Motion(
        footage.rate,
        np.stack([face.blendshapes for face in seen]),
        np.stack([face.pose for face in seen]),
        np.clip(rest.reading[:52], 0, 1),
        rest.pose,
        None if steady else np.array(times),
    ), report


def play(motion: Motion, puppet: Puppet, order: Order) -> Report:
    """A photo that moves as a motion says.

    Raises:
        InputError: the place cannot be used.
    """
    rest = at_rest()
    if motion.rest is not None and motion.rest_pose is not None:
        rest[:52] = motion.rest
        puppet.rest(Rest(rest, motion.rest_pose))
    report, began = Report(promised=len(motion)), time.perf_counter()
    height, width = puppet.sitter.image.shape[:2]
    ticks = Fraction(1, 90_000)

    def drawn() -> Iterator[tuple[Fraction, ByteImage]]:
        for number, (shapes, pose) in enumerate(zip(motion.coefficients, motion.pose, strict=True)):
            when = number / motion.rate if motion.times is None else Fraction(float(motion.times[number]))
            yield when, puppet.draw(puppet.play(shapes, pose, float(when)))

    opened = film(order.output, order.told(puppet), (width, height), motion.rate, ticks)
    with opened as writer, one_thread_each():
        try:
            for when, frame in ahead(drawn()):
                writer.write(frame, when)
                order.progress(writer.frames, report.promised)
        except KeyboardInterrupt:
            if not writer.frames:
                raise
            report.stopped = True
    report.frames, report.seconds = writer.frames, time.perf_counter() - began
    return report


def run(
    footage: Footage,
    writer: Writer,
    step: Callable[[Shot], tuple[bool, Draw]],
    audio: bool,
    progress: Progress,
    drawers: int = DRAWERS,
) -> Report:
    """Every frame of `footage` through `step`: it looks, says whether there is a face, and how to draw the result.

    Ctrl-C ends the film where it is. drawers: threads that draw; one draws the frames in their order.

    Raises:
        KeyboardInterrupt: before anything was written.
    """
    report, began = Report(promised=footage.count), time.perf_counter()
    waiting: deque[Future[None]] = deque()
    with (
        one_thread_each(),
        ThreadPoolExecutor(drawers, initializer=torch.set_num_threads, initargs=(1,)) as drawing,
        ThreadPoolExecutor(1) as writing,
    ):
        try:
            for item in ahead(footage.items(audio)):
                if isinstance(item, Shot):
                    seen, draw = step(item)
                    report.faceless += not seen
                    waiting.append(writing.submit(_write, writer, drawing.submit(draw), item.time))
                else:
                    waiting.append(writing.submit(writer.copy, item))
                while len(waiting) > 2 * AHEAD:
                    waiting.popleft().result()
                    progress(writer.frames, report.promised)
        except KeyboardInterrupt:
            report.stopped = True
        while waiting:
            waiting.popleft().result()
            progress(writer.frames, report.promised)
    report.frames, report.damaged = writer.frames, footage.damaged
    if report.stopped and not report.frames:
        raise KeyboardInterrupt
    if not report.frames:
        raise InputError(f"{footage.name} has no frame that can be decoded: give another copy.")
    report.seconds = time.perf_counter() - began
    return report


def _write(writer: Writer, drawn: Future[ByteImage], when: Fraction) -> None:
    writer.write(drawn.result(), when)
