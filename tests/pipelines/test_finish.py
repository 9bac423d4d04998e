"""What the photo engine drew is drawn again by an inpainting model: as diffusers' own pipeline does it."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from mien.backbones import load_backbone
from mien.pipelines.finish import PROMPT, Finisher, cut, drawn_mask, nearest, soft, tiles
from mien.pipelines.photo import PhotoPipeline
from mien.types import InputError
from tests import tiny

ME = Path(__file__).parent.parent.parent / "examples" / "identity.png"


@pytest.fixture(scope="module")
def smiling():
    engine = PhotoPipeline()
    return engine.express(engine.sit(str(ME)), "amusement", rounds=0)


@pytest.mark.parametrize("family", ["sd15-inpainting", "sd15"])
@torch.no_grad()
def test_it_is_what_diffusers_draws_under_the_mask(family, smiling, tmp_path) -> None:
    """One tile after the other by stock inpainting with the same noise, laid in by the mask; the rest stays."""
    folder = tiny.save_folder(tmp_path, family)
    backbone = load_backbone(str(folder), "cpu")
    backbone.size = side = 64  # as a model's own size against a photo's
    finished = np.asarray(Finisher(backbone, 0.5, steps=6)(smiling, seed=3))

    stock = diffusers.StableDiffusionInpaintPipeline.from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    mask = drawn_mask(smiling)
    places = tiles(mask, side)
    assert len(places) > 1 and 0.001 < mask.mean() < 0.2
    expected, covered = smiling.drawn.image.astype(float), np.zeros(mask.shape)
    for k, (left, top) in enumerate(places):
        own = cut(mask, (left, top), side) * nearest((left, top), places, side)
        if not own.any():
            continue
        part = np.s_[top : top + side, left : left + side]
        covered[part] += own
        drawn = stock(
            PROMPT,
            image=Image.fromarray(expected[part].astype(np.uint8)),
            mask_image=Image.fromarray((own * 255).astype(np.uint8)),
            height=side,
            width=side,
            strength=0.5,
            num_inference_steps=6,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(3 + k),
            output_type="np",
        ).images[0]
        alpha = soft(own)[..., None]
        expected[part] = np.rint(expected[part] * (1 - alpha) + 255 * alpha * drawn)
    assert np.array_equal(covered, mask)  # each pixel is drawn by one tile
    assert np.abs(finished - expected).max() <= 1  # of 255: the last bit
    outside = mask == 0
    assert np.array_equal(finished[outside], smiling.drawn.image[outside])
    assert np.abs(finished.astype(float) - smiling.drawn.image).max() > 20


def test_a_tile_that_leaves_the_photo_is_mirrored(smiling, tmp_path) -> None:
    backbone = load_backbone(str(tiny.save_folder(tmp_path, "sd15-inpainting")), "cpu")
    height, width = smiling.drawn.image.shape[:2]
    backbone.size = 16 * (max(height, width) // 16 + 1)
    assert Finisher(backbone, 0.5, steps=2)(smiling).size == (width, height)
    with pytest.raises(InputError, match="cannot finish"):
        Finisher(load_backbone("mini", "cpu"))
    with pytest.raises(InputError, match="strength 0"):
        Finisher(backbone, 0)
