"""Batches made on the device from pictures that lie there: drawn, changed at random, and told about.

Whatever is done to a picture is done before anything reads it: its conditions are what the encoders say of the changed
picture, so they fit by construction. What would change the person (how wide a face is, its colours) is done to the
picture that the identity is taken from as well. Every choice comes from the generator that a batch is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.data.captions import caption
from mien.data.sources import Label
from mien.encoders.appearance import colours
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import EmbeddedIdentity
from mien.face.mask import OVAL
from mien.models.sfsr import face_region
from mien.models.text import tokenize
from mien.training.augment import similarity_matrices, uniform, warp_pixels
from mien.training.conditions import GROW, JAW, PICTURE_SIZE, STYLES
from mien.training.precision import bfloat16_pays
from mien.training.slices.pictures import BACKGROUNDS, LIGHTS, LUMA, Pictures

COLOURED = "colour photo"
CELLS = 8  # latent cells of a side
MIRRORED = {LIGHTS[1]: LIGHTS[2], LIGHTS[2]: LIGHTS[1]}


@dataclass(frozen=True)
class Jitter:
    """How much pictures are changed.

    Attributes:
        still: share of pictures whose frame is not moved; else turned by up to ±`degrees`, scaled by up to e^±`scale`,
            moved by up to ±`shift` sides: as far as landmarks are wrong at use.
        stretch: width over height by up to e^±; brightness, contrast, tint (each colour's), saturation: each up to ±.
            Of a picture and of the one its identity is taken from alike.
        partner: share of pictures whose identity is taken from another of the person, where there is one.
        grey: share of colour photographs turned grey, with a caption that says so.
    """

    still: float = 0.3
    degrees: float = 2.0
    scale: float = 0.025
    shift: float = 0.012
    stretch: float = 0.05
    brightness: float = 0.12
    contrast: float = 0.15
    tint: float = 0.06
    saturation: float = 0.25
    partner: float = 0.8
    grey: float = 0.07


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """[b, 2, 3] of two: first `inner`, then `outer`."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return torch.cat([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], dim=2)


def axis_matrices(side: int, across: Tensor, up: Tensor) -> Tensor:
    """[b, 2, 3]: old → new pixels, scaled about the middle by `across` and `up` [b]; −1 mirrors."""
    matrix = torch.zeros(len(across), 2, 3)
    for i, factor in enumerate((across, up)):
        matrix[:, i, i] = factor
        matrix[:, i, 2] = side / 2 * (1 - factor)
    return matrix


def inside(matrix: Tensor, size: Tensor, side: int, cells: int = CELLS) -> Tensor:
    """[b, cells, cells]: share of each cell of a side x side picture that `matrix` [b, 2, 3] fills from a source of
    `size` [b] pixels (4 x 4 samples a cell; a pixel beyond the edge counts)."""
    centres = (torch.arange(4 * cells, device=matrix.device) + 0.5) * side / (4 * cells)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], dim=-1).view(1, -1, 2)
    points = (grid - matrix[:, None, :, 2]) @ torch.linalg.inv(matrix[:, :, :2]).transpose(1, 2)
    limit = size.view(-1, 1, 1) + 1
    filled = ((points >= -1) & (points <= limit)).all(-1).float()
    return filled.view(-1, cells, 4, cells, 4).mean(dim=(2, 4))


def recolour(
    x: Tensor, brightness: Tensor, contrast: Tensor, tint: Tensor, saturation: Tensor, luma: Tensor
) -> Tensor:
    """x [b, 3, S, S] in [-1, 1] with `brightness` added, times `contrast`, times `tint` [b, 3] a colour, and its
    colours' distance from grey times `saturation`; the others [b]."""
    level = (x * luma.view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = level + saturation.view(-1, 1, 1, 1) * (x - level)
    x = ((x + 1) * tint[:, :, None, None] - 1) * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)
    return x.clamp(-1, 1)


class Pixels:
    """Batches of pictures alone, for the autoencoder: mirrored at random and moved by whole pixels, never blurred."""

    def __init__(
        self, pictures: Sequence[Pictures], weights: Mapping[str, float], device: torch.device, shift: int = 8
    ) -> None:
        """shift: largest move, px; edges are repeated."""
        self.crops = [torch.from_numpy(one.crops).to(device) for one in pictures]
        self.weights = torch.tensor([float(weights[one.source]) for one in pictures])
        self.device, self.shift = device, shift

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        """x [b, 3, S, S] in [-1, 1]."""
        sets, rows = draw(self.weights, [len(c) for c in self.crops], size, rng)
        x = gather(self.crops, sets, rows)
        flip = (torch.rand(size, generator=rng) < 0.5).to(self.device)
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
        side, s = x.shape[-1], self.shift
        moves = torch.randint(0, 2 * s + 1, (2, size, 1), generator=rng).to(self.device)
        line = torch.arange(side, device=self.device)
        ys, xs = ((line + move - s).clamp(0, side - 1) for move in moves)  # [b, S]
        each = torch.arange(size, device=self.device)[:, None, None, None]
        channel = torch.arange(3, device=self.device)[None, :, None, None]
        return {"x": x[each, channel, ys[:, None, :, None], xs[:, None, None, :]]}


