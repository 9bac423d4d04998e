"""Reading pictures: whatever a camera, phone or editor wrote, as upright RGB; or one sentence why not."""

from __future__ import annotations

import glob
import io
import os
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from mien.errors import WHY, InputError, optional, saying
from mien.files import read_bytes
from mien.types import ByteImage

MAX_PIXELS = 100_000_000
MIN_SIDE = 16
HEIF = (".heic", ".heif", ".hif")  # what phones write; read with the extra mien[heic]
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"),
    *(HEIF if find_spec("pillow_heif") else ()),
)
# Pictures that nothing here reads: kind -> suffixes. HEIC is among them where the extra is not installed.
OTHERS = {
    "HEIC": HEIF,
    "RAW": tuple(
        ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .gpr .iiq .kdc .mef .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 "
        ".srf .srw .x3f".split()
    ),
    "JPEG XL": (".jxl",),
    "Photoshop": (".psd", ".psb"),
    "SVG": (".svg",),
    "film": (".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm"),
}

_UNREADABLE = {b"ftyphei": "HEIC", b"ftyphev": "HEIC", b"ftypmif1": "HEIF", b"ftypmsf1": "HEIF"}


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture as PIL RGB, uint8, upright. Raises `InputError`: the file is missing, unreadable, not a picture,
    damaged, too small or too large.

    EXIF orientation is honoured. Transparent places become white. 16-bit pictures are scaled to 8 bits. CMYK and
    wide-gamut pictures are converted to sRGB by the colour profile they carry. An animation gives its first frame.
    Pictures of more than `max_pixels` are refused before they are decoded.
    """
    path = Path(path)
    return decode_image(_read_bytes(path), path, max_pixels)


def given_image(picture: object, name: str = "the picture") -> Image.Image:
    """`read_image` of a path, `to_rgb` of a PIL picture, or an array [H, W, 3] uint8 RGB. Raises `InputError`: it is
    something else, or cannot be used."""
    if isinstance(picture, Image.Image):
        return to_rgb(picture, name)
    if isinstance(picture, (str, Path)):
        return read_image(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.size:
            return Image.fromarray(np.ascontiguousarray(picture))
        raise InputError(
            f"{name} is an array {list(picture.shape)} of {picture.dtype}: give [H, W, 3] of uint8 in RGB, a path or a "
            "PIL picture"
        )
    kind = "nothing" if picture is None else f"a {type(picture).__name__}"
    raise InputError(f"{name} is {kind}: give a path, a PIL picture or an array [H, W, 3] of uint8 in RGB")


def decode_image(data: bytes, name: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`read_image` of bytes that were read already; `name` is what messages call them. Raises `InputError`: as
    `read_image`."""
    path = Path(name)
    damaged = f"{path} is damaged or cut short ({WHY}): save or copy it again."
    with (
        saying(
            damaged, Exception
        ),  # decoders of broken files raise anything from struct.error to SyntaxError
        saying(_too_large(path, "far too many", max_pixels), Image.DecompressionBombError),
        saying(
            f"{path} is not a picture that can be read: give a JPEG, PNG or WebP.", UnidentifiedImageError
        ),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of large pictures and odd EXIF: both are dealt with here
        image = open_image(data, path)
        _check_size(image, path, max_pixels)
        image.load()
        return to_rgb(ImageOps.exif_transpose(image), path.name)


def open_image(data: bytes, path: Path) -> Image.Image:
    """A picture's file as it is, not yet decoded, HEIC too.

    Raises:
        InputError: it is of a kind that needs a package. UnidentifiedImageError: it is not a picture.
    """
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        kind = next((kind for mark, kind in _UNREADABLE.items() if mark in data[4:16]), None)
        if kind is None:
            raise
        way = 'export it as JPEG or PNG, or pip install "mien[heic]"'
        heif = optional("pillow_heif", f"{path} is a {kind} picture, which cannot be read here: {way}.")
        return cast(Image.Image, heif.HeifImageFile(io.BytesIO(data)))


def to_rgb(image: Image.Image, name: str = "The picture") -> Image.Image:
    """Any PIL picture as RGB uint8, by the rules of `read_image`; orientation is left as it is. Raises `InputError`:
    the colour mode has no agreed meaning as RGB (floating point, Lab)."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float64)  # [H, W] in [0, 65535]
        return Image.fromarray(np.round(levels / 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F", "LAB"):
        raise InputError(f"{name} is in mode {image.mode}, without a fixed range: save it as 8-bit RGB.")
    if not image.has_transparency_data:
        return _by_profile(image)
    layers = image.convert("RGBA")
    colours = _by_profile(layers.convert("RGB"))
    colours.putalpha(layers.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _by_profile(image: Image.Image) -> Image.Image:
    """An opaque picture as RGB uint8 in sRGB, by the colour profile that it carries."""
    if image.mode == "P":
        image = image.convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(
                    image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                assert converted is not None  # it is None only when converting in place
                return converted
        except (OSError, ImageCms.PyCMSError):
            pass  # a broken profile says nothing: go by the plain numbers, as every viewer does
    return image.convert("RGB")


def changed_pixels(result: ByteImage, photo: ByteImage) -> NDArray[Any]:
    """[H, W] bool: where two pictures [H, W, 3] uint8 differ."""
    import cv2

    return np.asarray(cv2.inRange(cv2.absdiff(result, photo), (0, 0, 0), (0, 0, 0)) == 0)


def find_images(patterns: list[str]) -> list[Path]:
    """Files, folders (their pictures, not sub-folders') and globs as one list of paths, sorted within each. Raises
    `InputError`: a folder or glob holds no picture, or a folder cannot be read."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if os.path.isdir(path):  # pathlib's raises where a word is too long for a name
            matches = list_folder(path, is_picture)
        elif not os.path.exists(path) and glob.has_magic(pattern):
            matches = sorted(
                p for p in map(Path, glob.glob(pattern, recursive=True)) if p.suffix.lower() in SUFFIXES
            )
        else:
            matches = [path]
        if not matches:
            raise InputError(f"{pattern} holds no picture ({', '.join(SUFFIXES)}): give another.")
        found += matches
    return found


def unread(patterns: Iterable[str | Path], below: bool = False) -> list[str]:
    """A sentence for each folder among `patterns` that holds pictures of kinds that are not read; `below`: also in
    sub-folders."""
    said = []
    for folder in (Path(pattern) for pattern in patterns if os.path.isdir(pattern)):
        found: dict[str, list[str]] = {}
        for path in list_folder(folder, Path.is_file) if not below else sorted(folder.rglob("*")):
            suffix = path.suffix.lower()
            kind = next((kind for kind, suffixes in OTHERS.items() if suffix in suffixes), None)
            if kind and suffix not in SUFFIXES:
                found.setdefault(kind, []).append(path.name)
        if found:
            kinds = "; ".join(f"{len(names)} {kind} ({_few(names)})" for kind, names in found.items())
            count = sum(map(len, found.values()))
            way = ', or pip install "mien[heic]" for HEIC' if "HEIC" in found else ""
            said.append(
                f"{count} {'file' if count == 1 else 'files'} in {folder} {'is' if count == 1 else 'are'} not read: "
                f"{kinds}; export pictures as JPEG or PNG{way}."
            )
    return said


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f", and {len(names) - 3} more" if len(names) > 3 else "")


def is_picture(path: Path) -> bool:
    """Whether it is a file whose name is a picture's."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def list_folder(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """What is wanted of all that lies in a folder, by name; there may be nothing. Raises `InputError`: the folder
    cannot be read."""
    with saying(f"The folder {folder} cannot be read ({WHY}): check its permissions.", OSError):
        return sorted(filter(wanted, folder.iterdir()))


def _read_bytes(path: Path) -> bytes:
    if os.path.isdir(path):  # pathlib's raise where a word is too long for a name
        raise InputError(f"{path} is a folder: give a picture in it.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path} is not an ordinary file: give a picture.")
    if str(path).startswith(("http:", "https:")) and not os.path.exists(path):
        raise InputError(f"{path} is an address: download the picture, and give its file.")
    data = read_bytes(path)
    if not data:
        raise InputError(f"{path} is empty: save or copy the picture again.")
    return data


def _check_size(image: Image.Image, path: Path, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise InputError(_too_large(path, f"{width} x {height}", max_pixels))
    if min(width, height) < MIN_SIDE:
        raise InputError(f"{path} is {width} x {height} pixels, too small for a face: give a larger picture.")


def _too_large(path: Path, size: str, max_pixels: int) -> str:
    return f"{path} has {size} pixels, and the limit is {max_pixels / 1e6:g} million: make it smaller."
