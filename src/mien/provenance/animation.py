"""Moving pictures, GIF, MP4 and WebP: every frame has the watermark, and the file says what made it.

A WebP has the XMP that `save_image` writes. The others have no place for it that common players keep: the same stands
in their comment, as JSON: ``{"digital_source_type", "software", "settings", "watermark"}``.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mien.errors import WHY, InputError, optional, saying
from mien.files import check_writable, replacing
from mien.provenance import DIGITAL_SOURCE_TYPE, check_surroundings, read_metadata, with_mark
from mien.provenance.metadata import Said, as_comment, read_object, write_packet

COMMENTED = (".gif", ".mp4", ".mov")  # in their comments; `provenance.film` writes the last two
SUFFIXES = (".gif", ".mp4", ".webp")
WEBP = 90  # quality, of 100; at 80 skin is smoothed
_UNREAD = "{path} cannot be read as a moving picture: give a GIF or MP4 file."
QUALITY = 16  # x264's constant rate factor; below 18 no difference is seen


def check_animation(path: str | Path, kinds: Sequence[str] = SUFFIXES) -> Path:
    """`path`, if a moving picture can be written there: ask before long work. Raises `InputError`: the suffix is none
    of `kinds`, a film is asked for without ``mien[video]``, the place cannot be written to, or as `check_surroundings`.
    """
    check_surroundings()
    path = Path(path)
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path} is not a moving picture: end the name in {', '.join(kinds)}.")
    if path.suffix.lower() in (".mp4", ".mov"):
        import_av()
    return check_writable(path)


def save_animation(
    frames: Sequence[Image.Image],
    path: str | Path,
    settings: dict[str, Any],
    fps: float = 12.0,
    source_type: str = DIGITAL_SOURCE_TYPE,
) -> Path:
    """Write frames (PIL RGB of one size, at least one) atomically as a GIF or WebP that repeats, or an H.264 MP4.

    Args:
        fps: above 0; a GIF's is rounded to hundredths of a second a frame.
        settings: what made them, as JSON values; no people, no paths. source_type: as of `save_image`.

    Raises:
        InputError: as `check_animation`. ValueError: what made it could not be added.
    """
    path = check_animation(path)
    kind = path.suffix.lower()
    marked = [with_mark(frame.convert("RGB"), source_type, None) for frame in frames]
    pictures, mark = [picture for picture, _ in marked], marked[0][1]
    comment = as_comment(source_type, settings, mark)
    said = json.dumps(comment, ensure_ascii=True)
    with replacing(path) as temporary:
        if kind == ".webp":
            packet = write_packet(source_type, settings, mark, Said()).encode()
            # method, of 0 to 6: a tenth larger than 4, in half the time
            times = {"duration": round(1000 / fps), "quality": WEBP, "method": 2}  # ms
            _write_looped(pictures, temporary, xmp=packet, **times)
        elif kind == ".gif":
            few = [picture.quantize(256, Image.Quantize.MEDIANCUT) for picture in pictures]
            duration = max(20, round(100 / fps) * 10)  # ms; players slow down what is shorter
            _write_looped(few, temporary, duration=duration, comment=said.encode("ascii"), optimize=False)
        else:
            _write_mp4(pictures, temporary, said, fps)
        kept = (
            read_metadata(temporary) is not None if kind == ".webp" else read_animation(temporary) == comment
        )
        if not kept:
            raise ValueError(f"the provenance of {path} could not be added")
    return path


def first_frame(path: Path) -> Image.Image:
    """The first frame of an MP4, PIL RGB. Raises `InputError`: it has none that can be read, or ``mien[video]`` is not
    installed."""
    av = import_av()
    with (
        saying(_UNREAD.format(path=path), OSError, ValueError, IndexError, StopIteration),
        av.open(str(path)) as container,
    ):
        image: Image.Image = next(container.decode(video=0)).to_image()
        return image


def read_animation(path: str | Path) -> dict[str, Any] | None:
    """What `save_animation` wrote in the comment of a GIF or MP4; None if there is nothing of ours. Raises
    `InputError`: the file cannot be read as what its suffix says."""
    path = Path(path)
    with saying(_UNREAD.format(path=path), OSError, SyntaxError, ValueError):
        if path.suffix.lower() == ".gif":
            with Image.open(path) as image:
                said_of_it = image.info.get("comment", b"")  # text where the file is not a GIF
                comment = said_of_it.decode("ascii", "replace") if isinstance(said_of_it, bytes) else ""
        else:
            with import_av().open(str(path)) as container:
                comment = container.metadata.get("comment", "")
    said = read_object(comment)
    return said if said is not None and "digital_source_type" in said else None


def _write_looped(frames: list[Image.Image], path: Path, **how: Any) -> None:
    """Frames that repeat, as a GIF or WebP; `how`: Pillow's options."""
    encoded = io.BytesIO()  # as in `save_image`: Pillow's own writing misses a disk that fills up
    first, *others = frames
    first.save(encoded, path.suffix[1:], save_all=True, append_images=others, loop=0, **how)
    path.write_bytes(encoded.getbuffer())


def _write_mp4(frames: list[Image.Image], path: Path, comment: str, fps: float) -> None:
    from fractions import Fraction

    av = import_av()
    width, height = frames[0].size
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = width - width % 2, height - height % 2  # what 4:2:0 asks for
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(QUALITY)}
        for frame in frames:
            cut = frame.crop((0, 0, stream.width, stream.height))
            container.mux(stream.encode(av.VideoFrame.from_image(cut)))
        container.mux(stream.encode())


def import_av() -> Any:
    """PyAV. Raises `InputError`: it is not installed."""
    missing = f"An MP4 needs PyAV, which cannot be imported ({WHY})"
    return optional("av", f'{missing}: pip install "mien[video]", or write a .gif.')


def is_ours(path: str | Path) -> bool:
    """Whether a picture, GIF or MP4 carries the metadata that `mien` writes; a file that cannot be read does not."""
    path = Path(path)
    try:
        if path.suffix.lower() in COMMENTED:
            return read_animation(path) is not None
        said = read_metadata(path)
    except InputError:
        return False
    return said is not None and said.settings is not None


def is_replaceable(path: str | Path) -> bool:
    """Whether nothing is lost where a result is written to `path`: nothing is there, or something that `is_ours`."""
    return not os.path.lexists(path) or is_ours(path)
