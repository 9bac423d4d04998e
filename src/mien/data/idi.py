"""ID-irrelevant Data Iteration: for a target T_i^e a reference R_¬i^e, the same expression on another face.

EmojiDiff makes it in two ways: *restruct*, the Base E-Adapter generates with the target as expression reference and
another person's identity; and *faceswap*, a swapper lays another person's face onto the target. A third is ours:
*carry*, the photo engine puts the target's expression on another person's photograph. `filters` rejects what is
blurred, whose expression drifted, or who still is the target's person. The Refined E-Adapter learns from {S_i^¬e,
R_¬i^e, T_i^e}.

One worker's part is here: jobs in, references out. `idi_run` spreads the jobs and writes the set.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data.filters import MIN_QUALITY, Limits, Quality, distances, judge
from mien.data.observe import Memory, Observer
from mien.data.pairs import Triple
from mien.data.records import Manifest, Record, face_columns
from mien.face.align import crop_matrix, warp
from mien.face.subject import Subject
from mien.metrics import face as metrics
from mien.provenance import COMPOSITE, DIGITAL_SOURCE_TYPE, save_image
from mien.types import Face, FloatArray, InputError

RESTRUCT, FACESWAP, CARRY = "restruct", "faceswap", "carry"
BATCH = 16  # portraits generated at once
CANDIDATES = 8  # of as many people the one whose pose is nearest lends the face, or the photograph


Generator = Callable[[Sequence[Subject], Sequence[Subject], Sequence[str], Sequence[int]], list[Image.Image]]
"""Identities, expressions, prompts and seeds → portraits, one for each; the Base E-Adapter in a pipeline."""


Swapper = Callable[[Image.Image, Image.Image, int], Image.Image]
"""(target picture, identity picture, seed) → the target with that person's face, PIL RGB of the target's size; or, for
*carry*, that person's picture with the target's expression. `InputError` for a pair it cannot do."""


@dataclass(frozen=True)
class Job(Triple):
    """One reference to make: a triple without it. other_prompt: the caption of the picture `other`."""

    other_prompt: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """What became of a job: its triple, and the reference's row and JPEG if a picture was made."""

    triple: Triple
    record: Record | None = None
    data: bytes | None = None


def plan(
    manifest: Manifest,
    methods: Sequence[str],
    count: int | None,
    seed: int = 0,
    split: str | None = "train",
    same_person: float = 0.0,
    with_source: bool = False,
) -> list[Job]:
    """The jobs of a set, in an order that depends on `seed` alone: a smaller count is the beginning of a larger one.
    Raises `InputError`: there is no picture, or only one person.

    Every target is done by all `methods` before the next; then another round begins with other people. The source is
    the picture of the target's person whose expression is farthest from the target's (else the target itself); the
    other person is of the target's split.

    Args:
        methods: "restruct", "faceswap:NAME", "carry". count: how many; None: one round. split: whose targets; None:
            all.
        same_person: people without labels are others from this distance of embeddings on.
        with_source: leave out targets whose person has no other picture.
    """
    rows = manifest.kept(split)
    if not rows:
        raise InputError(f"{manifest.root} holds no picture of the split {split}: choose another.")
    people = _People(manifest, rows, same_person)
    if with_source and not (rows := [row for row in rows if people.source(row) != row]):
        raise InputError(f"No person in {manifest.root} has two pictures: label them, or drop --with-source.")
    keys, prompts = manifest.values("key"), manifest.values("prompt")
    order = sorted(rows, key=lambda row: _number(seed, keys[row]))
    total = len(order) * len(methods) if count is None else count
    jobs = []
    for number in range(total):
        turn, method = divmod(number, len(methods))
        turn, place = divmod(turn, len(order))
        row, how = order[place], methods[method]
        draw = _number(seed, keys[row], how, turn)
        other = people.other(row, draw, 1 if how == RESTRUCT else CANDIDATES)
        digest = hashlib.sha256(f"{keys[row]}/{keys[other]}/{how}/{seed}/{turn}".encode()).hexdigest()
        source = keys[people.source(row)]
        triple = digest[:20], keys[row], source, None, prompts[row], how, keys[other]
        jobs.append(Job(*triple, other_prompt=prompts[other], seed=draw % 2**31))
    return jobs


class _People:
    """Who is another person, and who is the same."""

    def __init__(self, manifest: Manifest, rows: list[int], same_person: float) -> None:
        self.same_person = same_person
        self.identity, self.split = manifest.values("identity"), manifest.values("split")
        self.embedding, self.pose = manifest.array("embedding"), manifest.array("pose")
        self.blendshapes = manifest.array("blendshapes")
        self.members: dict[str, list[int]] = {}
        self.together: dict[str, list[int]] = {}
        for row in rows:
            self.together.setdefault(self.split[row], []).append(row)
            if self.identity[row]:
                self.members.setdefault(self.identity[row], []).append(row)

    def other(self, row: int, draw: int, candidates: int) -> int:
        """A row of somebody else: of some drawn by `draw` the one whose pose is nearest."""
        rng = np.random.default_rng(draw)
        found: list[int] = []
        rows = self.together[self.split[row]]
        for index in rng.integers(0, len(rows), 64 * candidates):
            if not self._same(row, rows[index]):
                found.append(rows[index])
                if len(found) == candidates:
                    break
        if not found:  # where nearly all are one person's
            found = [other for other in rng.permutation(rows).tolist() if not self._same(row, other)]
            del found[candidates:]
        if not found:
            raise InputError("The set shows one person only in a split: add pictures of others.")
        return min(found, key=lambda other: float(metrics.pose_error(self.pose[row], self.pose[other])))

    def source(self, row: int) -> int:
        """The picture of the same person whose expression is farthest."""
        others = [m for m in self.members.get(self.identity[row] or "", []) if m != row]
        if not others:
            return row
        return others[int(metrics.exp(self.blendshapes[row], self.blendshapes[others]).argmax())]

    def _same(self, a: int, b: int) -> bool:
        if self.identity[a] and self.identity[b]:
            return self.identity[a] == self.identity[b]
        return bool(metrics.id_distance(self.embedding[a], self.embedding[b]) < self.same_person) or a == b


