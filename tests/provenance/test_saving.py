"""A picture is written whole, with its provenance, or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import provenance
from mien.files import check_writable
from mien.images import read_image
from mien.provenance import DIGITAL_SOURCE_TYPE, read_provenance, save_image, watermark
from mien.types import InputError

SETTINGS = {
    "prompt": 'a “portrait” <of> & nobody\'s\n"face"',
    "seed": 7,
    "id_scale": 0.8,
    "scores": {"id": 0.5, "exp": None},
}


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.JPEG", "out.webp"])
def test_every_format_says_a_model_made_it(tmp_path: Path, picture: Image.Image, name: str) -> None:
    path = save_image(picture, tmp_path / name, SETTINGS)
    found = read_provenance(path)
    assert found is not None and found["settings"] == SETTINGS and found["software"].startswith("mien ")
    assert found["source_type"] == DIGITAL_SOURCE_TYPE and found["watermark"]["method"] == "mien-1"
    assert DIGITAL_SOURCE_TYPE.encode() in path.read_bytes()
    difference = np.abs(np.asarray(read_image(path), float) - np.asarray(picture, float)).mean()
    assert difference < 4
    if name.endswith("png"):
        assert np.array_equal(np.asarray(read_image(path)), np.asarray(watermark.embed(picture)))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_other_pictures_carry_none(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "plain.png")
    assert read_provenance(tmp_path / "plain.png") is None
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(InputError, match="words.png"):
        read_provenance(tmp_path / "words.png")


def test_settings_hold_no_pictures_or_paths(tmp_path: Path, picture: Image.Image) -> None:
    for value in (picture, Path("me.jpg"), b"bytes", np.zeros(3), float("nan")):
        with pytest.raises(ValueError):
            save_image(picture, tmp_path / "out.png", {"identity": value})
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_its_provenance_is_not_written(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long = {"prompt": "a" * 100_000}  # a JPEG segment holds 64 kB
    with pytest.raises(InputError, match="too long to be kept in a JPEG"):
        save_image(picture, tmp_path / "out.jpg", too_long)
    for name, size in (("out.webp", (16_384, 64)), ("out.jpg", (64, 65_501))):
        with pytest.raises(InputError, match="pixels a side"):
            save_image(Image.new("RGB", size), tmp_path / name, {})
    monkeypatch.setattr(provenance, "read_metadata", lambda path: None)
    with pytest.raises(ValueError, match="provenance"):
        save_image(picture, tmp_path / "out.png", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.png", "out.webp"])
def test_long_prompts_are_kept_elsewhere(tmp_path: Path, picture: Image.Image, name: str) -> None:
    prompt = "ä <b> & " * 10_000
    found = read_provenance(save_image(picture, tmp_path / name, {"prompt": prompt}))
    assert found is not None and found["settings"]["prompt"] == prompt


def test_research_may_leave_the_watermark_out_and_the_metadata_says_so(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WATERMARK", "off")
    path = save_image(picture, tmp_path / "out.png", {})
    found = read_provenance(path)
    assert found is not None and found["watermark"] == {"method": "none", "why": "MIEN_WATERMARK=off"}
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(picture))
    monkeypatch.setenv("MIEN_WATERMARK", "no")
    with pytest.raises(InputError, match="MIEN_WATERMARK is no"):
        save_image(picture, tmp_path / "other.png", {})
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_a_picture_too_small_for_the_mark_says_so(tmp_path: Path) -> None:
    found = read_provenance(save_image(Image.new("RGB", (63, 200), "grey"), tmp_path / "out.png", {}))
    assert found is not None and found["watermark"]["method"] == "none" and "64" in found["watermark"]["why"]


def test_a_part_that_was_generated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).resize((400, 300))
    mask = np.zeros((300, 400))
    mask[100:250, 120:260] = 0.5
    mask[110:240, 130:250] = 1
    path = save_image(photo, tmp_path / "out.png", {"seed": 1}, mask=mask)
    found = read_provenance(path)
    assert found is not None and found["source_type"] == provenance.PARTLY_GENERATED
    before, after = np.asarray(photo), np.asarray(read_image(path))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask > 0], after[mask > 0])
    x0, y0, x1, y1 = found["watermark"]["box"]
    box = (x0 * 400, y0 * 300, x1 * 400, y1 * 300)
    assert box == pytest.approx((115, 100, 265, 250), abs=0.001)
    assert watermark.find(read_image(path), box).found and not watermark.find(read_image(path)).found


def test_unwritable_places(tmp_path: Path, picture: Image.Image) -> None:
    (tmp_path / "folder.png").mkdir()
    cases = {
        "out.xyz": "end the name",
        "out": "end the name",
        "folder.png": "is a folder",
        "no/out.png": "does not exist",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=words):
            save_image(picture, tmp_path / name, {})
    with pytest.raises(InputError):
        save_image(picture, tmp_path / ("a" * 300 + ".png"), {})
    with pytest.raises(InputError, match="not an ordinary file"):
        check_writable("/dev/full")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(picture, tmp_path / "out.png", {"seed": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="no space left"):
        save_image(picture, tmp_path / "out.png", {"seed": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
    found = read_provenance(tmp_path / "out.png")
    assert found is not None and found["settings"] == {"seed": 1}


def test_a_drawing_on_a_photo_does_not_claim_to_be_generated(tmp_path: Path) -> None:
    path = provenance.save_image(
        Image.new("RGB", (8, 8)), tmp_path / "drawn.png", {"analysis": {"faces": 1}}, provenance.COMPOSITE
    )
    assert provenance.COMPOSITE.encode() in path.read_bytes()
    assert DIGITAL_SOURCE_TYPE.encode() not in path.read_bytes()
    assert read_provenance(path) is None
