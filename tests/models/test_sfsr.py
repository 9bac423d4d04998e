"""The background's way into the UNet: widened input, blanked region, empty background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from factory.training.mini import create_unet
from mien.face.mask import OVAL, face_mask
from mien.models.e_adapter import EAdapter
from mien.models.latents import empty_background, encode, takes_background
from mien.models.sfsr import background_conditions, create_adapter, face_region, widen_input
from mien.types import Conditions, InputError
from tests.tiny import autoencoder, sd15_unet


def oval_face(
    size: int = 128, radius: tuple[float, float] = (40, 50), centre: tuple[float, float] = (64, 60)
):
    """Landmarks [1, 478, 3] whose oval is an ellipse."""
    landmarks = torch.zeros(1, 478, 3)
    angle = torch.linspace(-torch.pi / 2, 1.5 * torch.pi, len(OVAL) + 1)[:-1]
    landmarks[0, list(OVAL), 0] = centre[0] + radius[0] * torch.cos(angle)
    landmarks[0, list(OVAL), 1] = centre[1] + radius[1] * torch.sin(angle)
    return landmarks


@pytest.mark.parametrize("make", [sd15_unet, lambda: create_unet(16, (32, 64))], ids=["sd15", "mini"])
def test_widened_unet_equals_its_base_whatever_the_background(make) -> None:
    unet = make().eval()
    c = unet.config.out_channels
    width = unet.config.cross_attention_dim
    generator = torch.Generator().manual_seed(0)
    z, more = torch.randn(2, c, 8, 8, generator=generator), torch.randn(2, c + 1, 8, 8, generator=generator)
    t, text = torch.tensor([3, 700]), torch.randn(2, 5, width, generator=generator)
    with torch.no_grad():
        before = unet(z, t, text).sample
        assert widen_input(unet, c) is unet
        after = unet(torch.cat([z, 100 * more], 1), t, text).sample
    assert unet.config.in_channels == unet.conv_in.in_channels == 2 * c + 1
    assert torch.allclose(before, after, atol=1e-5)


def test_widening_learns_and_is_idempotent_and_survives_a_save(tmp_path) -> None:
    unet = widen_input(sd15_unet(), 4)
    unet.conv_in.weight.data[:, 4:] = 0.25
    first = unet.conv_in
    assert widen_input(unet, 4).conv_in is first
    unet.save_pretrained(tmp_path)
    loaded = UNet2DConditionModel.from_pretrained(tmp_path)
    assert takes_background(loaded) and torch.equal(loaded.conv_in.weight, first.weight)
    unet(torch.randn(1, 9, 8, 8), torch.tensor([5]), torch.randn(1, 3, 32)).sample.mean().backward()
    assert unet.conv_in.weight.grad[:, 4:].abs().max() > 0


def test_unet_of_another_kind_is_refused() -> None:
    unet = UNet2DConditionModel(
        block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
        in_channels=8, out_channels=4, mid_block_type=None, norm_num_groups=8,
    )  # fmt: skip
    with pytest.raises(InputError, match="takes 8 channels and gives 4"):
        widen_input(unet, 4)


def test_region_without_growth_is_the_landmark_mask() -> None:
    landmarks = oval_face(radius=(37.3, 48.9), centre=(63.1, 58.7))
    region = face_region(landmarks, 128, grow=0.0, jaw=0.0)
    assert region.shape == (1, 1, 128, 128)
    drawn = face_mask(landmarks[0].numpy(), 128, 128)
    assert np.abs(region[0, 0].numpy() - drawn).mean() < 2e-3
    assert abs(float(region.sum()) - float(drawn.sum())) < 0.005 * drawn.sum()


def test_region_grows_and_leaves_room_for_the_jaw() -> None:
    landmarks = oval_face()
    plain, grown, jaw = (
        face_region(landmarks, 128, *arguments)[0, 0] for arguments in ((0.0, 0.0), (0.1, 0.0), (0.0, 0.1))
    )
    assert float(grown.sum() / plain.sum()) == pytest.approx(1.21, rel=0.01)
    rows = torch.arange(128)[jaw.amax(1) > 0.5]
    assert int(rows[-1]) in range(118, 121)  # 60 + 50 + a tenth of 100
    assert torch.equal(jaw[:59], plain[:59])  # above the middle, nothing
    each = face_region(landmarks.repeat(2, 1, 1), 128, torch.tensor([0.0, 0.1]), 0.0)
    assert torch.equal(each[0, 0], plain) and torch.equal(each[1, 0], grown)


def test_region_beyond_the_crop_is_cut_and_far_away_is_empty() -> None:
    wide = face_region(oval_face(radius=(500, 500)), 32)
    away = face_region(oval_face(centre=(-900, 64)), 32)
    assert wide.min() == 1 and away.max() == 0


def test_background_hides_what_is_masked_and_tells_the_share() -> None:
    vae = autoencoder()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:11, 4:12] = 1  # 2 pixels a cell: the last row is half covered
    other = torch.where(mask.bool(), torch.rand(1, 3, 16, 16, generator=generator), x)
    with torch.no_grad():
        background, share = background_conditions(vae, x, mask)
        again, _ = background_conditions(vae, other, mask)
        plain, none = background_conditions(vae, x, torch.zeros_like(mask))
        empty, full = background_conditions(vae, x, torch.ones_like(mask))
        given, ones = empty_background(vae, 1, 16, 16)
    assert torch.equal(background, again)
    assert share.shape == (1, 1, 8, 8) and share[0, 0, 5, 3] == 0.5 and share[0, 0, 3, 3] == 1
    assert torch.equal(plain, encode(vae, x)) and none.max() == 0
    assert torch.equal(empty, given) and torch.equal(full, ones) and full.min() == 1


def test_adapter_for_a_compound_identity_goes_through_a_file(tmp_path) -> None:
    unet = widen_input(sd15_unet(), 4)
    unet.conv_in.weight.data[:, 4:] = 0.1
    adapter = create_adapter(unet, {"recogniser": 6, "arcface": 10}, expression_width=7)
    adapter.save(tmp_path)
    loaded = EAdapter.load(unet, tmp_path / "identity.safetensors", tmp_path / "expression.safetensors")
    generator = torch.Generator().manual_seed(0)
    who, how = torch.randn(2, 16, generator=generator), torch.randn(2, 7, generator=generator)
    text = torch.randn(2, 3, 32, generator=generator)
    z, t = torch.randn(2, 4, 8, 8, generator=generator), torch.tensor([10, 500])
    outs = []
    for one in (adapter, loaded):
        one.attach(unet)
        conditions = one.project(who, how, text)
        assert conditions.identity.shape == (2, 8, 32)  # 2 recognisers, 4 tokens each
        conditions.background, conditions.mask = torch.randn(2, 4, 8, 8, generator=generator), None
        with torch.no_grad():
            noise = one.predict_noise(unet)
            plain = Conditions(text, conditions.identity, conditions.expression)
            outs.append(noise(z, t, plain))
            assert not torch.allclose(noise(z, t, conditions), outs[-1])  # the background is seen
        one.detach()
    assert torch.allclose(*outs, atol=1e-5)  # tokens come in another order
    # a vector is split by the names' alphabet, as JoinedIdentity joins: arcface's ten come first
    by_name = loaded.identity.image_proj({"arcface": who[:, :10], "recogniser": who[:, 10:]})
    assert sorted(map(tuple, by_name[0].tolist())) == sorted(
        map(tuple, loaded.identity.tokens(who)[0].tolist())
    )
