"""The examples of docs/studio.md run as they are printed, at a studio on loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


def snippet(kind: str, studio: Any) -> str:
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    found = [part for part in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) if ":7860" in part]
    assert len(found) == 1
    return found[0].replace("http://127.0.0.1:7860", studio.address.rstrip("/"))


def test_the_client(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(compile(snippet("python", studio), "docs/studio.md", "exec"), names)
    assert Path(names["files"][0]).is_file() and "Seed 1" in names["note"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(studio: Any) -> None:
    answer = subprocess.run(
        ["bash", "-c", snippet("sh", studio)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert "event: complete" in answer.stdout and "portrait_0.png" in answer.stdout
