"""Prepares face sets for training: labels by MediaPipe, canonical crops, and dlib's embeddings.

python -m factory.faces.prepare utkface-adults lfw-gray portraits-of-nobody
python -m factory.faces.prepare renders-train=renders.npz warped-train=warped.npz

A bare name is a set of `sources.ARCHIVES`. ``name=file.npz`` takes pictures that ``factory.faces.render`` or
``factory.faces.warped`` wrote. What is written (``{name}.crops.npy`` and ``{name}.table.npz`` in the cache) is read by
`dataset.load_faces`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from factory.faces.dataset import cache_dir
from factory.faces.labels import Labeller, Labels
from factory.faces.sources import ARCHIVES, count_pictures, read_label, read_pictures, shared_dir
from mien.encoders.dlib_recogniser import DlibRecogniser, chip_of_pixels
from mien.face.align import crop_matrix, transform_points, warp
from mien.files import replacing
from mien.types import ByteImage, FloatArray, InputError

EMBEDDING = 128  # dlib's


def from_archive(source: str) -> Iterator[tuple[str, str, ByteImage, Labels]]:
    """(name, person, picture, labels) of every picture of a set beside the project."""
    shared = shared_dir()
    labeller = Labeller()
    for name, image in tqdm(read_pictures(source, shared), total=count_pictures(source, shared), desc=source):
        yield name, read_label(source, name).person, image, labeller(image)
    labeller.close()


def from_arrays(path: Path) -> Iterator[tuple[str, str, ByteImage, Labels]]:
    """The same of pictures that were rendered or warped; their labels are in the file."""
    try:
        arrays = dict(np.load(path))
        columns = [arrays[key] for key in ("image", "landmarks", "blendshapes", "matrix")]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"The file {path} holds no labelled pictures ({error}); make it by factory.faces.render."
        ) from error
    rows = zip(*columns, strict=True)
    for i, (image, landmarks, blendshapes, matrix) in enumerate(
        tqdm(rows, total=len(columns[0]), desc=path.name)
    ):
        if "head" in arrays:
            name, person = f"head{arrays['head'][i]:08d}-{i}", str(arrays["head"][i])
        else:
            name, person = str(arrays["name"][i]), str(arrays["name"][i])
        yield name, person, image, Labels(landmarks, blendshapes, matrix)


def given_embeddings() -> dict[str, FloatArray]:
    """dlib's embeddings that lie beside the project, by file name. Warped pictures keep their photograph's name."""
    found: dict[str, FloatArray] = {}
    for source in ARCHIVES:
        path = shared_dir() / "data" / f"{source}.dlib.npz"
        if path.is_file():
            table = np.load(path)
            found |= dict(
                zip(table["name"].tolist(), table["dlib_embedding"].astype(np.float32), strict=True)
            )
    return found


def prepare(source: str, path: Path | None, cache: Path, recognise: bool = True) -> int:
    """Write one set and return how many faces it has; pictures without a face are left out.

    Without `recognise`, faces whose embedding does not lie beside the project get none (NaN).
    """
    pictures = from_archive(source) if path is None else from_arrays(path)
    embeddings = given_embeddings()
    recogniser = None
    columns: dict[str, list[Any]] = {
        key: [] for key in ("name", "person", "crop", "landmarks", "blendshapes")
    }
    columns |= {"matrix": [], "crop_matrix": [], "embedding": []}
    for name, person, image, labels in pictures:
        if not labels.found:
            continue
        if name not in embeddings and not recognise:
            embeddings[name] = np.full(EMBEDDING, np.nan, np.float32)
        if name not in embeddings:
            recogniser = recogniser or DlibRecogniser()
            embeddings[name] = recogniser.embed_chip(chip_of_pixels(image, labels.landmarks))
        matrix = crop_matrix(labels.landmarks)
        row = {
            "name": name,
            "person": person,
            "crop": warp(image, matrix),
            "landmarks": transform_points(labels.landmarks, matrix).astype(np.float32),
            "blendshapes": labels.blendshapes,
            "matrix": labels.matrix,
            "crop_matrix": matrix,
            "embedding": embeddings[name],
        }
        for key, value in row.items():
            columns[key].append(value)
    numbers = {person: i for i, person in enumerate(dict.fromkeys(columns["person"]))}
    columns["person"] = [numbers[person] for person in columns["person"]]
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(cache / f"{source}.crops.npy") as temporary:
        np.save(temporary, np.stack(columns.pop("crop")))
    with replacing(cache / f"{source}.table.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **{key: np.array(value) for key, value in columns.items()})
    return len(columns["name"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare face sets for training.")
    parser.add_argument("sets", nargs="+", metavar="NAME[=FILE.npz]")
    parser.add_argument(
        "--no-dlib",
        action="store_true",
        help="only the embeddings that lie beside the project: enough where the embedded encoders make the conditions",
    )
    given = parser.parse_args()
    for item in given.sets:
        name, _, file = item.partition("=")
        if not file and name not in ARCHIVES:
            raise SystemExit(f"{name}: not one of {', '.join(ARCHIVES)}; or say {name}=FILE.npz")
        count = prepare(name, Path(file) if file else None, cache_dir(), not given.no_dlib)
        print(f"{name}: {count} faces in {cache_dir()}")


if __name__ == "__main__":
    main()
