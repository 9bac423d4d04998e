"""Examples for the adapter's stages: pictures of a manifest.

A batch is a dictionary of tensors:

- ``x`` [b, 3, S, S] in [-1, 1], or ``z`` [b, c, h, w], the same as latents made before: the target T.
- ``identity`` [b, w] of the source S; ``expression`` [b, w] of the reference R; ``ids``, ``ids_2`` the caption.
- ``expression_target`` [b, 57]: what the target's face does, in the units of `judge.FaceJudge.expression`.
- ``person_target`` [b, 128]: φ of the source's canonical crop, as `judge.FaceJudge.identity` has it; if asked for.
- ``time_ids`` [b, 6]: original height and width, crop's top and left, size and size (SDXL, Podell et al. 2023).
- ``face_matrix`` [b, 2, 3]: x's pixels → canonical crop; absent where x is the canonical crop.
- ``valid`` [b, h, w]: weight of each latent cell in the noise error; absent: all 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mien.backbones import Backbone
from mien.data.pairs import TRIPLES, Pairs
from mien.data.records import TRAIN, Manifest
from mien.errors import InputError, choice
from mien.face.align import CROP_SIZE, crop_matrix, invert, warp
from mien.metrics import face as metrics
from mien.models.sfsr import face_region
from mien.pixels import to_pixels
from mien.training.cache import Cache, Numbers
from mien.training.judge import FaceJudge
from mien.types import FloatArray

Framing = Literal["whole", "canonical"]
Batch = dict[str, Tensor]
HELD = 64
MIDDLE = np.array([0.0, 0.5, 0.5])  # draws of the one crop that a latent made before has


class ManifestExamples:
    """Batches of triples of a folder: those of IDI (``triples.parquet``), or same-identity ones of its manifest. Raises
    `InputError`: the folder holds nothing to train on, or an encoder's width does not fit the adapter.

    Without IDI a target's source is another picture of its person (itself where there is none), and its reference the
    target itself: EmojiDiff's {S_i^¬e, R_i^e, T_i^e}; for expression encoders that look at pictures see `apart`. With
    it they are {S_i^¬e, R_¬i^e, T_i^e}. Embeddings are made once and kept in the folder (`cache.Cache`), latents too
    where `latents` is set (the autoencoder's mean, of one fixed crop).

    Args:
        backbone: whose encoders, tokenizers and autoencoder are used. judge: of ``expression_target``. data: how the
            pictures are taken. another: whether references must be of another person (IDI). person: whether batches
            hold ``person_target``.
    """

    def __init__(
        self,
        root: str | Path,
        backbone: Backbone,
        judge: FaceJudge,
        data: DataConfig,
        another: bool,
        person: bool = False,
    ) -> None:
        self.root, self.backbone = Path(root), backbone
        self.size, self.framing, self.scaling = data.size or backbone.size, data.framing, tuple(data.scaling)
        self.surroundings = data.surroundings
        once = replace(backbone, _encoders={})  # its encoders are large, and go when this is done
        self.manifest, self.triples = read_rows(self.root, another)
        if not another and once.encoder("expression").name != "embedded":
            self.triples = apart(self.triples, self.manifest.array("blendshapes"))
        train = np.array(self.manifest.values("split")) == TRAIN
        targets = np.array([triple.target for triple in self.triples])
        self.train, self.held = np.flatnonzero(train[targets]), np.flatnonzero(~train[targets])
        if not len(self.train):
            raise InputError(f"{self.root} holds no example to train on: all its pictures are held out.")
        sources = sorted({row for triple in self.triples for row in triple.sources})
        references = sorted({triple.reference for triple in self.triples})
        shown = sorted(set(targets.tolist()))
        self._landmarks = landmarks = self.manifest.array("landmarks").astype(np.float64)
        self._matrices = {row: crop_matrix(landmarks[row]) for row in {*shown, *sources}}
        self._boxes = self.manifest.array("box")
        sizes = zip(self.manifest.values("height"), self.manifest.values("width"), strict=True)
        self._sizes = [(int(height or 0), int(width or 0)) for height, width in sizes]

        def look(says: Callable[[Tensor], Tensor]) -> Numbers:
            def numbers(row: int, image: Image.Image) -> Tensor:
                x = to_pixels(warp(np.asarray(image), self._matrices[row])[None].copy())
                with torch.no_grad():
                    return says(x.to(backbone.device))[0].cpu()

            return numbers

        cached = Cache(self.manifest)
        self._identity = cached.encoded("identity", once.encoder("identity"), sources)
        self._expression = cached.encoded("expression", once.encoder("expression"), references)
        self._judged = cached("judged", shown, look(judge.expression))
        self._person = cached("judged-person", sources, look(judge.identity)) if person else None
        self._latents = None
        if data.latents:
            self._latents = cached(
                f"latents-{Path(backbone.name).name}-{self.framing}-{self.size}", shown, self._latent
            )

    def __call__(self, size: int, rng: torch.Generator) -> Batch:
        """A batch; every choice comes from the generator."""
        return self._batch(self.train[torch.randint(len(self.train), (size,), generator=rng).numpy()], rng)

    def held_out(self, size: int = HELD) -> Batch | None:
        """One fixed batch; None if nothing is held out."""
        if not len(self.held):
            return None
        return self._batch(self.held[:size], torch.Generator().manual_seed(7))

    def _batch(self, chosen: np.ndarray, rng: torch.Generator) -> Batch:
        draws = torch.rand(len(chosen), 4, generator=rng).numpy()
        prompts, columns = [], []
        for i, u in zip(chosen.tolist(), draws, strict=True):
            triple = self.triples[i]
            source = triple.sources[int(u[0] * len(triple.sources))]
            example = {
                "identity": self._identity[source],
                "expression": self._expression[triple.reference],
                "expression_target": self._judged[triple.target],
            }
            if self._person is not None:
                example["person_target"] = self._person[source]
            prompts.append(triple.prompt)
            columns.append({**example, **self._target(triple.target, u[1:])})
        batch = {key: torch.stack([column[key] for column in columns]) for key in columns[0]}
        ids = self.backbone.prompts.ids(prompts)
        return batch | dict(zip(("ids", "ids_2"), ids, strict=False))

    def _target(self, row: int, u: FloatArray) -> Batch:
        """The target's picture (or latent), with where its face and its crop are."""
        resize, top, left = self._place(row, u if self._latents is None else MIDDLE)
        height, width = self._sizes[row]
        told = (height, width, top, left) if self.framing == "whole" else (self.size, self.size, 0, 0)
        out = {"time_ids": torch.tensor([*told, self.size, self.size], dtype=torch.float32)}
        if self.framing == "whole":
            to_x = np.array([[resize, 0, -left], [0, resize, -top]])
            linear = self._matrices[row][:, :2] / resize
            shift = self._matrices[row] @ np.append(invert(to_x)[:, 2], 1.0)
            out["face_matrix"] = torch.from_numpy(np.concatenate([linear, shift[:, None]], 1)).float()
        else:
            to_x = self._matrices[row] * (self.size / CROP_SIZE)
        if self.surroundings < 1:
            points = torch.from_numpy(self._landmarks[row, :, :2] @ to_x[:, :2].T + to_x[:, 2])[None]
            cells = self.size // self.backbone.factor
            inside = F.adaptive_avg_pool2d(face_region(points, self.size), (cells, cells))[0, 0]
            out["valid"] = self.surroundings + (1 - self.surroundings) * inside
        if self._latents is not None:
            out["z"] = self._latents[row]
        else:
            out["x"] = self._pixels(row, self.manifest.picture(row), resize, top, left)
        return out

    def _pixels(self, row: int, image: Image.Image, resize: float, top: int, left: int) -> Tensor:
        if self.framing == "canonical":
            pixels = warp(np.asarray(image), self._matrices[row] * (self.size / CROP_SIZE), self.size)
        else:
            smaller = (round(image.width * resize), round(image.height * resize))
            image = image.resize(smaller, Image.Resampling.LANCZOS)
            pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)))
        return to_pixels(pixels[None].copy())[0]

    def _latent(self, row: int, image: Image.Image) -> Tensor:
        x = self._pixels(row, image, *self._place(row, MIDDLE))
        with torch.no_grad():
            return self.backbone.encode(x[None].to(self.backbone.device))[0].cpu()

    def _place(self, row: int, u: FloatArray) -> tuple[float, int, int]:
        """(factor, top, left) of the square that is cut out of the resized picture; the face's box lies in it."""
        height, width = self._sizes[row]
        low, high = self.scaling
        resize = self.size / min(height, width) * (low + float(u[0]) * (high - low))
        corner = []
        for side, near, far, v in (
            (round(height * resize), self._boxes[row][1], self._boxes[row][3], float(u[1])),
            (round(width * resize), self._boxes[row][0], self._boxes[row][2], float(u[2])),
        ):
            slack = side - self.size
            edges = (far * resize - self.size, near * resize)
            least, most = (float(np.clip(edge, 0, slack)) for edge in edges)
            corner.append(round(least + v * (most - least)))
        return resize, corner[0], corner[1]


