"""The registry knows what is there, what is damaged, and says what to do."""

from __future__ import annotations

import bz2
import errno
import hashlib
import io
import json
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from factory.training import manifest
from mien import preflight, weights
from mien import weights as registry
from mien.types import InputError
from mien.weights import Entry, Status, WeightFile
from mien.weights.bases import find_folder
from mien.weights.fetch import fetch

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose weights are three small files, with their manifest."""
    for name in ("mini/model_index.json", "mini/unet/model.safetensors", "mini/face/analyser.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 100)
    rows = manifest.build(tmp_path, [])
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": rows}))
    monkeypatch.setattr(registry, "SHIPPED_FOLDER", tmp_path)
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "manifest.json")
    registry._entries.cache_clear()
    yield tmp_path
    registry._entries.cache_clear()


def foreign(url: str, sha256: str | None = DIGEST) -> Entry:
    file = WeightFile("other.bin", sha256=sha256, size=len(CONTENT) if sha256 else None, url=url)
    return Entry("other", "a test", "other.bin", (file,), "MIT", True, "https://example.org/other", 2026)


FOREIGN = [entry for entry in weights.entries() if not entry.shipped]


def test_every_foreign_model_says_what_it_is() -> None:
    assert len({e.name for e in FOREIGN}) == len(FOREIGN) >= 8
    for model in FOREIGN:
        assert (
            model.purpose
            and model.licence
            and model.source.startswith("https://")
            and 2015 < model.year < 2030
        )
        assert not model.shipped
        assert model.commercial is ("non-commercial" not in model.licence)
        for file in model.files:
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
            assert file.url is None or file.url.startswith("https://")
    assert len({file.path for model in FOREIGN for file in model.files}) == sum(len(e.files) for e in FOREIGN)


def test_names(shipped: Path) -> None:
    assert weights.path("mini") == shipped / "mini"
    assert weights.path("mini-unet") == shipped / "mini" / "unet"
    assert weights.path("analyser") == shipped / "mini" / "face" / "analyser.safetensors"
    with pytest.raises(InputError, match="did you mean analyser"):
        weights.path("analyzer")
    with pytest.raises(InputError, match="mien models list"):
        weights.path("zzz")


def test_one_flipped_byte_is_caught(shipped: Path) -> None:
    assert {status for _, _, status in weights.verify(["mini", "mini-unet", "analyser"])} == {Status.OK}
    victim = shipped / "mini/unet/model.safetensors"
    data = bytearray(victim.read_bytes())
    data[17] ^= 1
    before = victim.stat().st_mtime_ns
    victim.write_bytes(data)
    os.utime(victim, ns=(before, before + 10**9))  # the clock of files may stand still for some ms
    assert [(m.name, s) for m, _, s in weights.verify() if s is not Status.OK and m.shipped] == [
        ("mini-unet", Status.DAMAGED)
    ]
    for name in ("mini", "mini-unet"):
        with pytest.raises(InputError, match=r"model\.safetensors of mini-unet is damaged.*install"):
            weights.path(name)
    assert weights.path("analyser").exists()
    victim.unlink()
    with pytest.raises(InputError, match="is not there"):
        weights.path("mini")


def test_the_manifest_keeps_what_was_written_by_hand(shipped: Path) -> None:
    rows = manifest.build(shipped, [{"name": "mini-unet", "card": "900,000 steps", "licence": "MIT"}])
    assert {r["name"]: r["card"] for r in rows} == {"mini": "", "mini-unet": "900,000 steps", "analyser": ""}
    assert {r["name"]: r["licence"] for r in rows}["mini-unet"] == "MIT"
    assert sum(len(r["files"]) for r in rows) == 3


def test_the_shipped_weights_are_whole() -> None:
    on_disk = {p for p in (registry.SHIPPED_FOLDER / "mini").rglob("*") if p.is_file()}
    listed = {registry.SHIPPED_FOLDER / file.path for e in weights.entries() if e.shipped for file in e.files}
    assert on_disk == listed
    assert all(status is Status.OK for model, _, status in weights.verify() if model.shipped)


def test_looking_makes_no_folder(models: Path) -> None:
    assert weights.check(FOREIGN[0], FOREIGN[0].files[0]) is Status.MISSING
    with pytest.raises(InputError, match=r"mien models fetch face_landmarker, or download|mien models fetch"):
        weights.path("face_landmarker")
    assert not models.exists()


@pytest.mark.parametrize(("variable", "value"), [("HOME", None), ("MIEN_MODELS", "~nobody-at-all/models")])
def test_an_account_without_a_home(
    monkeypatch: pytest.MonkeyPatch, shipped: Path, variable: str, value: str | None
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "MIEN_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 3)  # a container's, which has no name
    if value is not None:
        monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=r"There is no home folder for ~.*: set MIEN_MODELS"):
        weights.models_folder()
    assert weights.path("mini") == shipped / "mini"
    monkeypatch.setenv("MIEN_MODELS", str(shipped))
    assert weights.models_folder() == shipped


@pytest.mark.shared
def test_mediapipes_model_beside_the_project_is_the_registered_one(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(shared / "models"))
    assert weights.path("face_landmarker") == shared / "models" / "face_landmarker.task"


@pytest.fixture
def server() -> Iterator[str]:
    answers = {
        "/good": CONTENT,
        "/good.bz2": bz2.compress(CONTENT),
        "/half.bz2": bz2.compress(CONTENT)[:-20],
        "/page.bz2": b"<html>login</html>",
        "/flipped": CONTENT[:-1] + b"X",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/cut":
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:500])
                return
            if self.path == "/chunks":  # announces a piece of 500 bytes and sends 100
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"1f4\r\n" + CONTENT[:100])
                return
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(answers.get(self.path, b""))

        def log_message(self, *words: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["good", "good.bz2"])
def test_fetch(models: Path, server: str, name: str) -> None:
    seen: list[int] = []
    done = fetch(foreign(f"{server}/{name}"), lambda received, expected: seen.append(received))
    assert done == [(models / "other.bin", DIGEST, True)]
    assert (models / "other.bin").read_bytes() == CONTENT and seen
    seen.clear()
    assert fetch(foreign("http://127.0.0.1:9/gone"), lambda *_: seen.append(1)) == done and not seen


def test_fetch_without_a_known_checksum_says_so(
    models: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = foreign(f"{server}/good", sha256=None)
    done = fetch(model, lambda *_: None)
    assert done == [(models / "other.bin", DIGEST, False)]
    assert weights.check(model, model.files[0]) is Status.UNVERIFIED
    # such models have gigabytes: one that is here is read block by block
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read as a whole"))
    assert fetch(model, lambda *_: None) == done


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flipped", "not the expected file"),
        ("cut", "broke off"),
        ("chunks", "could not be fetched"),
        ("half.bz2", "broke off"),
        ("page.bz2", "no bz2"),
        ("absent", "Not Found"),
    ],
)
def test_what_is_not_whole_is_never_put_in_place(models: Path, server: str, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        fetch(foreign(f"{server}/{name}"), lambda *_: None)
    assert list(models.iterdir()) == []


def test_a_connection_that_breaks_is_not_taken_for_a_full_disk(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        headers = {"Content-Length": str(len(CONTENT))}

        def read(self, size: int | None = -1) -> bytes:
            raise ssl.SSLError("record layer failure")

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Broken())
    with pytest.raises(InputError, match="could not be fetched.*record layer failure") as caught:
        fetch(foreign("http://127.0.0.1:9/other.bin"), lambda *_: None)
    assert str(models / "other.bin") in str(caught.value) and "space" not in str(caught.value)
    assert list(models.iterdir()) == []


def test_a_full_disk_is_told(models: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(received: int, expected: int | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write would

    with pytest.raises(InputError, match="other.bin: no space left on device; free space"):
        fetch(foreign(f"{server}/good"), full)
    assert list(models.iterdir()) == []


def test_offline_says_where_to_put_the_file(models: Path) -> None:
    with pytest.raises(InputError) as caught:
        fetch(foreign("http://127.0.0.1:9/other.bin"), lambda *_: None)
    message = str(caught.value)
    assert str(models / "other.bin") in message and "http://127.0.0.1:9/other.bin" in message
    assert "\n" not in message
    assert list(models.iterdir()) == []


def test_the_home_of_nobody_is_a_name_like_any_other() -> None:
    """pathlib raises where the machine knows no such person; here a sentence says that there is no such model."""
    preflight.check("~nosuchperson/model")  # as of a hub's model, it cannot tell
    with pytest.raises(InputError, match="there is no model '~nosuchperson/model'"):
        find_folder("~nosuchperson/model")
