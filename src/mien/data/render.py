"""Pictures of synthetic heads with known identity, expression and pose: ICT-FaceKit's head, painted, lit and rasterised.

    python -m mien.data.render OUT.npz --heads 100 --per-head 6 --seed 0 --split train

Camera and pose: the camera looks down -z, y is up, x right (MediaPipe's convention). The head's rotation is
R = Rz(-roll) Ry(yaw) Rx(-pitch): yaw > 0 turns the face to the image's right, pitch > 0 up, roll > 0 clockwise.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mien.data.coefficients import sample, to_vector
from mien.data.ict import PARTS, IctHead, load_head
from mien.data.paint import EYE_RINGS, EYE_SECTORS, Look, albedo, eye_angles, eye_colours, regions, sample_look
from mien.data.labels import Labeller
from mien.data.raster import rasterise, reduce_area, vertex_normals, visibility
from mien.face.blendshapes import INDEX
from mien.face.pose import rotation
from mien.files import replacing
from mien.types import ByteImage, FloatArray

SIZE = 192
SUPERSAMPLING = 2
PIVOT = np.array([0.0, 0.6, 3.0], np.float32)  # what the head turns about, and the camera aims at; cm


@dataclass(frozen=True)
class View:
    """Camera, light and background of one picture.

    Attributes:
        pose: yaw, pitch, roll in degrees. scale: pixels a centimetre at the face's depth, at 192 px. shift: [2] px.
        distance: of the camera, cm. key_direction: [3] unit, towards the light. key, fill, ambient: linear RGB [3].
        exposure: brightness of a white face. background: [192, 192, 3] float32 linear RGB.
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
    key_direction = _unit(np.array([rng.normal(0, 0.8), rng.uniform(-0.15, 1.2), rng.uniform(0.5, 1.3)]))
    fill_direction = _unit(np.array([-key_direction[0] + rng.normal(0, 0.3), rng.uniform(-0.3, 0.6), 1.0]))
    contrast = rng.uniform(0.35, 1.0)
    return View(
        pose=pose.astype(np.float32), scale=float(rng.normal(7.6, 0.35)), shift=rng.normal(0, 4, 2).astype(np.float32),
        distance=float(rng.uniform(45, 120)), key_direction=key_direction, fill_direction=fill_direction,
        key=(contrast * tint).astype(np.float32),
        fill=(rng.uniform(0.1, 0.45) * (1 + rng.normal(0, 0.08, 3))).astype(np.float32),
        ambient=((1.15 - contrast) * 0.6 * (1 + rng.normal(0, 0.05, 3)) * (2 - tint)).astype(np.float32),
        exposure=float(rng.uniform(0.7, 1.05)), background=_background(rng), noise=float(rng.uniform(0, 0.012)),
        seed=int(rng.integers(2**31)),
    )


def _unit(vector: FloatArray) -> FloatArray:
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
def _eye_grid() -> FloatArray:
    """Triangles of one eye's polar grid: rings of `EYE_SECTORS` vertices, from the axis outwards."""
    triangles = []
    for ring in range(EYE_RINGS - 1):
        for sector in range(EYE_SECTORS):
            following = (sector + 1) % EYE_SECTORS
            a, b = ring * EYE_SECTORS + sector, ring * EYE_SECTORS + following
            c, d = a + EYE_SECTORS, b + EYE_SECTORS
            triangles += [(a, c, d), (a, d, b)]
    return np.array(triangles, np.int32)


def gaze_axes(coefficients: FloatArray) -> FloatArray:
    """Where the left and the right eye look, [2, 3] unit vectors in the head's frame, for `coefficients` [52].

    ICT's eyeballs don't move with its shapes, so a full look is taken as 32 degrees sideways, 25 up and 30 down.
    """
    axes = []
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        out, inward, up, down = (
            float(coefficients[INDEX[f"eyeLook{way}{side}"]]) for way in ("Out", "In", "Up", "Down"))
        across, rise = np.deg2rad(sign * 32 * (out - inward)), np.deg2rad(25 * up - 30 * down)
        axes.append([np.sin(across) * np.cos(rise), np.sin(rise), np.cos(across) * np.cos(rise)])
    return np.array(axes)


