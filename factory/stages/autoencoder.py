"""Trains the decoder of the embedded autoencoder; its encoder is fitted in closed form (`fit_linear`).

First on pixels alone; then, given a recogniser, to look like photographs: as sharp as they are, place by place
(`training.features.energy_distance`), and alike to a network that knows faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from factory.faces.dataset import load_faces, split_rows
from factory.training.features import energy_distance, feature_distance, feature_maps, periodic_error
from mien.diffusion.losses import identity_loss
from mien.encoders.identity import load_recogniser
from mien.face.blendshapes import INDEX
from mien.models.autoencoder import PatchAutoencoder
from mien.pixels import to_bytes, to_pixels
from mien.types import InputError

SOURCES = ("utkface-adults", "lfw-gray", "portraits-of-nobody", "renders-train")
PHOTOGRAPHS = ("utkface-adults", "lfw-gray")
OPEN = 0.25  # jawOpen of an open mouth


@torch.no_grad()
def fit_linear(model: PatchAutoencoder, pictures: Tensor, ridge: float = 1e-3) -> None:
    """Set the patch encoder and patch decoder of `model` in closed form, from `pictures` [n, 3, H, W] in [-1, 1].

    Encoder: principal components of the patches, component k scaled by 1 / sqrt(std_k) and all by one number so that
    the mean variance of a latent channel is 1. Decoder: ridge regression from 3 x 3 neighbouring latents to patches.
    """
    channels = model.config.latent_channels
    patches = F.pixel_unshuffle(pictures, 16).permute(0, 2, 3, 1).reshape(-1, 768).double()
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    std = values.flip(0)[:channels].sqrt()
    basis = vectors.flip(1)[:, :channels] / std.sqrt() / std.mean().sqrt()  # [768, c]
    # pixel_unshuffle orders a patch as (colour, row, column), as a convolution kernel does.
    model.patch_encoder.weight.copy_(basis.T.reshape(channels, 3, 16, 16))
    model.patch_encoder.bias.copy_(-(mean @ basis))  # type: ignore[union-attr]
    latents = F.pad(model.encode(pictures).latents, (1, 1, 1, 1), mode="replicate")
    neighbours = F.unfold(latents, 3).transpose(1, 2).reshape(-1, 9 * channels).double()
    inputs = torch.cat([neighbours, torch.ones_like(neighbours[:, :1])], dim=1)
    gram = inputs.T @ inputs + ridge * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, inputs.T @ patches)  # [9c + 1, 768]
    model.patch_decoder.weight.copy_(solution[:-1].T.reshape(768, channels, 3, 3))
    model.patch_decoder.bias.copy_(solution[-1])  # type: ignore[union-attr]


def gradient_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical differences, at three scales. x, y: [b, 3, H, W]."""
    total = x.new_zeros(())
    for _ in range(3):
        for axis in (2, 3):
            total = total + (x.diff(dim=axis) - y.diff(dim=axis)).abs().mean()
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return total / 6


