"""Pictures composed of known faces on backgrounds that hold none: what the detector learns from and is
judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from factory.faces.dataset import load_faces
from factory.faces.sources import read_pictures, shared_dir
from mien.data.split import is_held_out
from mien.face import align
from mien.types import ByteImage, FloatArray

CANVAS = 192
TIGHT_SIZE = 96  # side at which tight crops are kept
# A canonical crop in a picture: centre x, y and side in px, clockwise tilt in degrees.
Placed = tuple[float, float, float, float]


def placed(crop_matrix: FloatArray) -> Placed:
    """The canonical crop that `crop_matrix` [2, 3] cuts out, in pixels of the picture."""
    back = align.invert(crop_matrix)
    half = align.CROP_SIZE / 2
    x, y = align.transform_points(np.array([[half, half]]), back)[0]
    side = align.CROP_SIZE * np.sqrt(abs(np.linalg.det(back[:, :2])))
    return float(x), float(y), float(side), float(np.rad2deg(np.arctan2(back[1, 0], back[0, 0])))


@dataclass
class FacePile:
    """Pictures in memory with the place of their face, and backgrounds without one.

    Attributes:
        tight: [n, 96, 96, 3] uint8. whole: [m, 256, 256, 3]. tight_at, whole_at: [n or m, 4] `Placed` in
            them.
        backgrounds: [k, 256, 256, 3].
    """

    tight: ByteImage
    tight_at: FloatArray
    whole: ByteImage
    whole_at: FloatArray
    backgrounds: ByteImage

    @classmethod
    def load(
        cls, held_out: bool, keep: float, shared: Path | None = None, cache: Path | None = None
    ) -> FacePile:
        """Read one side of the split; of the tight crops only the share `keep`."""
        rng = np.random.default_rng(int(held_out))
        shared = shared or shared_dir()
        tight, tight_at, whole, whole_at = [], [], [], []
        for source in ("utkface-adults", "lfw-gray", "portraits-of-nobody"):
            faces = load_faces(source, cache)
            matrices = dict(zip(faces.names.tolist(), faces.crop_matrix, strict=True))
            for name, picture in read_pictures(source, shared):
                if name not in matrices or is_held_out(name) != held_out:
                    continue
                at = np.array(placed(matrices[name]))
                if source == "portraits-of-nobody":
                    whole.append(picture)
                    whole_at.append(at)
                elif rng.random() < keep:
                    small = Image.fromarray(picture).resize((TIGHT_SIZE, TIGHT_SIZE), Image.Resampling.BOX)
                    tight.append(np.asarray(small))
                    tight_at.append(at * [*[TIGHT_SIZE / picture.shape[0]] * 3, 1])
        backgrounds = np.stack([paint_background(rng, 256, 256) for _ in range(160)])
        pile = cls(np.stack(tight), np.stack(tight_at), np.stack(whole), np.stack(whole_at), backgrounds)
        surroundings = [_surroundings(rng, picture, at) for picture, at in zip(whole, whole_at, strict=True)]
        pile.backgrounds = np.concatenate([backgrounds, np.stack([s for s in surroundings if s is not None])])
        return pile


def _surroundings(rng: np.random.Generator, picture: ByteImage, at: FloatArray) -> ByteImage | None:
    """The largest strip beside the face of a portrait, stretched and perhaps turned: [256, 256, 3], or
    None.
    """
    height, width = picture.shape[:2]
    x, y, side = at[:3]
    strips = [
        (0, 0, x - 0.55 * side, height),
        (x + 0.55 * side, 0, width, height),
        (0, 0, width, y - 0.9 * side),
    ]
    left, top, right, bottom = max(strips, key=lambda s: (s[2] - s[0]) * (s[3] - s[1]))
    if right - left < 24 or bottom - top < 24:
        return None
    strip = Image.fromarray(picture[int(top) : int(bottom), int(left) : int(right)])
    tiles = strip.resize((256, 256), Image.Resampling.BICUBIC)
    return np.rot90(np.asarray(tiles), int(rng.integers(4))).copy()


def paint_background(rng: np.random.Generator, width: int, height: int) -> ByteImage:
    """Plain, graded, cloudy (noise of every octave) or crowded with shapes: [height, width, 3] uint8."""
    base = np.zeros((height, width, 3), np.float32) + rng.integers(0, 256, 3)
    kind = rng.integers(3)
    if kind == 0:
        base += np.linspace(-1, 1, height)[:, None, None] * rng.normal(0, 40, 3)
        base += np.linspace(-1, 1, width)[None, :, None] * rng.normal(0, 40, 3)
    elif kind == 1:
        channels = int(rng.choice([1, 3]))
        for octave in range(1, 8):
            shape = (max(2, height * 2**octave // 512), max(2, width * 2**octave // 512))
            strength = rng.uniform(2, 45)
            for channel in range(channels):
                layer = Image.fromarray(rng.normal(0, strength, shape).astype(np.float32))
                smooth = np.asarray(layer.resize((width, height), Image.Resampling.BILINEAR))
                if channels == 3:
                    base[..., channel] += smooth
                else:
                    base += smooth[..., None]
    else:
        canvas = Image.fromarray(base.astype(np.uint8))
        draw = ImageDraw.Draw(canvas)
        for _ in range(rng.integers(3, 40)):
            colour = tuple(int(v) for v in rng.integers(0, 256, 3))
            (x, y), r = rng.integers(0, (width, height)), rng.integers(4, max(5, width // 4))
            shape_kind = rng.integers(4)
            if shape_kind == 0:
                draw.ellipse((x - r, y - r * rng.uniform(0.3, 1.5), x + r, y + r), fill=colour)
            elif shape_kind == 1:
                draw.rectangle((x - r, y - rng.integers(3, 60), x + r, y + rng.integers(3, 60)), fill=colour)
            elif shape_kind == 2:
                draw.polygon([tuple(p) for p in (rng.normal(0, r, (3, 2)) + [x, y])], fill=colour)
            else:
                gap = int(rng.integers(4, 16))
                for offset in range(0, int(r), gap):
                    draw.line((x, y + offset, x + r, y + offset), fill=colour, width=gap // 2)
        base = np.asarray(canvas, np.float32)
    return np.clip(base, 0, 255).astype(np.uint8)


def edge_mask(rng: np.random.Generator, size: int) -> Image.Image:
    """How a pasted square ends: hard, feathered, or a feathered ellipse. L image, 255 inside."""
    kind = rng.random()
    if kind < 0.5:
        return Image.new("L", (size, size), 255)
    margin = max(2, int(size * rng.uniform(0.04, 0.15)))
    mask = Image.new("L", (size, size), 0)
    shape = (margin, margin, size - margin, size - margin)
    draw = ImageDraw.Draw(mask)
    draw.ellipse(shape, fill=255) if kind < 0.75 else draw.rectangle(shape, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(margin / 2))


def paste(background: ByteImage, picture: ByteImage, mask: Image.Image, matrix: FloatArray) -> ByteImage:
    """Lay `picture` on `background`; `matrix` [2, 3] maps its pixels to the background's. Shrinking is
    antialiased.
    """
    height, width = background.shape[:2]
    inverse = align.invert(matrix)
    layer = Image.fromarray(picture)
    shrink = max(1, int(np.sqrt(abs(np.linalg.det(inverse[:, :2]))) + 0.3))
    if shrink > 1:
        layer, mask = layer.reduce(shrink), mask.reduce(shrink)
        inverse = inverse / shrink
    coefficients = tuple(float(v) for v in inverse.ravel())
    method = Image.Transform.AFFINE
    over = layer.transform((width, height), method, coefficients, Image.Resampling.BICUBIC)
    alpha = mask.transform((width, height), method, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(Image.composite(over, Image.fromarray(background), alpha))


def placing(at: FloatArray | Placed, wanted: Placed, mirror_width: int | None = None) -> FloatArray:
    """[2, 3] that moves a face from `at` to `wanted` (its tilt included); with a width the picture is
    mirrored.
    """
    x, y, side, tilt = at
    flip = np.eye(3)
    if mirror_width is not None:
        flip[0] = [-1, 0, mirror_width]
        x, tilt = mirror_width - x, -tilt
    radians = np.deg2rad(wanted[3] - tilt)
    scale = wanted[2] / side
    linear = scale * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    shift = np.array(wanted[:2]) - linear @ np.array([x, y])
    return np.concatenate([linear, shift[:, None]], axis=1) @ flip


def compose(pile: FacePile, count: int, seed: int) -> tuple[ByteImage, list[list[Placed]]]:
    """`count` canvases [count, 192, 192, 3] uint8 and the faces of each; sizes 10 to 150 px, most of them
    20 to 64.
    """
    rng = np.random.default_rng(seed)
    canvases, faces = [], []
    for _ in range(count):
        canvas = _crop_background(rng, pile.backgrounds)
        for _ in range(rng.choice([0, 1, 3], p=[0.6, 0.25, 0.15])):
            canvas = _decoy(rng, pile, canvas)
        group: list[Placed] = []
        for _ in range(rng.choice([0, 1, 2, 3], p=[0.1, 0.5, 0.25, 0.15])):
            side = float(np.exp(rng.uniform(np.log(19), np.log(68))))
            if rng.random() < 0.12:  # of another level of the pyramid
                side = float(rng.choice([rng.uniform(9, 14), rng.uniform(92, 190)]))
            tilt = float(rng.uniform(-35, 35) if rng.random() < 0.8 else rng.normal(0, 45))
            x, y = (float(v) for v in rng.uniform(0.25 * min(side, 60), CANVAS - 0.25 * min(side, 60), 2))
            if any(max(abs(x - g[0]), abs(y - g[1])) < 0.65 * (side + g[2]) for g in group):
                continue
            whole = rng.random() < 0.35
            pictures, places = (pile.whole, pile.whole_at) if whole else (pile.tight, pile.tight_at)
            index = rng.integers(len(pictures))
            width = pictures.shape[2]
            mirror = width if rng.random() < 0.5 else None
            matrix = placing(places[index], (x, y, side, tilt), mirror)
            before = canvas
            canvas = paste(canvas, pictures[index], edge_mask(rng, width), matrix)
            if whole and group:  # a whole portrait may cover an earlier face
                group = [g for g in group if not _covered(before, canvas, g)]
            group.append((x, y, side, tilt))
        canvases.append(_develop(rng, canvas))
        faces.append(group)
    return np.stack(canvases), faces


def _decoy(rng: np.random.Generator, pile: FacePile, canvas: ByteImage) -> ByteImage:
    """Paste a square without a whole face: so that pasted edges, skin or one eye are not sign of a face."""
    if rng.random() < 0.5:
        picture = pile.backgrounds[rng.integers(len(pile.backgrounds))]
    else:
        picture = pile.tight[rng.integers(len(pile.tight))]
        y, x = rng.choice([0, TIGHT_SIZE - 44], 2)  # a quarter of it
        picture = picture[y : y + 44, x : x + 44]
    width = picture.shape[0]
    x, y = rng.uniform(0, CANVAS, 2)
    wanted = (float(x), float(y), float(rng.uniform(16, 90)), float(rng.uniform(-180, 180)))
    matrix = placing((width / 2, width / 2, width, 0), wanted)
    return paste(canvas, picture, edge_mask(rng, width), matrix)


def _covered(before: ByteImage, after: ByteImage, face: Placed) -> bool:
    x, y, half = face[0], face[1], face[2] / 2
    part = tuple(slice(max(0, int(middle - half)), int(middle + half) + 1) for middle in (y, x))
    changed = (before[part] != after[part]).any(-1)
    return bool(changed.size == 0 or changed.mean() > 0.15)


def _crop_background(rng: np.random.Generator, backgrounds: ByteImage) -> ByteImage:
    picture = backgrounds[rng.integers(len(backgrounds))]
    side = int(rng.integers(96, 257))
    y, x = rng.integers(0, 257 - side, 2)
    cut = Image.fromarray(picture[y : y + side, x : x + side])
    cut = cut.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
    return np.asarray(cut)[:, :: int(rng.choice([-1, 1]))].copy()


def _develop(rng: np.random.Generator, canvas: ByteImage) -> ByteImage:
    """Exposure, contrast, colour cast, blur and noise of a careless photographer."""
    if rng.random() < 0.15:
        canvas = np.asarray(Image.fromarray(canvas).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))))
    x = canvas.astype(np.float32) / 255
    if rng.random() < 0.25:
        x = np.repeat(x.mean(-1, keepdims=True), 3, -1)
    x = x ** np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.06, 3))
    x = x + rng.normal(0, 0.05) + rng.normal(0, rng.exponential(0.015), x.shape)
    return np.clip(x * 255, 0, 255).round().astype(np.uint8)


def draw_boxes(picture: Image.Image, wanted: list[Placed], found: list[Placed]) -> Image.Image:
    """A copy with the canonical crops outlined: green what should be found, red what was."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) / 2
    for group, colour in ((wanted, (0, 255, 0)), (found, (255, 0, 0))):
        for x, y, side, tilt in group:
            matrix = placing((0, 0, 1, 0), (x, y, side, tilt))
            points = align.transform_points(corners, matrix)
            draw.line([tuple(p) for p in points], fill=colour, width=2)
    return picture
