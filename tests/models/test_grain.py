"""Grain: as strong as what is missing, the same for the same generator, and only where somebody asks for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from factory.training.grain import drawn, likeness, missing_power, missing_share
from mien.models import latents
from mien.models.autoencoder import PatchAutoencoder
from mien.models.grain import (
    ACROSS,
    ALONG,
    DETAIL,
    EXPONENT,
    FLOW,
    REACH,
    ROUND,
    WINDOW,
    add_grain,
    blur,
    flow,
    flowing_noise,
    local_detail,
)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours with detail that grows from left to right."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(n, 3, 64, 64)), (0, 0, 8, 8)) * 4
    fine = gaussian_filter(rng.normal(size=(n, 1, 64, 64)), (0, 0, 0.7, 0.7)) * np.linspace(0, 0.3, 64)
    return torch.from_numpy(smooth + fine).float()


@pytest.mark.parametrize("sigma", [ROUND, DETAIL, FLOW, WINDOW])
def test_the_blur_is_scipy_s(sigma: float) -> None:
    x = torch.randn(2, 1, 40, 48, generator=torch.Generator().manual_seed(0))
    reach = int(np.ceil(3 * sigma))
    wanted = gaussian_filter(
        x.double().numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, reach, reach)
    )
    np.testing.assert_allclose(blur(x, sigma).numpy(), wanted, atol=1e-5)


def white(n: int, side: int, seed: int = 0) -> torch.Tensor:
    wide = side + 2 * REACH
    return torch.randn(n, 1, wide, wide, generator=torch.Generator().manual_seed(seed))


def waves(degrees: float, side: int = 64) -> torch.Tensor:
    """[1, 3, side, side]: stripes that run at an angle to the x axis, y pointing down."""
    y, x = torch.meshgrid(*[torch.arange(float(side))] * 2, indexing="ij")
    across = y * np.cos(np.radians(degrees)) - x * np.sin(np.radians(degrees))
    return (0.3 * torch.sin(across * 2 * np.pi / 9)).expand(1, 3, -1, -1)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 100.0, 135.0, 179.0])
def test_the_flow_runs_along_stripes(degrees: float) -> None:
    found = flow(waves(degrees))[0, :, 12:-12, 12:-12]
    wanted = torch.tensor([np.cos(2 * np.radians(degrees)), np.sin(2 * np.radians(degrees))])
    assert (found - wanted.float()[:, None, None]).abs().max() < 0.05


def test_where_nothing_is_there_is_no_direction() -> None:
    assert not flow(torch.full((1, 3, 32, 32), 0.3)).abs().any()
    rings = waves(0, 96)[:, :, :48, :48] + waves(90, 96)[:, :, :48, :48]
    assert flow(rings)[0, :, 12:-12, 12:-12].norm(dim=0).mean() < 0.3


@pytest.mark.parametrize(
    "along", [(0.0, 0.0), (1.0, 0.0), (0.3, 0.4), (-0.92, 0.38), (0.0, -1.0), (-1.0, -0.5)]
)
def test_flowing_noise_has_deviation_one(along: tuple[float, float]) -> None:
    made = flowing_noise(white(8, 256), torch.tensor(along).view(1, 2, 1, 1).expand(8, 2, 256, 256))
    assert made.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("quarter", [0, 1])
def test_noise_is_alike_along_the_flow_and_less_so_across(quarter: int) -> None:
    """Of white noise a Gaussian of deviation s makes neighbours at distance k alike by exp(-k²/4s²)."""
    along = torch.tensor([(-1.0) ** quarter, 0.0]).view(1, 2, 1, 1).expand(8, 2, 256, 256)
    made = flowing_noise(white(8, 256), along)
    if quarter:
        made = made.transpose(2, 3)
    for k in (1, 2):
        for axis, sigma in ((3, ALONG), (2, ACROSS)):
            alike = (made.narrow(axis, k, 256 - k) * made.narrow(axis, 0, 256 - k)).mean()
            assert alike == pytest.approx(np.exp(-(k**2) / (4 * sigma**2)), abs=0.04)


def test_a_turned_picture_has_turned_grain() -> None:
    noise, x = white(1, 48), pictures(1)[..., :48, :48]
    wanted = flowing_noise(noise, flow(x)).rot90(1, (2, 3))
    got = flowing_noise(noise.rot90(1, (2, 3)), flow(x.rot90(1, (2, 3))))
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_grain_is_as_strong_as_detail_tells() -> None:
    x = pictures(1).expand(300, -1, -1, -1)
    added = add_grain(x, 0.7, generators(*range(300))) - x
    assert torch.allclose(added[:, 0], added[:, 1], atol=1e-6)  # grey
    inner = (slice(8, -8), slice(8, -8))
    measured, wanted = added[:, 0].std(0)[inner], 0.7 * local_detail(x[:1])[0, 0][inner] ** EXPONENT
    assert ((measured / wanted) - 1).abs().mean() < 0.06
    assert wanted[:, -8:].mean() > 4**EXPONENT * wanted[:, :8].mean()


def test_what_was_left_out_is_measured() -> None:
    """Of pictures with a known share of grain the share and its power are found."""
    y = pictures(80)
    x = add_grain(y, 0.4, generators(*range(1000, 1080)))
    assert missing_share(x, y) == pytest.approx(0.4, abs=0.03)
    assert missing_power(x, y) == pytest.approx(EXPONENT, abs=0.1)
    assert missing_share(y, y) == 0
    assert missing_share(y, x) == 0  # more than there should be: nothing is missing


def test_likeness_is_told_along_edges_and_across() -> None:
    y = waves(0).expand(20, -1, -1, -1) + 0.001 * pictures(20)
    both = torch.cat([y, y.transpose(2, 3)])
    found = likeness(drawn(both), both)
    assert found.along[0] > 0.7 > 0.4 > found.across[0] and found.along[1] > 0.2 > -0.1 > found.across[1]
    level = torch.randn(40, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = likeness(level, both)
    assert found.along == pytest.approx(found.across, abs=0.05)


def test_only_a_generator_makes_grain() -> None:
    torch.manual_seed(0)
    vae = PatchAutoencoder(16, (32, 16, 16, 16), (1, 1, 1, 1), grain=0.7)
    z = torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        plain, drawn = latents.decode(vae, z), latents.decode(vae, z, generators(1, 2))
        assert not torch.equal(plain, drawn)
        assert torch.equal(drawn, latents.decode(vae, z, generators(1, 2)))
        torch.testing.assert_close(drawn[1:], latents.decode(vae, z[1:], generators(2)))  # in any batch
        vae.register_to_config(grain=0.0)
        assert torch.equal(plain, latents.decode(vae, z, generators(1, 2)))
        assert torch.equal(plain, vae.decode(z, generator=generators(1)[0]).sample)


def test_portraits_have_grain_and_refaced_photos_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shipped model's pipelines hand to the autoencoder: a generator a picture, or nothing."""
    import mien
    from mien.backbones import Backbone

    given: list[bool] = []
    decode = Backbone.decode
    monkeypatch.setattr(
        Backbone, "decode", lambda self, z, g=None: (given.append(g is not None), decode(self, z, g))[1]
    )
    pipe = mien.load("mini", device="cpu")
    assert pipe.backbone.vae.config.grain > 0
    identity, expression = torch.zeros(1, 224), torch.zeros(1, 57)
    portrait, plain = (
        pipe.generate(identity, expression, [""], [3], steps=1, guidance=1.0, grain=grain)
        for grain in (True, False)
    )
    assert given == [True, False] and not torch.equal(portrait, plain)
    added = (portrait - plain)[..., 4:-4, 4:-4]
    assert added.abs().max() < 0.5 and 0.002 < added.std() < 0.1
