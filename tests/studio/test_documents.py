"""The example of docs/studio.md runs as it is printed, at a studio on loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(studio: Any, tmp_path: Path) -> None:
    from mien.provenance import read_provenance

    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    snippet = snippet.replace("http://127.0.0.1:7860", studio.address.rstrip("/"))
    snippet = snippet.replace("@examples", f"@{ROOT}/examples")
    subprocess.run(["bash", "-ec", snippet], cwd=tmp_path, check=True, timeout=300)
    said = read_provenance(tmp_path / "joy.png")
    assert said is not None and len(said["settings"]["inputs"]["expression"]) == 2
