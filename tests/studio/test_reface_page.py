"""Refacing through the API, on a tiny inpainting model: it does not wait for a good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.test_reface import backbone, make  # noqa: F401 - a fixture

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
FACE = Path(__file__).parent.parent.parent / "examples" / "identity.png"


def test_swapping_keeps_the_rest(studio: Any, monkeypatch: pytest.MonkeyPatch, backbone: Any) -> None:  # noqa: F811
    from gradio_client import handle_file

    from mien.provenance import PARTLY_GENERATED, read_provenance

    monkeypatch.setattr(studio.engine, "refaces", lambda name: make(backbone))
    _, shown, files, note = studio.client().predict(
        photo=handle_file(str(FACE)), task="swap", identity=handle_file(str(FACE)), expression_picture=None,
        steps=2, seed=3, api_name="/reface",
    )  # fmt: skip
    old, new = (np.asarray(Image.open(path).convert("RGB")) for path in (FACE, files[0]))
    assert old.shape == new.shape and (old[-1] == new[-1]).all() and (old != new).any()
    said = read_provenance(files[0])
    assert said is not None and said["source_type"] == PARTLY_GENERATED
    assert said["settings"]["task"] == "swap" and said["settings"]["seed"] == 3
    assert len(shown) == 2 and note == "Done."
