"""Is skin as dark in a portrait as in the photograph? Mean colours of the middle of a face, beside its identity's.

A recogniser that judges training is pleased by caricature, and then dark skin gets darker and light skin lighter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.table import Row
from mien.metrics import statistics
from mien.types import FloatArray

MIDDLE = (0.31, 0.28, 0.74, 0.72)  # top, left, bottom, right of the canonical crop: eyes to mouth
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. ITU-R BT.601


def colour(image: Image.Image) -> FloatArray:
    """[3] mean RGB in 0 to 255 of the middle of a canonical crop."""
    top, left, bottom, right = MIDDLE
    part = (
        round(left * image.width),
        round(top * image.height),
        round(right * image.width),
        round(bottom * image.height),
    )
    return np.asarray(image.convert("RGB").crop(part), float).mean(axis=(0, 1))


def rows(results: Sequence[Image.Image | None], identities: Sequence[Image.Image]) -> list[Row]:
    """The table; results of nothing are left out. Lightness is luma, 0 to 255."""
    both = [(colour(a), colour(b)) for a, b in zip(results, identities, strict=True) if a is not None]
    made, real = (np.stack(column) for column in zip(*both, strict=True))
    added, light = made @ LUMA - real @ LUMA, real @ LUMA
    quarter = np.quantile(light, [0.25, 0.75])
    table = [
        Row(
            f"lightness added to the {name} quarter of the faces",
            statistics.mean(added[part]),
            spec=".1f",
            note=f"{int(part.sum())}",
        )
        for name, part in (("darkest", light <= quarter[0]), ("lightest", light >= quarter[1]))
    ]
    off = np.sqrt(np.square(made - real).mean(axis=1))
    return [
        *table,
        Row(
            "colour off by (root mean square of R, G, B)",
            statistics.mean(off),
            spec=".1f",
            note=f"{len(off)}",
        ),
    ]
