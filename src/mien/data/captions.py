"""What a picture's pixels tell for its caption: the light, and the ground behind."""

from __future__ import annotations

import numpy as np

from mien.types import ByteImage, FloatArray

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
