"""Latents, and what an inpainting UNet is given."""

from __future__ import annotations

import pytest
import torch

from mien.models.autoencoder import PatchAutoencoder
from mien.models.e_adapter import EAdapter
from mien.models.latents import decode, empty_background, encode, takes_background, unet_input
from mien.types import Conditions, InputError
from tests import tiny

T = torch.tensor([10, 500])


@torch.no_grad()
def test_latents_come_back_at_the_scale_of_the_unet() -> None:
    vae = tiny.autoencoder()
    vae.register_to_config(shift_factor=0.25)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    mean = vae.encode(x).latent_dist.mode()
    assert torch.allclose(encode(vae, x), (mean - 0.25) * 0.18215)
    assert torch.allclose(decode(vae, encode(vae, x)), vae.decode(mean).sample, atol=1e-5)
    sampled = encode(vae, x, torch.Generator().manual_seed(0))
    assert torch.equal(sampled, encode(vae, x, torch.Generator().manual_seed(0)))
    assert not torch.allclose(sampled, encode(vae, x))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["kl", "patch"])
def test_the_empty_background_is_a_grey_picture_all_to_be_generated(kind) -> None:
    vae = tiny.autoencoder() if kind == "kl" else PatchAutoencoder(widths=(16, 16, 16, 16))
    background, mask = empty_background(vae, 3, 32, 64)
    assert torch.equal(background[2:], encode(vae, torch.zeros(1, 3, 32, 64)))
    assert background.shape[0] == 3 and mask.shape == (3, 1, *background.shape[2:])
    assert (mask == 1).all() and background.abs().max() > 0


@torch.no_grad()
def test_the_channels_are_those_of_diffusers_inpainting() -> None:
    unet = tiny.inpainting_unet()
    assert takes_background(unet) and not takes_background(tiny.sd15_unet())
    adapter = EAdapter.create(unet, 6, 5)
    adapter.attach(unet)
    z, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 32)
    background, mask = torch.randn(2, 4, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    given = torch.cat([z, mask, background], dim=1)  # as StableDiffusionInpaintPipeline does
    predict = adapter.predict_noise(unet)
    result = predict(z, T, Conditions(text, background=background, mask=mask))
    assert torch.allclose(result, unet(given, T, encoder_hidden_states=text).sample, atol=1e-6)

    nothing = torch.cat([z, torch.ones(2, 1, 8, 8), torch.zeros(2, 4, 8, 8)], dim=1)
    assert torch.equal(unet_input(unet, z, Conditions(text)), nothing)
    once = unet_input(unet, z, Conditions(background=background[:1], mask=mask[:1]))
    assert torch.equal(once[1, 4:], given[0, 4:])
    assert unet_input(tiny.sd15_unet(), z, Conditions(text)) is z


@pytest.mark.parametrize(
    ("inpainting", "conditions", "match"),
    [
        (False, Conditions(background=torch.zeros(2, 4, 8, 8)), "takes no background"),
        (True, Conditions(mask=torch.ones(2, 1, 8, 8)), "no background"),
        (True, Conditions(background=torch.zeros(2, 4, 4, 4)), r"background of shape \(2, 4, 4, 4\)"),
        (True, Conditions(background=torch.zeros(3, 4, 8, 8)), r"\(2, 4, 8, 8\)"),
        (True, Conditions(background=torch.zeros(2, 4, 8, 8), mask=torch.ones(2, 4, 8, 8)), "mask of shape"),
    ],
)
def test_what_does_not_fit_is_told(inpainting, conditions, match) -> None:
    unet = tiny.inpainting_unet() if inpainting else tiny.sd15_unet()
    with pytest.raises(InputError, match=match):
        unet_input(unet, torch.zeros(2, 4, 8, 8), conditions)
