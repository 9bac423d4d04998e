"""Distils the embedded face analyser from MediaPipe's landmarks, blendshapes and head transform."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from factory.faces.dataset import load_faces, split_rows
from factory.training.augment import colour_jitter, similarity_matrices, warp_pixels, warp_points
from factory.training.negatives import misplaced, pretend
from factory.training.networks import save_network
from mien.face.blendshapes import FLIP
from mien.face.landmarks import LMS_NAMES, LMS_RATIOS, eye_distance, lms_ratios_torch
from mien.face.network import (
    CROP,
    EYE_PATCH,
    EYE_RAISED,
    EYE_WIDTH,
    MOUTH_LOWERED,
    MOUTH_PATCH,
    MOUTH_WIDTH,
    AnalyserNet,
    read_network,
)
from mien.face.pose import angles
from mien.pixels import to_bytes, to_pixels
from mien.types import InputError

# Of MediaPipe's mesh: the rims of both eyes, and the lips, outside and inside.
EYELIDS_AND_LIPS = [
    *(33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    *(263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
]
PLAIN = 0.35  # share of pictures whose colours and sharpness are left as they are
# Of the terms of the loss, see `AnalyserStage.step`.
WEIGHTS = {
    "landmarks": 12.0,
    "blendshapes": 4.0,
    "pose": 1.0,
    "coarse": 4.0,
    "ratios": 2.0,
    "exp": 4.0,
    "lms": 2.0,
}


def mirror_order(landmarks: np.ndarray) -> np.ndarray:
    """[478] index of each landmark's mirror image, found on the mean of upright faces [n, 478, 3]."""
    mean = landmarks.mean(0)
    mean = mean - mean.mean(0)
    mirrored = mean * np.array([-1, 1, 1])
    cost = ((mean[:, None] - mirrored[None]) ** 2).sum(-1)
    return linear_sum_assignment(cost)[1]


def points_around(mean: np.ndarray) -> tuple[list[int], list[int]]:
    """Which of the mean face's [478, 3] landmarks lie in the patch around the eye on the picture's left, and around
    the mouth."""
    left, right = mean[[33, 133], :2].mean(0), mean[[263, 362], :2].mean(0)
    across = np.linalg.norm(right - left)
    from_eye = np.abs(mean[:, :2] - left + [0, EYE_RAISED * across]) / (EYE_WIDTH * across)
    mouth = mean[[0, 17, 61, 291], :2].mean(0) + [0, MOUTH_LOWERED * across]
    from_mouth = np.abs(mean[:, :2] - mouth) / (MOUTH_WIDTH * across)

    def inside(apart: np.ndarray, size: tuple[int, int]) -> list[int]:
        near = (apart[:, 0] < 0.46) & (apart[:, 1] < 0.46 * size[0] / size[1])
        return [int(i) for i in np.flatnonzero(near)]

    eye = inside(from_eye, EYE_PATCH)
    return eye, [i for i in inside(from_mouth, MOUTH_PATCH) if i not in eye]


def _apart(values: Tensor) -> Tensor:
    """Mean absolute difference of each row of [b, n] and the one before it."""
    return (values - values.roll(1, dims=0)).abs().mean(1)


