"""Moving pictures say what made them, and every frame is marked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from mien.provenance import DIGITAL_SOURCE_TYPE, read_metadata, watermark
from mien.provenance.animation import check_animation, is_ours, read_animation, save_animation
from mien.types import InputError

SETTINGS = {"expressions": ["joy", "😏"], "seed": 1}


def frames(count: int = 4, side: int = 128) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(40, 216, (8, 8, 3)).astype(np.uint8) for _ in range(count)]
    return [Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC) for pixels in coarse]


def test_a_gif_keeps_frames_pace_and_what_made_it(tmp_path: Path) -> None:
    path = save_animation(frames(), tmp_path / "a.gif", SETTINGS, fps=10)
    said = read_animation(path)
    assert (
        said is not None
        and said["settings"] == SETTINGS
        and said["digital_source_type"] == DIGITAL_SOURCE_TYPE
    )
    assert str(tmp_path) not in json.dumps(said)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["duration"] == 100 and film.info["loop"] == 0
        for shown, given in zip(ImageSequence.Iterator(film), frames(), strict=True):
            off = np.abs(np.asarray(shown.convert("RGB"), float) - np.asarray(given, float)).mean()
            assert off < 9  # 256 colours, and the watermark


def test_frames_carry_the_watermark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = []
    embed = watermark.embed
    monkeypatch.setattr(watermark, "embed", lambda picture, mask: marked.append(1) or embed(picture, mask))
    save_animation(frames(), tmp_path / "a.gif", SETTINGS)
    assert len(marked) == 4


def test_an_mp4_keeps_frames_and_what_made_it(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = save_animation(frames(side=129), tmp_path / "a.mp4", SETTINGS, fps=8)
    said = read_animation(path)
    assert said is not None and said["settings"] == SETTINGS
    with av.open(str(path)) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 8
    assert len(shown) == 4 and shown[0].shape == (128, 128, 3)  # H.264 halves the colour: even sides
    assert np.abs(shown[2].astype(float) - np.asarray(frames(side=129)[2], float)[:128, :128]).mean() < 6


def test_a_webp_keeps_frames_pace_and_what_made_it(tmp_path: Path) -> None:
    path = save_animation(frames(), tmp_path / "a.webp", SETTINGS, fps=10)
    said = read_metadata(path)
    assert said is not None and said.settings == SETTINGS and said.source_type == DIGITAL_SOURCE_TYPE
    assert is_ours(path)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
        for shown, given in zip(ImageSequence.Iterator(film), frames(), strict=True):
            off = np.abs(np.asarray(shown.convert("RGB"), float) - np.asarray(given, float)).mean()
            assert off < 6 and film.info["duration"] == 100


def test_files_of_others_say_nothing(tmp_path: Path) -> None:
    frames(1)[0].save(tmp_path / "plain.gif")
    assert read_animation(tmp_path / "plain.gif") is None
    told = PngInfo()
    told.add_text("comment", "a PNG's is text")
    Image.new("RGB", (8, 8)).save(tmp_path / "png.gif", "PNG", pnginfo=told)
    assert read_animation(tmp_path / "png.gif") is None
    for value in (b"NaN", b"1e999", b'"\\ud800"'):  # what Python reads of JSON and cannot write
        comment = b'{"digital_source_type": "x", "settings": {"seed": ' + value + b"}}"
        frames(1)[0].save(tmp_path / "odd.gif", comment=comment)
        assert read_animation(tmp_path / "odd.gif") is None
    (tmp_path / "broken.gif").write_bytes(b"no film")
    with pytest.raises(InputError, match="cannot be read as a moving picture"):
        read_animation(tmp_path / "broken.gif")


def test_where_and_how_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="end the name in .gif, .mp4, .webp"):
        check_animation(tmp_path / "a.avi")
    with pytest.raises(InputError, match="does not exist"):
        check_animation(tmp_path / "no" / "a.gif")
    with monkeypatch.context() as mistyped:
        mistyped.setenv("MIEN_WATERMARK", "bogus")
        with pytest.raises(InputError, match="MIEN_WATERMARK is bogus"):
            check_animation(tmp_path / "a.gif")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"mien\[video\].*or write a .gif"):
        check_animation(tmp_path / "a.mp4")
