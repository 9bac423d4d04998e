"""One studio on loopback for all tests of this folder, and browsers without a window."""

from __future__ import annotations

import http.cookiejar
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
FACE, SMILE = ROOT / "examples" / "identity.png", ROOT / "examples" / "expression.png"


class Client:
    """A browser's session, without the browser."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        self.get("/api/state")

    def raw(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        request = urllib.request.Request(self.address + path, body, headers)
        try:
            with self._opener.open(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path: str) -> Any:
        return json.loads(self.raw(path)[1])

    def post(self, path: str, body: Any = None) -> Any:
        """What is answered; of an error its sentence under "error", with its status."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        status, said = self.raw(path, data)
        return {**json.loads(said), "status": status}

    def give(self, path: Path, kind: str = "photo") -> str:
        """Upload a picture: its id."""
        return str(self.post(f"/api/photo?as={kind}&name={path.name}", path.read_bytes())["id"])

    def save(self, id: str, place: Path) -> Path:
        """A result, as it is downloaded."""
        place.write_bytes(self.raw(f"/files/{id}?download=1")[1])
        return place


@dataclass
class Served:
    """A running studio: where it is, and what answers."""

    address: str
    studio: Any

    def client(self) -> Client:
        """A client with a session of its own."""
        return Client(self.address)


@pytest.fixture(scope="session")
def studio() -> Iterator[Served]:
    """Served from a port of the system's choice."""
    pytest.importorskip("uvicorn", reason="the studio needs uvicorn: pip install mien[studio]")
    from mien.studio.server import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with serve({"mini": "mini"}, port=port, device="cpu") as (address, answering):
        yield Served(address, answering)


@pytest.fixture
def client(studio: Served) -> Client:
    return studio.client()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium with a fake camera, driven by Playwright, whose event loop must not outlive the module."""
    import shutil

    api = pytest.importorskip(
        "playwright.sync_api", reason="the browser is driven by Playwright: mien[browser]"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Debian's chromium is not installed")
    with api.sync_playwright() as driver:
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", *camera])
        yield browser
        browser.close()
