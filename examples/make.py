"""Makes the README's pictures. Nobody is in them: the people are averages of many (`examples/people/README.md`).

python examples/make.py [strip] [expressions] [people] [words] [travel] [swaps]

Nothing is picked: every person and every expression named here is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from mien.expressions.spec import parse
from mien.pipelines.photo import PhotoPipeline, Sitter
from mien.pipelines.photo_swap import SwapPipeline
from mien.pipelines.photo_travel import travel
from mien.pipelines.travel import names, positions
from mien.provenance import PARTLY_GENERATED, save_image
from mien.sheets import sheet

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
# Ekman's seven and rest, then four that are no feelings: {label: expression}
EXPRESSIONS: dict[str, Any] = {
    "neutral": "neutral",
    "joy": "joy",
    "surprise": "surprise",
    "sadness": "sadness",
    "anger": "anger",
    "fear": "fear",
    "disgust": "disgust",
    "contempt": "contempt",
    "jaw open": {"jawOpen": 0.8},
    "wink": {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.4, "cheekSquintLeft": 0.5},
    "eyes closed": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "pucker": {"mouthPucker": 1.0},
}
STOPS = ("neutral", "joy", "surprise", "sadness")
WORDS = ("amusement", "nervousness", "astonishment")
FRAMES = 10
SIDE = 320  # px of a head
HEAD = (0.14, 0.05, 0.86, 0.77)  # its box x0, y0, x1, y1 in a portrait, which is square
ONE = "may"  # who shows all expressions
SETTINGS = {"engine": "photo", "kind": "sheet"}


@cache
def pipe() -> PhotoPipeline:
    """The photo engine."""
    return PhotoPipeline()


@cache
def people() -> dict[str, Sitter]:
    """Everybody, at rest, by name."""
    files = sorted((HERE / "people").glob("*_rest.jpg"))
    return {file.stem.removesuffix("_rest"): pipe().sit(file).framed() for file in files}


def face(sitter: Sitter, image: Image.Image | None = None) -> Image.Image:
    """Their head in a picture of the sitter's size; None: in the photo."""
    shown = Image.fromarray(sitter.image) if image is None else image
    return shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS, tuple(share * shown.width for share in HEAD))


def expressed(sitter: Sitter, expression: Any) -> Image.Image:
    """Their face with an expression."""
    return face(sitter, pipe().express(sitter, expression).image())


def strip() -> None:
    """photo | expression | result, of the pictures that `make portrait` takes."""
    sitter, other = (pipe().sit(HERE / f"{name}.jpg").framed() for name in ("identity", "expression"))
    tiles = [("photo", face(sitter)), ("expression", face(other))]
    tiles.append(("result", expressed(sitter, HERE / "expression.jpg")))
    save_image(sheet([tiles], SIDE), DOCS / "strip.webp", SETTINGS, PARTLY_GENERATED)


def expressions() -> None:
    """One person, twelve expressions."""
    sitter = people()[ONE]
    tiles = [(name, expressed(sitter, one)) for name, one in EXPRESSIONS.items()]
    rows = [tiles[first : first + 4] for first in range(0, len(tiles), 4)]
    save_image(sheet(rows, SIDE), DOCS / "gallery_expressions.webp", SETTINGS, PARTLY_GENERATED)


def everybody() -> None:
    """One expression, everybody: the photo above, the result below."""
    pairs = [(face(one), expressed(one, HERE / "expression.jpg")) for one in people().values()]
    rows = []
    for first in range(0, len(pairs), 6):
        part = pairs[first : first + 6]
        rows += [[("photo", before) for before, _ in part], [("with the smile", after) for _, after in part]]
    save_image(sheet(rows, SIDE), DOCS / "gallery_people.webp", SETTINGS, PARTLY_GENERATED)


def words() -> None:
    """Photos, and what three words make of them."""
    rows = []
    for name in ("raj", "eve", "cleo"):
        sitter = people()[name]
        rows.append([("photo", face(sitter)), *((word, expressed(sitter, word)) for word in WORDS)])
    save_image(sheet(rows, SIDE), DOCS / "gallery_words.webp", SETTINGS, PARTLY_GENERATED)


def journey() -> None:
    """One person from expression to expression."""
    sitter = people()["max"]
    frames = travel(pipe(), sitter, STOPS, positions(len(STOPS), FRAMES))
    said = [name.replace("% ", "%\n", 1) for name in names([parse(stop) for stop in STOPS], FRAMES)]
    tiles = [(name, face(sitter, frame)) for name, frame in zip(said, frames, strict=True)]
    drawn = sheet([tiles[: FRAMES // 2], tiles[FRAMES // 2 :]], SIDE)
    save_image(drawn, DOCS / "gallery_travel.webp", SETTINGS, PARTLY_GENERATED)


def swaps() -> None:
    """Everybody's face in their neighbour's photo."""
    swap, everyone = SwapPipeline(), list(people().values())
    rows = []
    for one, other in zip(everyone[::2], everyone[1::2], strict=True):
        result = swap(Image.fromarray(one.image), Image.fromarray(other.image))
        rows.append([("photo", face(one)), ("another face", face(other)), ("result", face(one, result))])
    pairs = [first + second for first, second in zip(rows[::2], rows[1::2], strict=True)]
    save_image(sheet(pairs, SIDE), DOCS / "gallery_swaps.webp", SETTINGS, PARTLY_GENERATED)


PICTURES: dict[str, Callable[[], None]] = {
    "strip": strip,
    "expressions": expressions,
    "people": everybody,
    "words": words,
    "travel": journey,
    "swaps": swaps,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=f"of {', '.join(PICTURES)}; none: all")
    chosen = parser.parse_args().pictures or list(PICTURES)
    if unknown := set(chosen) - set(PICTURES):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(PICTURES)}")
    for name in chosen:
        PICTURES[name]()
        print(name, flush=True)


if __name__ == "__main__":
    main()