class AutoencoderStage:
    """L1 + L2 + gradient loss on decoded latents with a little noise, so that imperfect latents decode well too.

    Args:
        sources: prepared sets to draw from; with a mapping, how often each is, relative.
        emphasis: share of a photographs' set that is drawn from those with open mouths (jawOpen above `OPEN`),
            which are few and hard.
        latent_channels: of the autoencoder.
        noise: largest standard deviation of the noise added to the latents (uniform from 0).
        gradient_weight: weight of `gradient_loss`.
        fit_pictures: pictures for the closed-form fit.
        start: folder of an earlier result to go on from, instead of a fit.
        energy_weight: weight of `energy_distance`, without which what the latents do not tell is left smooth.
        periodic_weight: of `periodic_error`, without which energy comes as a pattern.
        recogniser: file of the trained recogniser, whose features (`feature_weight`) and embeddings (`identity_weight`,
            DiffSFSR Eq. 5) are compared.
    """

    def __init__(
        self,
        sources: Sequence[str] | Mapping[str, float] = SOURCES,
        emphasis: float = 0.0,
        latent_channels: int = 16,
        noise: float = 0.15,
        gradient_weight: float = 0.5,
        fit_pictures: int = 2000,
        start: str | None = None,
        energy_weight: float = 0.0,
        periodic_weight: float = 0.0,
        recogniser: str | None = None,
        feature_weight: float = 0.0,
        identity_weight: float = 0.0,
    ) -> None:
        self.sets = [load_faces(source) for source in sources]
        rows = [split_rows(faces, held_out=False) for faces in self.sets]
        shares = list(sources.values()) if isinstance(sources, Mapping) else [float(len(r)) for r in rows]
        self.groups: list[tuple[int, np.ndarray]] = list(enumerate(rows))
        for s, faces in enumerate(self.sets):
            wide = rows[s][faces.blendshapes[rows[s], INDEX["jawOpen"]] > OPEN]
            if emphasis and len(wide) and faces.source in PHOTOGRAPHS:
                self.groups.append((s, wide))
                shares.append(shares[s] * emphasis)
                shares[s] *= 1 - emphasis
        self.shares = torch.tensor(shares)
        held = [(0, int(i)) for i in split_rows(self.sets[0], held_out=True)[:256]]
        self.held = to_pixels(self._crops(held))
        self.noise, self.gradient_weight = noise, gradient_weight
        torch.manual_seed(0)
        if start is None:
            self.model = PatchAutoencoder(latent_channels=latent_channels)
            every = [(s, int(i)) for s, part in enumerate(rows) for i in part]
            chosen = np.random.default_rng(0).permutation(len(every))[:fit_pictures]
            fit_linear(self.model, to_pixels(self._crops([every[i] for i in sorted(chosen)])))
        else:
            self.model = PatchAutoencoder.from_pretrained(start, torch_dtype=torch.float32)
        self.model.requires_grad_(True)
        self.model.patch_encoder.requires_grad_(False)
        if (feature_weight or identity_weight) and recogniser is None:
            raise InputError("feature_weight and identity_weight need recogniser=FILE, which compares")
        self.recogniser = load_recogniser(Path(recogniser)) if recogniser else None
        self.energy_weight, self.periodic_weight = energy_weight, periodic_weight
        self.feature_weight, self.identity_weight = feature_weight, identity_weight

    def _crops(self, rows: list[tuple[int, int]]) -> np.ndarray:
        return np.stack([self.sets[s].crops[i] for s, i in rows])

    def modules(self) -> dict[str, nn.Module]:
        return {"vae": self.model}

    def trainable(self) -> Iterable[nn.Parameter]:
        return (p for p in self.model.parameters() if p.requires_grad)

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        drawn = torch.multinomial(self.shares, size, replacement=True, generator=rng).tolist()
        places = torch.rand(size, generator=rng).tolist()
        groups = [self.groups[g] for g in drawn]
        x = to_pixels(
            self._crops(
                [(s, int(rows[int(u * len(rows))])) for (s, rows), u in zip(groups, places, strict=True)]
            )
        )
        flip = torch.rand(size, generator=rng) < 0.5
        return {"x": torch.where(flip[:, None, None, None], x.flip(3), x)}

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = batch["x"]
        z = self.latents(x, rng)
        y = self.model.decode(z).sample.float()
        l1, l2, gradient = F.l1_loss(y, x), F.mse_loss(y, x), gradient_loss(y, x)
        loss = l1 + l2 + self.gradient_weight * gradient
        logs = {"l1": l1.item(), "gradient": gradient.item()}
        if self.energy_weight:
            energy = energy_distance(y, x)
            loss = loss + self.energy_weight * energy
            logs["energy"] = energy.item()
        if self.periodic_weight:
            periodic = periodic_error(y, x)
            loss = loss + self.periodic_weight * periodic
            logs["periodic"] = periodic.item()
        if self.recogniser is not None and (self.identity_weight or self.feature_weight):
            recogniser = self.recogniser.to(x.device)
            maps = feature_maps(recogniser.trunk, torch.cat([y, x]))
            if self.identity_weight:
                who = recogniser.head(recogniser.squeeze(maps[-1]).flatten(1)).float().chunk(2)
                identity = identity_loss(who[0], who[1].detach())
                loss = loss + self.identity_weight * identity
                logs["identity"] = identity.item()
            if self.feature_weight:
                distance = feature_distance(maps)
                loss = loss + self.feature_weight * distance
                logs["features"] = distance.item()
        return loss, {"loss": loss.item(), **logs}

    @torch.no_grad()
    def latents(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """What is decoded for pictures x [b, 3, H, W]: [b, c, h, w] float32."""
        z = self.model.encode(x).latents.float()
        sigma = self.noise * torch.rand(len(z), 1, 1, 1, generator=rng)
        return z + (sigma * torch.randn(z.shape, generator=rng)).to(z)

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        decoded = (
            torch.cat([self.model(part) for part in self.held.to(self.model.device).split(32)]).float().cpu()
        )
        mse = (decoded.clamp(-1, 1) - self.held).square().mean(dim=(1, 2, 3))
        psnr = (10 * torch.log10(4 / mse)).mean()
        rows = [to_bytes(self.held[:10]), to_bytes(decoded[:10])]
        sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
        return {"held_out_psnr": float(psnr)}, Image.fromarray(sheet)

    def export(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
