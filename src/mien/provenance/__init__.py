"""The only way a picture is written: with metadata that says a model made it, and how, and a watermark.

`docs/provenance.md` says what is written, what survives what, and what is never written.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, features

from mien.errors import InputError, saying
from mien.files import read_bytes, replacing
from mien.images import open_image
from mien.provenance import signing, watermark
from mien.provenance.carried import carry
from mien.provenance.foreign import read_foreign
from mien.provenance.metadata import (
    COMPOSITE,
    DIGITAL_SOURCE_TYPE,
    FORMATS,
    GENERATED,
    LONGEST_IN_JPEG,
    MEDIA_TYPES,
    PARTLY_GENERATED,
    Metadata,
    Said,
    as_json,
    read_packet,
    write_packet,
)
from mien.types import FloatArray

__all__ = [
    "COMPOSITE",
    "DIGITAL_SOURCE_TYPE",
    "FORMATS",
    "PARTLY_GENERATED",
    "Metadata",
    "check_format",
    "check_surroundings",
    "read_metadata",
    "read_provenance",
    "remember",
    "save_image",
    "save_made",
    "with_mark",
]

LARGEST = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}  # pixels of a side
WATERMARK = "MIEN_WATERMARK"
MADE = "mien"  # in a PIL picture's `info`


def check_format(path: str | Path) -> str:
    """Pillow's name of the format that the suffix of `path` asks for. Raises `InputError`: the suffix is not one of
    `FORMATS`, or this Pillow cannot write the format."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path} does not say how to save a picture: end the name in {', '.join(FORMATS)}.")
    if FORMATS[suffix] == "WEBP" and not features.check("webp"):
        raise InputError(f"{path} asks for WebP, which the installed Pillow cannot write: end it in .png.")
    return FORMATS[suffix]


def check_surroundings() -> bool:
    """Whether pictures get a watermark: they do unless `MIEN_WATERMARK` is "off". Ask before long work. Raises
    `InputError`: `MIEN_WATERMARK` is neither "on" nor "off"; or a certificate for C2PA was given that cannot be used
    (`signing.wanted`)."""
    signing.wanted()
    value = os.environ.get(WATERMARK, "on").lower()
    if value not in ("on", "off"):
        raise InputError(f"{WATERMARK} is {value}: set it to off, for research, or leave it unset.")
    return value == "on"


def save_image(
    image: Image.Image,
    path: str | Path,
    settings: dict[str, Any],
    source_type: str | None = None,
    mask: FloatArray | None = None,
    photo: Path | None = None,
) -> Path:
    """Write `image` (PIL RGB) atomically, with its provenance; JPEG at quality 95 and 4:4:4, WebP at quality 95.

    Args:
        path: the suffix chooses PNG, JPEG or WebP.
        settings: what made it, as JSON values (prompt, seed, steps, scales, scores…), without the people: no input
            picture, no embedding, no file path.
        source_type: IPTC's word for how the picture came about; None: `DIGITAL_SOURCE_TYPE`, or with a mask
            `PARTLY_GENERATED`. `COMPOSITE`, in which nothing was generated, gets no watermark.
        mask: [H, W] in [0, 1], where a model made the picture; where it is 0 the watermark leaves the pixels. None:
            everywhere.
        photo: the file of the photograph that was changed, whose author, copyright, date, colour profile and
            transparency are kept (`carried`).

    Raises:
        InputError: unknown suffix, a picture too large or settings too long for the format, or the place cannot be
            written to; nothing is left behind.
        ValueError: `settings` holds something that is not JSON, or the metadata could not be added.
    """
    kind = check_format(path)
    source_type = source_type or (DIGITAL_SOURCE_TYPE if mask is None else PARTLY_GENERATED)
    as_json(settings)
    if max(image.size) > LARGEST[kind]:
        raise InputError(f"{path}: {kind} holds at most {LARGEST[kind]} pixels a side: end the name in .png.")
    rgb, mark = with_mark(image.convert("RGB"), source_type, mask)
    options: dict[str, Any] = {}
    said = Said()
    if photo is not None:
        kept = carry(rgb, photo, transparent=kind != "JPEG")
        rgb, options, said = kept.image, kept.options, kept.said
    packet = write_packet(source_type, settings, mark, said)
    if kind == "JPEG" and len(packet.encode()) > LONGEST_IN_JPEG:
        raise InputError(f"{path}: the prompts are too long to be kept in a JPEG: end the name in .png.")
    encoded = io.BytesIO()  # Pillow's own writing to a file misses a disk that fills up in the last block
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", packet)
        rgb.save(encoded, kind, pnginfo=chunks, compress_level=4, **options)  # twice as fast as 6, 8% larger
    else:
        full = {"subsampling": 0} if kind == "JPEG" else {"exact": True}  # colours under transparency stay
        rgb.save(encoded, kind, quality=95, xmp=packet.encode(), **full, **options)
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
        if signing.wanted():
            signing.sign(temporary, MEDIA_TYPES[kind], source_type)
        if read_metadata(temporary) != read_packet(packet):
            raise ValueError(f"the provenance of {path} could not be added")
    return Path(path)


