"""What was seen of a face, carried from frame to frame of a film: what is estimated in each frame anew flickers.

Layers are kept in a crop that moves, turns and grows with the face. In one of a few frames a face is looked at, and
what is seen there comes in little by little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

import cv2
import numpy as np

from mien.face import align
from mien.types import ByteImage, FloatArray

EVERY = 4  # frames, in one of which a face is looked at
SHARE = 0.35  # of what is seen then in what is kept
WIDE, MARGIN = 140, 90  # px of a face's crop, and round it
LOST = 0.5  # seconds without the face, after which all is seen anew

T = TypeVar("T")


class Steady:
    """What is kept from one frame of a film to the next, which come in their order; of a still nothing is. film:
    whether there are further frames."""

    def __init__(self, film: bool = False) -> None:
        self._film = film
        self._known: dict[str, Any] = {}
        self._count, self._time = 0, -np.inf
        self._place: FloatArray = np.eye(2, 3)
        self._size = (0, 0)

    def frame(self, seconds: float) -> None:
        """The next frame begins, shown at a time."""
        if not 0 < seconds - self._time < LOST:
            self._known, self._count = {}, 0
        self._time, self._count = seconds, self._count + 1

    def at(self, landmarks: FloatArray, shape: tuple[int, ...]) -> None:
        """Layers of this frame are [h, w], of `shape`, with the face's `landmarks` [478, 3] px in them."""
        self._place = align.crop_matrix(landmarks, WIDE)
        self._place[:, 2] += MARGIN
        self._size = shape[1], shape[0]

    @property
    def looks(self) -> bool:
        """Whether the face is looked at in this frame."""
        return not self._film or self._count % EVERY == 1

    def layer(self, name: str, look: Callable[[], FloatArray | ByteImage]) -> FloatArray:
        """A layer [h, w] or [h, w, c], float32: what a look shows, or what is kept of such."""
        if not self._film:
            return np.asarray(look(), np.float32)
        known = self._known.get(name)
        if self.looks or known is None:
            side = WIDE + 2 * MARGIN
            now = np.asarray(look(), np.float32)
            here = cv2.warpAffine(now, self._place, (side, side), borderMode=cv2.BORDER_REPLICATE)
            self._known[name] = here if known is None else known + np.float32(SHARE) * (here - known)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        kept = self._known[name]
        kept = cv2.warpAffine(kept, self._place, self._size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(kept, np.float32)

    def numbers(self, name: str, look: Callable[[], T]) -> T:
        """The same for a dataclass of numbers and arrays of these."""
        known = self._known.get(name)
        if known is not None and not self.looks:
            return known
        now: Any = look()
        if known is not None:
            parts = {one.name: (getattr(known, one.name), getattr(now, one.name)) for one in fields(now)}
            now = replace(now, **{key: was + SHARE * (new - was) for key, (was, new) in parts.items()})
        if self._film:
            self._known[name] = now
        return now

    def once(self, name: str, look: Callable[[], T]) -> T:
        """What the first look shows."""
        if not self._film:
            return look()
        if name not in self._known:
            self._known[name] = look()
        return self._known[name]
