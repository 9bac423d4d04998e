"""Small sets of made-up faces: random pictures, landmarks in the places of a face."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from mien.data.observe import Observer
from mien.data.records import Manifest, Record, face_columns
from mien.data.shards import encode, write_shard
from mien.face.landmarks import bounding_box
from mien.types import Face, FloatArray
from tests.face.faces import flat_landmarks


def face(seed: int) -> Face:
    rng = np.random.default_rng(seed)
    landmarks = flat_landmarks() + rng.normal(0, 0.6, (478, 3))
    return Face(bounding_box(landmarks), landmarks, rng.uniform(size=52), rng.normal(0, 9, 3), 0.9)


def picture(seed: int, size: int = 128) -> Image.Image:
    """Soft random colours, so that JPEG keeps them."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return small.resize((size, size), Image.Resampling.BICUBIC)


def make(root: Path, count: int = 6, people: int = 3, facts: dict[str, object] | None = None) -> Manifest:
    """A set of `count` pictures of `people` in one shard, the last row rejected."""
    (root / "shards").mkdir(parents=True)
    data = [encode(picture(i)) for i in range(count)]
    places = write_shard(root / "shards" / "000000.tar", [(f"k{i}.jpg", d) for i, d in enumerate(data)])
    rows = [
        Record(
            key=f"k{i}",
            name=f"person{i % people}/{i}.jpg",
            path="shards/000000.tar",
            **vars(places[f"k{i}.jpg"]),
            width=128,
            height=128,
            sha256=hashlib.sha256(data[i]).hexdigest(),
            source_sha256=hashlib.sha256(data[i]).hexdigest(),
            identity=f"person{i % people}",
            prompt="colour photo",
            faces=1,
            **face_columns(face(i)),
            embedding=np.random.default_rng(i % people).normal(size=8).astype(np.float32),
            quality=0.5,
        )
        for i in range(count)
    ]
    rows.append(Record(key="x", name="broken.jpg", reason="unreadable"))
    manifest = Manifest.of(rows, root, facts or {"analyser": "embedded", "recogniser": "embedded"})
    manifest.write()
    return manifest


def observer() -> Observer:
    """Sees one face in every picture with contrast, where `flat_landmarks` has it; its embedding is the mean colour."""

    def look(image: Image.Image) -> list[Face]:
        pixels = np.asarray(image.convert("RGB"), float)
        if pixels.std() < 3:
            return []
        landmarks = flat_landmarks(min(image.size))
        count = 2 if pixels[0, 0].min() > 250 else 1  # a white corner says that there are two
        blendshapes = np.full(52, pixels[:, :, 0].mean() / 255)
        return [
            Face(bounding_box(landmarks), landmarks, blendshapes, np.array([5.0, 0.0, 10.0]), 0.9)
        ] * count

    def recognise(image: Image.Image, face: Face) -> FloatArray:
        return (np.asarray(image.convert("RGB")).mean((0, 1)) / 255).astype(np.float32)

    return Observer(lambda images: [look(image) for image in images], recognise, "made-up", "made-up", 0.02)
