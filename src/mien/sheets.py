"""Contact sheets for people: labelled pictures side by side, for instance identity | expression | result."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

Labelled = tuple[str, Image.Image]

_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def sheet(rows: Sequence[Sequence[Labelled]], side: int = 256) -> Image.Image:
    """Rows of pictures, each fitted into a square of `side` px under its label; short rows are left-aligned. Raises
    `ValueError`: there is no picture.

    Args:
        rows: of (label, PIL RGB picture). An empty label leaves the place blank; a label may have several lines.

    Returns:
        PIL RGB, white where there is no picture.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a sheet needs at least one picture")
    gap = max(2, side // 32)
    size = max(9, side // 16)
    font = ImageFont.load_default(size)
    line = round(size * 1.3)
    bands = [max((len(label.splitlines()) for label, _ in row), default=0) * line for row in rows]
    page = Image.new("RGB", (gap + columns * (side + gap), gap + sum(b + side + gap for b in bands)), _PAPER)
    draw = ImageDraw.Draw(page)
    top = gap
    for row, band in zip(rows, bands, strict=True):
        for column, (label, picture) in enumerate(row):
            left = gap + column * (side + gap)
            for number, words in enumerate(label.splitlines()):
                words = _shortened(draw, words, font, side)
                draw.text((left + side / 2, top + number * line), words, _INK, font, anchor="ma")
            fitted = ImageOps.contain(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
            place = (left + (side - fitted.width) // 2, top + band + (side - fitted.height) // 2)
            page.paste(fitted, place)
        top += band + side + gap
    return page


def _shortened(
    draw: ImageDraw.ImageDraw, words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    if draw.textlength(words, font) <= width:
        return words
    while words and draw.textlength(f"{words}…", font) > width:
        words = words[:-1]
    return f"{words}…"
