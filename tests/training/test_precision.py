"""Where training computes in bfloat16, and that emulated bfloat16 is not chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from mien.models.folder import bfloat16_pays
from mien.training.loop import LoopConfig, _accelerator


@pytest.mark.parametrize(("capability", "pays"), [("AVX2", False), ("AVX512", True), ("DEFAULT", False)])
def test_a_cpu_that_only_emulates_it_trains_in_float32(
    capability: str, pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bfloat16_pays("cpu") is pays
    assert bfloat16_pays("cuda")
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps one for the whole process
    with _accelerator(LoopConfig(precision="bf16"), tmp_path).autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    AcceleratorState._reset_state(reset_partial_state=True)
    assert product.dtype == (torch.bfloat16 if pays else torch.float32)
