"""What is assembled for the package: a weight of the identity that became part of its values."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mien.models.e_adapter import EAdapter
from mien.training.assemble import assemble_adapter
from tests import tiny


def test_a_folded_weight_is_lambda_id(tmp_path: Path) -> None:
    """The assembled adapter at lambda_id 1 predicts what its source does at 2 (a power of two is exact in float16)."""
    unet = tiny.sd15_unet()
    torch.manual_seed(0)
    EAdapter.create(unet, 24, 20).half().float().save(tmp_path / "source")
    assemble_adapter(tmp_path / "source", tmp_path / "mini", steps=6, guidance=1.5, id_scale=2.0)
    settings = json.loads((tmp_path / "mini" / "adapter" / "adapter.json").read_text())
    assert settings["steps"] == 6 and settings["guidance"] == 1.5
    z_t, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 32)
    who, how, t = torch.randn(2, 24), torch.randn(2, 20), torch.tensor([10, 500])

    def predicted(folder: Path, id_scale: float) -> torch.Tensor:
        files = [folder / f"{branch}.safetensors" for branch in ("identity", "expression")]
        adapter = EAdapter.load(unet, *files).float()
        adapter.attach(unet)
        with torch.no_grad():
            eps = adapter.predict_noise(unet, id_scale)(z_t, t, adapter.project(who, how, text))
        adapter.detach()
        return eps

    folded = predicted(tmp_path / "mini" / "adapter", 1.0)
    torch.testing.assert_close(folded, predicted(tmp_path / "source", 2.0), rtol=1e-5, atol=1e-6)
    assert (folded - predicted(tmp_path / "source", 1.0)).abs().max() > 1e-4