def _eyeball(vertices: FloatArray, axis: FloatArray, pupil: float) -> FloatArray:
    """Grid [EYE_RINGS * EYE_SECTORS, 3] round `axis` [3] on the sphere that fits an outer eyeball's `vertices` [770, 3]."""
    system = np.concatenate([2 * vertices, np.ones((len(vertices), 1))], 1).astype(np.float64)
    solved = np.linalg.lstsq(system, (vertices.astype(np.float64) ** 2).sum(1), rcond=None)[0]
    centre = solved[:3]
    radius = float(np.median(np.linalg.norm(vertices - centre, axis=1)))
    side = _unit(np.cross([0.0, 1.0, 0.0], axis))
    up = np.cross(axis, side)
    angle = eye_angles(pupil)[:, None, None]
    turn = np.linspace(0, 2 * np.pi, EYE_SECTORS, endpoint=False)[None, :, None]
    grid = np.cos(angle) * axis + np.sin(angle) * (np.cos(turn) * side + np.sin(turn) * up)
    return (centre + radius * grid.reshape(-1, 3)).astype(np.float32)


@lru_cache(maxsize=2)
def _occlusion_of(neutral: bytes, solid: bytes, opened: bytes) -> FloatArray:
    triangles = np.frombuffer(solid, np.int32).reshape(-1, 3)
    shut = np.frombuffer(neutral, np.float32).reshape(-1, 3)
    agape = np.frombuffer(opened, np.float32).reshape(-1, 3)
    rng = np.random.default_rng(7)
    directions = rng.normal(size=(48, 3)) + [0, 0.25, 0.35]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    result = []
    for vertices in (shut, agape):
        normals = vertex_normals(vertices, triangles)
        seen, weight = np.zeros(len(vertices), np.float32), np.zeros(len(vertices), np.float32)
        for direction in directions:
            cosine = np.clip(normals @ direction.astype(np.float32), 0, 1)
            seen += cosine * visibility(vertices, triangles, direction, 0.35)
            weight += cosine
        result.append(seen / np.maximum(weight, 1e-3))
    open_share = np.clip(result[1], 0, 1)
    combined = result[0].copy()
    for part in ("mouth_socket", "gums", "teeth"):
        combined[PARTS[part]] = open_share[PARTS[part]]
    combined[PARTS["teeth"]] = 0.25 + 0.75 * np.sqrt(combined[PARTS["teeth"]])  # enamel scatters
    combined[PARTS["mouth_socket"]] **= 1.5
    return np.clip(combined, 0.05, 1)


def ambient_occlusion(head: IctHead) -> FloatArray:
    """Share [26719] of the sky each vertex of the mean head sees (the mouth's inside: with the jaw half open)."""
    opened = head.expressed(head.neutral, to_vector({"jawOpen": 0.6}))
    return _occlusion_of(head.neutral.tobytes(), head.solid.tobytes(), opened.tobytes())


