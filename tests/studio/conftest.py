"""One studio on loopback for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Studio:
    """A running studio: where it is, what runs it, and the folder of this server alone."""

    address: str
    engine: Any

    @property
    def folder(self) -> Path:
        """Holds results and uploads, and nothing else."""
        return self.engine.folder.parent.parent

    def client(self) -> Any:
        """A client with a session of its own."""
        from gradio_client import Client

        return Client(self.address, verbose=False)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium without a window, driven by Playwright, whose event loop must not outlive the module."""
    import shutil

    api = pytest.importorskip(
        "playwright.sync_api", reason="the browser is driven by Playwright: mien[browser]"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Debian's chromium is not installed")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """Served from a port of the system's choice."""
    import socket

    from mien.studio.app import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with serve({"mini": "mini"}, port=port, device="cpu") as (address, engine, _):
        yield Studio(address, engine)
