"""The face sets beside the project: where they are, and what a file's name says about its person."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from factory.faces.captions import Label
from mien.types import ByteImage, InputError

# One source may be spread over several archives.
ARCHIVES: dict[str, tuple[str, ...]] = {
    "utkface-adults": ("utkface-adults-000", "utkface-adults-001"),
    "lfw-gray": ("lfw-gray-000",),
    "portraits-of-nobody": ("portraits-of-nobody",),
}

_ETHNICITIES = ("white", "black", "asian", "indian", "other")


def shared_dir() -> Path:
    """The folder of data beside the project: ``MIEN_SHARED``, or ``../shared`` of the checkout.

    Raises:
        InputError: it isn't there.
    """
    default = Path(__file__).resolve().parents[3] / "shared"
    folder = Path(os.environ.get("MIEN_SHARED", default))
    if not folder.is_dir():
        raise InputError(
            f"The data folder {folder} does not exist; set MIEN_SHARED to where the face sets are."
        )
    return folder


def read_label(source: str, name: str) -> Label:
    """Parse ``age_gender_ethnicity_date.jpg`` (utkface) or ``First_Last_NNNN.jpg`` (lfw)."""
    stem = name.rsplit("/", 1)[-1].removesuffix(".jpg")
    if source == "lfw-gray":
        return Label(person=stem.rsplit("_", 1)[0])
    if source != "utkface-adults":
        return Label(person=stem)
    fields = stem.split("_")
    age = int(fields[0]) if fields[0].isdigit() else None
    if len(fields) != 4:  # a field is missing and nobody knows which: keep the age alone
        return Label(person=stem, age=age)
    gender = {"0": "man", "1": "woman"}.get(fields[1])
    ethnicity = _ETHNICITIES[int(fields[2])] if fields[2] in "01234" and fields[2] else None
    return Label(person=stem, age=age, gender=gender, ethnicity=ethnicity)


def read_pictures(source: str, shared: Path) -> Iterator[tuple[str, ByteImage]]:
    """Every picture of a source, in archive order, as (file name, HWC uint8 RGB)."""
    for archive in ARCHIVES[source]:
        with tarfile.open(shared / "data" / f"{archive}.tar") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name.endswith(".jpg") else None
                if stream is not None:
                    yield member.name, np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB"))


def count_pictures(source: str, shared: Path) -> int:
    """How many pictures `read_pictures` will yield."""
    total = 0
    for archive in ARCHIVES[source]:
        with tarfile.open(shared / "data" / f"{archive}.tar") as tar:
            total += sum(name.endswith(".jpg") for name in tar.getnames())
    return total
