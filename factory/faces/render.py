"""Pictures of synthetic heads with known identity, expression and pose: ICT-FaceKit's head, painted, lit
and rasterised.

python -m factory.faces.render OUT.npz --heads 100 --per-head 6 --seed 0 --split train
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from factory.faces.coefficients import sample
from factory.faces.extras import Sheet, eye_grid, eyeball, gaze_axes, long_hair
from factory.faces.ict import PARTS, IctHead, load_head
from factory.faces.labels import Labeller
from factory.faces.looks import Look, sample_look
from factory.faces.paint import albedo, eye_colours, regions
from factory.faces.raster import rasterise, reduce_area, vertex_normals
from factory.faces.scene import SIZE, View, ambient_occlusion, sample_view, shade
from mien.face.pose import rotation
from mien.files import check_writable, replacing
from mien.types import ByteImage, FloatArray

SUPERSAMPLING = 2
PIVOT = np.array([0.0, 0.6, 3.0], np.float32)  # what the head turns about, and the camera aims at; cm
HOLDOUT_SEEDS = 10_000_000  # identities from here on are never trained on


@dataclass(frozen=True)
class Person:
    """One identity, ready to be rendered: `shape` [26719, 3] cm, its look, albedo [26719, 3]
    (linear RGB), hair cover [26719] and long hair."""

    shape: FloatArray
    look: Look
    colours: FloatArray
    cover: FloatArray
    hair: Sheet


def make_person(head: IctHead, seed: int) -> Person:
    """The person of a seed: shape weights ~ N(0, s), s in 0.8 to 1.15, and a random look."""
    rng = np.random.default_rng([seed, 1])
    shape = head.person(rng.normal(0, rng.uniform(0.8, 1.15), 100))
    look = sample_look(rng)
    colours, cover = albedo(head, look)
    return Person(shape, look, colours, cover, long_hair(shape, look))


def render(
    head: IctHead, person: Person, coefficients: FloatArray, view: View, size: int = SIZE
) -> ByteImage:
    """One picture [size, size, 3] uint8 sRGB of `person` with `coefficients` [52] seen in `view`.

    A view is for 192 px; `size` scales all of it.
    """
    zoom = size / SIZE
    rng = np.random.default_rng(view.seed)
    vertices = head.expressed(person.shape, coefficients)
    normals = vertex_normals(vertices, head.solid)
    thick = person.look.volume * person.cover[:, None] * normals
    vertices = vertices + thick * (
        1 + 0.12 * np.sin(regions(head).place[:, :1] * 3 + person.look.noise_seed % 7)
    )
    pupil = float(rng.uniform(0.3, 0.55))
    axes = gaze_axes(coefficients)
    eyes = [
        eyeball(vertices[PARTS[f"sclera_{s}"]], a, pupil)
        for s, a in zip(("left", "right"), axes, strict=True)
    ]
    count = len(vertices)
    vertices = np.concatenate([vertices, *eyes, person.hair.vertices])
    grid = eye_grid()
    after = count + 2 * len(eyes[0])
    triangles = np.concatenate(
        [head.solid, grid + count, grid + count + len(eyes[0]), person.hair.triangles + after]
    )
    eye = eye_colours(person.look, pupil)
    colours = np.concatenate([person.colours, eye, eye, person.hair.colours])
    turn = rotation(view.pose).astype(np.float32)
    vertices = (vertices - PIVOT) @ turn.T
    normals = vertex_normals(vertices, triangles)
    open_sky = np.concatenate(
        [ambient_occlusion(head), np.full(2 * len(eye), 0.75, np.float32), person.hair.sky]
    )
    lit = shade(vertices, normals, triangles, colours, open_sky, person.look.shine, view)

    scale = view.scale * zoom * SUPERSAMPLING
    middle = size * SUPERSAMPLING / 2
    shift = view.shift * zoom * SUPERSAMPLING
    near = view.distance - (vertices[:, 2] - 6.0)
    points = np.empty_like(vertices)
    points[:, 0] = middle + shift[0] + scale * vertices[:, 0] * view.distance / near
    points[:, 1] = middle + shift[1] - scale * vertices[:, 1] * view.distance / near
    points[:, 2] = vertices[:, 2]
    nearest = np.arange(size * SUPERSAMPLING) * SIZE // (size * SUPERSAMPLING)
    image = view.background[nearest][:, nearest]
    depth = np.full(image.shape[:2], -1e9, np.float32)
    rasterise(points, triangles, lit, 1.0, True, image, depth)
    rasterise(points, head.lashes, lit, 0.35, False, image, depth)
    small = reduce_area(np.clip(image, 0, 1), SUPERSAMPLING) ** (1 / 2.2)
    small += rng.normal(0, view.noise + 1e-6, small.shape)
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)


def generate(
    out: Path, heads: int, per_head: int, seed: int, split: str, part_every: int = 0
) -> dict[str, Any]:
    """Render `heads` x `per_head` labelled pictures into the .npz `out` (atomically) and return its arrays.

    Arrays (n rows, head by head): image uint8 [n, 192, 192, 3]; head int32 [n], the identity's seed; preset
    str [n]; coefficients float32 [n, 52]; pose float32 [n, 3], degrees, as rendered; and MediaPipe's
    landmarks [n, 478, 3] px, blendshapes [n, 52] and matrix [n, 4, 4], NaN where it found no face. With
    `part_every`, files OUT_part0.npz, OUT_part1.npz ... of that many rows appear on the way.
    """
    head = load_head()
    check_writable(out)
    labeller = Labeller()
    first = seed * 100_000 + (HOLDOUT_SEEDS if split == "holdout" else 0)
    rows: list[dict[str, Any]] = []
    part = 0
    for identity in range(first, first + heads):
        person = make_person(head, identity)
        rng = np.random.default_rng([identity, 2])
        for _ in range(per_head):
            name, coefficients = sample(rng)
            view = sample_view(rng)
            image = render(head, person, coefficients, view)
            labels = labeller(image)
            rows.append(
                {
                    "image": image,
                    "head": np.int32(identity),
                    "preset": np.str_(name),
                    "coefficients": coefficients,
                    "pose": view.pose,
                    "landmarks": labels.landmarks,
                    "blendshapes": labels.blendshapes,
                    "matrix": labels.matrix,
                }
            )
        if part_every and len(rows) >= (part + 1) * part_every:
            _write(out.with_name(f"{out.stem}_part{part}.npz"), rows[part * part_every :])
            part = len(rows) // part_every
    labeller.close()
    return _write(out, rows)


def _write(path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
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
