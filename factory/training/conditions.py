"""Training examples of the embedded default: a target, another picture of its person, its expression, its caption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from factory.faces.captions import caption
from factory.faces.dataset import Faces, load_faces, split_rows
from factory.faces.sources import read_label
from factory.faces.statistics import expression_numbers
from factory.training.augment import uniform
from factory.training.student import student_conditions
from mien.data.ingest import background_colour, light_words
from mien.encoders.identity import colours
from mien.encoders.standardise import standardise
from mien.face.blendshapes import FLIP
from mien.models.sfsr import face_region
from mien.models.text import tokenize
from mien.pixels import to_pixels
from mien.training.surroundings import GROW, JAW
from mien.types import ByteImage, FloatArray

# Pairs of landmark indices that LMS uses and a mirror exchanges.
_MIRROR = np.array([[133, 362], [33, 263], [145, 374], [159, 386], [468, 473], [61, 291]])
PICTURE_SIZE = {
    "utkface-adults": 160,
    "lfw-gray": 160,
    "portraits-of-nobody": 256,
    "warped-train": 160,
    "warped-train-2": 160,
}
# Of `captions.STYLES`; other sets are colour photographs.
STYLES = {
    "lfw-gray": "black and white photo",
    "renders-train": "3d render",
    "renders-holdout": "3d render",
}
STRONG = 0.05  # of a set's pictures
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class ConditionSet:
    """One prepared set with what its rows condition on.

    rows: row numbers of the training part. strong: those of them with the strongest expressions. partners: for every
    row of the set, the rows that show the same person (itself alone, if nobody else does). identity: [2, n, 224].
    expression: [2, n, 57]; index 0 as it is, 1 mirrored. valid: [n, 8, 8] share of each latent cell that shows the
    picture and not its repeated edge.
    """

    faces: Faces
    rows: np.ndarray
    strong: np.ndarray
    partners: list[np.ndarray]
    identity: Tensor
    expression: Tensor
    valid: Tensor
    style: str


def mirror_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [n, 478, 3] with the points of the LMS ratios exchanged as a mirror does (distances stay)."""
    mirrored = landmarks.copy()
    mirrored[:, _MIRROR[:, 0]], mirrored[:, _MIRROR[:, 1]] = (
        landmarks[:, _MIRROR[:, 1]],
        landmarks[:, _MIRROR[:, 0]],
    )
    return mirrored


def teacher_conditions(faces: Faces) -> tuple[Tensor, Tensor]:
    """Identity [n, 128] (zero where there is none) and expression [2, n, 57] by dlib and MediaPipe."""
    embedding = standardise(torch.from_numpy(np.nan_to_num(faces.embedding.astype(np.float32))), "identity")
    embedding[torch.from_numpy(np.isnan(faces.embedding[:, 0]))] = 0.0
    plain = expression_numbers(faces.blendshapes, faces.landmarks)
    mirrored = expression_numbers(faces.blendshapes[:, list(FLIP)], mirror_landmarks(faces.landmarks))
    both = [standardise(torch.from_numpy(numbers), "expression") for numbers in (plain, mirrored)]
    return embedding, torch.stack(both)


def valid_cells(faces: Faces, cells: int = 8) -> Tensor:
    """[n, cells, cells] float32: share of each cell of the crop that lies inside the source picture."""
    size = PICTURE_SIZE.get(faces.source, 10**6)
    side = faces.crops.shape[1]
    centres = (np.arange(4 * cells) + 0.5) * side / (4 * cells)
    grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)  # x, y
    linear = np.linalg.inv(faces.crop_matrix[:, :, :2])  # [n, 2, 2]
    points = (grid[None] - faces.crop_matrix[:, None, :, 2]) @ linear.transpose(0, 2, 1)
    inside = ((points >= -1) & (points <= size + 1)).all(-1).astype(np.float32)
    fine = torch.from_numpy(inside).view(len(faces), cells, 4, cells, 4)
    return fine.mean(dim=(2, 4))


def build_set(source: str, held_out: bool = False, encoders: Path | None = None) -> ConditionSet:
    """Load a prepared set; its conditions are the teachers' labels, or come from the embedded encoders in a folder."""
    faces = load_faces(source)
    tint = torch.cat([colours(to_pixels(faces.crops[i : i + 512])) for i in range(0, len(faces), 512)])
    flipped = torch.cat(
        [colours(to_pixels(faces.crops[i : i + 512]).flip(3)) for i in range(0, len(faces), 512)]
    )
    embedding, expression = (
        teacher_conditions(faces) if encoders is None else student_conditions(faces, encoders)
    )
    rows = split_rows(faces, held_out)
    members: dict[int, list[int]] = {}
    for row in rows:
        members.setdefault(int(faces.person[row]), []).append(int(row))
    partners = [
        np.array([row for row in members.get(int(person), ()) if row != i] or [i])
        for i, person in enumerate(faces.person)
    ]
    return ConditionSet(
        faces=faces,
        rows=rows,
        strong=strongest(rows, expression[0]),
        partners=partners,
        identity=torch.stack([torch.cat([embedding, t], dim=1) for t in (tint, flipped)]),
        expression=expression,
        valid=valid_cells(faces),
        style=STYLES.get(source, "colour photo"),
    )


