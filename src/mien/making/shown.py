"""What an expression looks like, on a shipped photograph of nobody: for sheets and strips that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image

import mien.expressions
from mien.expressions.spec import Expression
from mien.pipelines.photo import PhotoPipeline, Sitter

NOBODY = Path(mien.expressions.__file__).with_name("nobody.webp")  # 512 px, of `examples/people`
ROOM = 1.5  # a cell's side against the face's


def on_nobody(expression: Expression) -> Image.Image:
    """The shipped face of nobody with an expression, PIL RGB."""
    return show([expression])[0]


def show(expressions: Sequence[Expression], photo: Path = NOBODY) -> list[Image.Image]:
    """One photo's face, all of it, with each of some expressions, PIL RGB, square.

    Raises:
        InputError: the photo cannot be used.
    """
    pipe, sitter = _sitter(photo)
    x0, y0, x1, y1 = (float(edge) for edge in sitter.face.box)
    half, x, y = ROOM * max(x1 - x0, y1 - y0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
    box = round(x - half), round(y - 1.1 * half), round(x + half), round(y + 0.9 * half)
    return [pipe.express(sitter, one).image().crop(box) for one in expressions]


@cache
def _sitter(photo: Path) -> tuple[PhotoPipeline, Sitter]:
    pipe = PhotoPipeline()
    return pipe, pipe.sit(photo).framed()
