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

from mien.data.dataset import load_faces, split_rows, to_bytes, to_pixels
from mien.face.blendshapes import FLIP
from mien.face.landmarks import eye_distance
from mien.face.network import CROP, AnalyserNet, save_network
from mien.face.pose import angles
from mien.training.augment import colour_jitter, similarity_matrices, uniform, warp_pixels, warp_points


def mirror_order(landmarks: np.ndarray) -> np.ndarray:
    """[478] index of each landmark's mirror image, found on the mean of upright faces [n, 478, 3]."""
    mean = landmarks.mean(0)
    mean = mean - mean.mean(0)
    mirrored = mean * np.array([-1, 1, 1])
    cost = ((mean[:, None] - mirrored[None]) ** 2).sum(-1)
    return linear_sum_assignment(cost)[1]


class AnalyserStage:
    """Args:
    weights: prepared set → how often it is drawn, relative.
    negatives: share of pictures without a whole face in them (for the confidence).
    rough: share of faces cropped as loosely as a detector does; the rest is nearly canonical.
    """

    def __init__(
        self,
        weights: dict[str, float],
        negatives: float = 0.12,
        rough: float = 0.4,
        widths: tuple[int, ...] = (24, 48, 96, 192),
        features: int = 320,
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
        self.negatives, self.rough = negatives, rough
        torch.manual_seed(0)
        self.model = AnalyserNet(widths=tuple(widths), features=features, mean_landmarks=first.mean(0))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weight = torch.ones(478)
        for low, high in ((468, 478),):
            weight[low:high] = 3.0
        weight[[0, 17, 61, 291, 13, 14, 33, 133, 145, 159, 263, 362, 374, 386, 78, 308]] = 4.0
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
        fine = similarity_matrices(size, CROP, 3, 0.04, 0.02, rng)
        loose = (torch.rand(size, generator=rng) < self.rough)[:, None, None]
        matrices = torch.where(loose, rough, fine)
        # Without a face: far too near, or slid out of the frame.
        count = int(self.negatives * size)
        matrices[:count] = similarity_matrices(count, CROP, 40, 0.1, 0.1, rng)
        near = torch.exp(uniform(count, 1.0, 1.8, rng))[:, None, None]
        slid = torch.rand(count, generator=rng) < 0.4
        about = torch.eye(2, 3).repeat(count, 1, 1)
        about[:, :, 2] = (
            torch.sign(uniform(count * 2, -1, 1, rng)).view(count, 2)
            * uniform(count * 2, 0.55, 0.9, rng).view(count, 2)
            * CROP
        )
        closer = torch.cat(
            [torch.eye(2) * near, (1 - near) * (CROP * torch.rand(count, 2, 1, generator=rng))], dim=2
        )
        matrices[:count] = torch.where(slid[:, None, None], about, closer)
        batch["x"] = colour_jitter(warp_pixels(batch["x"], matrices), rng)
        noise = torch.rand(count, generator=rng) < 0.15
        blank = torch.randn(count, 3, CROP // 8, CROP // 8, generator=rng) * 0.5
        blank = F.interpolate(blank, scale_factor=8.0, mode="bilinear")
        batch["x"][:count] = torch.where(noise[:, None, None, None], blank.clamp(-1, 1), batch["x"][:count])
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
        distance = ((out["landmarks"] - batch["landmarks"]).abs() * self.point_weight.to(face)).mean(
            dim=(1, 2)
        ) / 50
        difference = out["blendshapes"] - batch["blendshapes"]
        blend = difference.abs().mean(1) + 2 * difference.square().mean(1)
        pose = F.smooth_l1_loss(out["pose"] / 10, batch["pose"] / 10, reduction="none").mean(1)
        found = F.binary_cross_entropy_with_logits(out["confidence"], face)
        losses = {
            "landmarks": (distance * share).sum(),
            "blendshapes": (blend * share).sum(),
            "pose": (pose * share).sum(),
        }
        loss = 10 * losses["landmarks"] + 4 * losses["blendshapes"] + losses["pose"] + 0.2 * found
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
