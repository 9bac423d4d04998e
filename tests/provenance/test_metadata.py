"""XMP packets: what is written is read, by us and by others, and packets of strangers do no harm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mien.provenance import DIGITAL_SOURCE_TYPE, read_metadata, read_provenance, save_image
from mien.provenance.metadata import COMPOSITE, Metadata, read_packet, write_packet
from mien.types import InputError

HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
SPACES = (
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:mien="urn:mien:settings:1"'
)
TAIL = "</rdf:RDF></x:xmpmeta>"
OURS = write_packet(DIGITAL_SOURCE_TYPE, {"seed": 1}, {"method": "none"})


def test_a_packet_is_read_as_it_was_written() -> None:
    settings = {"prompt": "a “b” <c> & 'd'\n\t\x07\"", "list": [1, 2.5, None, True], "deep": {"é": {}}}
    said = read_packet(write_packet(COMPOSITE, settings, {"method": "none"}))
    assert said is not None
    assert said == Metadata(COMPOSITE, said.software, settings, {"method": "none"}) and not said.generated
    assert read_packet(OURS.encode() + b"\0\0") == read_packet(OURS)


def test_packets_of_other_software() -> None:
    """Properties may be elements, in several Descriptions; what is not ours is None."""
    packet = (
        f'{HEAD}<rdf:Description rdf:about="" {SPACES} xmp:CreatorTool="Other 2"/>'
        f'<rdf:Description rdf:about="" {SPACES}><Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPE}'
        f"</Iptc4xmpExt:DigitalSourceType></rdf:Description>{TAIL}"
    )
    said = read_packet(packet)
    assert said == Metadata(DIGITAL_SOURCE_TYPE, "Other 2", None, None)
    assert said is not None and said.generated
    by_reference = packet.replace(
        f">{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>", f' rdf:resource="{DIGITAL_SOURCE_TYPE}"/>'
    )
    assert read_packet(by_reference) == said


def test_a_picture_of_other_software_has_metadata_but_none_of_our_settings(tmp_path: Path) -> None:
    packet = f'{HEAD}<rdf:Description {SPACES} Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>{TAIL}'
    Image.new("RGB", (64, 64)).save(tmp_path / "other.jpg", xmp=packet.encode())
    assert read_provenance(tmp_path / "other.jpg") is None
    said = read_metadata(tmp_path / "other.jpg")
    assert said is not None and said.generated and said.settings is None


@pytest.mark.parametrize("tag", ["Bag", "Seq"])
def test_a_source_type_in_a_list_of_one(tag: str) -> None:
    said = read_packet(
        f"{HEAD}<rdf:Description {SPACES}><Iptc4xmpExt:DigitalSourceType>\n <rdf:{tag}><rdf:li>"
        f"trainedAlgorithmicMedia</rdf:li></rdf:{tag}></Iptc4xmpExt:DigitalSourceType></rdf:Description>{TAIL}"
    )
    assert said is not None and said.generated


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "packet",
    [
        None, "", b"", "no xml", b"\xff\xfe\x00", "<x", "<a/>", b"\0" * 100, "\x00<a/>",
        f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><a>&a11;</a>',
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
        '<?xml version="1.0" encoding="no-such"?><a/>',
        "<a>" * 200_000,
        OURS[:200],
    ],
)  # fmt: skip
def test_packets_that_are_none(packet: str | bytes | None) -> None:
    said = read_packet(packet)
    assert said is None or said == Metadata()


@pytest.mark.parametrize(
    "settings",
    ["", "{", "[1]", "7", "null", "[" * 100_000, '{"a": ' * 100_000, '{"a": 1e999999}', "9" * 10_000],
)
def test_settings_that_are_none(settings: str) -> None:
    attribute = settings.replace("&", "&amp;").replace('"', "&quot;")
    packet = f'{HEAD}<rdf:Description {SPACES} mien:settings="{attribute}"/>{TAIL}'
    said = read_packet(packet)
    assert said is not None and (said.settings is None or isinstance(said.settings, dict))


@pytest.mark.parametrize(
    "settings",
    [
        '{"a": NaN}',
        '{"a": [-Infinity]}',
        '{"a": 1e999}',
        r'{"a": "\ud800"}',
        r'{"\udfff": 1}',
        '{"a": "\\udc00x"}',
    ],
)
def test_what_could_not_be_written_again_is_not_read(settings: str) -> None:
    attribute = settings.replace('"', "&quot;")
    packet = (
        f'{HEAD}<rdf:Description {SPACES} xmp:CreatorTool="x" mien:settings="{attribute}" '
        f'mien:watermark="{attribute}"/>{TAIL}'
    )
    assert read_packet(packet) == Metadata(None, "x", None, None)
    whole = packet.replace(attribute, r"{&quot;a&quot;: &quot;\ud83d\ude0f&quot;}")
    assert read_packet(whole) == Metadata(None, "x", {"a": "😏"}, {"a": "😏"})


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_exiftool_reads_it(tmp_path: Path, picture: Image.Image, name: str) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    path = save_image(picture, tmp_path / name, {"seed": 5})
    told = subprocess.run(
        ["exiftool", "-json", "-G1", "-XMP:all", "-validate", "-warning", path],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    (read,) = json.loads(told)
    assert read["XMP-iptcExt:DigitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert read["XMP-xmp:CreatorTool"].startswith("mien ")
    assert json.loads(read["XMP-mien:Settings"]) == {"seed": 5}
    assert "ExifTool:Warning" not in read


def test_pillow_reads_it(tmp_path: Path, picture: Image.Image) -> None:
    pytest.importorskip("defusedxml", reason="Pillow's getxmp needs defusedxml")
    path = save_image(picture, tmp_path / "a.jpg", {"seed": 5})
    with Image.open(path) as image:
        assert DIGITAL_SOURCE_TYPE in str(image.getxmp())


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    with pytest.raises(InputError, match=r"a\.png"):
        read_metadata(tmp_path / "a.png")


def test_a_packet_that_is_a_number_says_nothing(tmp_path: Path) -> None:
    """A TIFF's tag 700 may be of any type."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[700], tags.tagtype[700] = 7, 3
    Image.new("RGB", (8, 8)).save(tmp_path / "number.tif", tiffinfo=tags)
    assert read_provenance(tmp_path / "number.tif") is None
    assert read_packet(7) is None  # type: ignore[arg-type]
