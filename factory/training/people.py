"""Writes ``weights/mini/face/people.safetensors``: how identities of women's and men's photographs are spread.

    python -m factory.training.people [--recogniser FOLDER]

Of UTKFace's adults in the training part: frontal colour photographs, as a portrait to try everything on should be.
Run ``python -m factory.training.manifest`` afterwards, and again whenever the recogniser is another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from factory.faces.captions import age_words
from factory.faces.dataset import Faces, load_faces, split_rows
from factory.faces.sources import read_label
from factory.training.student import student_identity
from mien.encoders.identity import EMBEDDING, FACE_CELLS, colours
from mien.encoders.people import AGES, KINDS
from mien.face import pose
from mien.files import replacing
from mien.pixels import to_pixels
from mien.weights import SHIPPED_FOLDER

FOLDER = SHIPPED_FOLDER / "mini" / "face"
FRONTAL = 15.0  # degrees of yaw and of pitch
COLOURED = 0.12  # red above blue in the middle of a face; grey and tinted photographs have less
EVEN = 0.6  # of the colours' spread: the light of photographs varies more than that of portraits needs to


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recogniser", type=Path, default=FOLDER, help="folder of recogniser.safetensors")
    folder = parser.parse_args().recogniser
    faces = load_faces("utkface-adults")
    tint = torch.cat([colours(to_pixels(faces.crops[i : i + 512])) for i in range(0, len(faces), 512)])
    rows = usable(faces, tint)
    identity = torch.cat([student_identity(faces, folder), tint], dim=1)
    tensors: dict[str, Tensor] = {}
    for kind in KINDS:
        labels = {int(row): read_label(faces.source, str(faces.names[row])) for row in rows}
        ages = {row: label.age for row, label in labels.items() if label.gender == kind}
        groups = [
            identity[[row for row, age in ages.items() if age is not None and age_words(age) == word]]
            for word in AGES
        ]
        for name, values in spread(groups).items():
            tensors[f"{kind}.{name}"] = values.half().contiguous()
        print(f"{kind}:", ", ".join(f"{len(group)} {word}" for group, word in zip(groups, AGES, strict=True)))
    with replacing(FOLDER / "people.safetensors") as temporary:
        save_file(tensors, temporary)


def usable(faces: Faces, tint: Tensor) -> np.ndarray:
    """Rows of the training part's frontal colour photographs; tint [n, 96] of `colours`."""
    rows = split_rows(faces, held_out=False)
    angles = np.stack([pose.angles(matrix[:3, :3]) for matrix in faces.matrix[rows]])
    cells = tint[rows, : 3 * FACE_CELLS**2].view(-1, 3, FACE_CELLS, FACE_CELLS)[:, :, 1:-1, 1:-1]
    warmth = (cells[:, 0] - cells[:, 2]).mean((1, 2)).numpy()
    return rows[(np.abs(angles[:, :2]) < FRONTAL).all(1) & (warmth > COLOURED)]


def spread(groups: Sequence[Tensor]) -> dict[str, Tensor]:
    """Groups [n_g, 224] → their ``shares`` [g], ``means`` [g, 224] and a lower triangle ``factor`` [224, 224] of the
    covariance within them, whose colours are `EVEN`; float64."""
    sizes = torch.tensor([len(group) for group in groups])
    means = torch.stack([group.double().mean(0) for group in groups])
    rest = torch.cat([group.double() - mean for group, mean in zip(groups, means, strict=True)])
    factor = torch.linalg.cholesky(rest.T @ rest / (len(rest) - len(groups)))
    factor[EMBEDDING:] *= EVEN
    return {"shares": sizes / sizes.sum(), "means": means, "factor": factor}


if __name__ == "__main__":
    main()
