"""Films read frame by frame, with their audio beside them, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import WHY, InputError, saying
from mien.provenance.animation import import_av
from mien.provenance.film import Colours
from mien.types import ByteImage

USUAL = Fraction(25)  # frames a second, of a film that does not say
SAMPLES = 60  # frames that are looked at before a film is driven, at most
SPARED = 6  # of a short film, one in so many
SHORT = 900  # frames up to which these are taken evenly, else from where a film can be entered
LARGEST = 16384  # px of a side


@dataclass(frozen=True)
class Shot:
    """A frame: [H, W, 3] uint8 RGB, upright, shown from `time` on, in seconds."""

    image: ByteImage
    time: Fraction


class Footage:
    """A film's pictures and audio, in order; a context manager.

    Args:
        path: of any film that FFmpeg reads. longest: px of a frame's longer side at most; larger ones are reduced.
        format, options: of a device (see `mien.making.live`).

    Attributes:
        rate: frames a second. ticks: seconds, how finely its times are known. count: frames that it promises; 0: it
        does not say. audio: its stream, or None. damaged: pieces that could not be decoded so far.

    Raises:
        InputError: it cannot be read as a film, or has no pictures.
    """

    def __init__(
        self,
        path: str | Path,
        longest: int | None = None,
        format: str | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        self._av = import_av()
        self.name, self._longest = str(path), longest
        if format is None and not Path(path).is_file():
            raise InputError(f"{path} is no file: give the name of a film.")
        self._how = {"format": format, "options": options or {}}
        self._open()
        rate = self._stream.average_rate or self._stream.guessed_rate or USUAL
        self.rate = Fraction(rate) if 0 < rate <= 1000 else USUAL
        self.ticks = Fraction(self._stream.time_base or Fraction(1, 1000))
        self.count = self._stream.frames or round(float(self._seconds() * self.rate))

    def _open(self) -> None:
        unread = f"{self.name} cannot be read as a film ({WHY}): it may be cut short; give another copy."
        with saying(unread, OSError, ValueError, EOFError):
            self._container = self._av.open(self.name, **self._how)
        attached = getattr(self._av.stream, "Disposition", None)
        pictures = [
            one for one in self._container.streams.video
            if attached is None or not one.disposition & attached.attached_pic
        ]  # fmt: skip
        if not pictures:
            self._container.close()
            raise InputError(f"{self.name} has no pictures: give a film.")
        self._stream = pictures[0]
        self._stream.thread_type = "AUTO"
        if not 0 < max(self._stream.width, self._stream.height) <= LARGEST:
            self._container.close()
            raise InputError(f"{self.name} says nothing of its size: it may be cut short; give another copy.")
        self.audio = self._container.streams.audio[0] if self._container.streams.audio else None
        self.damaged = 0

    def _rewind(self) -> None:
        # seeking to 0 would miss audio that begins before it
        self._container.close()
        self._open()

    def _seconds(self) -> Fraction:
        if self._stream.duration:
            return Fraction(self._stream.duration) * self.ticks
        return Fraction(self._container.duration or 0, 1_000_000)

    def __enter__(self) -> Footage:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def colours(self) -> Colours:
        """What its numbers mean; what it leaves open is as usual for its size."""
        context = self._stream.codec_context
        usual = 1 if self._stream.height >= 720 else 6  # BT.709, else BT.601

        def said(code: int) -> int:
            return code if code not in (0, 2, 3) else usual

        matrix, full = said(int(context.colorspace)), int(context.color_range) == 2
        full = full or (context.pix_fmt or "").startswith("yuvj")
        return Colours(full, matrix, said(int(context.color_primaries)), said(int(context.color_trc)))

    def first(self) -> Shot:
        """Its first frame; reading begins anew after it.

        Raises:
            InputError: it has none that can be decoded.
        """
        for shot in self.frames():
            self._rewind()
            return shot
        raise InputError(f"{self.name} has no frame that can be decoded: give another copy.")

    def frames(self) -> Iterator[Shot]:
        """All frames, without the audio."""
        return (item for item in self.items(False) if isinstance(item, Shot))

    def sampled(self) -> Iterator[Shot]:
        """Some frames from all over the film; reading begins anew after them."""
        if self.count <= SHORT:
            every = max(SPARED if self.count > SAMPLES else 1, -(-self.count // SAMPLES))
            for number, frame in enumerate(self._decoded()):
                if number % every == 0:
                    yield self._shot(frame, number)
        else:
            whole = self._stream.duration or int(self._seconds() / self.ticks)
            start = self._stream.start_time or 0
            for number in range(SAMPLES):
                self._container.seek(start + whole * number // SAMPLES, stream=self._stream)
                frame = next(self._decoded(), None)
                if frame is not None:
                    yield self._shot(frame, number)
        self._rewind()

    def items(self, audio: bool = True) -> Iterator[Any]:
        """Its frames (`Shot`) and, unless not wanted, the packets of its audio, as they come."""
        number = 0
        wanted = [self._stream, self.audio] if audio and self.audio is not None else [self._stream]
        for packet in self._packets(wanted):
            if packet.stream is self.audio:
                if packet.dts is not None:
                    yield packet
                continue
            for frame in self._frames_of(packet):
                yield self._shot(frame, number)
                number += 1

    def _decoded(self) -> Iterator[Any]:
        for packet in self._packets([self._stream]):
            yield from self._frames_of(packet)

    def _packets(self, streams: list[Any]) -> Iterator[Any]:
        try:
            yield from self._container.demux(*streams)
        except self._av.error.EOFError:
            return
        except (OSError, ValueError):
            self.damaged += 1

    def _frames_of(self, packet: Any) -> list[Any]:
        try:
            frames = list(packet.decode())
            self.damaged += sum(frame.is_corrupt for frame in frames)
            return frames
        except self._av.error.EOFError:
            return []
        except (OSError, ValueError):
            self.damaged += 1
            return []

    def _shot(self, frame: Any, number: int) -> Shot:
        time = Fraction(number) / self.rate
        if frame.pts is not None:
            time = frame.pts * Fraction(frame.time_base or self.ticks)
        width, height = frame.width, frame.height
        zoom = min(1.0, self._longest / max(width, height)) if self._longest else 1.0
        image = frame.to_ndarray(
            format="rgb24",
            width=max(2, round(width * zoom)),
            height=max(2, round(height * zoom)),
            interpolation="AREA" if zoom < 1 else "BILINEAR",
        )
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        return Shot(np.ascontiguousarray(np.rot90(image, turns)) if turns else image, time)
