"""How much the autoencoder alone loses, on canonical crops of held-out photographs that it never saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.table import Row
from mien.backbones import Backbone
from mien.metrics import statistics
from mien.metrics.scoring import Observation
from mien.types import FloatArray

BATCH = 16
PATCH = 16  # px, of the encoder; a grid would lie on its borders


def reconstruct(backbone: Backbone, crops: Sequence[Image.Image], grain: bool = False) -> list[Image.Image]:
    """Encoded and decoded again; `grain`: with what is drawn for portraits, by the picture's place in `crops`."""
    import torch

    from mien.pipelines.diffusers_names import to_pil

    made: list[Image.Image] = []
    for first in range(0, len(crops), BATCH):
        x = np.stack([np.asarray(crop) for crop in crops[first : first + BATCH]])
        with torch.no_grad():
            pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1
            seeds = range(first, first + len(x))
            drawn = [torch.Generator().manual_seed(seed) for seed in seeds] if grain else None
            made += to_pil(backbone.decode(backbone.encode(pixels), drawn).clamp(-1, 1))
    return made


def psnr(a: Image.Image, b: Image.Image) -> float:
    """10 log10(255^2 / MSE), dB."""
    error = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(10 * np.log10(255**2 / (error**2).mean()))


def drift(a: Sequence[Observation | None], b: Sequence[Observation | None]) -> FloatArray:
    """[n] distance of identity embeddings; nan where no face is seen in either."""
    return np.array(
        [
            np.nan if x is None or y is None else np.linalg.norm(x.identity - y.identity)
            for x, y in zip(a, b, strict=True)
        ]
    )


def grid(images: Sequence[Image.Image]) -> FloatArray:
    """[n] mean step between pixels across the borders of the encoder's patches over the mean step elsewhere: 1, no
    grid.
    """
    values = []
    for image in images:
        x = np.asarray(image.convert("L"), np.float64)
        steps = [np.abs(np.diff(x, axis=axis)).mean(axis=1 - axis) for axis in (0, 1)]
        borders = np.arange(1, x.shape[0]) % PATCH == 0
        values.append(
            np.mean([step[borders].mean() for step in steps])
            / np.mean([step[~borders].mean() for step in steps])
        )
    return np.array(values)


def rows(
    crops: Sequence[Image.Image],
    rebuilt: Sequence[Image.Image],
    seen: tuple[Sequence[Observation | None], Sequence[Observation | None]],
) -> list[Row]:
    """The card's lines of it."""
    distances = drift(*seen)
    found = distances[~np.isnan(distances)]
    return [
        Row(
            "autoencoder: PSNR, dB",
            statistics.mean(np.array([psnr(*pair) for pair in zip(crops, rebuilt, strict=True)])),
            30.0,
            spec=".1f",
            note=f"{len(crops)} photographs",
        ),
        Row(
            "autoencoder: dlib distance to the original",
            statistics.mean(found),
            0.3,
            at_least=False,
            note=f"{len(found)} with a face",
        ),
        Row(
            "autoencoder: steps on its grid ÷ elsewhere, over the originals'",
            statistics.ratio_of_means(grid(rebuilt), grid(crops)),
            note="1: no grid",
        ),
    ]
