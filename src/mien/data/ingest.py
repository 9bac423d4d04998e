"""Pictures of faces → a set: found, framed, analysed, embedded, judged, split by person, deduplicated.

Every picture of the source gets a row in the manifest; one that cannot be used is rejected with its reason. The set
grows by shards (`growing`): started again, the run passes over what is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data import records
from mien.data.filters import MIN_QUALITY, Quality, load_quality
from mien.data.gather import Item, Source
from mien.data.growing import Growing, alone
from mien.data.observe import Observer, batches, load_observer
from mien.data.records import HELD_OUT, MANIFEST, TRAIN, Manifest, Record, face_columns
from mien.data.shards import encode, write_shard
from mien.data.split import is_held_out, is_held_out_key
from mien.errors import InputError, choice
from mien.face import align, pose, templates
from mien.face.landmarks import bounding_box
from mien.images import decode_image
from mien.spread import Cluster, spread
from mien.types import ByteImage, Face, FloatArray

NAMED_COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (20, 20, 20),
    "white": (235, 235, 235),
    "grey": (128, 128, 128),
    "brown": (110, 75, 45),
    "red": (180, 50, 45),
    "green": (75, 120, 65),
    "blue": (70, 105, 170),
    "yellow": (210, 185, 90),
    "pink": (215, 160, 165),
}
# Cheeks on the picture's left and right, clear of eyes, nose and mouth in every expression.
_LEFT_CHEEK, _RIGHT_CHEEK = 50, 280
FRAMINGS = ("canonical", "ffhq", "none")
WHICH = ("largest", "all", "single")
TOGETHER = 16  # pictures decoded at once
GREY = 6.0  # levels: mean distance of the channels below which a picture is black and white


@dataclass(frozen=True)
class Options:
    """How a set is made.

    Attributes:
        framing: "canonical" (the tight crop of the embedded models), "ffhq" (whole head) or "none". size: px of the
            crop.
        faces: "largest", "all", or "single": pictures with several faces are rejected. min_face: smallest face in the
            source, px of its longer side. min_quality: of the quality measure; None: the measure's own.
        cluster: people are told apart by their embeddings.
        shard: pictures in a shard; as many are lost at most when a run is killed.
    """

    framing: str = "canonical"
    size: int = align.CROP_SIZE
    faces: str = "largest"
    min_face: int = 40
    min_quality: float | None = None
    cluster: bool = False
    shard: int = 500

    def __post_init__(self) -> None:
        choice(self.framing, FRAMINGS, "framing")
        choice(self.faces, WHICH, "faces")
        if not 16 <= self.size <= 4096 or self.shard < 1 or self.min_face < 1:
            raise InputError("Size is 16 to 4096 px; shard and min_face are at least 1: correct them.")


def ingest(
    source: Source,
    root: str | Path,
    observer: Observer,
    quality: Quality,
    options: Options | None = None,
    progress: Callable[[int], object] = lambda count: None,
    cluster: Cluster | None = None,
) -> Manifest:
    """Make or complete the set in `root`; returns its manifest. Raises `InputError`: the folder cannot be written,
    holds a set made with other options, or is being written.

    Args:
        progress: called with the number of pictures done, those that were there already included.
        cluster: whose workers look at the pictures, which they read from the same paths; None: this process.
    """
    options, root = options or Options(), Path(root)
    limit = MIN_QUALITY[quality.name] if options.min_quality is None else options.min_quality
    facts = {k: v for k, v in asdict(options).items() if k not in ("shard", "min_quality")}
    facts |= {"kind": "faces", "analyser": observer.analyser, "recogniser": observer.recogniser}
    facts |= {"quality": quality.name, "min_quality": limit}
    growing = Growing(root, {MANIFEST: records.columns()}, facts, "mien data ingest")
    with alone(root):
        before = Manifest(growing.read(MANIFEST), root)
        seen = _seen(before)
        done = set(before.values("name"))
        (root / "shards").mkdir(exist_ok=True)

        def new() -> Iterator[Item]:
            for item in source.items():
                if item.name in done:
                    progress(1)
                else:
                    yield item

        def make() -> _Maker:
            return _Maker(observer, quality, limit, options)

        names = observer.analyser, observer.recogniser, quality.name
        anew = partial(_Maker.load, *names, limit, options)
        parts = batches(new(), options.shard)
        together = (batch for part in parts for batch in batches(iter(part), TOGETHER))
        part: list[tuple[Record, bytes | None]] = []
        pictures = 0
        for found in spread(anew if cluster else make, together, cluster, ordered=True):
            part += _settled(found, seen)
            pictures += len(found)
            progress(len(found))
            if pictures == options.shard:
                _add_part(growing, part)
                part, pictures = [], 0
        if part:
            _add_part(growing, part)
        table = growing.read(MANIFEST)
        manifest = _split(Manifest(table, root), observer.same_person if options.cluster else None)
        growing.finish({MANIFEST: manifest.table}, {"shards": set(manifest.values("path"))})
    return Manifest.read(root)


def _seen(manifest: Manifest) -> dict[str, str]:
    """SHA-256 of every source that could be read → its name."""
    columns = (manifest.values(name) for name in ("source_sha256", "name", "reason"))
    seen: dict[str, str] = {}
    for sha, name, reason in zip(*columns, strict=True):
        if sha and not (reason or "").startswith("unreadable"):
            seen.setdefault(sha, name)
    return seen


def _add_part(growing: Growing, made: Sequence[tuple[Record, bytes | None]]) -> None:
    number = growing.next_part()
    files = [(f"{row.key}.jpg", data) for row, data in made if data is not None]
    path = f"shards/{number:06d}.tar"
    places = write_shard(growing.root / path, files) if files else {}
    rows = [
        row if data is None else replace(row, path=path, **vars(places[f"{row.key}.jpg"]))
        for row, data in made
    ]
    growing.add(number, {MANIFEST: rows})


@dataclass(frozen=True)
class _Found:
    """A picture of the source: its rows, with the bytes to store (None: it was rejected before it was framed). `sha`:
    SHA-256 of its bytes; None: it could not be read."""

    sha: str | None
    rows: list[tuple[Record, bytes | None]]


def _settled(found: Sequence[_Found], seen: dict[str, str]) -> list[tuple[Record, bytes | None]]:
    """The rows of some pictures, what nobody looked at first; of pictures with the same bytes the first counts."""
    refused, looked_at = [], []
    for one in found:
        row = one.rows[0][0]
        if one.sha is None:
            refused += one.rows
        elif (first := seen.setdefault(one.sha, row.name)) != row.name:
            refused.append((_rejected(row, f"duplicate: {first}", one.sha), None))
        else:
            looked_at += one.rows
    return refused + looked_at


class _Maker:
    """Items → what was found in them, whatever else was looked at before: numbers are the same wherever it is."""

    def __init__(self, observer: Observer, quality: Quality, limit: float, options: Options) -> None:
        self.observer, self.quality, self.limit, self.options = observer, quality, limit, options

    @classmethod
    def load(cls, analyser: str, recogniser: str, quality: str, limit: float, options: Options) -> _Maker:
        """A maker of another process, by the names of who looks."""
        return cls(load_observer(analyser, recogniser), load_quality(quality), limit, options)

    def __call__(self, items: Sequence[Item]) -> list[_Found]:
        found: dict[str, _Found] = {}
        seen: set[str] = set()
        readable: list[tuple[Item, str, Image.Image]] = []
        for item in items:
            sha = None
            try:
                data = item.read()
                sha = hashlib.sha256(data).hexdigest()
                if sha in seen:
                    found[item.name] = _Found(sha, [(_rejected(item, "duplicate", sha), None)])
                    continue
                readable.append((item, sha, decode_image(data, item.name)))
                seen.add(sha)
            except OSError as error:
                reason = f"unreadable: {item.name}: {error.strerror or 'it cannot be read'}"
                found[item.name] = _Found(None, [(_rejected(item, reason, sha), None)])
            except InputError as error:
                found[item.name] = _Found(None, [(_rejected(item, f"unreadable: {error}", sha), None)])
        faces = self.observer.analyse([image for _, _, image in readable])
        for (item, sha, image), group in zip(readable, faces, strict=True):
            found[item.name] = _Found(sha, self._rows(item, sha, image, group))
        return [found[item.name] for item in items]

    def _rows(
        self, item: Item, sha: str, image: Image.Image, faces: Sequence[Face]
    ) -> list[tuple[Record, bytes | None]]:
        if not faces:
            return [(_rejected(item, "no face", sha), None)]
        if self.options.faces == "single" and len(faces) > 1:
            return [(_rejected(item, f"several faces: {len(faces)}", sha), None)]
        chosen = faces if self.options.faces == "all" else faces[:1]
        return [self._row(item, sha, image, face, i, len(faces)) for i, face in enumerate(chosen)]

    def _row(
        self, item: Item, sha: str, image: Image.Image, face: Face, number: int, count: int
    ) -> tuple[Record, bytes | None]:
        pixels = np.asarray(image)
        side = float((face.box[2:] - face.box[:2]).max())
        if side < self.options.min_face:
            name = item.name if number == 0 else f"{item.name}#{number}"
            return _rejected(replace(item, name=name), f"small face: {side:.0f} px", sha), None
        crop, framed = frame(pixels, face, self.options.framing, self.options.size)
        canonical = align.warp(pixels, align.crop_matrix(face.landmarks))
        quality = float(self.quality(canonical[None])[0])
        data = encode(Image.fromarray(crop))
        row = Record(
            key=_key(sha) if number == 0 else f"{_key(sha)}-{number}",
            name=item.name if number == 0 else f"{item.name}#{number}",
            width=crop.shape[1],
            height=crop.shape[0],
            sha256=hashlib.sha256(data).hexdigest(),
            source_sha256=sha,
            identity=item.identity if number == 0 else None,
            prompt=item.prompt or describe(canonical, face.landmarks),
            faces=count,
            **face_columns(framed),
            embedding=self.observer.recognise(image, face),
            quality=quality,
            reason=f"low quality: {quality:.3f}" if quality < self.limit else None,
        )
        return row, data


def frame(pixels: ByteImage, face: Face, framing: str, size: int) -> tuple[ByteImage, Face]:
    """The picture [H, W, 3] cut as `framing` says, and the face in pixels of the crop."""
    if framing == "none":
        return pixels, face
    matrix = (align.crop_matrix if framing == "canonical" else templates.ffhq_matrix)(face.landmarks, size)
    landmarks = align.transform_points(face.landmarks, matrix)
    yaw, pitch, roll = face.pose
    turned = 180 - (180 - roll - pose.tilt(matrix)) % 360  # in (-180, 180]
    angles = np.array([yaw, pitch, turned])
    framed = replace(face, box=bounding_box(landmarks), landmarks=landmarks, pose=angles)
    return align.warp(pixels, matrix, size), framed


def describe(canonical: ByteImage, landmarks: FloatArray) -> str:
    """A caption of a canonical crop: its style, light and background. `landmarks` [478, 3] px of any picture."""
    colour = np.ptp(canonical.astype(np.float32), axis=2).mean()
    style = "colour photo" if colour > GREY else "black and white photo"
    points = align.transform_points(landmarks, align.crop_matrix(landmarks))
    said = (
        f"{style} of a person",
        light_words(canonical, points),
        f"{background_colour(canonical)} background",
    )
    return ", ".join(part for part in said if part)


def _key(sha: str) -> str:
    return sha[:20]


def _rejected(item: Item | Record, reason: str, sha: str | None) -> Record:
    name = hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).hexdigest()
    key = f"x{_key(name)}"
    return Record(key=key, name=item.name, identity=item.identity, source_sha256=sha, reason=reason)


def _split(manifest: Manifest, same_person: float | None) -> Manifest:
    """The manifest with its split by person; with `same_person`, people are clusters of embeddings first."""
    pa = records.arrow()
    table = manifest.table
    if same_person is not None:
        table = _set(table, "identity", clusters(manifest, same_person), pa.string())
    pairs = zip(table.column("identity").to_pylist(), manifest.values("name"), strict=True)
    held = [is_held_out_key(who) if who else is_held_out(name) for who, name in pairs]
    split = [HELD_OUT if h else TRAIN for h in held]
    return Manifest(_set(table, "split", split, pa.string()), manifest.root)


def clusters(manifest: Manifest, same_person: float) -> list[str | None]:
    """A label for every row that was kept, by Chinese whispers (Biemann 2006) over the embeddings, as dlib has it:
    called after the first key of its cluster. `same_person`: the distance below which two faces are linked."""
    import dlib

    rows, embeddings = manifest.kept(), manifest.array("embedding")
    vectors = [dlib.vector(embeddings[row].astype(float).tolist()) for row in rows]
    numbers = list(dlib.chinese_whispers_clustering(vectors, same_person)) if vectors else []
    keys = manifest.values("key")
    first: dict[int, str] = {}
    for row, number in zip(rows, numbers, strict=True):
        first[number] = min(first.get(number, keys[row]), keys[row])
    labels: list[str | None] = [None] * len(manifest)
    for row, number in zip(rows, numbers, strict=True):
        labels[row] = f"cluster-{first[number]}"
    return labels


def _set(table: Any, name: str, values: list[Any], kind: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, records.arrow().array(values, kind))


def background_colour(crop: ByteImage) -> str:
    """Name of the colour nearest to the median of a crop's two upper corners."""
    side = max(4, crop.shape[0] // 10)
    corners = np.concatenate([crop[:side, :side].reshape(-1, 3), crop[:side, -side:].reshape(-1, 3)])
    median = np.median(corners, axis=0)
    return min(NAMED_COLOURS, key=lambda name: float(((median - NAMED_COLOURS[name]) ** 2).sum()))


def light_words(crop: ByteImage, landmarks: FloatArray) -> str:
    """Where the light comes from, or how much of it there is; "" when it is even and ordinary."""
    size = crop.shape[0]
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)

    def brightness(point: int) -> float:
        x, y = np.clip(landmarks[point, :2].astype(int), 4, size - 5)
        return float(grey[y - 4 : y + 5, x - 4 : x + 5].mean())

    left, right = brightness(_LEFT_CHEEK), brightness(_RIGHT_CHEEK)
    if left > 1.35 * right + 8:
        return "light from the left"
    if right > 1.35 * left + 8:
        return "light from the right"
    middle = grey[size // 4 : -size // 4, size // 4 : -size // 4].mean()
    return "dark light" if middle < 75 else "bright light" if middle > 185 else ""
