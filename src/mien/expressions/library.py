"""A library of labelled expression pictures: index it, draw from it, find what is mislabelled (DiffSFSR, section 3.1:
a word's picture is drawn at random from that word's pictures).

The index is a Parquet file beside the pictures, one row a picture, paths relative to its folder. Words are the 135 and
"neutral". A picture's vector is the embedded expression encoder's: 57 standardised numbers of the largest face.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mien.data import records
from mien.errors import reason
from mien.expressions import everyday, labels, reading
from mien.expressions import faces as shipped
from mien.expressions.faces import NEUTRAL
from mien.expressions.spec import Part
from mien.images import SUFFIXES, read_image
from mien.tables import read_table, stored
from mien.types import Face, FloatArray, InputError

INDEX = "expressions.parquet"
SAVE_EVERY = 2000  # pictures, so that little is lost when a long run is stopped
ENOUGH = 8  # pictures of a word, from which its own centre is used beside the prototype's
How = Literal["random", "typical", "nearest"]


@dataclass(frozen=True)
class Entry:
    """One picture: its path relative to the index's folder, label, SHA-256 of the file, and how many faces it shows; of
    the largest: blendshapes [52] in [0, 1], pose [3] degrees, confidence in [0, 1], vector [57] standardised (None
    where there is no face). reason: why it cannot be used, or None."""

    path: str
    word: str
    sha256: str = ""
    faces: int = 0
    blendshapes: FloatArray | None = None
    pose: FloatArray | None = None
    confidence: float | None = None
    vector: FloatArray | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Doubt:
    """A picture that may be mislabelled: its distance to its `word`, to the `nearest` word of another cluster (in
    standard deviations of the 57 numbers, root mean square), and their ratio, above 1 where the other is nearer."""

    path: str
    word: str
    nearest: str
    to_word: float
    to_nearest: float

    @property
    def ratio(self) -> float:
        """to_word / to_nearest."""
        return self.to_word / max(self.to_nearest, 1e-9)


def build(
    place: str | Path,
    analyze_many: Callable[[Iterator[Image.Image]], Iterator[Sequence[Face]]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Library:
    """Index labelled pictures (`find_labelled`) into ``expressions.parquet`` in their root; what an earlier run has
    indexed and has not changed is kept. Raises `InputError`: as `find_labelled`; the index cannot be written.

    Args:
        analyze_many: pictures -> faces of each, largest first; None: the embedded analyser. progress: called with
            (done, of).
    """
    root, wanted = find_labelled(place)
    if analyze_many is None:
        from mien.face.analyze import analyze_many as embedded

        analyze_many = embedded
    records.arrow()
    file = root / INDEX
    known = {entry.path: entry for entry in Library.read(root).entries} if file.is_file() else {}
    entries: list[Entry] = []
    for start in range(0, len(wanted), 16):
        fresh: list[tuple[int, Image.Image]] = []
        for path, word in wanted[start : start + 16]:
            entry, image = _open(root, path, word, known.get(path))
            if image is not None:
                fresh.append((len(entries), image))
            entries.append(entry)
        seen = analyze_many(image for _, image in fresh)
        for (i, _), found in zip(fresh, seen, strict=True):
            entries[i] = _described(entries[i], found)
        if progress is not None:
            progress(len(entries), len(wanted))
        if len(entries) // SAVE_EVERY > (len(entries) - 16) // SAVE_EVERY:
            # what is not reached yet stays as it was known
            later = (known[path] for path, _ in wanted[len(entries) :] if path in known)
            _write([*entries, *later], file)
    _write(entries, file)
    return Library(root, entries)


class Library:
    """An indexed library. `root`: its folder. `entries`: every picture, those that cannot be used too."""

    def __init__(self, root: Path, entries: list[Entry]) -> None:
        self.root = root
        self.entries = entries
        self.usable = [entry for entry in entries if entry.vector is not None]

    @classmethod
    def read(cls, place: str | Path) -> Library:
        """The library in a folder, or of an index file. Raises `InputError`: there is none, or it is damaged."""
        file = Path(place) / INDEX if Path(place).is_dir() else Path(place)
        table = records.read_table(file, _columns(), "mien expressions build")
        entries = []
        for row in table.to_pylist():
            arrays = {name: np.array(v, np.float32) for name, v in row.items() if isinstance(v, list)}
            entries.append(Entry(**{**row, **arrays}))
        return cls(file.parent, entries)

    def draw(
        self,
        word: str | None = None,
        how: How = "random",
        seed: int = 0,
        count: int = 1,
        near: FloatArray | None = None,
    ) -> list[Entry]:
        """`count` pictures, without repeats. word: only its pictures; None: all. how: "random" by `seed`; "typical":
        those nearest to the median of the word's vectors; "nearest": those with the least Exp (mean absolute difference
        of blendshapes) to `near` [52]. Raises `InputError`: there are not so many, or an argument is missing."""
        if word is not None and word != shipped.NEUTRAL:
            labels.get(word)
        pool = [entry for entry in self.usable if word in (None, entry.word)]
        if len(pool) < count:
            raise InputError(f"The library has {len(pool)} pictures of {word or 'faces'}, not {count}.")
        if how == "random":
            rng = np.random.default_rng(seed)
            return [pool[i] for i in rng.permutation(len(pool))[:count]]
        if how == "nearest":
            if near is None:
                raise InputError("Drawing the nearest picture needs blendshapes to be near to.")
            far = np.abs(_stacked(pool, "blendshapes") - near).mean(1)
        else:
            vectors = _stacked(pool, "vector")
            far = _distance(vectors, np.median(vectors, axis=0))
        return [pool[i] for i in np.argsort(far, kind="stable")[:count]]

    @cached_property
    def centres(self) -> dict[str, FloatArray]:
        """Word -> [57]: what its pictures look like here (their median) where there are `ENOUGH`, else what its
        prototype is read as. All 135 words and neutral."""
        found = {}
        for word in (shipped.NEUTRAL, *labels.labels()):
            mine = [entry for entry in self.usable if entry.word == word]
            part = Part(1.0) if word == shipped.NEUTRAL else Part(1.0, word=word)
            read = reading.numbers(shipped.named(part)).numpy().astype(np.float64)
            found[word] = np.median(_stacked(mine, "vector"), axis=0) if len(mine) >= ENOUGH else read
        return found

    def mislabelled(self) -> list[Doubt]:
        """Every usable picture that is nearer to a word of another cluster than to its own, most doubtful first. Only
        words that the library has, and neutral, are compared with."""
        present = sorted({entry.word for entry in self.usable} | {shipped.NEUTRAL})
        centres = np.stack([self.centres[word] for word in present])
        clusters = np.array([_cluster(word) for word in present])
        doubts = []
        for entry in self.usable:
            far = _distance(centres, _stacked([entry], "vector")[0])
            others = np.flatnonzero(clusters != _cluster(entry.word))
            if len(others) == 0:
                continue
            best = others[np.argmin(far[others])]
            own = float(far[present.index(entry.word)])
            doubts.append(Doubt(entry.path, entry.word, present[best], own, float(far[best])))
        return sorted((doubt for doubt in doubts if doubt.ratio > 1), key=lambda d: -d.ratio)


def _cluster(word: str) -> str:
    return word if word == shipped.NEUTRAL else labels.get(word).cluster


def _stacked(entries: list[Entry], name: str) -> FloatArray:
    return np.stack([getattr(entry, name) for entry in entries])


def _distance(vectors: FloatArray, centre: FloatArray) -> FloatArray:
    return np.sqrt(((vectors - centre) ** 2).mean(axis=1))


def _open(root: Path, path: str, word: str, known: Entry | None) -> tuple[Entry, Image.Image | None]:
    """The entry as far as it is known, and the picture if it still has to be analysed."""
    try:
        sha = hashlib.sha256((root / path).read_bytes()).hexdigest()
        if known is not None and known.sha256 == sha:
            return replace(known, word=word), None
        return Entry(path, word, sha), read_image(root / path)
    except OSError as error:
        return Entry(path, word, reason=f"cannot be read ({reason(error)})"), None
    except InputError as error:
        return Entry(path, word, sha, reason=str(error).removeprefix(f"{root / path} ")), None


def _described(entry: Entry, found: Sequence[Face]) -> Entry:
    if not found:
        return replace(entry, reason="no face was found")
    import torch

    from mien.encoders.expression import expression_vector

    face = found[0]
    shapes, points = (
        torch.from_numpy(np.asarray(x, np.float32))[None] for x in (face.blendshapes, face.landmarks)
    )
    return replace(
        entry,
        faces=len(found),
        blendshapes=np.asarray(face.blendshapes, np.float32),
        pose=np.asarray(face.pose, np.float32),
        confidence=float(face.confidence),
        vector=expression_vector(shapes, points)[0].numpy(),
    )


def _columns() -> dict[str, Any]:
    pa = records.arrow()
    texts = dict.fromkeys(("path", "word", "sha256", "reason"), pa.string())
    widths = {"blendshapes": 52, "pose": 3, "vector": 57}
    vectors = {name: pa.list_(pa.float32(), width) for name, width in widths.items()}
    return {**texts, **vectors, "faces": pa.int64(), "confidence": pa.float32()}


def _write(entries: list[Entry], file: Path) -> None:
    table = records.to_table(
        entries, _columns(), {"analyser": "embedded", "vector": "expression, 57, standardised"}
    )
    records.write_table(table, file)


def find_labelled(place: str | Path) -> tuple[Path, list[tuple[str, str]]]:
    """The root and (path relative to it, word) of every picture of a CSV file (columns path and word) or folder,
    sorted.

    In a folder, a picture's word is the name of the nearest folder around it, also as ``012_joy`` or ``joy-3`` and
    below ``train/`` or ``test/``, which is how the 135-class set is laid out. Raises `InputError`: nothing is there, a
    word is unknown, or a folder's name holds none.
    """
    place = Path(place)
    if place.is_file() and place.suffix.lower() == ".csv":
        return place.parent, _read_csv(place)
    if not place.is_dir():
        raise InputError(f"{place} is neither a folder nor a .csv file: give labelled pictures.")
    found = []
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            inside = path.relative_to(place)
            word = next((w for folder in reversed(inside.parts[:-1]) if (w := _word_of(folder))), None)
            if word is None:
                stem = inside.parts[-2] if len(inside.parts) > 1 else place.name
                near = _near(stem)
                raise InputError(f"{path} lies in no folder named by a word{near}: rename it, or give a CSV.")
            found.append((inside.as_posix(), word))
    if not found:
        raise InputError(f"{place} holds no pictures: put them into a folder for each word.")
    return place, found


def _word_of(folder: str) -> str | None:
    name = re.sub(r"^[\d\W_]+|[\d\W_]+$", "", folder).casefold()
    return name if name == NEUTRAL or name in labels.labels() else None


def _near(name: str) -> str:
    """Of the 135 words, those that an everyday word means ("happy"), else those that are spelt alike."""
    known = everyday.find(name)
    return labels.asked(list(known.words)) if known else labels.nearest(name.casefold()[:40], labels.labels())


def _read_csv(place: Path) -> list[tuple[str, str]]:
    found = []
    for row in read_table(place, ("path", "word")).rows:
        word = row.cells["word"].casefold()
        if word != NEUTRAL and word not in labels.labels():
            raise InputError(f"{place} line {row.line}: {word!r} is not a word{_near(word)}.")
        path = stored(place.parent, row.cells["path"])
        inside = path if Path(row.cells["path"]).is_absolute() else path.relative_to(place.parent)
        found.append((inside.as_posix(), word))
    if not found:
        raise InputError(f"{place} has no rows: give the columns path and word.")
    if len({path for path, _ in found}) < len(found):
        raise InputError(f"{place} names a picture twice: give each once.")
    return found
