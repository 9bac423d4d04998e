"""Captions of the embedded default's pictures, from what their names and pixels tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.types import ByteImage, FloatArray

STYLES = ("colour photo", "black and white photo", "3d render")
AGES = ((30, "young"), (45, "adult"), (60, "middle-aged"), (200, "old"))
NAMED_COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (20, 20, 20),
    "white": (235, 235, 235),
    "grey": (128, 128, 128),
    "brown": (110, 75, 45),
    "red": (180, 50, 45),
    "green": (75, 120, 65),
    "blue": (70, 105, 170),
    "yellow": (210, 185, 90),
    "pink": (215, 160, 165),
}
# Cheeks on the picture's left and right, clear of eyes, nose and mouth in every expression.
_LEFT_CHEEK, _RIGHT_CHEEK = 50, 280


@dataclass(frozen=True)
class Label:
    """What a file's name tells. Unknown fields are None."""

    person: str
    age: int | None = None
    gender: str | None = None
    ethnicity: str | None = None


def age_words(age: int) -> str:
    """The word of an age in years."""
    return next(word for limit, word in AGES if age < limit)


def background_colour(crop: ByteImage) -> str:
    """Name of the colour nearest to the median of a crop's two upper corners."""
    side = max(4, crop.shape[0] // 10)
    corners = np.concatenate([crop[:side, :side].reshape(-1, 3), crop[:side, -side:].reshape(-1, 3)])
    median = np.median(corners, axis=0)
    return min(NAMED_COLOURS, key=lambda name: float(((median - NAMED_COLOURS[name]) ** 2).sum()))


def light_words(crop: ByteImage, landmarks: FloatArray) -> str:
    """Where the light comes from, or how much of it there is; "" when it is even and ordinary."""
    size = crop.shape[0]
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)

    def brightness(point: int) -> float:
        x, y = np.clip(landmarks[point, :2].astype(int), 4, size - 5)
        return float(grey[y - 4 : y + 5, x - 4 : x + 5].mean())

    left, right = brightness(_LEFT_CHEEK), brightness(_RIGHT_CHEEK)
    if left > 1.35 * right + 8:
        return "light from the left"
    if right > 1.35 * left + 8:
        return "light from the right"
    middle = grey[size // 4 : -size // 4, size // 4 : -size // 4].mean()
    return "dark light" if middle < 75 else "bright light" if middle > 185 else ""


def caption(
    style: str, label: Label, light: str, background: str, keep: tuple[bool, bool, bool, bool]
) -> str:
    """One caption, e.g. "colour photo of a young asian woman, light from the left, white background".

    Args:
        style: one of `STYLES`. keep: whether style, person, light and background are spoken of.
    """
    words = [age_words(label.age) if label.age is not None else "", label.ethnicity or ""]
    noun = label.gender or "person"
    person = " ".join(w for w in (*words, noun) if w and w != "other")
    article = "an" if person[0] in "aeio" else "a"
    parts = []
    if keep[0] and keep[1]:
        parts.append(f"{style} of {article} {person}")
    elif keep[0]:
        parts.append(style)
    elif keep[1]:
        parts.append(f"{article} {person}")
    if keep[2] and light:
        parts.append(light)
    if keep[3]:
        parts.append(f"{background} background")
    return ", ".join(parts)
