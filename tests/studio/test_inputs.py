"""What strangers send: words that are never files, pictures within limits, errors in one sentence."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.face.blendshapes import INDEX
from mien.studio.gate import MAX_BODY, MAX_DEPTH, Gate
from mien.types import InputError

gr = pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
from mien.studio import expressions, history, inputs, reface, travel  # noqa: E402 - they need Gradio


@pytest.mark.parametrize(
    "text", ["joy", "😏", "anger:0.5", "joy:0.6+surprise:0.4", '{"jawOpen": 0.8}', "neutral", " Joy "]
)
def test_words_are_read_as_on_the_command_line(text: str) -> None:
    from mien.expressions.spec import parse

    assert inputs.words(text) == parse(text)


@pytest.mark.parametrize("template", ["{}", "{}:0.5", "joy+{}", "../{}", "./{}"])
def test_words_are_never_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "smile.png")
    (tmp_path / "shapes.json").write_text('{"jawOpen": 0.8}')
    monkeypatch.chdir(tmp_path)
    for name in ("smile.png", "shapes.json", str(tmp_path / "smile.png"), "/etc/passwd"):
        with pytest.raises(InputError, match="no word or emoji"):
            inputs.words(template.format(name))


@pytest.mark.parametrize(
    "text", ["", "joi", "a" * 70_000, '{"jawOpen": 9}', "[" * 5000, "joy:nan", "\x1b[2J"]
)
def test_bad_words_are_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as caught:
        inputs.words(text)
    assert len(str(caught.value)) < 300 and "\x1b" not in str(caught.value)


def test_sliders_move_blendshapes_that_exist() -> None:
    assert all(shape in INDEX for shapes in inputs.SLIDERS.values() for shape in shapes)
    text = '{"mouthSmileLeft":0.4,"mouthSmileRight":0.4,"jawOpen":0.2}'
    places = dict(zip(inputs.SLIDERS, inputs.positions(text), strict=True))
    assert places["Smile"] == 0.4 and places["Jaw open"] == 0.2 and sum(places.values()) == pytest.approx(0.6)
    for other in ("joy", "[1]", '{"jawOpen":"wide"}'):
        assert inputs.positions(other) == [0.0] * len(inputs.SLIDERS)


def test_a_click_takes_the_entry_that_was_shown_or_says_that_it_is_gone(tmp_path: Path) -> None:
    pictures = [tmp_path / name for name in ("new.png", "old.png")]
    for picture in pictures:
        picture.touch()
    entries = [{"picture": str(picture)} for picture in pictures]
    assert history.chosen(entries, 1) is entries[1]
    pictures[1].unlink()
    assert history.chosen(entries, 0) is entries[0]
    with pytest.raises(InputError, match="gone"):
        history.chosen(entries, 1)


def test_pictures_have_limits(tmp_path: Path) -> None:
    side = int(inputs.MAX_PIXELS**0.5) + 1
    bomb = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(bomb)
    with pytest.raises(InputError, match="limit is 24 million"):
        inputs.picture(str(bomb), "photo")
    large = tmp_path / "large.png"
    large.write_bytes(bytes(inputs.MAX_BYTES + 1))
    with pytest.raises(InputError, match="20 MB"):
        inputs.picture(str(large), "photo")
    for path in (None, str(tmp_path / "gone.png"), str(tmp_path)):
        with pytest.raises(InputError):
            inputs.picture(path, "photo")


def test_broken_pictures_are_one_sentence_without_their_path(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(buffer, "JPEG")
    whole, path, refused = buffer.getvalue(), tmp_path / "secret-folder.jpg", 0
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(1, len(whole)))])
        for place in rng.integers(0, len(data), 5):
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        try:
            assert inputs.picture(str(path), "photo").mode == "RGB"
        except InputError as error:
            refused += 1
            assert "secret-folder" not in str(error)
    assert refused > 30


def test_errors_are_told_and_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(gr.Error) as caught, inputs.told():
        raise InputError("<img src=x onerror=alert(1)> is no word")
    assert caught.value.message.startswith("&lt;img") and not caught.value.print_exception
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as caught, inputs.told():
        raise RuntimeError("secret\nFAKE LOG LINE \x1b[31m")
    assert "secret" not in caught.value.message
    line = caplog.records[-1].getMessage()
    assert "RuntimeError" in line and "\n" not in line and "\x1b" not in line


def test_the_journey_is_split() -> None:
    assert travel.split("neutral, joy → 😏\nanger:0.5") == ["neutral", "joy", "😏", "anger:0.5"]
    for text in ("joy", "", ",".join(["joy"] * 9)):
        with pytest.raises(InputError, match="from 2 to 8"):
            travel.split(text)


def test_words_are_found() -> None:
    assert len(expressions.found("")) == 135
    assert any(caption.startswith("joy") for _, caption in expressions.found("😊")) or expressions.found(
        "joy"
    )
    assert expressions.found("no such word") == []
    assert all(Path(path).is_file() for path, _ in expressions.found("fear"))


def test_the_face_that_was_clicked(picture: Image.Image) -> None:
    boxes = [[0, 0, 20, 20], [40, 10, 70, 40]]
    assert reface.nearest(boxes, 52, 30) == 1 and reface.nearest(boxes, 5, 5) == 0
    assert reface.nearest([], 5, 5) == 0
    drawn = reface.draw_boxes(picture, boxes, 1)
    assert drawn.size == picture.size and drawn.getpixel((70, 25)) == reface.CHOSEN


def call(body: bytes, path: str = "/gradio_api/call/portrait", method: str = "POST") -> tuple[int, Any]:
    """What the gate answers, or (200, body) if it passes a request on unchanged."""
    sent: list[Any] = []
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]

    async def receive() -> Any:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        whole, more = b"", True
        while more:
            message = await receive()
            whole, more = whole + message["body"], message["more_body"]
        await send({"status": 200})
        await send({"body": whole})

    scope = {"type": "http", "method": method, "path": path}
    asyncio.run(Gate(app)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_the_gate_passes_calls_on_unchanged() -> None:
    body = json.dumps({"data": [{"path": "/tmp/x.png", "url": "http://127.0.0.1/x.png"}, "joy"]}).encode()
    assert call(body) == (200, body)
    assert call(b"\xff\xd8 a picture", "/gradio_api/upload") == (200, b"\xff\xd8 a picture")
    assert call(b"", "/gradio_api/file=/tmp/x.png", "GET")[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"data": ' + b"[" * 100_000, 400),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), 400),
        (b"{not json", 400),
        (b'{"data": [{"path": "HTTP://169.254.169.254/latest"}]}', 400),
        (b"[" + b"0," * MAX_BODY + b"0]", 413),
    ],
)
def test_the_gate_refuses_in_one_sentence(body: bytes, status: int) -> None:
    answer, said = call(body)
    assert answer == status and json.loads(said)["error"].endswith(".")


@pytest.mark.parametrize(
    "path", ["/gradio_api/proxy=http://x", "/gradio_api/file%3Dhttps://x", "/file=HTTP://x"]
)
def test_the_gate_fetches_nothing(path: str) -> None:
    assert call(b"", path, "GET")[0] == 403
