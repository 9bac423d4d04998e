"""ICT-FaceKit's light morphable head (Li et al., "Learning Formation of Physically-Based Face Attributes",
CVPR 2020).

    vertices = neutral + sum_i w_i identity_i + sum_j e_j expression_j,    w_i ~ N(0, 1), e_j in [0, 1]

Units are centimetres; x grows to the subject's left, y up, z out of the face. The file ``ict_facekit.npz``
lies beside the project (see `factory.faces.sources.shared_dir`) and is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from factory.faces.raster import IndexArray
from factory.faces.sources import shared_dir
from mien.face.blendshapes import NAMES
from mien.types import FloatArray, InputError

# Vertex ranges of the parts (ICT-FaceKit's README, "Face Model Topology").
PARTS: dict[str, slice] = {
    "face": slice(0, 9409),
    "head": slice(9409, 11248),
    "mouth_socket": slice(11248, 13294),
    "eye_sockets": slice(13294, 14062),
    "gums": slice(14062, 17039),
    "teeth": slice(17039, 21451),
    "sclera_left": slice(21451, 22221),
    "iris_left": slice(22221, 23021),
    "sclera_right": slice(23021, 23791),
    "iris_right": slice(23791, 24591),
    "lashes": slice(25351, 26719),
}

# Multi-PIE's landmarks on the mesh (same README): brows from the outside in or the inside out, lips round
# the outside.
BROWS = ((268, 493, 1914, 2044, 1401), (2509, 2734, 4114, 4240, 3615))
OUTER_LIPS = (5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841)
EYE_LINES = ((1507, 1542, 1537, 1528, 1518, 1511), (3742, 3751, 3756, 3721, 3725, 3732))

# Left out of `IctHead.solid`: what is transparent, and the eyeballs, which the renderer draws on a finer
# grid.
_LEFT_OUT = (
    "M_EyeBlend",
    "M_EyeOcclusion",
    "M_LacrimalFluid",
    "M_IrisLeft",
    "M_IrisRight",
    "M_ScleraLeft",
    "M_ScleraRight",
)

# ICT's shapes that are fainter at 1 than what ARKit, and people, call a full movement.
_GAIN = {
    "browDownLeft": 1.5,
    "browDownRight": 1.5,
    "mouthFrownLeft": 1.3,
    "mouthFrownRight": 1.3,
    "cheekPuff": 1.5,
    "eyeWideLeft": 1.2,
    "eyeWideRight": 1.2,
}


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, so that caches can hold it
class IctHead:
    """The morphable head, ready to be posed.

    Attributes:
        neutral: [26719, 3] float32, cm. identity: [100, 26719 * 3] float32. expression: [52, 26719 * 3]
            float32 in the order of `mien.face.blendshapes.NAMES` (left and right halves of a bilateral name
            are summed; `_neutral` is 0).
        solid: [m, 3] int32 triangles that hide what lies behind. lashes: [k, 3] int32 triangles.
    """

    neutral: FloatArray
    identity: FloatArray
    expression: FloatArray
    solid: IndexArray
    lashes: IndexArray

    def person(self, weights: FloatArray) -> FloatArray:
        """Expressionless head [26719, 3] float32 of identity `weights` [100]."""
        return self.neutral + (weights.astype(np.float32) @ self.identity).reshape(-1, 3)

    def expressed(self, person: FloatArray, coefficients: FloatArray) -> FloatArray:
        """`person` [26719, 3] with `coefficients` [52] in [0, 1]."""
        used = np.flatnonzero(coefficients)
        offset = coefficients[used].astype(np.float32) @ self.expression[used]
        return person + offset.reshape(-1, 3)


def expression_rows(name: str, available: list[str]) -> list[int]:
    """Rows of ICT's shapes that one of MediaPipe's blendshapes `name` stands for.

    ``browInnerUp`` and ``cheekPuff`` are split in two by ICT; a squinting cheek is also a raised one (FACS
    AU6).
    """
    side = "L" if name.endswith("Left") else "R" if name.endswith("Right") else ""
    stem = name.removesuffix("Left").removesuffix("Right")
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        wanted = [name]
    elif side:
        wanted = [f"{stem}_{side}"] + ([f"cheekRaiser_{side}"] if stem == "cheekSquint" else [])
    else:
        wanted = [name, f"{name}_L", f"{name}_R"]
    return [available.index(shape) for shape in wanted if shape in available]


@lru_cache(maxsize=1)
def load_head(path: Path | None = None) -> IctHead:
    """Read the head from ``ict_facekit.npz`` (default: in the shared data folder); about 0.5 s and 60 MB.

    Raises:
        InputError: the file is missing, or is not ICT-FaceKit's head.
    """
    path = path or shared_dir() / "data" / "ict_facekit.npz"
    if not path.is_file():
        raise InputError(
            f"{path}: ICT-FaceKit's head is not there; set MIEN_SHARED to the folder that holds data/."
        )
    with np.load(path, allow_pickle=False) as file:
        if file["neutral"].shape != (26719, 3):
            raise InputError(f"{path}: not ICT-FaceKit's light head (26719 vertices); fetch it again.")
        shapes = [str(name) for name in file["expression_names"]]
        offsets = file["expression"].astype(np.float32).reshape(len(shapes), -1)
        expression = np.stack(
            [_GAIN.get(name, 1.0) * offsets[expression_rows(name, shapes)].sum(0) for name in NAMES]
        )
        materials = [str(name) for name in file["material_names"]]
        names = np.array(materials)[file["material"]]
        triangles = file["faces"].astype(np.int32)
        return IctHead(
            neutral=file["neutral"].astype(np.float32),
            identity=file["identity"].astype(np.float32).reshape(100, -1),
            expression=expression,
            solid=np.ascontiguousarray(triangles[~np.isin(names, (*_LEFT_OUT, "M_EyeLashes"))]),
            lashes=np.ascontiguousarray(triangles[names == "M_EyeLashes"]),
        )
