"""The only way a picture is written: with metadata that says a model made it, and how.

The XMP packet holds IPTC's DigitalSourceType (``trainedAlgorithmicMedia``: made by a trained model), the
version of this software and the settings of the run as JSON. Readers of XMP (exiftool, for one) know it.
https://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image, PngImagePlugin

from mien import __version__
from mien.files import replacing
from mien.types import InputError

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# A given picture with something drawn on or beside it: nothing in it was made by a model.
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/composite"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_MIEN = "urn:mien:settings:1"
_META = "adobe:ns:meta/"
for _prefix, _uri in (("x", _META), ("rdf", _RDF), ("Iptc4xmpExt", _IPTC), ("xmp", _XMP), ("mien", _MIEN)):
    ElementTree.register_namespace(_prefix, _uri)


def check_format(path: str | Path) -> str:
    """Pillow's name of the format that the suffix of `path` asks for.

    Raises:
        InputError: the suffix is not one of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{path} does not say how to save the picture: end the name in {', '.join(FORMATS)}."
        )
    return FORMATS[suffix]


def save_image(
    image: Image.Image, path: str | Path, settings: dict[str, Any], source_type: str = DIGITAL_SOURCE_TYPE
) -> Path:
    """Write `image` (PIL RGB) atomically, with its provenance; JPEG and WebP at quality 95.

    Args:
        image: the picture.
        path: where; the suffix chooses PNG, JPEG or WebP.
        settings: what made it, as JSON values (prompt, seed, steps, scales, scores…). The caller leaves out
            the people: no input picture, no embedding, no file path.
        source_type: IPTC's word for how the picture came about, `DIGITAL_SOURCE_TYPE` or `COMPOSITE`.

    Raises:
        InputError: unknown suffix, or the place cannot be written to; nothing is left behind.
        ValueError: `settings` holds something that is not JSON, or the metadata could not be added.
    """
    kind = check_format(path)
    packet = _packet(settings, source_type)
    with replacing(path) as temporary:
        rgb = image.convert("RGB")
        if kind == "PNG":
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt("XML:com.adobe.xmp", packet)
            rgb.save(temporary, kind, pnginfo=chunks)
        else:
            rgb.save(temporary, kind, quality=95, xmp=packet.encode())
        if _read(temporary, source_type) != {
            "software": _software(),
            "settings": json.loads(json.dumps(settings)),
        }:
            raise ValueError(f"the provenance of {path} could not be added")
    return Path(path)


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """What `save_image` wrote of a generated picture: ``{"software": str, "settings": dict}``, or None if it
    carries none.

    Raises:
        InputError: the file is not a picture.
    """
    return _read(path, DIGITAL_SOURCE_TYPE)


def _read(path: str | Path, source_type: str) -> dict[str, Any] | None:
    try:
        with Image.open(path) as image:
            packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path} is not a picture that can be read: give a JPEG, PNG or WebP file."
        ) from error
    if not packet:
        return None
    try:
        root = ElementTree.fromstring(packet.encode() if isinstance(packet, str) else packet.rstrip(b"\0"))
        description = root.find(f".//{{{_RDF}}}Description")
        if description is None or description.get(f"{{{_IPTC}}}DigitalSourceType") != source_type:
            return None
        settings = json.loads(description.get(f"{{{_MIEN}}}settings", ""))
    except (ElementTree.ParseError, json.JSONDecodeError):
        return None
    return {"software": description.get(f"{{{_XMP}}}CreatorTool"), "settings": settings}


def _software() -> str:
    return f"mien {__version__}"


def _packet(settings: dict[str, Any], source_type: str) -> str:
    try:
        text = json.dumps(settings, ensure_ascii=True, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"settings must be plain JSON, without pictures or paths: {error}") from error
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
    description = ElementTree.SubElement(
        ElementTree.SubElement(meta, f"{{{_RDF}}}RDF"), f"{{{_RDF}}}Description"
    )
    description.set(f"{{{_RDF}}}about", "")
    description.set(f"{{{_IPTC}}}DigitalSourceType", source_type)
    description.set(f"{{{_XMP}}}CreatorTool", _software())
    description.set(f"{{{_MIEN}}}settings", text)
    body = ElementTree.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{body}\n<?xpacket end="r"?>'