def remember(image: Image.Image, settings: dict[str, Any], mask: FloatArray | None = None) -> Image.Image:
    """`image`, which knows from now on what `save_made` is to write of it; arguments as of `save_image`."""
    image.info[MADE] = settings, mask
    return image


def save_made(image: Image.Image, path: str | Path) -> Path:
    """Write a picture that a pipeline of `mien` returned, by `save_image`: with metadata that say how it was made, and
    a watermark where something was made. PIL's own `save` writes neither.

    Raises:
        InputError: `mien` did not make it (it may be a copy: cropping, resizing and the like forget); or as of
            `save_image`.
    """
    settings, mask = image.info.get(MADE, (None, None))
    if settings is None or (mask is not None and mask.shape != image.size[::-1]):
        raise InputError(
            f"{path}: this picture is not as a pipeline of mien returned it: save that one, or write yours by its own "
            "save()"
        )
    return save_image(image, path, settings, mask=mask)


def read_metadata(path: str | Path) -> Metadata | None:
    """What the XMP packet of any picture says, ours or not, and else what other programs write (``foreign``): of those
    that say they generated it, the source type is that of a trained model. None if it says nothing. Raises
    `InputError`: the file is not a picture."""
    data = read_bytes(path)
    unread = f"{path} is not a picture that can be read: give a JPEG, PNG or WebP."
    with (
        saying(unread, OSError, SyntaxError, ValueError, Image.DecompressionBombError),
        open_image(data, Path(path)) as image,
    ):
        said = read_packet(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))
        if said is not None and said.settings is not None:
            return said
        other = read_foreign(image)
    if other is None:
        return said
    program, settings = other
    said = said or Metadata()
    kind, software = said.source_type or DIGITAL_SOURCE_TYPE, said.software or program
    return replace(said, source_type=kind, software=software, settings=settings, ours=False)


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """What `save_image` wrote of a generated picture: ``{"software": str, "settings": dict, "watermark": dict,
    "source_type": str}``, or None if it carries none of ours or nothing in it was generated. Raises `InputError`: the
    file is not a picture."""
    said = read_metadata(path)
    if said is None or not said.generated or said.settings is None or not said.ours:
        return None
    return {name: getattr(said, name) for name in ("software", "settings", "watermark", "source_type")}


def with_mark(
    rgb: Image.Image, source_type: str, mask: FloatArray | None
) -> tuple[Image.Image, dict[str, Any]]:
    """A picture (PIL RGB) with its watermark, and what the metadata say of it: ``{"method": "mien-1", "box": [x0, y0,
    x1, y1] as fractions of width and height}`` or ``{"method": "none", "why": str}``. Arguments as for `save_image`."""
    if source_type not in GENERATED or (mask is not None and not np.any(mask)):
        return rgb, {"method": "none", "why": "nothing was generated"}
    if not check_surroundings():
        return rgb, {"method": "none", "why": f"{WATERMARK}=off"}
    width, height = rgb.size
    box = watermark.whole_box(rgb) if mask is None else watermark.mask_box(mask)
    if not watermark.room(box):
        return rgb, {"method": "none", "why": f"smaller than {watermark.SMALLEST} pixels"}
    place = [round(edge / size, 6) for edge, size in zip(box, (width, height, width, height), strict=True)]
    return watermark.embed(rgb, mask), {"method": watermark.NAME, "box": place}
