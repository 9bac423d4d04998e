"""What a result keeps of the photograph it was made from, beside its face: author, copyright, date, colour profile and
transparency. Nothing else: no place, camera, serial number or thumbnail.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, IptcImagePlugin

from mien.images import changed_pixels, open_image, read_image
from mien.provenance.metadata import DC, PHOTOSHOP, XMP, Said, parse_packet, property_of

_EXIF, _ARTIST, _COPYRIGHT, _DATE = 0x8769, 0x013B, 0x8298, 0x0132
_ORIGINAL = 0x9003  # the date of exposure
_DATES = (_ORIGINAL, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292)
"""EXIF's dates, their offsets from UTC and their parts of a second."""
LONGEST = 4000  # characters of an author or a copyright


@dataclass(frozen=True)
class Carried:
    """A picture as it is to be written: in the photograph's colours and with its transparency, RGB or RGBA. options:
    Pillow's, of every format. said: the same author, copyright and date for the XMP packet."""

    image: Image.Image
    options: dict[str, Any]
    said: Said


def carry(rgb: Image.Image, photo: Path, transparent: bool) -> Carried:
    """`rgb`, made of the picture in the file `photo`, with what that says of itself.

    Where it is of the photo's size, pixels that equal the photo's (as `read_image` gives it) get the file's own
    numbers: those of a wide-gamut profile, and the colours under transparency. transparent: whether the format holds
    it. Raises `InputError`: the file cannot be read.
    """
    with open_image(photo.read_bytes(), photo) as file:
        said, exif = _what_it_says(file)
        profile = _own_profile(file)
        opaque = not (transparent and file.has_transparency_data)
        options: dict[str, Any] = {"exif": exif}
        if profile is not None:
            options["icc_profile"] = file.info["icc_profile"]
        wide = profile is not None and "sRGB" not in ImageCms.getProfileDescription(profile)
        if opaque and not wide:
            return Carried(rgb, options, said)
        file.load()
        upright = ImageOps.exif_transpose(file)
        own = np.array(upright.convert("RGB" if opaque else "RGBA"))
    out = np.asarray(rgb)
    if own.shape[:2] != out.shape[:2]:  # a part of the photo: framed, or smaller
        return Carried(_in_profile(rgb, profile) if wide else rgb, options, said)
    changed = changed_pixels(out, np.asarray(read_image(photo)))
    if not opaque:  # it was laid on white: C = a F + (1 - a) 255
        alpha = own[..., 3:].astype(np.float32).clip(1, None) / 255
        out = np.round((out - (1 - alpha) * 255) / alpha).clip(0, 255).astype(np.uint8)
    coloured = _in_profile(Image.fromarray(out), profile) if wide else Image.fromarray(out)
    own[changed, :3] = np.asarray(coloured)[changed]
    return Carried(Image.fromarray(own), options, said)


def _own_profile(file: Image.Image) -> Any:
    """Its colour profile, if it is one of RGB that can be converted to; else None, as numbers are then sRGB's."""
    data = file.info.get("icc_profile")
    if not data or file.mode not in ("RGB", "RGBA", "P"):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        _in_profile(Image.new("RGB", (1, 1)), profile)
        return profile if profile.profile.xcolor_space.strip() == "RGB" else None
    except (OSError, ImageCms.PyCMSError):
        return None


def _in_profile(image: Image.Image, profile: Any) -> Image.Image:
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), profile, outputMode="RGB")
    assert converted is not None  # it is None only when converting in place
    return converted


def _what_it_says(file: Image.Image) -> tuple[Said, Image.Exif]:
    """Author, copyright and date by EXIF, else XMP, IPTC-IIM or PNG text; and an EXIF block of these alone."""
    exif, dates, found = Image.Exif(), dict[int, str](), dict[int, str]()
    try:
        tags = file.getexif()
        found = {tag: _text(str(tags[tag])) for tag in (_ARTIST, _COPYRIGHT, _DATE) if tags.get(tag)}
        inner = tags.get_ifd(_EXIF)
        dates = {tag: _text(inner[tag]) for tag in _DATES if isinstance(inner.get(tag), str)}
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        pass  # broken EXIF says nothing
    others = _elsewhere(file)
    author = (found.get(_ARTIST) or others.author)[:LONGEST]
    rights = (found.get(_COPYRIGHT) or others.rights)[:LONGEST]
    date = dates.get(_ORIGINAL) or found.get(_DATE) or others.date
    for tag, value in ((_ARTIST, author), (_COPYRIGHT, rights), (_DATE, found.get(_DATE, ""))):
        if value:
            exif[tag] = value.encode()
    if date:
        dates.setdefault(_ORIGINAL, date)
        exif.get_ifd(_EXIF).update(dates)
    return Said(author, rights, _iso(date)), exif


def _elsewhere(file: Image.Image) -> Said:
    root = parse_packet(file.info.get("xmp") or file.info.get("XML:com.adobe.xmp"))
    said = Said()
    if root is not None:
        said = Said(
            property_of(root, DC + "creator") or "",
            property_of(root, DC + "rights") or "",
            property_of(root, PHOTOSHOP + "DateCreated") or property_of(root, XMP + "CreateDate") or "",
        )
    iptc: dict[Any, Any] = {}
    with suppress(OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        iptc = (IptcImagePlugin.getiptcinfo(file) if isinstance(file, ImageFile.ImageFile) else None) or {}
    by_line, notice = (iptc.get((2, number), b"") for number in (80, 116))
    by_line = by_line[0] if isinstance(by_line, list) else by_line
    text = {name: value for name, value in file.info.items() if isinstance(value, str)}
    return Said(
        said.author or by_line.decode("utf-8", "replace") or text.get("Author", ""),
        said.rights or notice.decode("utf-8", "replace") or text.get("Copyright", ""),
        said.date[:19].replace("-", ":").replace("T", " ") or text.get("Creation Time", ""),
    )


def _text(text: str) -> str:
    """EXIF's text, which Pillow reads as Latin-1 and most programs write as UTF-8."""
    return text.encode("latin-1", "replace").strip(b"\0 ").decode("utf-8", "replace")


def _iso(exif: str) -> str:
    """2024:05:06 07:08:09 → 2024-05-06T07:08:09; of anything else nothing."""
    day, _, time = exif.strip().partition(" ")
    year = day.replace(":", "-")
    return f"{year}T{time}" if len(year) == 10 and len(time) == 8 else ""
