"""The photo engine's result, with what it had to draw drawn again by an inpainting model, at the photo's own size.

Only what was not in the photo is touched: the inside of a mouth that was shut, a lid, a fold; not irises. It is redrawn
in tiles of the model's own size, each from the engine's drawing with little noise (SDEdit, Meng et al. 2021, arXiv
2108.01073), by diffusers' inpainting pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mien.backbones import Backbone, load_backbone
from mien.pipelines.photo import Expressed
from mien.types import ByteImage, FloatArray, InputError
from mien.warping.draw import invented
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID
from mien.warping.shapes import moved

STRENGTH, STEPS, GUIDANCE = 0.35, 30, 4.0
PROMPT = "close-up photograph of a person's face, natural skin, sharp focus"
LEVELS = 14  # of 255, by which a pixel differs from the photo's moved ones where it counts as drawn
GROWN = 0.012  # of the face's height, by which what was drawn is grown
EYES = (RIGHT_UPPER_LID + RIGHT_LOWER_LID[::-1], LEFT_UPPER_LID + LEFT_LOWER_LID[::-1])
IRISES = ([469, 470, 471, 472], [474, 475, 476, 477])  # MediaPipe's rings, the person's right eye first
OVERLAP = 0.25  # of a tile's side, that neighbours share at least


class Finisher:
    """Draws again what the photo engine drew. backbone: an inpainting model (9 channels), or any other of SD1.5's and
    SDXL's families; else `InputError`. strength: of the noise, in (0, 1]; 1 starts from noise alone."""

    def __init__(self, backbone: Backbone, strength: float = STRENGTH, steps: int = STEPS) -> None:
        if not 0 < strength <= 1:
            raise InputError(f"a finish of strength {strength} is none: give a number above 0, up to 1")
        if backbone.unet.config.out_channels != 4:
            raise InputError(f"{backbone.name} cannot finish a photo: use sd15-inpaint or sdxl-inpaint")
        self.backbone, self.strength, self.steps = backbone, strength, max(steps, int(np.ceil(1 / strength)))
        self.pipe = inpainting(backbone)

    @classmethod
    def from_backbone(
        cls, name: str, device: str = "auto", dtype: str = "auto", strength: float = STRENGTH
    ) -> Finisher:
        """Load a model; the arguments are those of ``mien.backbones.load_backbone``."""
        return cls(load_backbone(name, device, dtype), strength)

    def __call__(
        self, result: Expressed, seed: int = 0, callback: Callable[[int, int], None] | None = None
    ) -> Image.Image:
        """The result's photo, finished; PIL RGB of its own size. ``callback``: (tile, of how many) after each."""
        photo = result.drawn.image.copy()
        mask = drawn_mask(result)
        places = tiles(mask, self.backbone.size)
        for k, place in enumerate(places):
            own = cut(mask, place, self.backbone.size) * nearest(place, places, self.backbone.size)
            if own.any():
                self.redraw(photo, own, place, seed + k)
            if callback is not None:
                callback(k + 1, len(places))
        return Image.fromarray(photo)

    def redraw(self, photo: ByteImage, mask: FloatArray, place: tuple[int, int], seed: int) -> None:
        """One tile of a photo [H, W, 3] redrawn, in place, where `mask` [s, s] is 1, blended by `soft` of it.
        ``place``: left, top px of the tile, which is mirrored where it leaves the photo."""
        side = self.backbone.size
        tile = cut(photo, place, side)
        drawn = self.pipe(
            prompt=PROMPT,
            image=Image.fromarray(tile),
            mask_image=Image.fromarray((mask * 255).astype(np.uint8)),
            height=side,
            width=side,
            strength=self.strength,
            num_inference_steps=self.steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        if not np.isfinite(drawn).all():
            raise InputError('the finish left the range of its precision: use dtype="float32"')
        alpha = soft(mask)[..., None]
        blended = np.rint(tile + alpha * (drawn * 255.0 - tile)).astype(np.uint8)
        part = photo[place[1] : place[1] + side, place[0] : place[0] + side]
        part[:] = blended[: part.shape[0], : part.shape[1]]


def inpainting(backbone: Backbone) -> Any:
    """diffusers' inpainting pipeline of a backbone's parts; it says nothing while it works."""
    from diffusers import AutoPipelineForInpainting

    pipe = backbone.as_diffusers()
    if not backbone.takes_background:
        pipe = AutoPipelineForInpainting.from_pipe(pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn_mask(result: Expressed) -> FloatArray:
    """[H, W] float32, 1 where the engine drew something that the photo does not have, else 0."""
    sitter, sought = result.sitter, result.sought
    landmarks = sitter.face.landmarks
    found = landmarks, sought.before, sought.after
    front, shut = sitter.front, sought.shut
    levels = invented(result.drawn, sitter.image, *found, sitter.mouth, result.turn, shut, front)
    mask = np.zeros(sitter.image.shape[:2], np.float32)
    if levels.size:
        width = max(1, round(GROWN * float(np.ptp(landmarks[:, 1]))))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
        seen = cv2.morphologyEx((levels >= LEVELS).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        x0, y0, x1, y1 = result.drawn.box
        mask[y0:y1, x0:x1] = cv2.dilate(seen, kernel)
        mask[irises(moved(*found, result.turn, shut), mask.shape)] = 0
    return mask


def irises(landmarks: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """[H, W], where the irises of a face [478, 3] px are seen between its lids."""
    seen = np.zeros(shape[:2], bool)
    for lids, ring in zip(EYES, IRISES, strict=True):
        opening, disc = np.zeros((2, *shape[:2]), np.uint8)
        cv2.fillPoly(opening, [np.rint(landmarks[lids, :2]).astype(np.int32)], 1)
        middle = landmarks[ring, :2].mean(0)
        radius = float(np.linalg.norm(landmarks[ring, :2] - middle, axis=1).max())
        cv2.circle(disc, tuple(np.rint(middle).astype(int).tolist()), max(1, round(radius)), 1, -1)
        seen |= (opening & disc).astype(bool)
    return seen


def tiles(mask: FloatArray, side: int) -> list[tuple[int, int]]:
    """Left and top px of the tiles that cover what is masked, evenly spread, inside the photo where it is large
    enough."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return []
    spans = []
    for low, high, whole in (
        (columns.min(), columns.max() + 1, mask.shape[1]),
        (rows.min(), rows.max() + 1, mask.shape[0]),
    ):
        step = side * (1 - OVERLAP)
        count = max(1, int(np.ceil((high - low - side) / step)) + 1)
        middle = (low + high - side) / 2
        first = middle - (count - 1) * step / 2
        spans.append([int(np.clip(round(first + k * step), 0, max(0, whole - side))) for k in range(count)])
    return [(left, top) for top in dict.fromkeys(spans[1]) for left in dict.fromkeys(spans[0])]


def nearest(place: tuple[int, int], places: Sequence[tuple[int, int]], side: int) -> FloatArray:
    """[side, side] float32, 1 where the middle of a tile's is the nearest of all tiles' middles: each pixel is drawn
    once."""
    y, x = np.mgrid[:side, :side] + 0.5
    far = [
        np.hypot(x + place[0] - left - side / 2, y + place[1] - top - side / 2)
        for left, top in (place, *(other for other in places if other != place))
    ]
    return (np.argmin(far, axis=0) == 0).astype(np.float32)


def cut(image: FloatArray | ByteImage, place: tuple[int, int], side: int) -> Any:
    """The tile [side, side, ...] of an image, mirrored beyond its edge."""
    left, top = place
    part = image[top : top + side, left : left + side]
    below, right = side - part.shape[0], side - part.shape[1]
    if not below and not right:
        return part
    return cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REFLECT)


def soft(mask: FloatArray) -> FloatArray:
    """A mask [s, s] that falls to 0 inside of itself: what lies outside keeps every bit."""
    width = max(2.0, 0.008 * mask.shape[0])
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=round(width))
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), width / 2) * mask, np.float32)
