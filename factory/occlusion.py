"""Learn where something lies in front of a face: ``src/mien/weights/mini/face/occlusion.safetensors``.

    MIEN_SHARED=../shared PYTHONPATH=src python -m factory.occlusion CACHE [--steps 3000] [--start FILE]

1. Cut upright crops from UTKFace (2,600 of its adults), the portraits of nobody, and the London and Canada sets
   (`gather`, kept in CACHE). People with glasses among the portraits are left out (`GLASSES`, found by eye).
2. Draw glasses, hands, hair and things in front of them (`factory/faces/occluders.py`); what hair or a hat hides of
   them already (`mien.warping.matte.shown`) says nothing.
3. Cross-entropy and Dice loss (Milletari et al., "V-Net", 2016), AdamW, one cycle; pictures serve several times.

An hour of one core. Data: UTKFace is for research that is not commercial; London and Canada are CC-BY 4.0.
"""

from __future__ import annotations

import argparse
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from factory.faces import occluders
from factory.training.networks import save_network
from mien.face import align
from mien.face.analyze import analyze_many
from mien.face.occlusion import OcclusionNet
from mien.types import ByteImage, FloatArray
from mien.warping import matte
from mien.warping.front import CANONICAL, HEIGHT, PLACE, WIDTH, channels
from mien.warping.mesh import OVAL

DATA = Path(os.environ.get("MIEN_SHARED", "../shared")) / "data"
OUT = Path(__file__).parents[1] / "src/mien/weights/mini/face/occlusion.safetensors"
BORDER = 20  # px round the crops that are kept
UTKFACE = 2600  # faces of it
BATCH, FRESH, POOL = 16, 8, 4000  # pictures a step, newly drawn for two steps, and kept
SETTLING = 24  # batches
# Portraits of people with glasses, and of children.
GLASSES = (
    "4 5 9 16 38 42 44 51 53 55 59 63 66 74 76 77 85 97 114 117 125 132 138 145 150 152 161 162 165 174 "
    "176 182 196 214 217 220 221 231 238 243 245 276 277 282 291 299 302 310 325 329 333 336 342 353 356 "
    "360 365 374 376 385 393 406 409 434 439 459 468 475 486 502 508 516 518 538 542 550 562 566 568 585 "
    "592 593 603 611 612 621 636 639 651 659 661 685 687 691 693 701 707 708 713 716 719 737 739 740 755 "
    "765 789 799 807 813 815 819 826 847 855 857 858 866 871 874 875 876 877 879 881 895 896 901 909 914 "
    "921 923 926 932 938 975 980"
).split()


def pictures() -> Iterator[Image.Image]:
    """All photographs, RGB."""
    for name, share in (
        ("portraits-of-nobody", None),
        ("utkface-adults-000", UTKFACE),
        ("london-dev", None),
        ("canada", None),
    ):
        with tarfile.open(DATA / f"{name}.tar") as archive:
            files = [
                m
                for m in archive.getmembers()
                if m.name.endswith(".jpg") and Path(m.name).stem not in GLASSES
            ]
            if share is not None:
                files = [files[k] for k in np.random.default_rng(0).choice(len(files), share, replace=False)]
            for member in files:
                stream = archive.extractfile(member)
                assert stream is not None
                yield Image.open(stream).convert("RGB")


def gather(cache: Path) -> None:
    """Write crops [n, 216, 200, 3], their landmarks [n, 478, 3] px, and masks [n, 216, 200]: 1 where the face shows,
    2 where the crop lies within its photograph."""
    size = (WIDTH + 2 * BORDER, HEIGHT + 2 * BORDER)
    crops, points, masks = [], [], []
    for image, faces in zip(pictures(), analyze_many(pictures()), strict=True):
        if not faces or faces[0].confidence < 0.9:
            continue
        matrix = align.crop_matrix(faces[0].landmarks, CANONICAL)
        matrix[:, 2] += np.array(PLACE) + BORDER
        crop = np.ascontiguousarray(align.warp(np.asarray(image), matrix, size[1])[:, : size[0]])
        landmarks = align.transform_points(faces[0].landmarks, matrix)
        within = cv2.warpAffine(np.ones(image.size[::-1], np.uint8), matrix, size)
        crops.append(crop)
        points.append(landmarks.astype(np.float32))
        masks.append(matte.shown(crop, landmarks, matte.bearded(crop, landmarks)) | within << 1)
    np.savez(cache, crops=np.stack(crops), landmarks=np.stack(points), masks=np.stack(masks))