def draw(
    weights: Tensor, counts: Sequence[int], size: int, rng: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Set and row of each of `size` pictures."""
    sets = torch.multinomial(weights, size, replacement=True, generator=rng).numpy()
    return sets, (torch.rand(size, generator=rng).double().numpy() * np.array(counts)[sets]).astype(np.int64)


def gather(crops: Sequence[Tensor], sets: np.ndarray, rows: np.ndarray) -> Tensor:
    """[b, 3, S, S] float32 in [-1, 1] of rows of several [n, S, S, 3] uint8 on one device."""
    first = crops[0]
    x = first.new_empty((len(rows), *first.shape[1:]))
    for number, content in enumerate(crops):
        where = np.flatnonzero(sets == number)
        chosen = torch.from_numpy(rows[where]).to(first.device)
        x[torch.from_numpy(where).to(first.device)] = content[chosen]
    return x.permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class _Set:
    """What the CPU knows of one set. people: rows of equal people lie together in `order`, from `first`, `count`."""

    pictures: Pictures
    style: str
    size: float
    order: np.ndarray
    first: np.ndarray
    count: np.ndarray


def _set(pictures: Pictures) -> _Set:
    order = np.argsort(pictures.person, kind="stable")
    ordered = pictures.person[order]
    first = np.searchsorted(ordered, pictures.person, "left")
    count = np.searchsorted(ordered, pictures.person, "right") - first
    style = STYLES.get(pictures.source, COLOURED)
    return _Set(pictures, style, PICTURE_SIZE.get(pictures.source, 10**6), order, first, count)


class Portraits:
    """Batches of `stages.pretrain`, as `conditions.ConditionSampler` makes them, with changed pictures.

    Args:
        pictures, weights: sets, and how often each is drawn, relative.
        tokenizer: of the text encoder. identity, expression: the embedded encoders, on `device`.
    """

    def __init__(
        self,
        pictures: Sequence[Pictures],
        weights: Mapping[str, float],
        tokenizer: Any,
        identity: EmbeddedIdentity,
        expression: EmbeddedExpression,
        device: torch.device,
        jitter: Jitter = Jitter(),
    ) -> None:
        self.sets = [_set(one) for one in pictures]
        self.crops = [torch.from_numpy(one.crops).to(device) for one in pictures]
        self.weights = torch.tensor([float(weights[one.source]) for one in pictures])
        self.tokenizer, self.identity, self.expression = tokenizer, identity, expression
        self.device, self.jitter = device, jitter
        self.luma = torch.from_numpy(LUMA).to(device)
        self.known: dict[str, Tensor] = {}  # caption → ids: there are few thousand

    @torch.no_grad()
    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        """x [b, 3, S, S], face [b, 1, S, S] in [0, 1], identity [b, 224], expression [b, 57], ids [b, 24],
        valid [b, 8, 8]."""
        j, device = self.jitter, self.device
        sets, rows = draw(self.weights, [len(c) for c in self.crops], size, rng)
        u = torch.rand(size, 10, generator=rng)
        chance = u.numpy()
        sources = self._sources(sets, rows, chance)
        coloured = np.array([self.sets[s].style == COLOURED for s in sets])
        greyed = torch.from_numpy(coloured & (chance[:, 5] < j.grey))
        side = self.crops[0].shape[1]
        stretch = torch.exp(uniform(size, -j.stretch / 2, j.stretch / 2, rng))
        frames = [self._frames(u[:, k] < 0.5, stretch, side, rng) for k in (3, 4)]
        colour = self._colours(size, torch.from_numpy(coloured), rng)
        x = recolour(warp_pixels(gather(self.crops, sets, rows), frames[0].to(device)), *colour, self.luma)
        person = warp_pixels(gather(self.crops, sets, sources), frames[1].to(device))
        person = recolour(person, *colour, self.luma)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_pays(device.type)):
            who, how = self.identity.person(person).float(), self.expression.embed(x).float()
        level = (x * self.luma.view(1, 3, 1, 1)).sum(1, keepdim=True).expand_as(x)
        x = torch.where(greyed.to(device)[:, None, None, None], level, x)
        region = (uniform(size, *GROW, rng).to(device), uniform(size, *JAW, rng).to(device))
        outline = self._outlines(sets, rows, frames[0]).to(device)
        return {
            "x": x,
            "face": face_region(outline, side, *region),
            "identity": torch.cat([who, colours(person)], dim=1),
            "expression": how,
            "ids": self._captions(sets, rows, chance, greyed.numpy()).to(device),
            "valid": self._valid(sets, rows, frames[0], side).to(device),
        }

    def _sources(self, sets: np.ndarray, rows: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """Rows that show the same people: often others."""
        found = rows.copy()
        for i, (s, row) in enumerate(zip(sets, rows, strict=True)):
            if chance[i, 1] < self.jitter.partner:
                part = self.sets[s]
                first, others = part.first[row], part.count[row] - 1
                own = int(np.flatnonzero(part.order[first : first + others + 1] == row)[0])
                found[i] = part.order[
                    first + (own + int(others > 0) + int(chance[i, 2] * others)) % (others + 1)
                ]
        return found

    def _frames(self, flip: Tensor, stretch: Tensor, side: int, rng: torch.Generator) -> Tensor:
        """[b, 2, 3] crop → changed crop: mirrored where `flip` [b] is, stretched, moved."""
        j = self.jitter
        moved = similarity_matrices(len(flip), side, j.degrees, j.scale, j.shift, rng)
        still = torch.rand(len(flip), generator=rng) < j.still
        unmoved = torch.eye(2, 3).expand_as(moved)
        moved = torch.where(still[:, None, None], unmoved, moved)
        return compose(moved, axis_matrices(side, torch.where(flip, -stretch, stretch), 1 / stretch))

    def _colours(
        self, size: int, coloured: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Brightness, contrast, tint and saturation; pictures without colours get none."""
        j = self.jitter
        brightness = uniform(size, -j.brightness, j.brightness, rng)
        contrast = 1 + uniform(size, -j.contrast, j.contrast, rng)
        tint = 1 + uniform(3 * size, -j.tint, j.tint, rng).view(size, 3) * coloured[:, None]
        saturation = 1 + uniform(size, -j.saturation, j.saturation, rng) * coloured
        d = self.device
        return brightness.to(d), contrast.to(d), tint.to(d), saturation.to(d)

    def _outlines(self, sets: np.ndarray, rows: np.ndarray, frames: Tensor) -> Tensor:
        """[b, 478, 2] of which only the oval's points mean anything."""
        oval = np.stack([self.sets[s].pictures.outline[r] for s, r in zip(sets, rows, strict=True)])
        moved = torch.from_numpy(oval) @ frames[:, :, :2].transpose(1, 2) + frames[:, None, :, 2]
        points = torch.zeros(len(rows), 478, 2)
        points[:, list(OVAL)] = moved
        return points

    def _valid(self, sets: np.ndarray, rows: np.ndarray, frames: Tensor, side: int) -> Tensor:
        """What shows the source picture, and lay in the crop."""
        crop = np.stack([self.sets[s].pictures.crop_matrix[r] for s, r in zip(sets, rows, strict=True)])
        size = torch.tensor([self.sets[s].size for s in sets])
        whole = inside(compose(frames, torch.from_numpy(crop)), size, side)
        return torch.minimum(whole, inside(frames, torch.full_like(size, side), side))

    def _captions(self, sets: np.ndarray, rows: np.ndarray, chance: np.ndarray, greyed: np.ndarray) -> Tensor:
        """[b, n] ids of what `conditions` would say of each picture."""
        ids = []
        for s, row, u, is_grey in zip(sets, rows, chance, greyed, strict=True):
            part = self.sets[s]
            pictures, style = part.pictures, part.style
            light = LIGHTS[pictures.light[row]]
            if u[3] < 0.5:
                light = MIRRORED.get(light, light)
            shade = (pictures.background_grey if is_grey else pictures.background)[row]
            if is_grey:
                style = "black and white photo"
            keep = (
                bool(u[6] < 0.7) or style != part.style,
                bool(u[7] < 0.7),
                bool(u[8] < 0.6),
                bool(u[9] < 0.6),
            )
            label = Label("", *pictures.labels[pictures.label[row]])
            ids.append(self._ids(caption(style, label, light, BACKGROUNDS[shade], keep)))
        return torch.stack(ids)

    def _ids(self, text: str) -> Tensor:
        if text not in self.known:
            self.known[text] = tokenize(self.tokenizer, [text], tell=False)[0]
        return self.known[text]
