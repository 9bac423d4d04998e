"""The cost table compares what gives the same numbers."""

from __future__ import annotations

import torch

from benchmarks.adapter_cost import table, variants
from tests import tiny


@torch.no_grad()
def test_both_adapters_are_the_same_computation() -> None:
    settings = dict(tiny.sd15_unet().config)
    _, calls = variants("sd15", 8, 1, "cpu", settings)
    alone, ours, theirs = calls["UNet"]().sample, calls["mien"](), calls["diffusers"]().sample
    assert (ours - theirs).abs().max() <= 1e-5 < (ours - alone).abs().max()
    assert torch.equal(calls["UNet"]().sample, alone)
    lines = table("sd15", 8, 1, 1, "cpu", settings, repeats=2)
    assert len(lines) == 10 and lines[-1].startswith("| mien ÷ diffusers |")
