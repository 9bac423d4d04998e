"""What a result keeps of its photograph, read back by Pillow alone; and what it does not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter

from mien.images import read_image
from mien.provenance import read_metadata, save_image
from mien.provenance.metadata import PARTLY_GENERATED

SIDE = 96
WHEN = "2024:05:06 07:08:09"


def colours() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x013B], tags[0x8298], tags[0x0110] = "José".encode(), "© José 2024".encode(), "A camera"
    tags.get_ifd(0x8769).update({0x9003: WHEN, 0x9011: "+02:00", 0xA431: "serial"})
    tags.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    return tags


@cache  # it says when it was made
def wide() -> bytes:
    """A profile of RGB whose red and green are exchanged: numbers that were taken for sRGB's would show it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 1], profile[green : green + 1] = b"g", b"r"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))


def changed(photo: Path) -> tuple[Image.Image, np.ndarray]:
    """The photo as a model reads it, with its middle drawn anew."""
    pixels = np.array(read_image(photo))
    pixels[30:66, 30:66] = pixels[30:66, 30:66][::-1] // 2 + 60
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[30:66, 30:66] = 1
    return Image.fromarray(pixels), mask


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_who_and_when_stay_and_where_goes(tmp_path: Path, name: str) -> None:
    photo = tmp_path / "photo.jpg"
    colours().save(photo, exif=exif())
    image, mask = changed(photo)
    save_image(image, tmp_path / name, {}, mask=mask, photo=photo)
    with Image.open(tmp_path / name) as result:
        tags = result.getexif()
        assert str(tags[0x013B]).encode("latin-1").decode() == "José"
        assert str(tags[0x8298]).encode("latin-1").decode() == "© José 2024"
        assert tags.get_ifd(0x8769)[0x9003] == WHEN and tags.get_ifd(0x8769)[0x9011] == "+02:00"
        assert set(tags) <= {0x013B, 0x8298, 0x8769} and not tags.get_ifd(0x8825)
        assert set(tags.get_ifd(0x8769)) == {0x9003, 0x9011}
        packet = str(result.info.get("xmp") or result.info.get("XML:com.adobe.xmp"))
    assert "DateCreated" in packet and "2024-05-06T07:08:09" in packet and "creator" in packet
    said = read_metadata(tmp_path / name)
    assert said is not None and said.source_type == PARTLY_GENERATED


def test_who_and_when_of_other_places(tmp_path: Path) -> None:
    """XMP of an editor; PNG text."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmp:CreateDate="2024-05-06T07:08:09+02:00"><dc:creator><rdf:Seq><rdf:li>Ana</rdf:li></rdf:Seq></dc:creator>'
        '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">free</rdf:li></rdf:Alt></dc:rights>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Author", "Ana")
    text.add_text("Copyright", "free")
    text.add_text("Creation Time", WHEN)
    for photo, options in (
        (tmp_path / "photo.jpg", {"xmp": packet.encode()}),
        (tmp_path / "p.png", {"pnginfo": text}),
    ):
        colours().save(photo, **options)
        image, mask = changed(photo)
        save_image(image, tmp_path / "a.png", {}, mask=mask, photo=photo)
        with Image.open(tmp_path / "a.png") as result:
            tags = result.getexif()
            assert (tags[0x013B], tags[0x8298], tags.get_ifd(0x8769)[0x9003]) == ("Ana", "free", WHEN)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_wide_profile_stays_with_its_numbers(tmp_path: Path, name: str) -> None:
    photo = tmp_path / "photo.png"
    colours().save(photo, icc_profile=wide())
    image, mask = changed(photo)
    assert np.abs(np.asarray(image, int) - np.asarray(colours(), int))[:20].mean() > 4  # it is no sRGB
    save_image(image, tmp_path / name, {}, mask=mask, photo=photo)
    with Image.open(tmp_path / name) as result:
        assert result.info["icc_profile"] == wide()
        own = np.asarray(result.convert("RGB"), int)
    off = np.abs(own - np.asarray(colours(), int)).max(2)[mask == 0]
    assert off.max() == 0 if name == "a.png" else off.mean() < 3
    drawn = np.abs(np.asarray(read_image(tmp_path / name), int) - np.asarray(image, int))[mask > 0]
    assert drawn.mean() < 8  # the watermark, and rounding


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_transparency_stays_with_the_colours_under_it(tmp_path: Path, name: str) -> None:
    photo = tmp_path / "photo.png"
    levels = np.zeros((SIDE, SIDE), np.uint8)
    levels[:, 12:], levels[:, 40:] = 128, 255
    layers = colours()
    layers.putalpha(Image.fromarray(levels))
    layers.save(photo)
    image, mask = changed(photo)
    save_image(image, tmp_path / name, {}, mask=mask, photo=photo)
    with Image.open(tmp_path / name) as result:
        own = np.asarray(result, int)
    assert np.array_equal(own[..., 3], levels)
    off = np.abs(own - np.asarray(layers, int)).max(2)[mask == 0]
    assert off.max() == 0 if name == "a.png" else off[levels[mask == 0] > 0].mean() < 6
    shown = np.abs(np.asarray(read_image(tmp_path / name), int) - np.asarray(image, int))[mask > 0]
    assert shown.mean() < 8


def test_a_jpeg_changes_nothing_visible_elsewhere(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    colours().save(photo, quality=92)
    image, mask = changed(photo)
    save_image(image, tmp_path / "a.jpg", {}, mask=mask, photo=photo)
    away = np.ones((SIDE, SIDE), bool)
    away[16:80, 16:80] = False
    off = np.abs(np.asarray(read_image(tmp_path / "a.jpg"), int) - np.asarray(image, int))[away]
    assert off.max() <= 5 and off.mean() < 1
    with Image.open(tmp_path / "a.jpg") as result:
        assert {part[1:3] for part in result.layer} == {(1, 1)}  # type: ignore[attr-defined]


def test_broken_words_say_nothing(tmp_path: Path) -> None:
    options: tuple[dict[str, Any], ...] = (
        {"exif": b"Exif\0\0MM\0*\0\0\0\xff" + b"\xff" * 40}, {"xmp": b"<x"}, {"icc_profile": b"nothing"},
    )  # fmt: skip
    for given in options:
        photo = tmp_path / "photo.jpg"
        colours().save(photo, **given)
        image, mask = changed(photo)
        save_image(image, tmp_path / "a.png", {}, mask=mask, photo=photo)
        with Image.open(tmp_path / "a.png") as result:
            assert not dict(result.getexif()) and "icc_profile" not in result.info
