"""What a picture says about itself: an XMP packet with IPTC's source type, the software and the settings.

PNG, JPEG and WebP hold the same packet (XMP: ISO 16684-1); exiftool and photo libraries read it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from mien import __version__

_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = _TYPES + "trainedAlgorithmicMedia"
"""All of it was made by a trained model. https://cv.iptc.org/newscodes/digitalsourcetype/"""
PARTLY_GENERATED = _TYPES + "compositeWithTrainedAlgorithmicMedia"
"""A photograph of which a model made a part, or a generated picture beside given ones."""
COMPOSITE = _TYPES + "composite"
"""A given picture with something drawn on or beside it: nothing in it was made by a model."""
SYNTHETIC_PARTS = _TYPES + "compositeSynthetic"
"""A composite of which a part is synthetic."""
GENERATED = (DIGITAL_SOURCE_TYPE, PARTLY_GENERATED, SYNTHETIC_PARTS)
WORDS = (
    "algorithmicMedia", "algorithmicallyEnhanced", "composite", "compositeCapture", "compositeSynthetic",
    "compositeWithTrainedAlgorithmicMedia", "computationalCapture", "dataDrivenMedia", "digitalArt",
    "digitalCapture", "digitalCreation", "humanEdits", "minorHumanEdits", "multiFrameComputationalCapture",
    "negativeFilm", "positiveFilm", "print", "screenCapture", "softwareImage", "trainedAlgorithmicMedia",
    "virtualRecording",
)  # fmt: skip
"""IPTC's vocabulary of digital source types (2025), retired ones too."""
_KNOWN = {word.lower(): _TYPES + word for word in WORDS}


def source_type_of(written: str | None) -> str | None:
    """IPTC's URL of a source type however it was written: with http or https, a slash after it, as a bare word or
    with a prefix (``digsrctype:``), in any case. What is none of `WORDS` stays as it was written."""
    if not written:
        return written
    text = written.strip().split("?")[0].rstrip("/")
    word, place = re.split(r"[/:#]", text)[-1], text.lower().split("//")[-1]
    ours = "/" not in place or place.startswith("cv.iptc.org/newscodes/digitalsourcetype/")
    return _KNOWN.get(word.lower(), written) if ours else written


FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
SOFTWARE = f"mien {__version__}"
LONGEST_IN_JPEG = 65_000  # bytes; a JPEG segment holds 65,533 with its header

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_MIEN = "urn:mien:settings:1"
_META = "adobe:ns:meta/"
DC = "{http://purl.org/dc/elements/1.1/}"
PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
XMP = f"{{{_XMP}}}"
for _prefix, _uri in (
    *(("x", _META), ("rdf", _RDF), ("Iptc4xmpExt", _IPTC), ("xmp", _XMP), ("mien", _MIEN)),
    *(("dc", DC[1:-1]), ("photoshop", PHOTOSHOP[1:-1])),
):
    ElementTree.register_namespace(_prefix, _uri)


@dataclass(frozen=True)
class Said:
    """What a photograph says of itself, "" where nothing: its author, its copyright, its date (ISO 8601)."""

    author: str = ""
    rights: str = ""
    date: str = ""


NOTHING = Said()


@dataclass(frozen=True)
class Metadata:
    """What an XMP packet says; every field may be None, as packets of other software say what they like.

    Attributes:
        source_type: IPTC's DigitalSourceType, by the URL of `source_type_of`. software: XMP's CreatorTool, or the
            program of ``provenance.foreign``.
        settings: what made the picture. watermark: what `save_image` says of it; ours only.
        ours: whether the settings are ours; else they are those of another program, in our words.
    """

    source_type: str | None = None
    software: str | None = None
    settings: dict[str, Any] | None = None
    watermark: dict[str, Any] | None = None
    ours: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_type", source_type_of(self.source_type))

    @property
    def generated(self) -> bool:
        """Whether it says that a model made the picture or a part of it."""
        return self.source_type in GENERATED


