"""Small films of people who are nobody, made for a test."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.types import ByteImage

av = pytest.importorskip("av", reason="films need PyAV: pip install mien[video]")

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE = 192


@cache
def person(name: str, side: int = SIDE) -> ByteImage:
    """[side, side, 3] uint8 of somebody in examples/people."""
    return np.asarray(Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((side, side)))


@cache
def smiling(count: int = 12) -> tuple[ByteImage, ...]:
    """Somebody who smiles more and more, and then less: `count` frames, drawn by the photo engine."""
    from mien.pipelines.photo import PhotoPipeline

    pipe = PhotoPipeline()
    sitter = pipe.sit(Image.fromarray(person("karl_rest")))
    amounts = np.sin(np.linspace(0, np.pi, count))
    return tuple(
        pipe.express(sitter, "grin", strength=float(amount), rounds=0).drawn.image for amount in amounts
    )


def write(
    path: Path,
    frames: Sequence[ByteImage],
    rate: Fraction = Fraction(25),
    times: Sequence[int] | None = None,
    ticks: Fraction | None = None,
    audio: bool = False,
) -> Path:
    """A film of frames; `times` in `ticks`, else regular. `audio`: with a second of a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast"}
        stream.codec_context.time_base = ticks or 1 / rate
        tone = container.add_stream("aac", rate=44_100) if audio else None
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = ticks or 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            wave = np.sin(np.arange(44_100) / 20)[None].astype(np.float32) * 0.1
            for start in range(0, 44_100 - 1023, 1024):
                sound = av.AudioFrame.from_ndarray(
                    wave[:, start : start + 1024], format="fltp", layout="mono"
                )
                sound.sample_rate, sound.pts = 44_100, start
                container.mux(tone.encode(sound))
            container.mux(tone.encode())
    return path


def read(path: Path) -> tuple[list[ByteImage], list[Fraction]]:
    """A film's frames and their times, by PyAV alone."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [
        frame.pts * frame.time_base for frame in frames
    ]


def sound(path: Path) -> list[bytes]:
    """The packets of a film's audio."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
