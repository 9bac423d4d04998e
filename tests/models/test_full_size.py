"""Parity with stock diffusers on the published configurations of SD1.5 and SDXL, with random weights.

Needs memory and a minute, so each runs where there is enough and ``MIEN_FULL_SIZE=1`` asks for it.
"""

from __future__ import annotations

import os

import psutil
import pytest
import torch

from mien.models.e_adapter import EAdapter
from tests import tiny
from tests.models.test_e_adapter import StockPipeline

GIB = 2**30
NEEDED = {"sd15": 3, "sdxl": 11}
LAYERS = {"sd15": 16, "sdxl": 70}


@pytest.mark.slow
@pytest.mark.parametrize("family", NEEDED)
@torch.no_grad()
def test_full_size_equals_stock_diffusers(family, tmp_path) -> None:
    if os.environ.get("MIEN_FULL_SIZE") != "1":
        pytest.skip("set MIEN_FULL_SIZE=1 to run the full-size configurations")
    available = psutil.virtual_memory().available / GIB
    if available < NEEDED[family]:
        pytest.skip(f"{family} at full size needs {NEEDED[family]} GiB of memory, {available:.0f} are free")
    unet = tiny.full_unet(family)
    adapter = EAdapter.create(unet, identity_width=512, expression_width=1024).eval()
    assert len(adapter.identity.layers) == LAYERS[family]
    files = adapter.save(tmp_path)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(1, 4, 16, 16, generator=generator)
    text = torch.randn(1, 77, unet.config.cross_attention_dim, generator=generator)
    embeds = [torch.randn(1, 512, generator=generator), torch.randn(1, 1024, generator=generator)]
    t = torch.tensor([500])
    added = {}
    if family == "sdxl":
        added = {"text_embeds": torch.randn(1, 1280, generator=generator), "time_ids": torch.ones(1, 6) * 128}
    conditions = adapter.project(*embeds, text)
    adapter.attach(unet)
    only_identity, both = (
        adapter.predict_noise(unet, 1.0, scale, added_cond_kwargs=added)(z, t, conditions)
        for scale in (0.0, 1.0)
    )
    adapter.detach()
    del adapter
    assert (both - only_identity).abs().max() > 1e-2
    for ours, names, chosen in ((both, files, embeds), (only_identity, files[:1], embeds[:1])):
        pipe = StockPipeline(unet)
        pipe.load_ip_adapter(
            [str(tmp_path)] * len(names),
            subfolder=[""] * len(names),
            weight_name=[file.name for file in names],
            image_encoder_folder=None,
        )
        given = dict(added, image_embeds=[e[:, None] for e in chosen])
        expected = unet(z, t, encoder_hidden_states=text, added_cond_kwargs=given).sample
        assert (ours - expected).abs().max() <= 1e-4