def as_json(settings: dict[str, Any]) -> str:
    """`settings` as ASCII JSON. Raises `ValueError`: they hold more than JSON has: a picture, a path, NaN."""
    try:
        return json.dumps(settings, ensure_ascii=True, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"settings must be plain JSON, without pictures or paths: {error}") from error


def as_comment(source_type: str, settings: dict[str, Any], watermark: dict[str, Any]) -> dict[str, Any]:
    """What a packet says, as the comment of a moving picture: a JSON object."""
    said = {"digital_source_type": source_type, "software": SOFTWARE}
    return {**said, "settings": json.loads(as_json(settings)), "watermark": watermark}


def write_packet(
    source_type: str, settings: dict[str, Any], watermark: dict[str, Any], said: Said = NOTHING
) -> str:
    """The XMP packet that `read_packet` reads; `said`: of the photograph."""
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
    rdf = ElementTree.SubElement(meta, f"{{{_RDF}}}RDF")
    description = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description")
    description.set(f"{{{_RDF}}}about", "")
    description.set(f"{{{_IPTC}}}DigitalSourceType", source_type)
    if source_type in GENERATED:  # IPTC Photo Metadata Standard 2025.1
        description.set(f"{{{_IPTC}}}AISystemUsed", "mien")
        description.set(f"{{{_IPTC}}}AISystemVersionUsed", __version__)
    description.set(f"{{{_XMP}}}CreatorTool", SOFTWARE)
    description.set(f"{{{_MIEN}}}settings", as_json(settings))
    description.set(f"{{{_MIEN}}}watermark", as_json(watermark))
    for name, kind, text in (("creator", "Seq", said.author), ("rights", "Alt", said.rights)):
        if text := "".join(c for c in text if c >= " "):
            entry = ElementTree.SubElement(
                ElementTree.SubElement(ElementTree.SubElement(description, DC + name), f"{{{_RDF}}}{kind}"),
                f"{{{_RDF}}}li",
                {"{http://www.w3.org/XML/1998/namespace}lang": "x-default"} if kind == "Alt" else {},
            )
            entry.text = text
    if said.date:
        description.set(PHOTOSHOP + "DateCreated", said.date)
    body = ElementTree.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{body}\n<?xpacket end="r"?>'


def parse_packet(packet: str | bytes | None) -> ElementTree.Element | None:
    """The tree of a packet; None where there is none, or one that is not XMP. Packets come from strangers: those that
    declare entities, which could grow without end, are not read."""
    if not packet or not isinstance(packet, (str, bytes)):  # a TIFF's may be a number
        return None
    data = packet.encode() if isinstance(packet, str) else packet.strip(b"\0")
    if b"<!" in data:
        return None
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an unknown encoding
        return None


def read_packet(packet: str | bytes | None) -> Metadata | None:
    """What a packet says of how its picture came about; None where `parse_packet` reads nothing."""
    root = parse_packet(packet)
    if root is None:
        return None
    names = ((_IPTC, "DigitalSourceType"), (_XMP, "CreatorTool"), (_MIEN, "settings"), (_MIEN, "watermark"))
    kind, software, settings, watermark = (property_of(root, f"{{{uri}}}{name}") for uri, name in names)
    return Metadata(kind, software, read_object(settings), read_object(watermark))


def read_object(text: str | None) -> dict[str, Any] | None:
    """The JSON object that a stranger wrote; None where it is none, or one that could not be written again."""
    try:
        value = json.loads(text or "")
        # Python reads what JSON has not: NaN, 1e999, half a character.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def property_of(root: ElementTree.Element, name: str) -> str | None:
    """A property, or the first of a list, which XMP allows as an attribute of any Description or an element in it."""
    for description in root.iter(f"{{{_RDF}}}Description"):
        if description.get(name) is not None:
            return description.get(name)
        element = description.find(name)
        if element is not None:
            inner = next(element.iter(f"{{{_RDF}}}li"), element)
            return (inner.text or "").strip() or inner.get(f"{{{_RDF}}}resource")
    return None
