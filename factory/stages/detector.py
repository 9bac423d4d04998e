"""The face detector: pictures composed of faces on backgrounds → heatmap, centre, size and tilt of every
face.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from factory.faces.composites import CANVAS, FacePile, Placed, compose, draw_boxes
from factory.training.networks import save_network
from mien.face.detector import MAX_SIZE, MIN_SIZE, STRIDE, DetectorNet
from mien.pixels import to_bytes, to_pixels

CELLS = CANVAS // STRIDE
NEAR_MISS = 1.4  # faces this much too large or too small are neither asked for nor forbidden


def targets(faces: list[list[Placed]]) -> dict[str, Tensor]:
    """Grids [b, 24, 24] of what the network should say, from faces (x, y, size, tilt in degrees) per canvas.

    ``heat``: 1 in the cell of a centre, a Gaussian around it ("Objects as Points", section 3);
    ``weight``: 0 where nothing is asked; ``near``: 1 in the cells that must regress, with
    ``centre`` [b, 2, h, w], ``size``, ``angle``.
    """
    b = len(faces)
    place = (torch.arange(CELLS) + 0.5) * STRIDE
    heat, near = torch.zeros(b, CELLS, CELLS), torch.zeros(b, CELLS, CELLS)
    weight, size = torch.ones(b, CELLS, CELLS), torch.ones(b, CELLS, CELLS)
    centre, angle = torch.zeros(b, 2, CELLS, CELLS), torch.zeros(b, 2, CELLS, CELLS)
    for i, group in enumerate(faces):
        for x, y, side, tilt in group:
            squared = (place - x)[None, :] ** 2 + (place - y)[:, None] ** 2
            if not MIN_SIZE <= side <= MAX_SIZE:
                if MIN_SIZE / NEAR_MISS <= side <= MAX_SIZE * NEAR_MISS:
                    weight[i][squared < max(0.3 * side, STRIDE) ** 2] = 0
                continue
            if not (0 <= x < CANVAS and 0 <= y < CANVAS):
                weight[i][squared < max(0.3 * side, STRIDE) ** 2] = 0
                continue
            bump = torch.exp(-squared / (2 * (0.13 * side) ** 2))
            column, row = int(x / STRIDE), int(y / STRIDE)
            bump[row, column] = 1.0
            heat[i] = torch.maximum(heat[i], bump)
            mine = squared < max(0.22 * side, STRIDE) ** 2
            mine[row, column] = True
            near[i][mine] = 1
            size[i][mine] = side
            radians = torch.deg2rad(torch.tensor(tilt))
            for channel, (position, turn) in enumerate(((x, radians.cos()), (y, radians.sin()))):
                centre[i, channel][mine] = position
                angle[i, channel][mine] = turn
    return {"heat": heat, "weight": weight, "near": near, "centre": centre, "size": size, "angle": angle}


def detector_loss(out: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Penalty-reduced focal loss (Zhou et al. 2019, equation 1) plus L1 of centre, log size and direction."""
    logit, heat = out["score"].float(), wanted["heat"]
    p = torch.sigmoid(logit)
    positive = (heat == 1).float()
    found = -positive * (1 - p) ** 2 * functional.logsigmoid(logit)
    refused = -(1 - positive) * (1 - heat) ** 4 * p**2 * functional.logsigmoid(-logit)
    faces = positive.sum().clamp(min=1)
    score = ((found + refused) * wanted["weight"]).sum() / faces
    near, total = wanted["near"], wanted["near"].sum().clamp(min=1)
    apart = (out["centre"].float() - wanted["centre"]).abs().sum(1) / wanted["size"]
    centre = (apart * near).sum() / total
    size = ((out["size"].float() / wanted["size"]).log().abs() * near).sum() / total
    turn = ((out["angle"].float() - wanted["angle"]).abs().sum(1) * near).sum() / total
    loss = score + 2 * centre + size + 0.5 * turn
    logs = {"loss": loss, "score": score, "centre": centre, "size": size, "turn": turn}
    return loss, {key: float(value.detach()) for key, value in logs.items()}


class DetectorStage:
    """Trains ``DetectorNet`` on composed pictures.

    Args:
        width: channels of the network.
        keep: share of the tight crops that are held in memory (each 27 kB).
        shared: the folder of the face sets; cache: where their analysis lies (None: the defaults).
    """

    def __init__(
        self, width: int = 56, keep: float = 0.35, shared: str | None = None, cache: str | None = None
    ) -> None:
        folders = (Path(shared) if shared else None, Path(cache) if cache else None)
        torch.manual_seed(0)
        self.net = DetectorNet(width=width)
        self.train_pile = FacePile.load(False, keep, *folders)
        self.test_pile = FacePile.load(True, 0.5, *folders)

    def modules(self) -> dict[str, nn.Module]:
        return {"detector": self.net}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.net.parameters()

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        seed = int(torch.randint(2**31, (1,), generator=rng))
        canvases, faces = compose(self.train_pile, size, seed)
        return {"pixels": to_pixels(canvases), **targets(faces)}

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        self.net.train()
        return detector_loss(self.net(batch["pixels"]), batch)

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Recall and false alarms at a score of 0.3 on 192 canvases of held-out faces; a sheet of 24."""
        self.net.eval()
        device = next(self.net.parameters()).device
        found = asked = false = 0
        shown: list[Image.Image] = []
        for seed in range(12):
            canvases, faces = compose(self.test_pile, 16, 10_000 + seed)
            pixels = to_pixels(canvases)
            out = {key: value.float().cpu() for key, value in self.net(pixels.to(device)).items()}
            score = torch.sigmoid(out["score"])
            peaks = (score > 0.3) & (score == functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0])
            for i, group in enumerate(faces):
                rows, columns = torch.nonzero(peaks[i], as_tuple=True)
                boxes: list[Placed] = []
                for r, k in zip(rows.tolist(), columns.tolist(), strict=True):
                    x, y = out["centre"][i, :, r, k].tolist()
                    cosine, sine = out["angle"][i, :, r, k].tolist()
                    boxes.append((x, y, float(out["size"][i, r, k]), math.degrees(math.atan2(sine, cosine))))
                wanted = [g for g in group if MIN_SIZE <= g[2] <= MAX_SIZE and 0 <= g[0] < CANVAS > g[1] >= 0]
                hits = [any(_same(box, face) for box in boxes) for face in wanted]
                found, asked = found + sum(hits), asked + len(hits)
                false += sum(not any(_same(box, face) for face in group) for box in boxes)
                if seed < 2 and i < 12:
                    shown.append(draw_boxes(Image.fromarray(to_bytes(pixels[i : i + 1])[0]), group, boxes))
        sheet = Image.new("RGB", (6 * CANVAS, 4 * CANVAS))
        for number, picture in enumerate(shown):
            sheet.paste(picture, (number % 6 * CANVAS, number // 6 * CANVAS))
        return {"recall": found / max(asked, 1), "false_alarms_per_canvas": false / 192}, sheet

    def export(self, folder: Path) -> None:
        save_network(self.net, folder / "detector.safetensors", self.net.config)


def _same(box: Placed, face: Placed) -> bool:
    apart = ((box[0] - face[0]) ** 2 + (box[1] - face[1]) ** 2) ** 0.5
    return apart < 0.35 * face[2] and 0.5 < box[2] / face[2] < 2
