"""Training data of refacing: a picture, where its face is, who it shows and what the face does.

A batch is a dictionary: ``x`` [b, 3, S, S] in [-1, 1], ``face`` [b, 1, S, S] in [0, 1] (the region to be blanked, of
random size), ``identity`` [b, w] (of another picture of the person, where there is one), ``expression`` [b, w'], and
perhaps ``valid`` [b, h, w] (share of a latent cell that shows the picture) and ``face_matrix`` [b, 2, 3] (x's pixels →
canonical crop; absent where x is the canonical crop of another size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mien import weights as shipped
from mien.data.dataset import to_pixels
from mien.data.records import TRAIN, Manifest
from mien.encoders.compound import JoinedIdentity, compound
from mien.encoders.identity import EMBEDDING
from mien.face.align import crop_matrix, transform_points, warp
from mien.models import sfsr
from mien.models.sfsr import FRAMINGS, face_region
from mien.training.augment import uniform
from mien.training.conditions import GROW, JAW, ConditionSampler, ConditionSet, build_set
from mien.training.kept import Kept
from mien.types import InputError

if TYPE_CHECKING:
    from mien.backbones import Backbone

HELD, BATCH = 256, 32
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


def identified(
    part: ConditionSet, recognisers: list[str], tables: str | Path | None
) -> tuple[ConditionSet, dict[str, int]]:
    """A prepared set whose identity is a compound, joined in alphabetical order; and the recognisers' widths.

    Raises:
        InputError: a table is missing or of another set.
    """
    found: dict[str, Tensor] = {}
    for name in recognisers:
        if name in ("recogniser", "embedded"):
            found[name] = part.identity[..., : EMBEDDING if name == "recogniser" else None]
            continue
        path = Path(tables or ".") / f"{part.faces.source}.{name}.npy"
        if not path.is_file():
            raise InputError(f"{path} does not exist: it must hold what {name} says of the set's faces.")
        table = torch.from_numpy(np.load(path)).float()
        if table.ndim != 3 or table.shape[:2] != (2, len(part.faces)):
            raise InputError(
                f"{path} is {list(table.shape)}, not [2, {len(part.faces)}, width]: make it again."
            )
        found[name] = table
    joined = torch.cat([found[name] for name in sorted(found)], dim=-1)
    return replace(part, identity=joined), {name: found[name].shape[-1] for name in recognisers}


def from_prepared(
    weights: dict[str, float],
    backbone: Backbone,
    encoders: Path | None,
    recognisers: list[str] | None,
    tables: str | None,
    held: str = "utkface-adults",
) -> Surroundings:
    """Prepared sets of canonical crops, as the embedded default is trained on; see `stages.sfsr`."""
    folder = shipped.path("analyser").parent if encoders is None else encoders
    sampler = ConditionSampler(weights, backbone.prompts.tokenizers[0], encoders=folder)
    kept = build_set(held, held_out=True, encoders=folder)
    widths: dict[str, int] | None = None
    if recognisers is not None:
        pairs = [identified(part, recognisers, tables) for part in sampler.sets]
        sampler.sets = [part for part, _ in pairs]
        kept, widths = identified(kept, recognisers, tables)

    def held_out() -> Iterator[Batch]:
        for rows in np.array_split(kept.rows[:HELD], max(1, min(HELD, len(kept.rows)) // BATCH)):
            landmarks = torch.from_numpy(kept.faces.landmarks[rows])
            yield {
                "x": to_pixels(np.stack([kept.faces.crops[i] for i in rows])),
                "face": face_region(landmarks, kept.faces.crops.shape[1]),
                "identity": kept.identity[0, rows],
                "expression": kept.expression[0, rows],
            }

    def draw(size: int, rng: torch.Generator) -> Batch:
        batch = sampler(size, rng)
        del batch["ids"]
        return batch

    return Surroundings(draw, held_out, widths, kept.expression.shape[-1], "embedded", "embedded")


def from_manifest(
    root: str | Path, backbone: Backbone, recognisers: list[str] | None, framing: str
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
        crops, outlines, matrices = [], [], []
        for row in chosen:
            matrix = FRAMINGS[framing](landmarks[row], size)
            crops.append(warp(np.asarray(manifest.picture(row)), matrix, size))
            outlines.append(transform_points(landmarks[row], matrix))
            matrices.append(torch.from_numpy(crop_matrix(outlines[-1])).float())
        batch = {} if framing == "canonical" else {"face_matrix": torch.stack(matrices)}
        return batch | {
            "x": to_pixels(np.stack(crops)),
            "face": face_region(torch.from_numpy(np.stack(outlines)), size, grow, jaw),
            "identity": torch.stack([who_is[row] for row in sources]),
            "expression": torch.stack([how_is[row] for row in chosen]),
        }

    def draw(count: int, rng: torch.Generator) -> Batch:
        chosen = [drawn[i] for i in torch.randint(len(drawn), (count,), generator=rng).tolist()]
        sources = []
        for row, u in zip(chosen, torch.rand(count, generator=rng).tolist(), strict=True):
            others = [o for o in people[row if names[row] is None else names[row]] if o != row] or [row]
            sources.append(others[int(u * len(others))])
        return show(chosen, sources, uniform(count, *GROW, rng), uniform(count, *JAW, rng))

    def held_out() -> Iterator[Batch]:
        for start in range(0, len(kept), BATCH):
            part = kept[start : start + BATCH]
            yield show(part, part, *(torch.full((len(part),), at_use) for at_use in (sfsr.GROW, sfsr.JAW)))

    return Surroundings(draw, held_out, widths, expression.width, identity.name, expression.name)


def _clip(backbone: Backbone) -> Any:
    from mien.encoders.clip import ClipExpression

    return ClipExpression(device=backbone.device)