def _number(*parts: Any) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big")


class Worker:
    """Does jobs of a set, whose folder must be readable where it runs; everything is loaded once.

    Args:
        generator: for "restruct", None if no job asks. swappers: the other methods.
        limits: `None`s in it are filled from the observer and the quality measure.
        memory: what swappers look at pictures with; it is told the set's faces.
    """

    def __init__(
        self,
        manifest: Manifest,
        observer: Observer,
        quality: Quality,
        limits: Limits,
        generator: Generator | None = None,
        swappers: Mapping[str, Swapper] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.manifest, self.observer, self.quality, self.generator = manifest, observer, quality, generator
        self.memory = memory or Memory(observer)
        self.limits = complete(limits, observer.same_person, quality.name)
        self.swappers = swappers or {}

    def __call__(self, jobs: Sequence[Job]) -> list[Made]:
        """What became of each job, in their order. A job that fails is a triple with a reason."""
        made: dict[str, Made] = {}
        pictures: list[tuple[Job, Image.Image]] = []
        restruct = [job for job in jobs if job.method == RESTRUCT]
        for start in range(0, len(restruct), BATCH):
            pictures += self._generate(restruct[start : start + BATCH], made)
        for job in jobs:
            if job.method != RESTRUCT:
                try:
                    target, other = self._subject(job.target), self._subject(job.other)
                    self.memory.tell([(target.image, target.face), (other.image, other.face)])
                    pictures.append((job, self.swappers[job.method](target.image, other.image, job.seed)))
                except InputError as error:
                    done = "carried" if job.method == CARRY else "swapped"
                    made[job.key] = Made(replace(job, reason=f"not {done}: {error}"))
        faces = self.observer.analyse([image for _, image in pictures])
        for (job, image), found in zip(pictures, faces, strict=True):
            made[job.key] = self._judge(job, image, found)
        return [made[job.key] for job in jobs]

    def _subject(self, key: str) -> Subject:
        row = self.manifest.index[key]
        return Subject(self.manifest.picture(row), self.manifest.face(row))

    def _generate(self, jobs: Sequence[Job], made: dict[str, Made]) -> list[tuple[Job, Image.Image]]:
        assert self.generator is not None, "a job asks for a generator"
        try:
            images = self.generator(
                [self._subject(job.other) for job in jobs],
                [self._subject(job.target) for job in jobs],
                [job.other_prompt for job in jobs],
                [job.seed for job in jobs],
            )
        except InputError as error:
            if len(jobs) > 1:  # one of them spoilt the batch: each alone, so that it can be named
                return [pair for job in jobs for pair in self._generate([job], made)]
            made[jobs[0].key] = Made(replace(jobs[0], reason=f"not generated: {error}"))
            return []
        return list(zip(jobs, images, strict=True))

    def _judge(self, job: Job, image: Image.Image, faces: Sequence[Face]) -> Made:
        data = self._encode(job, image)
        key = f"r{job.key}"
        record = Record(
            key=key,
            name=f"{job.method}/{job.key}",
            width=image.width,
            height=image.height,
            sha256=hashlib.sha256(data).hexdigest(),
            prompt=job.other_prompt,
            faces=len(faces),
        )
        triple = replace(job, reason="no face", reference=key)
        if not faces:
            return Made(triple, replace(record, reason="no face"), data)
        face = faces[0]
        crop = warp(np.asarray(image), crop_matrix(face.landmarks))
        quality = float(self.quality(crop[None])[0])
        embedding = self.observer.recognise(image, face)
        scores = distances(self._target(job.target), (face, embedding))
        reason = judge(scores, quality, self.limits)
        record = replace(record, **face_columns(face), embedding=embedding, quality=quality, reason=reason)
        values: dict[str, Any] = {**scores, "quality": quality, "reason": reason}
        return Made(replace(triple, **values), record, data)

    def _target(self, key: str) -> tuple[Face, FloatArray]:
        row = self.manifest.index[key]
        embedding: FloatArray = np.array(self.manifest.table.column("embedding")[row].as_py(), np.float32)
        return self.manifest.face(row), embedding

    def _encode(self, job: Job, image: Image.Image) -> bytes:
        """JPEG with its provenance, by the only function that may write a generated picture."""
        kind = COMPOSITE if job.method in (f"{FACESWAP}:photo", CARRY) else DIGITAL_SOURCE_TYPE
        settings = {"method": f"IDI {job.method}", "prompt": job.other_prompt, "seed": job.seed}
        with tempfile.TemporaryDirectory(prefix="mien-idi-") as folder:
            return save_image(image, Path(folder) / "reference.jpg", settings, kind).read_bytes()


def complete(limits: Limits, same_person: float, quality: str) -> Limits:
    """`limits` with its `None`s filled."""
    return replace(
        limits,
        id_distance=same_person if limits.id_distance is None else limits.id_distance,
        quality=MIN_QUALITY[quality] if limits.quality is None else limits.quality,
    )
