"""Every kind of picture a user may hand over, and every kind of file that is none."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from mien.images import HEIF, SUFFIXES, find_images, read_image, to_rgb, unread
from mien.types import InputError


@pytest.fixture(autouse=True)
def pillow_s_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A studio that other tests are still serving has lowered it for the process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1024**3 // 12)


def refuse(path: Path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    for word in (path.name, *words):
        assert word in message
    return message


def mean_error(left: Image.Image, right: Image.Image) -> float:
    return float(np.abs(np.asarray(left, float) - np.asarray(right, float)).mean())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_ordinary_files_come_back_as_they_were(tmp_path: Path, picture: Image.Image, suffix: str) -> None:
    picture.save(tmp_path / f"a{suffix}", quality=95)
    read = read_image(tmp_path / f"a{suffix}")
    assert read.mode == "RGB" and read.size == picture.size
    assert mean_error(read, picture) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, picture: Image.Image, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = picture.transpose(undo[orientation]) if orientation in undo else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "turned.png")), np.asarray(picture))


def test_cmyk(tmp_path: Path, picture: Image.Image) -> None:
    picture.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert mean_error(read_image(tmp_path / "print.jpg"), picture) < 5


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    grey = Image.new("RGB", (32, 32), (120, 120, 120))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    grey.save(
        tmp_path / "wrong.png", icc_profile=profile
    )  # a Lab profile cannot describe RGB: the numbers stand
    assert mean_error(read_image(tmp_path / "wrong.png"), grey) == 0
    grey.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert mean_error(read_image(tmp_path / "broken.png"), grey) == 0


def test_transparent_places_become_white(tmp_path: Path) -> None:
    layers = Image.new("RGBA", (32, 32), (200, 0, 0, 0))
    layers.paste((0, 0, 200, 255), (0, 0, 16, 32))
    layers.save(tmp_path / "alpha.png")
    read = read_image(tmp_path / "alpha.png")
    assert read.getpixel((0, 0)) == (0, 0, 200) and read.getpixel((31, 0)) == (255, 255, 255)
    layers.quantize().save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").getpixel((31, 0)) == (255, 255, 255)


def red_for_green() -> bytes:
    """sRGB's own profile under another name, with the two colours' columns and curves changed about."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    for kind in (b"XYZ", b"TRC"):
        profile = profile.replace(b"r" + kind, b"----").replace(b"g" + kind, b"r" + kind)
        profile = profile.replace(b"----", b"g" + kind)
    return profile


def test_a_colour_profile_is_applied_to_transparent_pictures_too(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    opaque = Image.fromarray(colours)
    swapped = Image.fromarray(colours[..., [1, 0, 2]])
    opaque.save(tmp_path / "opaque.png", icc_profile=red_for_green())
    read = read_image(tmp_path / "opaque.png")
    assert mean_error(read, swapped) < 1 < mean_error(read, opaque)
    for alpha in (255, 128, 0):
        layers = opaque.copy()
        layers.putalpha(alpha)
        layers.save(tmp_path / "alpha.png", icc_profile=red_for_green())
        seen = Image.blend(Image.new("RGB", read.size, "white"), read, alpha / 255)
        assert mean_error(read_image(tmp_path / "alpha.png"), seen) < 1
    few = opaque.quantize(16)
    few.save(tmp_path / "palette.png", icc_profile=red_for_green())
    few.save(tmp_path / "clear.png", icc_profile=red_for_green(), transparency=bytes([255] * 16))
    known = Image.fromarray(np.asarray(few.convert("RGB"))[..., [1, 0, 2]])
    for name in ("palette.png", "clear.png"):
        assert mean_error(read_image(tmp_path / name), known) < 1


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bit_grey_keeps_its_tones(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).round().astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / name)
    read = np.asarray(read_image(tmp_path / name))
    assert read.shape == (64, 64, 3)
    assert np.abs(read[..., 0] - ramp / 257).max() <= 0.5


def test_16_bit_colour(tmp_path: Path) -> None:
    pixels = np.full((32, 32, 3), [65535, 32768, 257]).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "rgb16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert read_image(tmp_path / "rgb16.png").getpixel((5, 5)) == (255, 128, 1)


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((32, 32), np.float32)).save(tmp_path / "float.tif")
    refuse(tmp_path / "float.tif", "mode F", "8-bit")


def test_files_that_are_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(tmp_path / "absent.png", "does not exist")
    assert refuse(tmp_path, "folder") == f"{tmp_path} is a folder: give a picture in it."
    (tmp_path / "empty.png").touch()
    refuse(tmp_path / "empty.png", "empty")
    (tmp_path / "words.jpg").write_text("these are words")
    refuse(tmp_path / "words.jpg", "not a picture")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    refuse(tmp_path / "phone.heic", "is damaged or cut short")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    refuse(tmp_path / "phone.heic", "HEIC", "JPEG", 'pip install "mien[heic]"')
    os.mkfifo(tmp_path / "pipe.png")
    refuse(tmp_path / "pipe.png", "not an ordinary file")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser can read everything")
