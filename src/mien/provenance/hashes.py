"""Fingerprints: of model files, so that a run can be repeated with the same ones; of the pictures given to
it, so that another picture is noticed without keeping any."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from mien.errors import WHY, saying
from mien.weights import sha256_of

KINDS = (".safetensors", ".json", ".txt", ".model")  # what a model's folder is read from


def hash_files(files: Iterable[tuple[str, Path]]) -> str:
    """sha256 (hex) over names and contents, whatever the order in which the files are given. Raises `InputError`: a
    file cannot be read. files: (name, path); the name counts, the path does not."""
    lines = sorted(f"{name} {_hash_file(path)}\n" for name, path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_folder(folder: Path, parts: Iterable[str]) -> str:
    """`hash_files` of the files of `KINDS` in those sub-folders of a model's folder that are there."""
    files = (path for part in parts for path in (folder / part).glob("**/*") if path.suffix in KINDS)
    return hash_files((path.relative_to(folder).as_posix(), path) for path in files)


def new_salt() -> str:
    """16 random bytes, hex: with a salt of its own for every run, two pictures don't tell that they were made
    from the same photograph to anybody who doesn't have that photograph."""
    return secrets.token_hex(16)


def hash_pixels(image: Image.Image, salt: str = "") -> str:
    """sha256 (hex) of the salt, the size and the pixels as RGB: the same for every lossless copy."""
    rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{salt} {rgb.width} {rgb.height} ".encode())
    digest.update(rgb.tobytes())
    return digest.hexdigest()


def _hash_file(path: Path) -> str:
    # In the hub's cache a large file is a link to a blob that is named by its sha256: nothing to compute.
    target = path.resolve()
    if path.is_symlink() and target.parent.name == "blobs" and len(target.name) == 64:
        return target.name
    with saying(f"{path} cannot be read ({WHY}).", OSError):
        return sha256_of(path)
