"""Fingerprints: equal for the same content, different for another, and telling nothing across salts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from mien.provenance.hashes import hash_files, hash_folder, hash_pixels, new_salt
from mien.types import InputError


def test_pixels_and_nothing_else_count(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.png", compress_level=1)
    picture.save(tmp_path / "b.webp", lossless=True)
    hashes = {hash_pixels(Image.open(tmp_path / name), "5a") for name in ("a.png", "b.webp")}
    assert hashes == {hash_pixels(picture, "5a")}
    other = picture.copy()
    other.putpixel((3, 3), (1, 2, 3))
    turned = Image.frombytes("RGB", picture.size[::-1], picture.tobytes())
    assert len({hash_pixels(image, salt) for image in (picture, other, turned) for salt in ("", "5a")}) == 6
    plain = f"5a {picture.width} {picture.height} ".encode() + picture.tobytes()
    assert hash_pixels(picture, "5a") == hashlib.sha256(plain).hexdigest()
    assert new_salt() != new_salt() and len(bytes.fromhex(new_salt())) == 16


def test_files_by_name_and_content(tmp_path: Path) -> None:
    for name, text in (("a.json", "1"), ("b.json", "2"), ("c.json", "1")):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    assert hash_files([("x", a), ("y", b)]) == hash_files([("y", b), ("x", c)])
    assert hash_files([("x", a), ("y", b)]) != hash_files([("x", b), ("y", a)])
    lines = "".join(f"{n} {hashlib.sha256(p.read_bytes()).hexdigest()}\n" for n, p in (("x", a), ("y", b)))
    assert hash_files([("x", a), ("y", b)]) == hashlib.sha256(lines.encode()).hexdigest()
    with pytest.raises(InputError, match=r"no\.json"):
        hash_files([("x", tmp_path / "no.json")])


def test_a_folder_by_its_parts(tmp_path: Path) -> None:
    for part in ("unet", "adapter"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text("{}")
    before = hash_folder(tmp_path, ["unet", "vae"])
    (tmp_path / "adapter" / "config.json").write_text("{1}")
    (tmp_path / "unet" / "readme.md").write_text("x")
    assert hash_folder(tmp_path, ["unet", "vae"]) == before
    (tmp_path / "unet" / "model.safetensors").write_text("x")
    assert hash_folder(tmp_path, ["unet", "vae"]) != before


def test_the_hubs_links_tell_their_hash(tmp_path: Path) -> None:
    """A blob of the hub's cache is named by its sha256: the same answer as reading it, without reading it."""
    data = b"weights"
    blob = tmp_path / "blobs" / hashlib.sha256(data).hexdigest()
    blob.parent.mkdir()
    blob.write_bytes(data)
    (tmp_path / "copy").write_bytes(data)
    os.symlink(blob, tmp_path / "link")
    assert hash_files([("x", tmp_path / "link")]) == hash_files([("x", tmp_path / "copy")])
