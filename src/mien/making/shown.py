"""What an expression looks like, on a shipped photograph of nobody: for sheets and strips that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image

import mien.expressions
from mien.expressions.labels import labels
from mien.expressions.spec import Expression, parse
from mien.pipelines.photo import PhotoPipeline, Sitter
from mien.sheets import sheet

NOBODY = Path(mien.expressions.__file__).with_name("nobody.webp")  # 512 px, of `examples/people`
COLUMNS = 8
ROOM = 1.5  # a cell's side against the face's


def show(expressions: Sequence[Expression], photo: Path = NOBODY) -> list[Image.Image]:
    """One photo's face, all of it, with each of some expressions, PIL RGB, square. Raises `InputError`: the photo
    cannot be used."""
    pipe, sitter = _sitter(photo)
    x0, y0, x1, y1 = (float(edge) for edge in sitter.face.box)
    half, x, y = ROOM * max(x1 - x0, y1 - y0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
    box = round(x - half), round(y - 1.1 * half), round(x + half), round(y + 0.9 * half)
    return [pipe.express(sitter, one).image().crop(box) for one in expressions]


def all_words(photo: Path, side: int, cluster: str | None = None) -> Image.Image:
    """A sheet of one photo's face making every word, a row or more for each feeling, PIL RGB. side: of a face, px.
    cluster: only words of this cluster or basic emotion."""
    groups: dict[str, list[str]] = {}
    for word, label in sorted(labels().items(), key=lambda one: (one[1].cluster, one[0])):
        if cluster in (None, label.cluster, label.basic):
            groups.setdefault(label.basic, []).append(word)
    blank, rows = Image.new("RGB", (1, 1), "white"), []
    for feeling, words in sorted(groups.items()):
        cells = list(zip(words, show([parse(word) for word in words], photo), strict=True))
        for start in range(0, len(cells), COLUMNS):
            rows.append([("" if start else feeling.upper(), blank), *cells[start : start + COLUMNS]])
    return sheet(rows, side)


@cache
def _sitter(photo: Path) -> tuple[PhotoPipeline, Sitter]:
    pipe = PhotoPipeline()
    return pipe, pipe.sit(photo).framed()
