"""What other programs write into their pictures, and IPTC's source types however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from mien.cli.inspect import examine, in_words
from mien.provenance import DIGITAL_SOURCE_TYPE, PARTLY_GENERATED, read_metadata, read_provenance
from mien.provenance.metadata import SYNTHETIC_PARTS, Metadata, source_type_of, write_packet

WEB_UI = (
    "a cat, (oil painting:1.2)\nin a hat\nNegative prompt: blurry, ugly\n"
    "Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567890123, Size: 512x768, Model: dream_v8, "
    'Lora hashes: "style: abc, more: def", Version: v1.9.0'
)
OURS = {
    "prompt": "a cat, (oil painting:1.2)\nin a hat", "negative_prompt": "blurry, ugly", "steps": 25,
    "scheduler": "DPM++ 2M Karras", "guidance": 6.5, "seed": 1234567890123, "backbone": "dream_v8",
}  # fmt: skip
COMFY = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 42, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "positive": ["6", 0], "negative": ["7", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text", "clip": ["4", 1]}},
}  # fmt: skip
NOVEL = {"prompt": "1girl", "steps": 28, "scale": 5.0, "seed": 99, "uc": "lowres", "sampler": "k_euler"}


def png(path: Path, picture: Image.Image, **text: str) -> Path:
    chunks = PngImagePlugin.PngInfo()
    for name, value in text.items():
        chunks.add_itxt(name, value)
    picture.save(path, pnginfo=chunks)
    return path


def with_comment(path: Path, picture: Image.Image, comment: bytes) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    picture.save(path, exif=exif.tobytes())
    return path


def test_web_ui_in_png(tmp_path: Path, picture: Image.Image) -> None:
    path = png(tmp_path / "a.png", picture, parameters=WEB_UI)
    said = read_metadata(path)
    assert said is not None and said.settings == OURS
    assert (said.software, said.source_type, said.ours) == (
        "Stable Diffusion web UI",
        DIGITAL_SOURCE_TYPE,
        False,
    )
    assert read_provenance(path) is None  # it is not ours, and cannot be repeated
    record = examine(path, faces=False)
    assert record["generated"] == "yes"
    text = "\n".join(in_words(record))
    assert "by Stable Diffusion web UI" in text and "seed=1234567890123" in text and "prompt=a cat" in text


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16", "ascii"])
def test_web_ui_in_a_user_comment(tmp_path: Path, picture: Image.Image, suffix: str, encoding: str) -> None:
    code = b"ASCII\0\0\0" if encoding == "ascii" else b"UNICODE\0"
    path = with_comment(tmp_path / f"a.{suffix}", picture, code + WEB_UI.encode(encoding))
    said = read_metadata(path)
    assert said is not None and said.settings == OURS


def test_comfy_ui(tmp_path: Path, picture: Image.Image) -> None:
    expected = {
        "seed": 42, "steps": 20, "guidance": 8.0, "scheduler": "euler", "prompt": "a castle", "negative_prompt": "text"
    }  # fmt: skip
    path = png(tmp_path / "a.png", picture, prompt=json.dumps(COMFY), workflow='{"nodes": []}')
    exif = Image.Exif()
    exif[0x010F] = "prompt:" + json.dumps(COMFY)
    picture.save(tmp_path / "a.webp", exif=exif.tobytes())
    for place in (path, tmp_path / "a.webp"):
        said = read_metadata(place)
        assert said is not None and (said.software, said.settings) == ("ComfyUI", expected)


def test_novel_ai_and_invoke_ai(tmp_path: Path, picture: Image.Image) -> None:
    path = png(
        tmp_path / "a.png",
        picture,
        Software="NovelAI",
        Description="1girl",
        Comment=json.dumps(NOVEL),
        Source="x",
    )
    said = read_metadata(path)
    assert said is not None and said.software == "NovelAI" and said.settings == {
        "prompt": "1girl", "steps": 28, "guidance": 5.0, "seed": 99, "negative_prompt": "lowres", "scheduler": "k_euler"
    }  # fmt: skip
    invoke = {"positive_prompt": "a cat", "seed": 5, "cfg_scale": 7.5, "scheduler": "euler", "steps": 30}
    said = read_metadata(png(tmp_path / "b.png", picture, invokeai_metadata=json.dumps(invoke)))
    assert said is not None and said.software == "InvokeAI" and said.settings["seed"] == 5  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        {"parameters": "a holiday"}, {"Comment": '{"prompt": "x"}'}, {"prompt": "what to buy"}, {"prompt": "[1, 2]"},
        {"prompt": "[" * 100_000}, {"Software": "GIMP 2.10"},
    ],
)  # fmt: skip
def test_other_text_says_nothing(tmp_path: Path, picture: Image.Image, text: dict[str, str]) -> None:
    assert read_metadata(png(tmp_path / "a.png", picture, **text)) is None


@pytest.mark.parametrize(
    ("node", "settings"),
    [
        ({"inputs": {"seed": float("nan"), "steps": 1e999, "positive": [[1], 0]}}, {}),
        ({"inputs": {"seed": True, "steps": [1], "cfg": {"a": 1}, "positive": {}}}, {}),
        ({"inputs": {"seed": 1, "positive": ["3", 0]}}, {"seed": 1}),
        ({"inputs": [1]}, {}),
    ],
)
def test_hostile_graphs(tmp_path: Path, picture: Image.Image, node: Any, settings: dict[str, Any]) -> None:
    said = read_metadata(png(tmp_path / "a.png", picture, prompt=json.dumps({"3": node})))
    assert said is not None and said.settings == settings


def test_broken_exif_says_nothing(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\xff" + b"\xff" * 40)
    assert read_metadata(tmp_path / "a.jpg") is None
    path = with_comment(tmp_path / "b.jpg", picture, b"UNICODE\0\xd8\x00")
    assert read_metadata(path) is None


@pytest.mark.parametrize(
    "write",
    [
        "http://cv.iptc.org/newscodes/digitalsourcetype/{}", "https://cv.iptc.org/newscodes/digitalsourcetype/{}",
        "https://cv.iptc.org/newscodes/digitalsourcetype/{}/", "{}", " {} ", "digsrctype:{}",
        "HTTP://CV.IPTC.ORG/newscodes/digitalsourcetype/{}", "{}/", "{}?lang=en-GB",
    ],
)  # fmt: skip
def test_source_types_however_they_are_written(tmp_path: Path, picture: Image.Image, write: str) -> None:
    for word, url in (
        ("trainedAlgorithmicMedia", DIGITAL_SOURCE_TYPE),
        ("compositeWithTrainedAlgorithmicMedia", PARTLY_GENERATED),
        ("compositeSynthetic", SYNTHETIC_PARTS),
    ):
        for text in (write.format(word), write.format(word.lower())):
            picture.save(tmp_path / "a.jpg", xmp=write_packet(text, {}, {}).encode())
            said = read_metadata(tmp_path / "a.jpg")
            assert said is not None and said.source_type == url and said.generated
    assert not Metadata(write.format("digitalCapture")).generated


def test_what_is_no_source_type_of_iptc_stays() -> None:
    for text in (
        "",
        "https://example.com/trainedAlgorithmicMedia",
        "cat",
        "https://cv.iptc.org/newscodes/x/composite",
    ):
        assert source_type_of(text) == text