def degraded(rng: np.random.Generator, image: FloatArray) -> ByteImage:
    """`image` [h, w, 3] in another light, grey, blurred, small, noisy or compressed."""
    shape = image.shape
    image = 255 * np.clip(
        image * rng.uniform(0.65, 1.25) * rng.uniform(0.9, 1.1, 3) / 255, 0, 1
    ) ** rng.uniform(0.8, 1.3)
    if rng.random() < 0.12:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.25:
        few = cv2.resize(
            image, None, fx=(zoom := rng.uniform(0.4, 0.9)), fy=zoom, interpolation=cv2.INTER_AREA
        )
        image = cv2.resize(few, shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        image = image + rng.normal(0, rng.uniform(0, 9), shape)
    result = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        result = np.asarray(cv2.imdecode(cv2.imencode(".jpg", result, quality)[1], cv2.IMREAD_COLOR))
    return result


class Occluded(IterableDataset[tuple[FloatArray, FloatArray, FloatArray]]):
    """Channels [7, 176, 160], what is in front [2, 176, 160], and where that is known [1, 176, 160], without end."""

    def __init__(self, cache: Path, seed: int) -> None:
        with np.load(cache) as file:
            self.crops, self.landmarks, self.masks = (file[name] for name in ("crops", "landmarks", "masks"))
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.sample(rng)

    def sample(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One of them."""
        k, j = rng.integers(len(self.crops), size=2)
        zoom = rng.uniform(0.88, 1.1)
        place = cv2.getRotationMatrix2D((WIDTH / 2 + BORDER, HEIGHT / 2 + BORDER), rng.normal(0, 4), zoom)
        place[:, 2] += rng.normal(0, 3, 2) - BORDER
        size = (WIDTH, HEIGHT)
        image = cv2.warpAffine(self.crops[k], place, size, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        mask = cv2.warpAffine(self.masks[k], place, size, flags=cv2.INTER_NEAREST)
        points = align.transform_points(self.landmarks[k], place)
        oval, kernel = matte.fill(image.shape, points, OVAL), np.ones((3, 3), np.uint8)
        hidden = cv2.dilate(oval & (1 - (mask & 1)), kernel, iterations=2)
        hidden |= 1 - cv2.dilate(mask & 1, kernel, iterations=3)
        known = cv2.dilate(oval, kernel, iterations=4) & (mask >> 1)
        glasses = other = np.zeros((HEIGHT, WIDTH), np.float32)
        if rng.random() < 0.5:
            image, glasses = occluders.glasses(rng, image, points)
        if rng.random() < 0.55:
            for _ in range(1 if rng.random() < 0.8 else 2):
                image, more = self._something(rng, image, points, k, j)
                other = np.maximum(other, more)
        glasses = glasses * (1 - other)
        known = known * ((hidden == 0) | (np.maximum(glasses, other) > 0.3))
        seen = points + np.r_[rng.normal(0, 0.8, 2), 0]
        seen[:, :2] += rng.normal(0, 0.25, (len(seen), 2))
        drawn = channels(degraded(rng, image), seen)
        return drawn, np.stack([glasses, other]).astype(np.float32), known[None].astype(np.float32)

    def _something(
        self, rng: np.random.Generator, image: FloatArray, points: FloatArray, own: int, other: int
    ) -> tuple[FloatArray, FloatArray]:
        inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
        kind = rng.random()
        if kind < 0.2:
            of = own if rng.random() < 0.6 else other
            face = (self.masks[of][inner] != 2).astype(np.uint8)
            return occluders.fringe(rng, image, points, self.crops[of][inner].astype(np.float32), face)
        if kind < 0.35:
            return occluders.strands(rng, image, points)
        if kind < 0.65:
            skin = occluders.skin_of(self.crops[other].astype(np.float32), self.landmarks[other])
            return occluders.hand(rng, image, points, skin)
        if kind < 0.74:
            return occluders.microphone(rng, image, points)
        return occluders.thing(rng, image, points, self.crops[other][inner].astype(np.float32))


def batches(cache: Path, seed: int) -> Iterator[list[torch.Tensor]]:
    """Of the pool of what was drawn last, with all that is new; half of them mirrored."""
    rng, pool = np.random.default_rng(seed), []
    for fresh in DataLoader(Occluded(cache, seed), batch_size=FRESH, num_workers=1, prefetch_factor=16):
        pool = [*pool, *zip(*(part.half() for part in fresh), strict=True)][-POOL:]
        for half in np.split(np.arange(len(pool) - FRESH, len(pool)), 2) if len(pool) >= 8 * FRESH else ():
            chosen = [*rng.integers(0, len(pool), BATCH - len(half)), *half]
            batch = [torch.stack([pool[k][part] for k in chosen]).float() for part in range(3)]
            yield [part.flip(-1) for part in batch] if rng.random() < 0.5 else batch


def train(cache: Path, steps: int, start: Path | None, seed: int, rate: float) -> OcclusionNet:
    """The trained network; losses are printed every 100 steps."""
    network = OcclusionNet()
    if start is not None:
        network.load_state_dict(torch.load(start, weights_only=True))
    else:
        torch.nn.init.constant_(network.last.bias, -3.0)  # little is in front
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    losses = []
    for step, (drawn, truth, known) in zip(range(1, steps + 1), batches(cache, seed), strict=False):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(drawn.contiguous(memory_format=torch.channels_last))
        entropy = functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        entropy = (entropy * known * (1 + 3 * truth)).sum() / known.sum()
        guess = logits.float().sigmoid() * known
        common, all_of = (guess * truth).sum((0, 2, 3)), (guess + truth * known).sum((0, 2, 3))
        loss = entropy + 0.5 * (1 - (2 * common + 50) / (all_of + 50)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss))
        if step % 100 == 0:
            print(f"{step}: {np.mean(losses[-100:]):.4f}", flush=True)
    settle(network, cache, seed + 1)
    return network


@torch.no_grad()
def settle(network: OcclusionNet, cache: Path, seed: int) -> None:
    """Give batch normalisation the statistics of new pictures: those that ran along lag behind the weights, and
    without this whole cheeks pass for hands."""
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    for _, (drawn, _, _) in zip(range(SETTLING), DataLoader(Occluded(cache, seed), BATCH), strict=False):
        network(drawn)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cache", type=Path, help="an .npz file of crops, made if it is not there")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--start", type=Path, help="weights (torch.save) to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=3e-3)
    given = parser.parse_args()
    if not given.cache.exists():
        gather(given.cache)
    network = train(given.cache, given.steps, given.start, given.seed, given.rate)
    save_network(network, OUT, network.config)


if __name__ == "__main__":
    main()
