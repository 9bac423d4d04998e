"""The patch autoencoder: its closed-form fit against scikit-learn, its start as a purely linear model, its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from factory.stages.autoencoder import fit_linear
from mien.models.autoencoder import PatchAutoencoder


def pictures(count: int = 40) -> torch.Tensor:
    """Smooth random pictures [count, 3, 64, 64] in [-1, 1]."""
    coarse = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, 64, mode="bicubic").clamp(-1, 1)


def small() -> PatchAutoencoder:
    return PatchAutoencoder(latent_channels=6, widths=(32, 32, 16, 16), blocks=(1, 1, 1, 1)).eval()


def test_encoder_is_scikit_learns_pca() -> None:
    model, x = small(), pictures()
    fit_linear(model, x)
    patches = F.pixel_unshuffle(x, 16).permute(0, 2, 3, 1).reshape(-1, 768).double().numpy()
    pca = PCA(6).fit(patches)
    scores = pca.transform(patches)
    with torch.no_grad():
        latents = model.encode(x).latents.permute(0, 2, 3, 1).reshape(-1, 6).double().numpy()
    for k in range(6):
        assert abs(np.corrcoef(scores[:, k], latents[:, k])[0, 1]) > 0.9999
    std = scores.std(0)
    np.testing.assert_allclose(latents.std(0), np.sqrt(std / std.mean()), rtol=1e-3)
    np.testing.assert_allclose(np.mean(latents.var(0)), 1.0, rtol=1e-3)


def test_decoder_starts_as_ridge_regression_on_the_neighbours() -> None:
    model, x = small(), pictures()
    fit_linear(model, x, ridge=1e-3)
    with torch.no_grad():
        z = model.encode(x).latents
        decoded = model.decode(z).sample
    neighbours = F.unfold(F.pad(z, (1, 1, 1, 1), mode="replicate"), 3).transpose(1, 2).reshape(-1, 54).numpy()
    patches = F.pixel_unshuffle(x, 16).permute(0, 2, 3, 1).reshape(-1, 768).numpy()
    oracle = Ridge(alpha=1e-3).fit(neighbours, patches).predict(neighbours)
    ours = F.pixel_unshuffle(decoded, 16).permute(0, 2, 3, 1).reshape(-1, 768).numpy()
    assert np.abs(ours - oracle).max() < 2e-2
    pca = PCA(6).fit(patches)
    alone = pca.inverse_transform(pca.transform(patches))
    assert ((ours - patches) ** 2).mean() < ((alone - patches) ** 2).mean()


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    model = small()
    model.save_pretrained(tmp_path)
    again = PatchAutoencoder.from_pretrained(tmp_path).eval()
    z = torch.randn(2, 6, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(model.decode(z).sample, again.decode(z).sample)
    assert again.decode(z).sample.shape == (2, 3, 64, 64)
    assert again.config.scaling_factor == 1.0
