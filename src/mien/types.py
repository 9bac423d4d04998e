"""Types that all modules share.

Glossary of symbols: b batch, n tokens, d width, h and w latent size, H and W pixels, t timestep, ``alpha_bar`` the
cumulative product of DDPM, ``eps`` noise, z latent, x pixels in [-1, 1] (RGB, NCHW, float). Suffixes: ``_id``
identity, ``_exp`` expression, ``_bkg`` background. Images at the edge are PIL RGB or HWC uint8 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError as InputError
from mien.errors import nearest as nearest

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FloatArray = NDArray[np.floating]
ByteImage = NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(frozen=True)
class Face:
    """One face found in a picture.

    Attributes:
        box: [4] x0, y0, x1, y1 in pixels of the picture.
        landmarks: [478, 3] MediaPipe's points: x, y in pixels of the picture, z in the same scale (towards the
            camera is negative).
        blendshapes: [52] in [0, 1], in the order of ``mien.face.blendshapes.NAMES``.
        pose: [3] yaw, pitch, roll in degrees; signs as in ``mien.face.pose``.
        confidence: that this is a face, in [0, 1].
    """

    box: FloatArray
    landmarks: FloatArray
    blendshapes: FloatArray
    pose: FloatArray
    confidence: float


@dataclass
class Conditions:
    """What a noise predictor is told. Every field may be absent.

    Attributes:
        text: [b, n_t, d]. identity: [b, n_i, d]. expression: [b, n_e, d].
        background: masked background latent [b, c, h, w] (DiffSFSR). mask: [b, 1, h, w], 1 where to generate.
    """

    text: Tensor | None = None
    identity: Tensor | None = None
    expression: Tensor | None = None
    background: Tensor | None = None
    mask: Tensor | None = None

    def of(self, rows: Tensor) -> Conditions:
        """Those of some samples [k]; what is one for all stays."""
        fields = {name: value for name, value in vars(self).items() if value is not None}
        b = max(len(value) for value in fields.values())
        return Conditions(**{name: v[rows] if len(v) == b else v for name, v in fields.items()})


class NoisePredictor(Protocol):
    """``predict_noise(z_t, t, conditions) -> eps``: all that ``diffusion/`` knows of a network."""

    def __call__(self, z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor: ...


class FaceEncoder(Protocol):
    """A picture and the face meant in it -> [width] float32: what an adapter's branch is conditioned on."""

    name: str
    width: int

    def __call__(self, image: Image, face: Face) -> Tensor: ...
