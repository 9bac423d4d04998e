"""Camera, light and background of a rendered head, and how its vertices are shaded.

Camera and pose: the camera looks down -z, y is up, x right (MediaPipe's convention); the head's rotation is
that of `mien.face.pose`. Colours are linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from factory.faces.coefficients import to_vector
from factory.faces.ict import PARTS, IctHead
from factory.faces.paint import EYE_RINGS, EYE_SECTORS
from factory.faces.raster import IndexArray, vertex_normals, visibility
from mien.types import FloatArray

SIZE = 192


@dataclass(frozen=True)
class View:
    """Camera, light and background of one picture.

    Attributes:
        pose: yaw, pitch, roll in degrees. scale: pixels a centimetre at the face's depth, at 192 px. shift:
        [2] px. distance: of the camera, cm. key_direction: [3] unit, towards the light. key, fill, ambient:
        linear RGB [3]. exposure: brightness of a white face. background: [192, 192, 3] float32 linear RGB.
    """

    pose: FloatArray
    scale: float
    shift: FloatArray
    distance: float
    key_direction: FloatArray
    fill_direction: FloatArray
    key: FloatArray
    fill: FloatArray
    ambient: FloatArray
    exposure: float
    background: FloatArray
    noise: float
    seed: int


def sample_view(rng: np.random.Generator) -> View:
    """A random view: yaw within 35 degrees, pitch 20, roll 10; the face about 65% of the picture's height."""
    limits = np.array([35.0, 20.0, 10.0])
    pose = np.clip(rng.normal(0, limits * 0.5), -limits, limits)
    temperature = rng.normal(0, 0.1)
    tint = np.array([1 + temperature, 1.0, 1 - temperature]) * (1 + rng.normal(0, 0.03, 3))
    key_direction = unit(np.array([rng.normal(0, 0.8), rng.uniform(-0.15, 1.2), rng.uniform(0.5, 1.3)]))
    fill_direction = unit(np.array([-key_direction[0] + rng.normal(0, 0.3), rng.uniform(-0.3, 0.6), 1.0]))
    contrast = rng.uniform(0.35, 1.0)
    return View(
        pose=pose.astype(np.float32),
        scale=float(rng.normal(7.6, 0.35)),
        shift=rng.normal(0, 4, 2).astype(np.float32),
        distance=float(rng.uniform(45, 120)),
        key_direction=key_direction,
        fill_direction=fill_direction,
        key=(contrast * tint).astype(np.float32),
        fill=(rng.uniform(0.1, 0.45) * (1 + rng.normal(0, 0.08, 3))).astype(np.float32),
        ambient=((1.15 - contrast) * 0.6 * (1 + rng.normal(0, 0.05, 3)) * (2 - tint)).astype(np.float32),
        exposure=float(rng.uniform(0.7, 1.05)),
        background=_background(rng),
        noise=float(rng.uniform(0, 0.012)),
        seed=int(rng.integers(2**31)),
    )


def unit(vector: FloatArray) -> FloatArray:
    """`vector` [3] at length 1."""
    return np.asarray(vector / np.linalg.norm(vector))


def _background(rng: np.random.Generator) -> FloatArray:
    """Plain, a gradient, or blurred blobs: [192, 192, 3] float32 linear RGB."""
    base = rng.uniform(0.03, 0.9) ** 1.6 * (1 + rng.normal(0, 0.25, 3)).clip(0.3, 1.7)
    kind = rng.integers(3)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    if kind == 0:
        field = np.ones_like(x)
    elif kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        field = 1 + rng.uniform(0.2, 0.8) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    else:
        coarse = rng.uniform(0.2, 1.8, (8, 8))
        places = np.linspace(0, 7, SIZE)
        rows = np.stack([np.interp(places, np.arange(8), line) for line in coarse])
        field = np.stack([np.interp(places, np.arange(8), column) for column in rows.T], 1)
    return np.clip(field[..., None] * base, 0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def ambient_occlusion(head: IctHead) -> FloatArray:
    """Share [26719] of the sky each vertex of the mean head sees (the mouth's inside: with the jaw half
    open).
    """
    opened = head.expressed(head.neutral, to_vector({"jawOpen": 0.6}))
    rng = np.random.default_rng(7)
    directions = rng.normal(size=(48, 3)) + [0, 0.25, 0.35]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = []
    for vertices in (head.neutral, opened):
        normals = vertex_normals(vertices, head.solid)
        seen, weight = np.zeros(len(vertices), np.float32), np.zeros(len(vertices), np.float32)
        for direction in directions:
            cosine = np.clip(normals @ direction.astype(np.float32), 0, 1)
            seen += cosine * visibility(vertices, head.solid, direction, 0.35)
            weight += cosine
        shares.append(seen / np.maximum(weight, 1e-3))
    combined, agape = shares
    for part in ("mouth_socket", "gums", "teeth"):
        combined[PARTS[part]] = agape[PARTS[part]]
    combined[PARTS["teeth"]] = 0.25 + 0.75 * np.sqrt(combined[PARTS["teeth"]])  # enamel scatters
    combined[PARTS["mouth_socket"]] **= 1.5
    return np.clip(combined, 0.05, 1)


def shade(
    vertices: FloatArray,
    normals: FloatArray,
    triangles: IndexArray,
    colours: FloatArray,
    open_sky: FloatArray,
    shine: float,
    view: View,
) -> FloatArray:
    """Light reflected by each vertex, linear RGB [n, 3]: wrapped Lambert key with a shadow map, fill, sky,
    Blinn shine.
    """
    skin = slice(0, PARTS["head"].stop)
    eyes = slice(PARTS["lashes"].stop, PARTS["lashes"].stop + 2 * EYE_RINGS * EYE_SECTORS)
    key_cosine = normals @ view.key_direction.astype(np.float32)
    shadow = visibility(vertices, triangles, view.key_direction, 0.3)
    wrapped = np.clip((key_cosine + 0.25) / 1.25, 0, 1) * (0.25 + 0.75 * shadow)
    bleed = np.clip((key_cosine[:, None] + np.array([0.4, 0.22, 0.18], np.float32)) / 1.3, 0, 1) * (
        0.25 + 0.75 * shadow[:, None]
    )
    key = np.repeat(wrapped[:, None], 3, 1)
    key[skin] = bleed[skin]
    fill = np.clip((normals @ view.fill_direction.astype(np.float32) + 0.3) / 1.3, 0, 1)
    sky = open_sky * (0.75 + 0.25 * normals[:, 1])
    light = key * view.key + (fill * open_sky)[:, None] * view.fill + sky[:, None] * view.ambient
    front = light[PARTS["face"]][normals[PARTS["face"], 2] > 0.3]
    gain = view.exposure / max(float(front.mean()), 1e-3)
    half = unit(view.key_direction + np.array([0.0, 0.0, 1.0]))
    gloss = np.clip(normals @ half.astype(np.float32), 0, 1)
    spots = np.zeros(len(vertices), np.float32)
    spots[skin] = shine * gloss[skin] ** 18 * shadow[skin]
    spots[PARTS["teeth"]] = 0.2 * gloss[PARTS["teeth"]] ** 30
    spots[eyes] = 0.9 * gloss[eyes] ** 250
    return ((colours * light + spots[:, None] * view.key) * gain).astype(np.float32)