def metric_correlations(out: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Exp, LMS and its five ratios, read and true: correlations (of differences between random pairs, and of the
    ratios themselves)."""
    first, second = np.random.default_rng(0).integers(0, len(out["landmarks"]), (2, 4000))
    first, second = first[first != second], second[first != second]

    def agree(a: Tensor, b: Tensor) -> float:
        return float(np.corrcoef(a.numpy(), b.numpy())[0, 1])

    sides = [(side["blendshapes"], lms_ratios_torch(side["landmarks"])) for side in (out, truth)]
    exp, lms = (agree(*((side[k][first] - side[k][second]).abs().mean(1) for side in sides)) for k in (0, 1))
    each = {name: agree(sides[0][1][:, i], sides[1][1][:, i]) for i, name in enumerate(LMS_NAMES)}
    return {"Exp": exp, "LMS": lms, **each}


class AnalyserStage:
    """Args:
    weights: prepared set → how often it is drawn, relative.
    negatives: share of pictures without a whole face in them (for the confidence).
    rough: share of faces cropped as loosely as a detector does at its worst; the rest is nearly canonical.
    near: how nearly: turned by up to ± degrees, scaled by up to e^±, moved by up to ± sides.
    exact: share of faces that are not moved at all, so that nothing of their sharpness is lost.
    init: weights to start from, a file made by `export`; what they lack starts anew.
    emphasis: weights of terms of the loss, where they differ from `WEIGHTS`.
    """

    def __init__(
        self,
        weights: dict[str, float],
        negatives: float = 0.12,
        rough: float = 0.4,
        exact: float = 0.0,
        near: tuple[float, float, float] = (3.0, 0.04, 0.02),
        widths: tuple[int, ...] = (24, 48, 96, 192),
        features: int = 320,
        init: str | None = None,
        emphasis: dict[str, float] | None = None,
    ) -> None:
        self.sets = [load_faces(source) for source in weights]
        self.rows = [split_rows(faces, held_out=False) for faces in self.sets]
        self.weights = torch.tensor([float(w) for w in weights.values()])
        self.poses = [angles(faces.matrix[:, :3, :3]).astype(np.float32) for faces in self.sets]
        # The roll that the canonical crop took away is no longer in the crop.
        for faces, pose in zip(self.sets, self.poses, strict=True):
            turn = np.rad2deg(np.arctan2(faces.crop_matrix[:, 1, 0], faces.crop_matrix[:, 0, 0]))
            pose[:, 2] += turn.astype(np.float32)
        first = self.sets[0].landmarks
        self.mirror = torch.from_numpy(mirror_order(first))
        self.negatives, self.rough, self.exact = negatives, rough, exact
        self.near = near
        self.loss_weights = WEIGHTS | (emphasis or {})
        torch.manual_seed(0)
        mean = first.mean(0)
        eye, mouth = points_around(mean)
        eyes = [eye, self.mirror[eye].tolist()]
        config, tensors = ({}, {}) if init is None else read_network(Path(init))
        eyes, mouth = config.get("eye_points", eyes), config.get("mouth_points", mouth)
        self.refined = torch.zeros(478, dtype=torch.bool)
        self.refined[[*eyes[0], *eyes[1], *mouth]] = True
        self.model = AnalyserNet(
            widths=tuple(widths),
            features=features,
            mean_landmarks=mean,
            eye_points=eyes,
            mouth_points=mouth,
        )
        try:
            self.model.load_state_dict(tensors, strict=False)
        except RuntimeError as error:
            raise InputError(f"The weights {init} are of a network of other widths or features.") from error
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weight = torch.ones(478)
        weight[self.refined] = 1.5
        weight[EYELIDS_AND_LIPS] = 3.0
        weight[468:478] = 5.0
        weight[np.unique([ends for _, *pair in LMS_RATIOS for ends in pair]).tolist()] = 6.0
        self.point_weight = (weight / weight.mean())[None, :, None]

    def modules(self) -> dict[str, nn.Module]:
        return {"analyser": self.model}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def _rows(self, which: list[tuple[int, int]]) -> dict[str, Tensor]:
        x = to_pixels(np.stack([self.sets[s].crops[i] for s, i in which]))
        landmarks = torch.from_numpy(np.stack([self.sets[s].landmarks[i] for s, i in which])).float()
        blendshapes = torch.from_numpy(np.stack([self.sets[s].blendshapes[i] for s, i in which])).float()
        pose = torch.from_numpy(np.stack([self.poses[s][i] for s, i in which])).float()
        return {"x": x, "landmarks": landmarks, "blendshapes": blendshapes, "pose": pose}

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        sets = torch.multinomial(self.weights, size, replacement=True, generator=rng).tolist()
        draws = torch.rand(size, generator=rng).tolist()
        batch = self._rows(
            [(s, int(self.rows[s][int(u * len(self.rows[s]))])) for s, u in zip(sets, draws, strict=True)]
        )
        flip = torch.rand(size, generator=rng) < 0.5
        self._flip(batch, flip)
        rough = similarity_matrices(size, CROP, 22, 0.22, 0.10, rng)
        fine = similarity_matrices(size, CROP, *self.near, rng)
        kind = torch.rand(size, generator=rng)[:, None, None]
        matrices = torch.where(kind < self.rough, rough, fine)
        matrices = torch.where(kind > 1 - self.exact, torch.eye(2, 3), matrices)
        count = int(self.negatives * size)
        matrices[:count], lying = misplaced(count, CROP, rng)
        x = warp_pixels(batch["x"], matrices)
        faceless = (torch.rand(count, generator=rng) < 0.45) & ~lying
        x[:count] = torch.where(faceless[:, None, None, None], pretend(x[:count], rng), x[:count])
        plain = torch.rand(size, generator=rng)[:, None, None, None] < PLAIN
        batch["x"] = torch.where(plain, x, colour_jitter(x, rng))
        batch["fine"] = (kind[:, 0, 0] >= self.rough).float()
        batch["landmarks"] = warp_points(batch["landmarks"], matrices)
        batch["pose"][:, 2] += torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
        batch["face"] = (torch.arange(size) >= count).float()
        return batch

    def _flip(self, batch: dict[str, Tensor], flip: Tensor) -> None:
        batch["x"] = torch.where(flip[:, None, None, None], batch["x"].flip(3), batch["x"])
        mirrored = batch["landmarks"][:, self.mirror] * torch.tensor([-1.0, 1, 1]) + torch.tensor(
            [float(CROP), 0, 0]
        )
        batch["landmarks"] = torch.where(flip[:, None, None], mirrored, batch["landmarks"])
        batch["blendshapes"] = torch.where(
            flip[:, None], batch["blendshapes"][:, list(FLIP)], batch["blendshapes"]
        )
        batch["pose"] = torch.where(flip[:, None], batch["pose"] * torch.tensor([-1.0, 1, -1]), batch["pose"])

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        self.model.train()
        out = self.model(batch["x"].contiguous(memory_format=torch.channels_last))
        face = batch["face"]
        share = face / face.sum().clamp_min(1)
        weight = self.point_weight.to(face)
        distance = ((out["landmarks"] - batch["landmarks"]).abs() * weight).mean(dim=(1, 2)) / 50
        first = ((out["coarse"] - batch["landmarks"]).abs() * weight).mean(dim=(1, 2)) / 50
        difference = out["blendshapes"] - batch["blendshapes"]
        blend = difference.abs().mean(1) + 2 * difference.square().mean(1)
        ratios, wanted = lms_ratios_torch(out["landmarks"]), lms_ratios_torch(batch["landmarks"])
        ratio = (ratios - wanted).abs().clamp_max(1).mean(1)
        # Exp and LMS (EmojiDiff Eqs. 2-3) of neighbours in the batch, as they are and as they should be.
        fine = face * batch["fine"]
        both = fine * fine.roll(1)
        exp = (_apart(out["blendshapes"]) - _apart(batch["blendshapes"])).abs().mul(both).sum()
        lms = (_apart(ratios) - _apart(wanted)).abs().clamp_max(1).mul(both).sum()
        pairs = both.sum().clamp_min(1)
        pose = F.smooth_l1_loss(out["pose"] / 10, batch["pose"] / 10, reduction="none").mean(1)
        found = F.binary_cross_entropy_with_logits(out["confidence"], face)
        losses = {
            "landmarks": (distance * share).sum(),
            "blendshapes": (blend * share).sum(),
            "pose": (pose * share).sum(),
            "coarse": (first * share).sum(),
            "ratios": (ratio * fine).sum() / fine.sum().clamp_min(1),
            "exp": exp / pairs,
            "lms": lms / pairs,
        }
        loss = sum(self.loss_weights[key] * value for key, value in losses.items()) + 0.2 * found
        logs = {key: value.item() for key, value in losses.items()}
        return loss, {"loss": loss.item(), "confidence": found.item(), **logs}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        self.model.eval()
        numbers: dict[str, float] = {}
        sheet = None
        for s, faces in enumerate(self.sets[:2]):
            held = split_rows(faces, held_out=True)[:400]
            truth = self._rows([(s, int(i)) for i in held])
            parts = [self.model(part.to(self.model.mean_landmarks.device)) for part in truth["x"].split(64)]
            out = {key: torch.cat([p[key].float().cpu() for p in parts]) for key in parts[0]}
            eyes = torch.from_numpy(eye_distance(truth["landmarks"].numpy())).float()
            error = (out["landmarks"] - truth["landmarks"])[..., :2].norm(dim=2).mean(1) / eyes
            numbers[f"{faces.source}_landmarks"] = float(error.mean())
            numbers[f"{faces.source}_blendshapes"] = float(
                (out["blendshapes"] - truth["blendshapes"]).abs().mean()
            )
            for what, read in metric_correlations(out, truth).items():
                numbers[f"{faces.source}_{what}"] = read
            numbers[f"{faces.source}_pose"] = float((out["pose"] - truth["pose"]).abs().mean())
            numbers[f"{faces.source}_found"] = float((out["confidence"] > 0).float().mean())
            if s == 0:
                sheet = _overlay(to_bytes(truth["x"][:10]), out["landmarks"][:10].numpy())
        return numbers, sheet

    def export(self, folder: Path) -> None:
        save_network(self.model, folder / "analyser.safetensors", self.model.config)


def _overlay(crops: np.ndarray, landmarks: np.ndarray, zoom: int = 2) -> Image.Image:
    tiles = []
    for crop, points in zip(crops, landmarks, strict=True):
        tile = Image.fromarray(crop).resize((CROP * zoom, CROP * zoom))
        draw = ImageDraw.Draw(tile)
        for x, y in points[:, :2] * zoom:
            draw.point((x, y), fill=(0, 255, 0))
        tiles.append(np.asarray(tile))
    half = len(tiles) // 2
    return Image.fromarray(np.concatenate([np.concatenate(tiles[:half], 1), np.concatenate(tiles[half:], 1)]))