class Several:
    """Examples of several sets, each drawn from as often as its share of all; see `ManifestExamples`."""

    def __init__(self, sets: Sequence[ManifestExamples]) -> None:
        self.sets = sets
        self.shares = torch.tensor([float(len(one.train)) for one in sets])

    def __call__(self, size: int, rng: torch.Generator) -> Batch:
        drawn = torch.multinomial(self.shares, size, replacement=True, generator=rng)
        counts = torch.bincount(drawn, minlength=len(self.sets)).tolist()
        batches = [one(count, rng) for one, count in zip(self.sets, counts, strict=True) if count]
        return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}

    def held_out(self, size: int = HELD) -> Batch | None:
        share = -(-size // len(self.sets))
        found = [batch for one in self.sets if (batch := one.held_out(share)) is not None]
        return {key: torch.cat([batch[key] for batch in found]) for key in found[0]} if found else None


@dataclass(frozen=True)
class Rows:
    """A triple by rows of its manifest; `sources`: any of them may be S."""

    target: int
    sources: tuple[int, ...]
    reference: int
    prompt: str


def read_rows(root: Path, another: bool) -> tuple[Manifest, list[Rows]]:
    """The manifest of a folder and its triples: IDI's if references must be of `another` person, else its own."""
    if another:
        if not (root / TRIPLES).is_file():
            raise InputError(f"{root} holds no {TRIPLES}, which `mien data idi` makes: run it.")
        pairs = Pairs.read(root)
        roles = ("target", "source", "reference")
        triples = []
        for i, triple in enumerate(pairs):
            target, source, reference = (pairs.row(i, role) for role in roles)
            triples.append(Rows(target, (source,), reference, triple.prompt))
        return pairs.manifest, triples
    manifest = Manifest.read(root)
    kept = manifest.kept()
    identities, prompts = manifest.values("identity"), manifest.values("prompt")
    people: dict[str, list[int]] = {}
    for row in kept:
        if identities[row] is not None:
            people.setdefault(identities[row], []).append(row)
    triples = []
    for row in kept:
        others = tuple(other for other in people.get(identities[row], ()) if other != row)
        triples.append(Rows(row, others or (row,), row, prompts[row] or ""))
    if not triples:
        raise InputError(f"{root} holds no picture that was kept: look at the reasons in its manifest.")
    return manifest, triples


def apart(triples: list[Rows], blendshapes: FloatArray) -> list[Rows]:
    """Same-identity triples of which no two pictures are one, where the person has three.

    S is the person's picture whose expression is farthest from the target's, as in IDI (`data.idi.plan`); R, of the
    others, the one whose expression is nearest, or T itself where there is no third. triples: as of `read_rows`, where
    `sources` are all the person's other pictures. blendshapes: [rows, 52].
    """
    chosen = []
    for triple in triples:
        off = metrics.exp(blendshapes[triple.target], blendshapes[list(triple.sources)])  # [others]
        nearest = triple.sources[int(off.argmin())] if len(triple.sources) > 1 else triple.target
        chosen.append(replace(triple, sources=(triple.sources[int(off.argmax())],), reference=nearest))
    return chosen


@dataclass(frozen=True)
class DataConfig:
    """Which examples: the key ``data`` of a stage's arguments.

    Attributes:
        root: folder of `ManifestExamples`, or a list of such. size: S; None: the backbone's.
        framing: "whole": the picture, resized and cut to a square with the face in it; "canonical": the aligned face,
            as the embedded default has it.
        scaling: least and largest factor of the resized picture's shorter side over `size`, drawn per example
            (IP-Adapter's random scaling, for SDXL, which is told of it). latents: whether to make latents once.
        surroundings: how much a latent cell outside the target's face counts in the noise error, against 1 inside;
            under 1 where pictures end near the face.
    """

    root: str | list[str]
    size: int | None = None
    framing: Framing = "whole"
    scaling: tuple[float, float] = (1.0, 1.0)
    latents: bool = False
    surroundings: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.surroundings <= 1:
            raise InputError(f"surroundings must be between 0 and 1, not {self.surroundings}")
        choice(self.framing, ("whole", "canonical"), "framing")
        if not 1.0 <= self.scaling[0] <= self.scaling[1]:
            raise InputError(f"scaling {tuple(self.scaling)} must be two factors from 1, the smaller first")
        if self.latents and tuple(self.scaling) != (1.0, 1.0):
            raise InputError("latents made before have one scale each: set scaling=[1,1] or latents=false")

    @classmethod
    def read(cls, data: dict[str, Any]) -> DataConfig:
        """Raises InputError for an unknown key, or without a `root`."""
        if unknown := sorted(data.keys() - cls.__dataclass_fields__.keys()):
            raise InputError(f"data has no key {unknown[0]!r}, only {', '.join(cls.__dataclass_fields__)}")
        if not data.get("root"):
            raise InputError("name the examples: data.root=FOLDER, which mien data makes")
        return cls(**data)

    @property
    def roots(self) -> list[Path]:
        """The folders."""
        return [Path(root) for root in ([self.root] if isinstance(self.root, str) else self.root)]

    def open(
        self, backbone: Backbone, encoders: str | None, another: bool, person: bool = False
    ) -> ManifestExamples | Several:
        """The examples; `encoders`: folder of the analyser and recogniser (None: the shipped ones); `another`:
        references must show another person (IDI); `person`: see `ManifestExamples`.
        """
        judge = FaceJudge(encoders, backbone.device)
        sets = [ManifestExamples(root, backbone, judge, self, another, person) for root in self.roots]
        return sets[0] if len(sets) == 1 else Several(sets)
