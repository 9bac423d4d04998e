"""What the morphable head lacks or has too coarsely: eyeballs that turn, with a sharp iris, and long hair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from factory.faces.ict import PARTS
from factory.faces.looks import Look
from factory.faces.paint import EYE_RINGS, EYE_SECTORS, eye_angles
from factory.faces.raster import IndexArray
from factory.faces.scene import unit
from mien.face.blendshapes import INDEX
from mien.types import FloatArray


@dataclass(frozen=True)
class Sheet:
    """A surface to be drawn with the head: `vertices` [n, 3] cm, `triangles` [m, 3], linear RGB `colours`
    [n, 3] and the share of the sky it sees, `sky` [n]."""

    vertices: FloatArray
    triangles: IndexArray
    colours: FloatArray
    sky: FloatArray


_NOTHING = np.zeros((0, 3), np.float32)
NO_HAIR = Sheet(_NOTHING, np.zeros((0, 3), np.int32), _NOTHING, np.zeros(0, np.float32))


@lru_cache(maxsize=1)
def eye_grid() -> IndexArray:
    """Triangles [m, 3] of one eye's polar grid: rings of `EYE_SECTORS` vertices, from the axis outwards."""
    triangles = []
    for ring in range(EYE_RINGS - 1):
        for sector in range(EYE_SECTORS):
            following = (sector + 1) % EYE_SECTORS
            a, b = ring * EYE_SECTORS + sector, ring * EYE_SECTORS + following
            c, d = a + EYE_SECTORS, b + EYE_SECTORS
            triangles += [(a, c, d), (a, d, b)]
    return np.array(triangles, np.int32)


def gaze_axes(coefficients: FloatArray) -> FloatArray:
    """Where the left and the right eye look, [2, 3] unit vectors in the head's frame, for `coefficients`
    [52].

    ICT's eyeballs don't move with its shapes, so a full look is taken as 32 degrees sideways, 25 up and 30
    down.
    """
    axes = []
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        out, inward, up, down = (
            float(coefficients[INDEX[f"eyeLook{way}{side}"]]) for way in ("Out", "In", "Up", "Down")
        )
        across, rise = np.deg2rad(sign * 32 * (out - inward)), np.deg2rad(25 * up - 30 * down)
        axes.append([np.sin(across) * np.cos(rise), np.sin(rise), np.cos(across) * np.cos(rise)])
    return np.array(axes)


def eyeball(vertices: FloatArray, axis: FloatArray, pupil: float) -> FloatArray:
    """Grid [EYE_RINGS * EYE_SECTORS, 3] round `axis` [3] on the sphere that fits an outer eyeball's
    `vertices` [770, 3].
    """
    system = np.concatenate([2 * vertices, np.ones((len(vertices), 1))], 1).astype(np.float64)
    solved = np.linalg.lstsq(system, (vertices.astype(np.float64) ** 2).sum(1), rcond=None)[0]
    centre = solved[:3]
    radius = float(np.median(np.linalg.norm(vertices - centre, axis=1)))
    side = unit(np.cross([0.0, 1.0, 0.0], axis))
    up = np.cross(axis, side)
    angle = eye_angles(pupil)[:, None, None]
    turn = np.linspace(0, 2 * np.pi, EYE_SECTORS, endpoint=False)[None, :, None]
    grid = np.cos(angle) * axis + np.sin(angle) * (np.cos(turn) * side + np.sin(turn) * up)
    return (centre + radius * grid.reshape(-1, 3)).astype(np.float32)


def long_hair(shape: FloatArray, look: Look) -> Sheet:
    """Hair that hangs to the shoulders: a curved sheet round the back of the head, and its dark inner side.

    Empty for short hair.
    """
    if look.length == 0 or look.bald:
        return NO_HAIR
    rows, columns = 24, 40
    rng = np.random.default_rng(look.noise_seed + 3)
    skull = shape[PARTS["face"].start : PARTS["head"].stop]
    around = skull[(skull[:, 1] > 5) & (skull[:, 1] < 7)]
    width, top = float(np.abs(around[:, 0]).max()) + 0.5 + 0.6 * look.volume, float(skull[:, 1].max())
    depth = (float(around[:, 2].max()) - float(around[:, 2].min())) / 2 + 0.6 * look.volume
    middle_z = (float(around[:, 2].max()) + float(around[:, 2].min())) / 2
    heights = np.linspace(top - 0.5, 3.5 - look.length, rows)[:, None]
    turn = np.deg2rad(np.linspace(-1, 1, columns) * rng.uniform(98, 118))[None]
    rise = np.clip((heights - 5) / (top + 0.6 + 0.5 * look.volume - 5), 0, 1)
    radius = np.sqrt(1 - rise**2) * (1 + rng.uniform(-0.05, 0.12) * np.clip((4 - heights) / 12, 0, 1))
    radius = radius * (1 + 0.015 * np.sin(turn * rng.integers(9, 17) + heights * rng.uniform(0, 0.6)))
    sheet = np.stack(
        [width * radius * np.sin(turn), heights + 0 * turn, middle_z - depth * radius * np.cos(turn)], 2
    )
    sheet = sheet.reshape(-1, 3).astype(np.float32)
    inner = (sheet - [0, 0, middle_z]) * [0.985, 1, 0.985] + [0, 0, middle_z]
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    outside = np.concatenate(
        [np.stack([a, a + columns, a + 1], 1), np.stack([a + 1, a + columns, a + columns + 1], 1)]
    )
    triangles = np.concatenate([outside, outside[:, ::-1] + len(sheet)]).astype(np.int32)
    strands = (
        1 + 0.2 * rng.normal(size=(1, columns, 1)) + 0.05 * rng.normal(size=(rows, columns, 1))
    ).reshape(-1, 1)
    colours = np.concatenate(
        [look.hair * np.clip(strands, 0.4, 1.6), look.hair * 0.6 * np.ones_like(strands)]
    )
    sky = np.concatenate([np.full(len(sheet), 0.8), np.full(len(sheet), 0.25)])
    return Sheet(
        np.concatenate([sheet, inner]).astype(np.float32),
        triangles,
        colours.astype(np.float32),
        sky.astype(np.float32),
    )
