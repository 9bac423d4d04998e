"""Numbers of a manifest's pictures that are computed once and cached beside it: embeddings and latents.

``kept/NAME.npy`` [n, …] float16 and ``kept/NAME.keys.npy`` [n], the keys of the rows. The first row is made again at
each start: if it has changed, the encoder has, and all is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from mien.data.records import Manifest
from mien.files import make_folder, replacing
from mien.types import FaceEncoder

Numbers = Callable[[int, Image.Image], Tensor]
"""A row of the manifest and its picture → float32 of any one shape."""

TOLERANCE = 0.02  # of float16 and of another machine's rounding, relative to the largest number


class Cache:
    """See the module. `Cache(manifest)(name, rows, numbers)[row]` is what `numbers` says of a row, float32."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.keys: list[str] = manifest.values("key")

    def encoded(self, branch: str, encoder: FaceEncoder, rows: Sequence[int]) -> Table:
        """What an encoder of "identity" or "expression" says of the rows' faces."""
        face = self.manifest.face
        return self(f"{branch}-{encoder.name}", rows, lambda row, image: encoder(image, face(row)))

    def __call__(self, name: str, rows: Sequence[int], numbers: Numbers) -> Table:
        """All of `rows`, from disk where they are there and of the same encoder."""
        folder = self.manifest.root / "kept"
        path, names = folder / f"{name}.npy", folder / f"{name}.keys.npy"
        wanted = [self.keys[row] for row in rows]
        first = numbers(rows[0], self.manifest.picture(rows[0])).float().numpy()
        if not _is_whole(path, names, wanted, first):
            make_folder(folder, "copy the set to where it can")
            with replacing(path) as temporary:
                table = np.lib.format.open_memmap(temporary, "w+", np.float16, (len(rows), *first.shape))
                for i, row in enumerate(tqdm(rows, desc=f"once: {name}", mininterval=5)):
                    table[i] = numbers(row, self.manifest.picture(row)).float().numpy()
                table.flush()
                del table
            with replacing(names) as temporary:
                np.save(temporary, np.array(wanted))
        return Table(path, {row: i for i, row in enumerate(rows)})


class Table:
    """Memory-mapped numbers by row."""

    def __init__(self, path: Path, places: dict[int, int]) -> None:
        self._values = np.load(path, mmap_mode="r")
        self._places = places

    def __getitem__(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self._values[self._places[row]], np.float32))


def _is_whole(path: Path, names: Path, wanted: list[str], first: np.ndarray) -> bool:
    if not (path.is_file() and names.is_file()):
        return False
    try:
        values, keys = np.load(path, mmap_mode="r"), np.load(names)
    except (OSError, ValueError):
        return False  # damaged: make them again
    if keys.tolist() != wanted or values.shape != (len(wanted), *first.shape):
        return False
    return bool(np.abs(values[0] - first).max() <= TOLERANCE * max(1e-3, float(np.abs(first).max())))
