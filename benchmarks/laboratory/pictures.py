"""Strips for the report, cut out of the contact sheets that benchmarks write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from mien.images import read_image

SIDE, GAP = 128, 6  # of `portrait_benchmark.contact_sheet`
PAIRS, QUADS = 5, 3  # to a row: identity, expression, result; and of `reface`'s sheets, with a background
QUAD_GAP = 8


def pair(sheet: Image.Image, i: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Identity, expression and result i of a sheet of portraits."""
    x, y = i % PAIRS * (3 * SIDE + GAP), i // PAIRS * (SIDE + GAP)
    first, second, third = (sheet.crop((x + k * SIDE, y, x + (k + 1) * SIDE, y + SIDE)) for k in range(3))
    return first, second, third


def arms(folder: Path, names: Mapping[str, str], chosen: Sequence[int]) -> list[tuple[str, Image.Image]]:
    """A strip a chosen pair: identity, expression, each arm's result, from ``sheet_ARM.png``. `names`: arm → label."""
    paths = [folder / f"sheet_{name}.png" for name in names]
    if not all(path.is_file() for path in paths):
        return []
    sheets = [read_image(path) for path in paths]
    rows = min(sheet.height for sheet in sheets) // (SIDE + GAP)
    found = []
    for i in (i for i in chosen if i < rows * PAIRS):
        identity, expression, _ = pair(sheets[0], i)
        results = [pair(sheet, i)[2] for sheet in sheets]
        labels = ", ".join(["identity", "expression", *names.values()])
        found.append((f"{i + 1}: {labels}", _strip([identity, expression, *results])))
    return found


def quads(path: Path, title: str, chosen: Sequence[int]) -> list[tuple[str, Image.Image]]:
    """Strips of background, identity, expression and result from a sheet of `reface`."""
    if not path.is_file():
        return []
    sheet = read_image(path)
    found = []
    for i in (i for i in chosen if i < sheet.height // SIDE * QUADS):
        x, y = i % QUADS * (4 * SIDE + QUAD_GAP), i // QUADS * SIDE
        parts = [sheet.crop((x + k * SIDE, y, x + (k + 1) * SIDE, y + SIDE)) for k in range(4)]
        found.append((f"{title}, {i + 1}: background, identity, expression, result", _strip(parts)))
    return found


def _strip(parts: Sequence[Image.Image]) -> Image.Image:
    """Side by side without a gap; the caption says what they are, which on a phone a picture could not."""
    joined = Image.new("RGB", (len(parts) * SIDE, SIDE))
    for place, part in enumerate(parts):
        joined.paste(part, (place * SIDE, 0))
    return joined
