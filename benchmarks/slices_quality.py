"""What lossy pictures cost: WebP at several qualities, by what training makes of them.

    python benchmarks/slices_quality.py [--n 300] [--qualities 30 45 55 70 88] [--out runs/bench]

Bytes of a crop, its PSNR, and how far the latents, the identity and the expression that the embedded encoders read are
from those of the uncompressed crop: root mean square over the standard deviation, and the mean cosine. Crops of
prepared photographs that were not held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.data.dataset import load_faces, to_pixels
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import EmbeddedIdentity
from mien.files import write_text
from mien.models.autoencoder import PatchAutoencoder
from mien.training.slices.pictures import decode, encode, training_rows
from mien.weights.registry import SHIPPED_FOLDER


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", default="utkface-adults")
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--qualities", type=int, nargs="+", default=[30, 45, 55, 70, 88])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    faces = load_faces(given.source)
    crops = np.stack([np.asarray(faces.crops[row]) for row in training_rows(faces, given.n)])
    vae = PatchAutoencoder.from_pretrained(SHIPPED_FOLDER / "mini" / "vae", torch_dtype=torch.float32)
    identity, expression = EmbeddedIdentity(), EmbeddedExpression()

    @torch.no_grad()
    def read(pictures: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        x = to_pixels(pictures)
        return vae.encode(x).latents, identity.person(x), expression.embed(x)

    def apart(a: Tensor, b: Tensor) -> float:
        return float((a - b).square().mean().sqrt() / b.std())

    whole = read(crops)
    heads = ["WebP quality", "bytes", "PSNR", "latents off by", "identity: cosine", "expression off by"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for quality in given.qualities:
        data = [encode(crop, quality) for crop in crops]
        again = np.stack([decode(one) for one in data])
        psnr = 10 * np.log10(255**2 / ((again.astype(float) - crops) ** 2).mean())
        z, who, how = read(again)
        size = sum(map(len, data)) / len(data)
        lines.append(
            f"| {quality} | {size:,.0f} | {psnr:.1f} dB | {apart(z, whole[0]):.1%} | "
            f"{float(F.cosine_similarity(who, whole[1]).mean()):.3f} | {apart(how, whole[2]):.1%} |"
        )
    given.out.mkdir(parents=True, exist_ok=True)
    text = f"{given.source}, {len(crops)} crops\n\n" + "\n".join(lines) + "\n"
    write_text(given.out / "slices_quality.md", text)
    print(text)


if __name__ == "__main__":
    main()
