"""Training data of refacing: a picture, where its face is, who it shows and what the face does.

A batch is a dictionary: ``x`` [b, 3, S, S] in [-1, 1], ``face`` [b, 1, S, S] in [0, 1] (the region to be blanked, of
random size), ``identity`` [b, w] (of another picture of the person, where there is one), ``expression`` [b, w'],
``valid`` [b, h, w] (share of a latent cell that shows the picture, and no black corner of an aligned one) and perhaps
``face_matrix`` [b, 2, 3] (x's pixels → canonical crop; absent where x is the canonical crop of another size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.data.records import TRAIN, Manifest
from mien.encoders.compound import IdentityEncoder, JoinedIdentity, compound
from mien.face.align import crop_matrix, transform_points, warp
from mien.face.mask import shown_mask
from mien.models import sfsr
from mien.models.sfsr import FRAMINGS, face_region
from mien.pixels import to_pixels
from mien.training.kept import Kept
from mien.types import InputError

if TYPE_CHECKING:
    from mien.backbones import Backbone

HELD, BATCH = 256, 32
# What a face's region is grown by, and its jaw lowered by: least and most. At use: `models.sfsr`.
GROW, JAW = (0.0, 0.15), (0.04, 0.18)
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Surroundings:
    """A source of batches.

    Attributes:
        draw: (size, rng) → batch. held: batches of held-out pictures, always the same ones.
        recognisers: name → width of a compound identity; None: the adapter's own encoder.
        expression_width: of the expression embedding. identity_encoder, expression_encoder: their names.
    """

    draw: Callable[[int, torch.Generator], Batch]
    held: Callable[[], Iterator[Batch]]
    recognisers: Mapping[str, int] | None
    expression_width: int
    identity_encoder: str
    expression_encoder: str

    def __call__(self, size: int, rng: torch.Generator) -> Batch:
        return self.draw(size, rng)

    def held_out(self) -> Iterator[Batch]:
        return self.held()


def from_manifest(
    root: str | Path, backbone: Backbone, recognisers: Sequence[str | IdentityEncoder] | None, framing: str
) -> Surroundings:
    """A face set at the backbone's resolution; its embeddings are made once and kept beside it.

    Raises:
        InputError: nothing to train on, or the backbone names no encoders and no recognisers are given.
    """
    manifest = Manifest.read(root)
    size, rows = backbone.size, manifest.kept()
    train = np.array(manifest.values("split")) == TRAIN
    drawn, kept = [r for r in rows if train[r]], [r for r in rows if not train[r]][:HELD]
    if not drawn:
        raise InputError(f"{root} holds no picture to train on: look at the reasons in its manifest.")
    people: dict[Any, list[int]] = {}
    names = manifest.values("identity")
    for row in rows:
        people.setdefault(row if names[row] is None else names[row], []).append(row)
    identity: Any
    if recognisers is None:
        identity, widths = backbone.encoder("identity"), None
    else:
        who = compound(recognisers, backbone.device)
        identity, widths = JoinedIdentity(who), who.widths
    expression = backbone.encoder("expression") if backbone.adapter is not None else _clip(backbone)
    keep = Kept(manifest)
    who_is = keep(f"identity-{identity.name}", rows, lambda row, image: identity(image, manifest.face(row)))
    how_is = keep(
        f"expression-{expression.name}", rows, lambda row, image: expression(image, manifest.face(row))
    )
    landmarks = manifest.array("landmarks").astype(np.float64)

    def show(chosen: list[int], sources: list[int], grow: Tensor, jaw: Tensor) -> Batch:
        crops, outlines, matrices, shown = [], [], [], []
        for row in chosen:
            matrix = FRAMINGS[framing](landmarks[row], size)
            pixels = np.asarray(manifest.picture(row))
            crops.append(warp(pixels, matrix, size))
            shown.append(
                warp(np.repeat(shown_mask(pixels)[..., None] * np.uint8(255), 3, 2), matrix, size)[..., 0]
            )
            outlines.append(transform_points(landmarks[row], matrix))
            matrices.append(torch.from_numpy(crop_matrix(outlines[-1])).float())
        batch = {} if framing == "canonical" else {"face_matrix": torch.stack(matrices)}
        return batch | {
            "x": to_pixels(np.stack(crops)),
            "face": face_region(torch.from_numpy(np.stack(outlines)), size, grow, jaw),
            "valid": F.avg_pool2d(torch.from_numpy(np.stack(shown)).float() / 255, backbone.factor),
            "identity": torch.stack([who_is[row] for row in sources]),
            "expression": torch.stack([how_is[row] for row in chosen]),
        }

    def draw(count: int, rng: torch.Generator) -> Batch:
        chosen = [drawn[i] for i in torch.randint(len(drawn), (count,), generator=rng).tolist()]
        sources = []
        for row, u in zip(chosen, torch.rand(count, generator=rng).tolist(), strict=True):
            others = [o for o in people[row if names[row] is None else names[row]] if o != row] or [row]
            sources.append(others[int(u * len(others))])
        grow, jaw = (torch.empty(count).uniform_(*span, generator=rng) for span in (GROW, JAW))
        return show(chosen, sources, grow, jaw)

    def held_out() -> Iterator[Batch]:
        for start in range(0, len(kept), BATCH):
            part = kept[start : start + BATCH]
            yield show(part, part, *(torch.full((len(part),), at_use) for at_use in (sfsr.GROW, sfsr.JAW)))

    return Surroundings(draw, held_out, widths, expression.width, identity.name, expression.name)


def _clip(backbone: Backbone) -> Any:
    from mien.encoders.clip import ClipExpression

    return ClipExpression(device=backbone.device)
