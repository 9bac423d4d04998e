"""dlib's face recogniser: a ResNet whose 128 numbers lie within 0.6 of each other for one person.

It scores, and our own recogniser was taught by it. Its weights are public domain (Davis King, 2017,
http://dlib.net/files) and come inside the package `face_recognition_models`, which is never imported: it needs
`pkg_resources`, which current Pythons no longer have.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien import weights
from mien.errors import WHY, InputError, optional, saying
from mien.face.align import similarity, warp
from mien.face.landmarks import FIVE_POINTS
from mien.types import ByteImage, Face, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

ENTRY = "dlib_recogniser"  # of the registry of weights
WIDTH = 128
CHIP_SIZE = 150

# dlib's mean face, five points in the order of `FIVE_POINTS`, as a share of the box they define
# (dlib, image_transforms/interpolation.h: get_face_chip_details), and the margin dlib adds on every side.
_MEAN_FACE = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
_PADDING = 0.25
_PLACES = (_MEAN_FACE + _PADDING) / (1 + 2 * _PADDING) * CHIP_SIZE


def find_weights(path: str | Path | None = None) -> Path:
    """The recogniser's ``.dat``: `path`, else the fetched one, else that of `face_recognition_models`. Raises
    `InputError`: it is in none of them, or damaged; the sentence says how to get it."""
    if path is not None:
        if not Path(path).is_file():
            raise InputError(f"The dlib weights {path} do not exist: run `mien models fetch {ENTRY}`.")
        return Path(path)
    entry = weights.entry(ENTRY)
    if weights.check(entry, entry.files[0]) is weights.Status.MISSING:
        spec = importlib.util.find_spec("face_recognition_models")  # looks, and does not import
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            installed = Path(folder) / "models" / entry.root
            if installed.is_file():
                return installed
    return weights.path(ENTRY)  # raises the sentence that says what to fetch


class DlibRecogniser:
    """Identity by dlib, of the ``.dat`` at `path` (None: `find_weights`); not differentiable. One call runs at a time
    (it holds a lock): threads may share it."""

    name = "dlib"
    width = WIDTH

    def __init__(self, path: str | Path | None = None) -> None:
        path = find_weights(path)
        dlib = optional("dlib", "The dlib recogniser needs dlib: pip install dlib-bin.")
        with saying(f"{path} is not dlib's recogniser ({WHY}): fetch it again.", RuntimeError):
            self._network = dlib.face_recognition_model_v1(str(path))
        self._lock = threading.Lock()

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """The embedding [128] float32 of one face of a PIL picture; compare by Euclidean distance."""
        import torch

        return torch.from_numpy(self.embed_chip(chip(image, face)))

    def embed_chip(self, pixels: ByteImage) -> FloatArray:
        """[128] float32 of an aligned face [150, 150, 3] uint8 RGB."""
        with self._lock:
            return np.array(self._network.compute_face_descriptor(pixels), np.float32)


def chip(image: Image.Image, face: Face) -> ByteImage:
    """The face upright in [150, 150, 3] uint8 RGB, as dlib's recogniser was trained on it. MediaPipe's five points give
    embeddings within 0.12 of those by dlib's own predictor on average (UTKFace and LFW crops), as near as a second run
    of dlib's detector comes. Outside the picture its edge is repeated, not dlib's black (0.15)."""
    return chip_of_pixels(np.asarray(image.convert("RGB")), face.landmarks)


def chip_of_pixels(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    """`chip` of HWC uint8 RGB and landmarks [478, 3] px."""
    points = landmarks[list(FIVE_POINTS), :2]
    return np.ascontiguousarray(warp(image, similarity(points, _PLACES), CHIP_SIZE))


def load() -> DlibRecogniser:
    """`DlibRecogniser`, kept for the next caller as long as its weights are found in the same place."""
    return _load(find_weights().resolve())


@lru_cache(maxsize=1)
def _load(path: Path) -> DlibRecogniser:
    return DlibRecogniser(path)
