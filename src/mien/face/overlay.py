"""What was found, drawn on the picture: boxes, landmarks, the face's mask, and bars of the strongest blendshapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.face.blendshapes import NAMES
from mien.face.mask import OVAL, face_mask
from mien.types import Face, FloatArray

MASK_TINT = 46  # of 255
BARS = 8  # blendshapes drawn for each face
LONGEST, SHORTEST = 2048, 640  # px: larger pictures are reduced and smaller ones enlarged before drawing
INK, PAPER, FAINT = (35, 38, 42), (255, 255, 255), (228, 231, 235)
COLOURS = ((0, 150, 255), (255, 120, 0), (0, 175, 90), (200, 60, 200), (220, 170, 0), (230, 50, 70))


def draw_faces(image: Image.Image, faces: Sequence[Face], mask: FloatArray | None = None) -> Image.Image:
    """A PIL RGB picture: the photo with every face marked, and beside it each face's numbers.

    Faces are numbered from 0 as in `faces`. The photo is brought to between 640 and 2048 px first.

    Args:
        mask: [H, W] in [0, 1] of the photo, drawn in place of the masks from landmarks.
    """
    scale = min(LONGEST / max(image.size), max(1.0, SHORTEST / max(image.size)))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    photo = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(faces))]
    if mask is not None:
        tint = Image.fromarray((np.asarray(mask) * MASK_TINT * 2).round().clip(0, 255).astype(np.uint8))
        photo.paste(COLOURS[0], (0, 0), tint.resize(size, Image.Resampling.BILINEAR))
    for face, colour in zip(faces, colours, strict=True) if mask is None else ():
        oval = (face_mask(face.landmarks * scale, *size) * MASK_TINT).round().astype(np.uint8)
        photo.paste(colour, (0, 0), Image.fromarray(oval))
    draw = ImageDraw.Draw(photo)
    font = ImageFont.load_default(max(14, max(size) // 48))
    for number, (face, colour) in enumerate(zip(faces, colours, strict=True)):
        _mark(draw, face, scale, colour, str(number), font)
    panel = [_bars(face, number, colours[number]) for number, face in enumerate(faces)]
    if not panel:
        return photo
    return _beside(photo, panel)


def strongest(blendshapes: FloatArray, count: int) -> list[tuple[str, float]]:
    """The `count` largest of [52] as (name, value), largest first; `_neutral` is left out."""
    order = [int(i) for i in np.argsort(-blendshapes, kind="stable") if NAMES[int(i)] != "_neutral"]
    return [(NAMES[i], float(blendshapes[i])) for i in order[:count]]


def _mark(
    draw: ImageDraw.ImageDraw, face: Face, scale: float, colour: tuple[int, ...], label: str, font: object
) -> None:
    box = [float(v) for v in face.box * scale]
    side = max(box[2] - box[0], box[3] - box[1])
    thick = max(1, round(side / 150))
    draw.rectangle(box, outline=colour, width=thick)
    oval = [(float(x), float(y)) for x, y in face.landmarks[[*OVAL, OVAL[0]], :2] * scale]
    draw.line(oval, fill=colour, width=thick)
    r = max(0.6, side / 260)
    for x, y in face.landmarks[:, :2] * scale:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
    place = draw.textbbox((box[0], box[1]), label, font=font, anchor="lb")  # type: ignore[arg-type]
    draw.rectangle((place[0] - 3, place[1] - 2, place[2] + 3, place[3] + 2), fill=colour)
    draw.text((box[0], box[1]), label, fill=PAPER, font=font, anchor="lb")  # type: ignore[arg-type]


def _bars(face: Face, number: int, colour: tuple[int, ...]) -> Image.Image:
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    card = Image.new("RGB", (320, 62 + 20 * BARS), PAPER)
    draw = ImageDraw.Draw(card)
    yaw, pitch, roll = face.pose
    draw.rectangle((10, 10, 15, 50), fill=colour)
    draw.text((24, 10), f"face {number}   confidence {face.confidence:.2f}", INK, font)
    draw.text((24, 32), f"yaw {yaw:+.0f}°   pitch {pitch:+.0f}°   roll {roll:+.0f}°", INK, small)
    for row, (name, value) in enumerate(strongest(face.blendshapes, BARS)):
        y = 58 + 20 * row
        draw.text((145, y + 8), name, INK, small, anchor="rm")
        draw.rectangle((152, y + 2, 272, y + 14), fill=FAINT)
        if value >= 0.005:
            draw.rectangle((152, y + 2, 152 + 120 * min(value, 1.0), y + 14), fill=colour)
        draw.text((312, y + 8), f"{value:.2f}", INK, small, anchor="rm")
    return card


def _beside(photo: Image.Image, cards: list[Image.Image]) -> Image.Image:
    """The photo on the left, cards in as many columns as its height needs on the right."""
    per_column = max(1, photo.height // cards[0].height)
    columns = [cards[start : start + per_column] for start in range(0, len(cards), per_column)]
    height = max(photo.height, min(per_column, len(cards)) * cards[0].height)
    page = Image.new("RGB", (photo.width + len(columns) * cards[0].width, height), PAPER)
    page.paste(photo, (0, 0))
    for column, group in enumerate(columns):
        for row, card in enumerate(group):
            page.paste(card, (photo.width + column * card.width, row * card.height))
    return page
