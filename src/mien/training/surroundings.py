"""Training data of refacing: a picture, where its face is, who it shows and what the face does.

A batch is a dictionary: ``x`` [b, 3, S, S] in [-1, 1], ``face`` [b, 1, S, S] in [0, 1] (the region to be blanked, of
random size), ``identity`` [b, w] (of another picture of the person, where there is one), ``expression`` [b, w'],
``valid`` [b, h, w] (share of a latent cell that shows the picture, and no black corner of an aligned one) and perhaps
``face_matrix`` [b, 2, 3] (x's pixels → canonical crop; absent where x is the canonical crop of another size).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.backbones import Backbone
from mien.data.records import TRAIN
from mien.encoders.clip import ClipExpression
from mien.encoders.compound import JoinedIdentity, compound
from mien.face.align import crop_matrix, transform_points, warp
from mien.face.mask import shown_mask
from mien.models import sfsr
from mien.models.sfsr import FRAMINGS, face_region
from mien.pixels import to_pixels
from mien.training.cache import Cache
from mien.training.examples import read_rows
from mien.types import FaceEncoder, InputError

HELD, BATCH = 256, 32
# What a face's region is grown by, and its jaw lowered by: least and most. At use: `models.sfsr`.
GROW, JAW = (0.0, 0.15), (0.04, 0.18)
Batch = dict[str, Tensor]


class Surroundings:
    """A face set at the backbone's resolution; its embeddings are made once and kept beside it. Raises `InputError`:
    nothing to train on, or the backbone names no encoders and no recognisers are given.

    Attributes:
        recognisers: name → width of a compound identity; None: the adapter's own encoder.
        expression_width: of the expression embedding. identity_encoder, expression_encoder: their names.
    """

    def __init__(
        self,
        root: str | Path,
        backbone: Backbone,
        recognisers: Sequence[str | FaceEncoder] | None,
        framing: str,
    ) -> None:
        self.manifest, triples = read_rows(Path(root), another=False)
        manifest = self.manifest
        self.size, self.factor, self.framing = backbone.size, backbone.factor, framing
        rows, train = manifest.kept(), np.array(manifest.values("split")) == TRAIN
        self.drawn, self.kept = [r for r in rows if train[r]], [r for r in rows if not train[r]][:HELD]
        if not self.drawn:
            raise InputError(f"{root} holds no picture to train on: look at the reasons in its manifest.")
        self.sources = {triple.target: triple.sources for triple in triples}
        identity: Any
        self.recognisers: Mapping[str, int] | None = None
        if recognisers is None:
            identity = backbone.encoder("identity")
        else:
            several = compound(recognisers, backbone.device)
            identity, self.recognisers = JoinedIdentity(several), several.widths
        expression: Any = (
            ClipExpression(device=backbone.device)
            if backbone.adapter is None
            else backbone.encoder("expression")
        )
        self.expression_width = expression.width
        self.identity_encoder, self.expression_encoder = identity.name, expression.name
        cached = Cache(manifest)

        self._identity = cached.encoded("identity", identity, rows)
        self._expression = cached.encoded("expression", expression, rows)
        self._landmarks = manifest.array("landmarks").astype(np.float64)

    def __call__(self, count: int, rng: torch.Generator) -> Batch:
        """A batch, drawn."""
        chosen = [self.drawn[i] for i in torch.randint(len(self.drawn), (count,), generator=rng).tolist()]
        sources = []
        for row, u in zip(chosen, torch.rand(count, generator=rng).tolist(), strict=True):
            sources.append(self.sources[row][int(u * len(self.sources[row]))])
        grow, jaw = (torch.empty(count).uniform_(*span, generator=rng) for span in (GROW, JAW))
        return self._show(chosen, sources, grow, jaw)

    def held_out(self) -> Iterator[Batch]:
        """Batches of held-out pictures, always the same ones."""
        for start in range(0, len(self.kept), BATCH):
            part = self.kept[start : start + BATCH]
            at_use = (torch.full((len(part),), value) for value in (sfsr.GROW, sfsr.JAW))
            yield self._show(part, part, *at_use)

    def _show(self, chosen: list[int], sources: list[int], grow: Tensor, jaw: Tensor) -> Batch:
        size = self.size
        crops, outlines, matrices, shown = [], [], [], []
        for row in chosen:
            matrix = FRAMINGS[self.framing](self._landmarks[row], size)
            pixels = np.asarray(self.manifest.picture(row))
            crops.append(warp(pixels, matrix, size))
            visible = np.repeat(shown_mask(pixels)[..., None] * np.uint8(255), 3, 2)
            shown.append(warp(visible, matrix, size)[..., 0])
            outlines.append(transform_points(self._landmarks[row], matrix))
            matrices.append(torch.from_numpy(crop_matrix(outlines[-1])).float())
        batch = {} if self.framing == "canonical" else {"face_matrix": torch.stack(matrices)}
        return batch | {
            "x": to_pixels(np.stack(crops)),
            "face": face_region(torch.from_numpy(np.stack(outlines)), size, grow, jaw),
            "valid": F.avg_pool2d(torch.from_numpy(np.stack(shown)).float() / 255, self.factor),
            "identity": torch.stack([self._identity[row] for row in sources]),
            "expression": torch.stack([self._expression[row] for row in chosen]),
        }
