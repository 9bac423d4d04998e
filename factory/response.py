"""How readings answer to what the photo engine does, and what resting faces read as: `warping/response.npz`.

    python -m factory.response LABELS.npz FOLDER... --rest FOLDER...

LABELS.npz of factory.shapes; folders of photographs; folders of people who were asked to rest: a face that merely looks
calm in any photograph smiles a little and squints, and what were subtracted as its rest would be part of a smile.

Faces of the photographs are given expressions of other people's photographs, open loop, on the engine's close-up.
MediaPipe, whose readings are the scale of blendshapes, and the embedded analyser read the result:

    answer_i   change of MediaPipe's reading i per change of coefficient i
    ratios     change of the five LMS ratios per change of coefficients [5, 52], by ridge regression

Least squares through 0, pulled towards 0.7 as by `PRIOR` changes of 0.1; left and right are pooled. Of resting faces
the mean and spread of readings are kept; what ships is of the 92 of `london-dev` and `canada`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import mien.warping
from mien.face import mediapipe
from mien.face.analyze import analyze
from mien.face.blendshapes import FLIP, NAMES
from mien.files import replacing
from mien.images import read_image
from mien.pipelines.photo import CELLS, Closeup
from mien.types import FloatArray
from mien.warping.draw import draw
from mien.warping.target import reading

EACH = 5  # expressions a photograph
LIVELY = 0.6  # quantile of the labels' liveliness from which expressions are drawn
PRIOR = 12.0
SEEN = 0.08  # a smaller change of a coefficient says nothing of its answer
MIRROR = (2, 3, 0, 1, 4)  # LMS's ratios as a mirror exchanges them


def slope(x: FloatArray, y: FloatArray, towards: float) -> FloatArray:
    """Per column the slope of y [n, 52] on x [n, 52] through 0, left and right pooled."""
    top, bottom = (x * y).sum(0), (x * x).sum(0)
    top, bottom = top + top[list(FLIP)], bottom + bottom[list(FLIP)]
    return np.asarray((top + towards * PRIOR * 0.01) / (bottom + PRIOR * 0.01))


def at_rest(folders: Sequence[Path]) -> FloatArray:
    """Readings [n, 57] of the largest face in each photograph of people at rest."""
    files = [
        file for folder in folders for file in sorted(folder.rglob("*.jpg")) if "smiling" not in file.stem
    ]
    found = [analyze(read_image(file)) for file in tqdm(files, mininterval=10)]
    return np.array([reading(faces[0].blendshapes, faces[0].landmarks) for faces in found if faces])


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rest", type=Path, nargs="+", required=True, help="*_smiling.jpg is left out")
    parser.add_argument("--count", type=int, default=90, help="photographs at most")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    with np.load(given.labels, allow_pickle=False) as file:
        shapes = file["shapes"].astype(np.float64)
    median = np.median(shapes, 0)
    lively = np.abs(shapes - median).sum(1)
    pool = shapes[lively > np.quantile(lively, LIVELY)]
    files = [file for folder in given.folders for file in sorted(folder.rglob("*.jpg"))]
    rows = []
    for file in tqdm(rng.permutation(files)[: given.count], mininterval=10):
        image = np.asarray(read_image(file))
        faces = analyze(Image.fromarray(image))
        if not faces or np.abs(faces[0].pose[:2]).max() > 12:
            continue
        face = faces[0]
        closeup = Closeup(image, face)
        at_first = mediapipe.analyze(Image.fromarray(closeup.image))
        own = closeup.read(np.zeros(52), np.zeros(52))
        for wanted in pool[rng.integers(len(pool), size=EACH)]:
            before = np.clip(face.blendshapes - median, 0, 1)
            after = np.clip(before + wanted - face.blendshapes, -0.15, 1)
            picture = draw(closeup.image, closeup.landmarks, before, after, closeup.mouth, cells=CELLS).image
            seen = mediapipe.analyze(Image.fromarray(picture))
            if at_first and seen:
                change = closeup.read(before, after) - own
                rows.append((after - before, change, seen[0].blendshapes - at_first[0].blendshapes))
    moves, ours, theirs = (np.array(part) for part in zip(*rows, strict=True))
    clear = np.where(np.abs(moves) > SEEN, moves, 0)
    answer = slope(clear, np.where(clear != 0, theirs, 0), 0.7)
    both = np.concatenate([moves, moves[:, list(FLIP)]])
    ratios = np.concatenate([ours[:, 52:], ours[:, [52 + k for k in MIRROR]]])
    solved = np.linalg.solve(both.T @ both + PRIOR * 0.01 * np.eye(52), both.T @ ratios).T
    resting = at_rest(given.rest)
    rest, spread = np.mean(resting, 0), np.std(resting, 0)
    out = Path(mien.warping.__file__).with_name("response.npz")
    with replacing(out) as temporary:
        np.savez_compressed(
            temporary,
            answer=answer.astype(np.float32),
            ratios=solved.astype(np.float32),
            rest=rest.astype(np.float32),  # not pooled: MediaPipe takes the sides differently
            spread=spread.astype(np.float32),
        )
    print(f"{out.name}: {len(rows)} warps, {len(resting)} resting faces")
    for name, value in zip(NAMES, answer, strict=True):
        print(f"{name:22s} answer {value:5.2f}")


if __name__ == "__main__":
    main()
