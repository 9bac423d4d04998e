"""How readings of a face answer to the coefficients of its warp, and what resting faces read as: `warping/response.npz`.

    python -m factory.response FOLDER...       # photographs; those of faces at rest are used

Each photo is warped by one blendshape at a time and read by the embedded analyser; gains are medians over photographs,
and mirror images are averaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import mien.warping
from mien.expressions.reading import at_rest
from mien.face.analyze import analyze
from mien.face.blendshapes import FLIP, NAMES
from mien.files import replacing
from mien.images import read_image
from mien.pipelines.photo import Closeup
from mien.types import FloatArray
from mien.warping.target import reading

AMOUNT = 0.6  # of a coefficient, forwards from rest
CALM = 0.06  # mean distance of a resting face's blendshapes from the median rest
RATIOS = (2, 3, 0, 1, 4)  # LMS's ratios as a mirror exchanges them


def mirrored(gain: FloatArray) -> FloatArray:
    """Gains [57, 52] of mirrored faces, but for the pupils' ratios, whose mirror image runs the same way."""
    rows = [*FLIP, *(52 + k for k in RATIOS)]
    return gain[rows][:, list(FLIP)]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=80, help="photographs at most")
    given = parser.parse_args()
    files = [file for folder in given.folders for file in sorted(folder.rglob("*.jpg"))]
    resting, gains = [], []
    for file in tqdm(files, mininterval=20):
        faces = analyze(read_image(file))
        if not faces or np.abs(faces[0].pose[:2]).max() > 12:
            continue
        face = faces[0]
        if np.abs(face.blendshapes - at_rest()).mean() > CALM or len(gains) >= given.count:
            continue
        resting.append(reading(face.blendshapes, face.landmarks))
        closeup = Closeup(np.asarray(read_image(file)), face)
        own = closeup.read(np.zeros(52), np.zeros(52))
        gain = np.zeros((57, 52))
        for k in range(1, 52):
            after = np.zeros(52)
            after[k] = AMOUNT
            gain[:, k] = (closeup.read(np.zeros(52), after) - own) / AMOUNT
        gains.append(gain)
    gain = np.median(gains, 0)
    out = Path(mien.warping.__file__).with_name("response.npz")
    rest, spread = np.mean(resting, 0), np.std(resting, 0)
    both = [*FLIP, *(52 + k for k in RATIOS)]
    with replacing(out) as temporary:
        np.savez_compressed(
            temporary,
            gain=((gain + mirrored(gain)) / 2).astype(np.float32),
            rest=((rest + rest[both]) / 2).astype(np.float32),
            spread=((spread + spread[both]) / 2).astype(np.float32),
        )
    strongest = sorted(zip(NAMES, np.diag(gain[:52]), strict=True), key=lambda pair: pair[1])
    print(f"{out.name}: {len(gains)} photographs; own gains from {strongest[1]} to {strongest[-1]}")


if __name__ == "__main__":
    main()
