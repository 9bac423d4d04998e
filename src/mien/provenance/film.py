"""Films written frame by frame, in constant memory: each frame has the watermark, and the file's comment says what
made it, as in `mien.provenance.animation`.

Frames keep their times, exactly; audio comes along untouched. What was written when the block ends is playable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mien.errors import WHY, saying
from mien.files import replacing
from mien.provenance import PARTLY_GENERATED, check_surroundings, watermark, with_mark
from mien.provenance.animation import check_animation, import_av, read_animation
from mien.provenance.metadata import as_comment
from mien.types import ByteImage

SUFFIXES = (".mp4", ".mov")
QUALITY = 17  # x264's constant rate factor; below 18 no difference is seen
PRESET = "veryfast"
SURER = 1.5  # times the watermark's target in the frame that it was made for: the next ones have less of it
REMARKED = 300  # frames after which the watermark's strength is chosen anew
FINEST = 2**31 - 1  # ticks a second


@dataclass(frozen=True)
class Colours:
    """How a film's numbers mean colours, in the codes of ITU-T H.273; full: from 0 to 255, else from 16 to 235."""

    full: bool = False
    matrix: int = 1
    primaries: int = 1
    transfer: int = 1


def check_film(path: str | Path) -> Path:
    """`path`, if a film can be written there: ask before long work. Raises `InputError`: the suffix is none of
    `SUFFIXES`, ``mien[video]`` is missing, or the place cannot be written to."""
    return check_animation(path, SUFFIXES)


class Mark:
    """The watermark of frames that follow each other: one pattern, whose strength is chosen anew now and then."""

    def __init__(self) -> None:
        self._wanted = check_surroundings()
        self._pattern: Any = None
        self._frames = 0

    def __call__(self, pixels: ByteImage) -> ByteImage:
        """The next frame [H, W, 3] uint8 RGB with it; frames are of one size."""
        if not self._wanted or min(pixels.shape[:2]) < watermark.SMALLEST:
            return pixels
        if self._frames % REMARKED == 0:
            first = Image.fromarray(pixels)
            there = max(watermark.find(first).statistic, 0.0)  # of a photo that was marked before
            marked = watermark.embed(first, target=there + SURER * watermark.TARGET)
            self._pattern = np.asarray(marked, np.int16) - pixels
        self._frames += 1
        return np.asarray(cv2.add(pixels, self._pattern, dtype=cv2.CV_8U), np.uint8)


class Writer:
    """What `film` gives: frames and audio go in, in the order of their times."""

    def __init__(
        self,
        container: Any,
        size: tuple[int, int],
        rate: Fraction,
        ticks: Fraction,
        colours: Colours,
        audio: Any = None,
    ) -> None:
        self._av = import_av()
        self._container, self._colours = container, colours
        finest = lcm(rate.numerator, ticks.denominator)
        self._ticks = Fraction(1, finest if finest <= FINEST else ticks.denominator)
        self._rate, self._tolerance = rate, ticks
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = (side - side % 2 for side in size)  # what 4:2:0 asks for
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(QUALITY), "preset": PRESET}
        context = stream.codec_context
        context.time_base = self._ticks
        context.color_range = 2 if colours.full else 1
        context.colorspace, context.color_primaries = colours.matrix, colours.primaries
        context.color_trc = colours.transfer
        self._stream = stream
        self._audio = None if audio is None else container.add_stream_from_template(audio)
        self._mark = Mark()
        self._last = -1
        self.frames = 0

    def write(self, frame: ByteImage, time: Fraction) -> None:
        """The next frame [H, W, 3] uint8 RGB, shown from `time` on, in seconds; times go on."""
        regular = round(time * self._rate) / self._rate  # a container may have rounded them
        time = regular if abs(regular - time) < self._tolerance else time
        height, width = self._stream.height, self._stream.width
        pixels = self._mark(np.ascontiguousarray(frame[:height, :width]))
        picture = self._av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=self._colours.matrix,
            dst_color_range=2 if self._colours.full else 1,
            interpolation="BILINEAR",
        )
        picture.pts, picture.time_base = max(self._last + 1, round(time / self._ticks)), self._ticks
        self._last = picture.pts
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def copy(self, packet: Any) -> None:
        """The next packet of the audio that was announced, as it is."""
        packet.stream = self._audio
        self._container.mux(packet)

    def end(self) -> None:
        """What the encoder still holds."""
        if self.frames:
            self._container.mux(self._stream.encode())


@contextmanager
def film(
    path: str | Path,
    settings: dict[str, Any],
    size: tuple[int, int],
    rate: Fraction,
    ticks: Fraction,
    colours: Colours | None = None,
    audio: Any = None,
) -> Iterator[Writer]:
    """A film that is at `path` once the block has ended well; if it fails, nothing is left.

    Args:
        settings: what made it, as JSON values; no people, no paths.
        size: width and height in px; an odd one is cut by one. rate: frames a second, exactly; times near to a
            multiple of it are on it. ticks: seconds; how finely the times are known.
        audio: a stream of an open film, whose packets will be copied.

    Raises:
        InputError: as `check_film`, or the audio has no place in such a file. ValueError: the comment is missing.
    """
    av = import_av()
    path = check_film(path)
    # Only what is said is wanted, which is the same of any picture with room for a watermark.
    small = [min(side, watermark.SMALLEST) for side in size]
    _, mark = with_mark(Image.new("RGB", (small[0], small[1])), PARTLY_GENERATED, None)
    comment = as_comment(PARTLY_GENERATED, settings, mark)
    with replacing(path) as temporary:
        kind = path.suffix.lower().removeprefix(".")
        options = {"movflags": "use_metadata_tags"} if kind == "mov" else {}
        with av.open(str(temporary), "w", format=kind, options=options) as container:
            container.metadata["comment"] = json.dumps(comment, ensure_ascii=True)
            with saying(f"{path} cannot be written ({WHY}): {_advice(path, audio)}.", ValueError, OSError):
                writer = Writer(container, size, rate, ticks, colours or Colours(), audio)
                if audio is not None:
                    container.start_encoding()
            yield writer
            writer.end()
        if read_animation(temporary) != comment:
            raise ValueError(f"the provenance of {path} could not be added")


def _advice(path: Path, audio: Any) -> str:
    if audio is None:
        return "choose another size"
    other = ".mov" if path.suffix.lower() == ".mp4" else ".mp4"
    return f"its audio is {audio.codec_context.name}; end the name in {other}, or leave it out by --no-audio"