def test_a_file_without_permission(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "mine.png")
    (tmp_path / "mine.png").chmod(0)
    refuse(tmp_path / "mine.png", "permission")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole{suffix}")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    for share in (0.3, 0.6, 0.95):
        (tmp_path / f"part{suffix}").write_bytes(data[: int(len(data) * share)])
        refuse(tmp_path / f"part{suffix}")


def test_sizes(tmp_path: Path, picture: Image.Image) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    refuse(tmp_path / "dot.png", "1 x 1", "larger")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    refuse(tmp_path / "huge.png", "too many pixels", "100 million", "smaller")
    Image.new("1", (12_000, 9_000)).save(tmp_path / "large.png")
    refuse(tmp_path / "large.png", "12000 x 9000", "smaller")
    picture.save(tmp_path / "small.png")
    with pytest.raises(InputError, match="96 x 64"):
        read_image(tmp_path / "small.png", max_pixels=1000)


def test_mutated_files_never_escape(tmp_path: Path, picture: Image.Image) -> None:
    random = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in (".png", ".jpg", ".webp", ".tif", ".gif"):
        path = tmp_path / f"a{suffix}"
        picture.save(path, exif=exif)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            broken = data.copy()
            places = random.integers(0, min(len(data), 400), 6)
            broken[places] = random.integers(0, 256, 6)
            path.write_bytes(broken.tobytes())
            try:
                assert read_image(path).mode == "RGB"
            except InputError as error:
                assert path.name in str(error)


def test_any_mode_of_pil(picture: Image.Image) -> None:
    for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"):
        assert (
            to_rgb(picture.convert("L").convert(mode) if mode == "PA" else picture.convert(mode)).mode
            == "RGB"
        )


def test_words_too_long_for_a_name_are_no_place() -> None:
    words = "x" * 300
    assert find_images([words]) == [Path(words)]


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(
        InputError, match=r"cannot be read \(permission denied\): check its permissions"
    ) as caught:
        find_images([str(tmp_path)])
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("suffix", HEIF)
def test_phones_pictures(tmp_path: Path, picture: Image.Image, suffix: str) -> None:
    path = tmp_path / f"phone{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    heif = pillow_heif.from_pillow(picture.transpose(Image.Transpose.ROTATE_90))
    heif.save(path, quality=95, exif=exif.tobytes())
    read = read_image(path)
    assert read.mode == "RGB" and read.size == picture.size and mean_error(read, picture) < 6
    assert find_images([str(tmp_path)]) == [path] and unread([tmp_path]) == []


def test_jfif_is_a_jpeg(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.jfif", "JPEG", quality=95)
    assert find_images([str(tmp_path)]) == [tmp_path / "a.jfif"]
    assert mean_error(read_image(tmp_path / "a.jfif"), picture) < 4


def test_what_a_folder_holds_and_is_not_read_is_counted_and_named(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture.save(tmp_path / "a.png")
    for name in ("notes.txt", "pairs.csv", ".hidden"):
        (tmp_path / name).touch()
    assert unread([tmp_path, tmp_path / "a.png", "absent"]) == []
    (tmp_path / "below").mkdir()
    for name in ("1.NEF", "2.dng", "3.cr3", "4.arw", "b.jxl", "below/c.nef"):
        (tmp_path / name).touch()
    (said,) = unread([str(tmp_path)])
    assert said.startswith(f"5 files in {tmp_path} are not read: ") and "1 JPEG XL (b.jxl)" in said
    assert "4 RAW (1.NEF, 2.dng, 3.cr3, and 1 more)" in said and said.endswith(
        "export pictures as JPEG or PNG."
    )
    assert unread([tmp_path], below=True)[0].startswith("6 files")
    (tmp_path / "IMG_1.HEIC").touch()
    assert "HEIC" not in unread([tmp_path])[0]  # the extra reads it
    monkeypatch.setattr("mien.images.SUFFIXES", tuple(s for s in SUFFIXES if s not in HEIF))
    assert (
        "1 HEIC (IMG_1.HEIC)" in unread([tmp_path])[0] and 'pip install "mien[heic]"' in unread([tmp_path])[0]
    )


def test_find_images(tmp_path: Path, picture: Image.Image) -> None:
    for name in ("b.png", "a.JPG", "c.webp"):
        picture.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.name for p in find_images([str(tmp_path)])] == ["a.JPG", "b.png", "c.webp"]
    assert [p.name for p in find_images([str(tmp_path / "*.png"), str(tmp_path / "gone.png")])] == [
        "b.png",
        "gone.png",
    ]
    with pytest.raises(InputError, match="holds no picture"):
        find_images([str(tmp_path / "*.bmp")])