def strongest(rows: np.ndarray, expression: Tensor) -> np.ndarray:
    """The `STRONG` share of `rows` whose standardised expressions [n, 57] are farthest from their median."""
    told = expression[torch.from_numpy(rows)]
    strength = (told - told.median(dim=0).values).abs().mean(dim=1)
    return rows[strength.topk(max(1, round(STRONG * len(rows)))).indices.numpy()]


def moved(crop: ByteImage, x: int, y: int) -> ByteImage:
    """The picture [H, W, 3] moved right by x and down by y pixels; its edge is repeated where it is gone from."""
    height, width = crop.shape[:2]
    rows = np.clip(np.arange(height) - y, 0, height - 1)
    columns = np.clip(np.arange(width) - x, 0, width - 1)
    return crop[rows][:, columns]


class ConditionSampler:
    """Draws batches from several sets by weight. Every choice comes from the generator it is given.

    Args:
        weights: set name → how often it is drawn, relative.
        tokenizer: of the text encoder; captions are tokenised here.
        partner: probability that the identity is taken from another picture of the person, where there is one.
        grey: probability that a colour target is turned grey, with a caption that says so.
        encoders: folder of the embedded encoders; None: the teachers' labels.
        emphasis: probability that a picture of photographs is one of the strong expressions. Photographs have few wide
            open mouths and the renders many; drawn as often as they come, open mouths look rendered.
        shift: a target is moved by at most so many whole pixels, across and down. A pixel is a sixteenth of a latent
            cell, so the same photograph comes with many latents, and few photographs are not learned by heart.
    """

    def __init__(
        self,
        weights: dict[str, float],
        tokenizer: Any,
        partner: float = 0.8,
        grey: float = 0.07,
        encoders: Path | None = None,
        emphasis: float = 0.0,
        shift: int = 0,
    ) -> None:
        self.emphasis, self.shift = emphasis, shift
        self.sets = [build_set(source, encoders=encoders) for source in weights]
        self.weights = torch.tensor([float(w) for w in weights.values()])
        self.tokenizer, self.partner, self.grey = tokenizer, partner, grey

    def __call__(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        """x [b, 3, 128, 128], face [b, 1, 128, 128] in [0, 1] (what SFSR blanks, its size at random), identity
        [b, 224], expression [b, 57], ids [b, 24], valid [b, 8, 8]."""
        chosen = torch.multinomial(self.weights, size, replacement=True, generator=rng).tolist()
        draws = torch.rand(size, 10, generator=rng).numpy()
        crops, outlines, parts, captions = [], [], [], []
        for s, u in zip(chosen, draws, strict=True):
            crop, landmarks, part, text = self._example(self.sets[s], u)
            crops.append(crop)
            outlines.append(landmarks)
            parts.append(part)
            captions.append(text)
        side = crops[0].shape[0]
        if self.shift:
            moves = torch.randint(-self.shift, self.shift + 1, (size, 2), generator=rng).numpy()
            crops = [moved(crop, *move) for crop, move in zip(crops, moves.tolist(), strict=True)]
            outlines = [points + (*move, 0) for points, move in zip(outlines, moves, strict=True)]
        outline = torch.from_numpy(np.stack(outlines))
        face = face_region(outline, side, uniform(size, *GROW, rng), uniform(size, *JAW, rng))
        identity, expression, valid = (torch.stack(column) for column in zip(*parts, strict=True))
        ids = tokenize(self.tokenizer, captions, tell=False)
        return {
            "x": to_pixels(np.stack(crops)),
            "face": face,
            "identity": identity,
            "expression": expression,
            "valid": valid,
            "ids": ids,
        }

    def _row(self, part: ConditionSet, u: float) -> int:
        emphasis = 0.0 if part.style == "3d render" else self.emphasis
        if u < emphasis:
            return int(part.strong[int(u / emphasis * len(part.strong))])
        return int(part.rows[int((u - emphasis) / (1 - emphasis) * len(part.rows))])

    def _example(
        self, part: ConditionSet, u: np.ndarray
    ) -> tuple[ByteImage, FloatArray, tuple[Tensor, Tensor, Tensor], str]:
        row = self._row(part, float(u[0]))
        others = part.partners[row]
        source = int(others[int(u[2] * len(others))]) if u[1] < self.partner else row
        flip, flip_source = int(u[3] < 0.5), int(u[4] < 0.5)
        crop = np.asarray(part.faces.crops[row])
        landmarks = part.faces.landmarks[row]
        light, background = light_words(crop, landmarks), background_colour(crop)
        if flip:
            crop = crop[:, ::-1]
            landmarks = landmarks * (-1, 1, 1) + (
                crop.shape[1],
                0,
                0,
            )  # as an outline: not the points' own names
            swap = {
                "light from the left": "light from the right",
                "light from the right": "light from the left",
            }
            light = swap.get(light, light)
        style = part.style
        if style == "colour photo" and u[5] < self.grey:
            crop = np.repeat((crop @ _GREY)[..., None].round().astype(np.uint8), 3, axis=2)
            style, background = "black and white photo", background_colour(crop)
        label = read_label(part.faces.source, str(part.faces.names[row]))
        # A style that differs from the identity's must be told; the rest may be left unsaid.
        keep = (u[6] < 0.7 or style != part.style, u[7] < 0.7, u[8] < 0.6, u[9] < 0.6)
        text = caption(style, label, light, background, keep)
        valid = part.valid[row].flip(1) if flip else part.valid[row]
        return (
            np.ascontiguousarray(crop),
            landmarks,
            (part.identity[flip_source, source], part.expression[flip, row], valid),
            text,
        )
