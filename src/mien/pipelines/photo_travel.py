"""Expression travel with a photograph: one person from expression to expression, at the photo's size.

Each stop is sought once; between two stops the coefficients move in a straight line, slowing down at both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mien.expressions.spec import Expression, Given, parse
from mien.pipelines.photo import PhotoPipeline, Sitter, Sought, focused, seek
from mien.types import FloatArray


def eased(place: FloatArray) -> FloatArray:
    """Places [n] of frames between stops, from even speed to one that is 0 at every stop: s - sin(2 pi s) / (2 pi)."""
    return np.asarray(place - np.sin(2 * np.pi * place) / (2 * np.pi))


def travel(
    pipe: PhotoPipeline,
    sitter: Sitter,
    stops: Sequence[Given | Expression],
    places: FloatArray,
    strength: float = 1.0,
    relative: bool = True,
    region: str = "all",
    callback: Callable[[int, int], object] = lambda done, total: None,
) -> list[Image.Image]:
    """A frame, PIL RGB of the photo's size, for each of `places` [n] in 0 to stops - 1; the others as for
    `PhotoPipeline.express`.

    Raises:
        InputError: an expression or option cannot be used.
    """
    sought = [
        seek(sitter, focused(sitter, pipe.wanted(sitter, parse(stop), relative), strength, region))
        for stop in stops
    ]
    stations = np.stack([np.r_[one.after, one.shut] for one in sought])
    frames = []
    for number, place in enumerate(eased(np.asarray(places, np.float64))):
        first = min(int(place), len(stops) - 2)
        share = place - first
        there = (1 - share) * stations[first] + share * stations[first + 1]
        drawn = sitter.drawn(Sought(sought[0].before, there[:-1], float(there[-1])))
        frames.append(Image.fromarray(drawn.image))
        callback(number + 1, len(places))
    return frames