def _long_hair(shape: FloatArray, look: Look) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Hair that hangs to the shoulders: a curved sheet round the back of the head, and its dark inner side.

    Returns vertices [n, 3], triangles [m, 3], colours [n, 3] and open sky [n]; all empty for short hair.
    """
    if look.length == 0 or look.bald:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
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
    sheet = np.stack([width * radius * np.sin(turn), heights + 0 * turn, middle_z - depth * radius * np.cos(turn)], 2)
    sheet = sheet.reshape(-1, 3).astype(np.float32)
    inner = (sheet - [0, 0, middle_z]) * [0.985, 1, 0.985] + [0, 0, middle_z]
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    outside = np.concatenate([np.stack([a, a + columns, a + 1], 1), np.stack([a + 1, a + columns, a + columns + 1], 1)])
    triangles = np.concatenate([outside, outside[:, ::-1] + len(sheet)]).astype(np.int32)
    strands = (1 + 0.2 * rng.normal(size=(1, columns, 1)) + 0.05 * rng.normal(size=(rows, columns, 1))).reshape(-1, 1)
    colours = np.concatenate([look.hair * np.clip(strands, 0.4, 1.6), look.hair * 0.6 * np.ones_like(strands)])
    sky = np.concatenate([np.full(len(sheet), 0.8), np.full(len(sheet), 0.25)])
    return (np.concatenate([sheet, inner]).astype(np.float32), triangles, colours.astype(np.float32), sky.astype(np.float32))


@dataclass(frozen=True)
class Person:
    """One identity, ready to be rendered: `shape` [26719, 3] cm, its look, albedo [26719, 3] and hair cover [26719]."""

    shape: FloatArray
    look: Look
    colours: FloatArray
    cover: FloatArray
    long_hair: tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def make_person(head: IctHead, seed: int) -> Person:
    """The person of a seed: shape weights ~ N(0, s), s in 0.8 to 1.15, and a random look."""
    rng = np.random.default_rng([seed, 1])
    shape = head.person(rng.normal(0, rng.uniform(0.8, 1.15), 100))
    look = sample_look(rng)
    colours, cover = albedo(head, look)
    return Person(shape, look, colours, cover, _long_hair(shape, look))


def render(head: IctHead, person: Person, coefficients: FloatArray, view: View) -> ByteImage:
    """One picture [192, 192, 3] uint8 sRGB of `person` with `coefficients` [52] seen in `view`."""
    rng = np.random.default_rng(view.seed)
    vertices = head.expressed(person.shape, coefficients)
    normals = vertex_normals(vertices, head.solid)
    hair = person.look.volume * person.cover[:, None] * normals
    vertices = vertices + hair * (1 + 0.12 * np.sin(regions(head).place[:, :1] * 3 + person.look.noise_seed % 7))
    pupil = float(rng.uniform(0.3, 0.55))
    axes = gaze_axes(coefficients)
    eyes = [_eyeball(vertices[PARTS[f"sclera_{s}"]], a, pupil) for s, a in zip(("left", "right"), axes, strict=True)]
    count = len(vertices)
    sheet, sheet_triangles, sheet_colours, sheet_sky = person.long_hair
    vertices = np.concatenate([vertices, *eyes, sheet])
    grid = _eye_grid()
    after = count + 2 * len(eyes[0])
    triangles = np.concatenate([head.solid, grid + count, grid + count + len(eyes[0]), sheet_triangles + after])
    eye = eye_colours(person.look, pupil)
    colours = np.concatenate([person.colours, eye, eye, sheet_colours])
    turn = rotation(view.pose).astype(np.float32)
    vertices = (vertices - PIVOT) @ turn.T
    normals = vertex_normals(vertices, triangles)
    open_sky = np.concatenate([ambient_occlusion(head), np.full(2 * len(eye), 0.75, np.float32), sheet_sky])
    lit = _shade(vertices, normals, triangles, colours, open_sky, person, view)

    scale = view.scale * SUPERSAMPLING
    middle = SIZE * SUPERSAMPLING / 2
    near = view.distance - (vertices[:, 2] - 6.0)
    points = np.empty_like(vertices)
    points[:, 0] = middle + view.shift[0] * SUPERSAMPLING + scale * vertices[:, 0] * view.distance / near
    points[:, 1] = middle + view.shift[1] * SUPERSAMPLING - scale * vertices[:, 1] * view.distance / near
    points[:, 2] = vertices[:, 2]
    image = np.repeat(np.repeat(view.background, SUPERSAMPLING, 0), SUPERSAMPLING, 1)
    depth = np.full(image.shape[:2], -1e9, np.float32)
    rasterise(points, triangles, lit, 1.0, True, image, depth)
    rasterise(points, head.lashes, lit, 0.35, False, image, depth)
    small = reduce_area(np.clip(image, 0, 1), SUPERSAMPLING) ** (1 / 2.2)
    small += rng.normal(0, view.noise + 1e-6, small.shape)
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)


def _shade(vertices: FloatArray, normals: FloatArray, triangles: FloatArray, colours: FloatArray, open_sky: FloatArray,
           person: Person, view: View) -> FloatArray:
    """Light reflected by each vertex, linear RGB [n, 3]: wrapped Lambert key with a shadow map, fill, sky, Blinn shine."""
    skin = slice(0, PARTS["head"].stop)
    eyes = slice(PARTS["lashes"].stop, PARTS["lashes"].stop + 2 * EYE_RINGS * EYE_SECTORS)
    key_cosine = normals @ view.key_direction.astype(np.float32)
    shadow = visibility(vertices, triangles, view.key_direction, 0.3)
    wrapped = np.clip((key_cosine + 0.25) / 1.25, 0, 1) * (0.25 + 0.75 * shadow)
    bleed = np.clip((key_cosine[:, None] + np.array([0.4, 0.22, 0.18], np.float32)) / 1.3, 0, 1) * (
        0.25 + 0.75 * shadow[:, None])
    key = np.repeat(wrapped[:, None], 3, 1)
    key[skin] = bleed[skin]
    fill = np.clip((normals @ view.fill_direction.astype(np.float32) + 0.3) / 1.3, 0, 1)
    sky = open_sky * (0.75 + 0.25 * normals[:, 1])
    light = key * view.key + (fill * open_sky)[:, None] * view.fill + sky[:, None] * view.ambient
    front = light[PARTS["face"]][normals[PARTS["face"], 2] > 0.3]
    gain = view.exposure / max(float(front.mean()), 1e-3)
    half = _unit(view.key_direction + np.array([0.0, 0.0, 1.0]))
    gloss = np.clip(normals @ half.astype(np.float32), 0, 1)
    shine = np.zeros(len(vertices), np.float32)
    shine[skin] = person.look.shine * gloss[skin] ** 18 * shadow[skin]
    shine[PARTS["teeth"]] = 0.2 * gloss[PARTS["teeth"]] ** 30
    shine[eyes] = 0.9 * gloss[eyes] ** 250
    return ((colours * light + shine[:, None] * view.key) * gain).astype(np.float32)


HOLDOUT_SEEDS = 10_000_000  # identities from here on are never trained on


def generate(out: Path, heads: int, per_head: int, seed: int, split: str, part_every: int = 0) -> dict[str, FloatArray]:
    """Render `heads` x `per_head` labelled pictures into the .npz `out` (atomically) and return its arrays.

    Arrays (n rows, head by head): image uint8 [n, 192, 192, 3]; head int32 [n], the identity's seed; preset str [n];
    coefficients float32 [n, 52]; pose float32 [n, 3], degrees, as rendered; and MediaPipe's landmarks [n, 478, 3] px,
    blendshapes [n, 52] and matrix [n, 4, 4], NaN where it found no face. With `part_every`, files OUT_part0.npz,
    OUT_part1.npz ... of that many rows appear on the way.
    """
    head = load_head()
    labeller = Labeller()
    first = seed * 100_000 + (HOLDOUT_SEEDS if split == "holdout" else 0)
    rows: list[dict[str, FloatArray]] = []
    part = 0
    for identity in range(first, first + heads):
        person = make_person(head, identity)
        rng = np.random.default_rng([identity, 2])
        for _ in range(per_head):
            name, coefficients = sample(rng)
            view = sample_view(rng)
            image = render(head, person, coefficients, view)
            labels = labeller(image)
            rows.append({"image": image, "head": np.int32(identity), "preset": np.str_(name), "coefficients": coefficients,
                         "pose": view.pose, "landmarks": labels.landmarks, "blendshapes": labels.blendshapes,
                         "matrix": labels.matrix})
        if part_every and len(rows) >= (part + 1) * part_every:
            _write(out.with_name(f"{out.stem}_part{part}.npz"), rows[part * part_every :])
            part = len(rows) // part_every
    labeller.close()
    return _write(out, rows)


def _write(path: Path, rows: list[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)
    return arrays


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--heads", type=int, default=100)
    parser.add_argument("--per-head", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["train", "holdout"], default="train")
    parser.add_argument("--part-every", type=int, default=0)
    given = parser.parse_args()
    arrays = generate(given.out, given.heads, given.per_head, given.seed, given.split, given.part_every)
    found = np.isfinite(arrays["blendshapes"][:, 0]).mean()
    print(f"{given.out}: {len(arrays['head'])} pictures, a face found in {found:.1%}")


if __name__ == "__main__":
    main()
