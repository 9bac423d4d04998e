"""A set of the crops that `factory.faces.prepare` made of face sets: nothing is looked at again.

    python -m factory.faces.from_prepared utkface-adults lfw-gray renders-train --out data/prepared

Landmarks, blendshapes and pose are MediaPipe's, embeddings dlib's: neither shares weights with the embedded models, so
such a set can judge what they generate.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from factory.faces.dataset import Faces, load_faces
from factory.faces.sources import read_label
from mien.data import records
from mien.data.filters import MIN_QUALITY, Quality, load_quality
from mien.data.growing import Growing, alone
from mien.data.ingest import Options, describe
from mien.data.observe import batches
from mien.data.records import HELD_OUT, MANIFEST, TRAIN, Manifest, Record, face_columns
from mien.data.shards import encode, write_shard
from mien.data.split import is_held_out
from mien.face import pose
from mien.face.landmarks import bounding_box
from mien.types import Face


def from_prepared(
    name: str, root: str | Path, quality: Quality, progress: Callable[[int], object] = lambda count: None
) -> Manifest:
    """Make or complete the set in `root` with the prepared set `name`; several may be put into one root.

    Raises:
        InputError: the faces were not prepared, or `root` cannot be written or holds another set.
    """
    faces, root = load_faces(name), Path(root)
    limit = MIN_QUALITY[quality.name]
    facts: dict[str, Any] = {"kind": "faces", "analyser": "mediapipe", "recogniser": "dlib"}
    facts |= {"framing": "canonical", "size": faces.crops.shape[1]}
    facts |= {"quality": quality.name, "min_quality": limit}
    growing = Growing(root, {MANIFEST: records.columns()}, facts, "mien data ingest")
    with alone(root):
        (root / "shards").mkdir(exist_ok=True)
        done = set(growing.read(MANIFEST).column("key").to_pylist())
        todo = [i for i in range(len(faces)) if _key(name, i) not in done]
        progress(len(faces) - len(todo))
        for chunk in batches(iter(todo), Options.shard):
            number = growing.next_part()
            path = f"shards/{number:06d}.tar"
            data = [encode(Image.fromarray(faces.crops[i])) for i in chunk]
            files = [(f"{_key(name, i)}.jpg", d) for i, d in zip(chunk, data, strict=True)]
            places = write_shard(root / path, files)
            scores = quality(faces.crops[chunk])
            rows = [
                _row(faces, i, d, float(score), limit, path, vars(places[file]))
                for i, (file, d), score in zip(chunk, files, scores, strict=True)
            ]
            growing.add(number, {MANIFEST: rows})
            progress(len(chunk))
        table = growing.read(MANIFEST)
        growing.finish({MANIFEST: table}, {"shards": set(table.column("path").to_pylist())})
    return Manifest.read(root)


def _key(name: str, i: int) -> str:
    return f"{name}-{i:06d}"


def _row(
    faces: Faces, i: int, data: bytes, quality: float, limit: float, path: str, place: dict[str, Any]
) -> Record:
    points = faces.landmarks[i].astype(np.float64)
    angles = pose.angles(faces.matrix[i, :3, :3])
    angles[2] += pose.tilt(faces.crop_matrix[i])
    known = not np.isnan(faces.embedding[i, 0])
    reason = f"low quality: {quality:.3f}" if quality < limit else None
    name = str(faces.names[i])
    return Record(
        key=_key(faces.source, i),
        name=name,
        path=path,
        **place,
        width=faces.crops.shape[2],
        height=faces.crops.shape[1],
        sha256=hashlib.sha256(data).hexdigest(),
        identity=read_label(faces.source, name).person,
        split=HELD_OUT if is_held_out(name) else TRAIN,
        prompt=describe(faces.crops[i], points),
        faces=1,
        **face_columns(Face(bounding_box(points), points, faces.blendshapes[i], angles, 1.0)),
        embedding=faces.embedding[i].astype(np.float32) if known else None,
        quality=quality,
        reason=reason if known else "no embedding",
    )


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, help="folder of the set")
    parser.add_argument("--quality", default="auto", help="measure: auto, liqe, plain, none")
    given = parser.parse_args()
    for name in given.sets:
        with tqdm(total=len(load_faces(name)), desc=name, unit="face") as bar:
            manifest = from_prepared(name, given.out, load_quality(given.quality), bar.update)
    print(f"{len(manifest.kept())} of {len(manifest)} pictures in {given.out}")


if __name__ == "__main__":
    main()
