"""The photo engine leads: its picture as the reference, and as what the latents start from."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.face.analyze import analyze
from mien.pipelines.inputs import Person
from mien.pipelines.lead import as_start, lead_by_photo
from mien.types import InputError
from tests import published

ME = Path(__file__).parent.parent.parent / "examples" / "identity.png"


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@torch.no_grad()
def test_it_starts_as_img2img_of_diffusers_does(family, tmp_path, monkeypatch) -> None:
    """With both adapters, the same noise and the same draw of the autoencoder, in a batch of its own."""
    folder = published.fetch_all(tmp_path / "models", family, monkeypatch)
    pipe = mien.load(family, "cpu", adapter="published", scheduler="ddim")
    led = lead_by_photo(analyze, [str(ME)], ["joy"])[0]
    embeds = pipe.embed(str(ME), led)
    start = as_start([led], 16, 16)
    result = pipe.generate(*embeds.values(), ["a cat"], [5], None, 10, 3.0, start=start, lead=0.35)

    kind = "StableDiffusionImg2ImgPipeline" if family == "sd15" else "StableDiffusionXLImg2ImgPipeline"
    stock = getattr(diffusers, kind).from_pretrained(
        folder / family, variant="fp16", torch_dtype=torch.float32
    )
    stock.scheduler = pipe.scheduler
    stock.set_progress_bar_config(disable=True)
    stock.load_ip_adapter(
        [str(folder)] * 2,
        subfolder=["", ""],
        weight_name=list(published.FILES[family]),
        image_encoder_folder=None,
    )
    expected = stock(
        "a cat",
        image=(start + 1) / 2,
        strength=0.65,
        generator=torch.Generator().manual_seed(5),
        ip_adapter_image_embeds=[torch.stack([0 * e, e]) for e in embeds.values()],
        num_inference_steps=10,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4

    # the call does all of this: the adapter's own lead is on, and both ways of it act
    by_default = np.asarray(pipe(str(ME), "joy", "a cat", seed=5, steps=10)[0], float)
    told = np.asarray(pipe(str(ME), "joy", "a cat", seed=5, steps=10, lead=pipe.lead)[0], float)
    off = np.asarray(pipe(str(ME), "joy", "a cat", seed=5, steps=10, lead=0)[0], float)
    assert pipe.lead > 0 and np.array_equal(by_default, told) and np.abs(off - told).max() > 2
    with pytest.raises(InputError, match="lead must be from 0"):
        pipe(str(ME), "joy", lead=1.0)


def test_a_photo_that_cannot_lead_is_named() -> None:
    grey = Image.new("RGB", (200, 200), (90, 90, 90))
    with pytest.raises(InputError, match="no face.*lead=0"):
        lead_by_photo(analyze, [grey], ["joy"])
    first, second = lead_by_photo(analyze, [Person(str(ME), grey), str(ME)], ["joy", "surprise"])
    assert first.size == second.size and np.abs(np.asarray(first, float) - np.asarray(second)).max() > 20
