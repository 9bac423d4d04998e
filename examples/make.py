"""Makes the example pictures and the README's gallery. Nobody is in them: the people are portraits of samples of our
own base model, the expressions are words, blendshapes and renders of a synthetic head (which need the head's data, see
`factory/faces/ict.py`).

python examples/make.py [inputs] [strip] [expressions] [people] [reface] [travel]

Nothing is picked: the invented people are those of consecutive seeds (`mien invent`), and every picture is the one of
seed 0. A sample in which our own analyser sees no face cannot be an identity, and the next seed takes its place.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mien
from mien.pipelines.invent import invent
from mien.pipelines.travel import names, travel
from mien.provenance import COMPOSITE, save_image
from mien.sheets import sheet

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PEOPLE = 12
FIRST_SEED = 300
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
FRAMES = 10
SIDE = 176


@cache
def portraits() -> Any:
    """The portrait pipeline, loaded once."""
    return mien.load("mini", device="cpu")


@cache
def people(count: int = PEOPLE) -> list[Image.Image]:
    """The first `count` people who do not exist."""
    return [one.image for one in invent(portraits(), count, FIRST_SEED)]


@cache
def smile() -> Image.Image:
    """A nearly frontal render of a synthetic head, smiling."""
    from factory.faces.coefficients import preset
    from factory.faces.ict import load_head
    from factory.faces.render import HOLDOUT_SEEDS, make_person, render
    from factory.faces.scene import sample_view

    seed = HOLDOUT_SEEDS + 900_003
    head = load_head()
    view = replace(sample_view(np.random.default_rng([seed, 2])), pose=np.array([3.0, 0.0, 0.0], np.float32))
    return Image.fromarray(render(head, make_person(head, seed), preset("big_smile"), view))


def inputs() -> None:
    """The pictures that `make portrait` starts from."""
    save_image(people(1)[0], HERE / "identity.png", {"backbone": "mini", "seed": FIRST_SEED})
    save_image(smile(), HERE / "expression.png", {"render": "big_smile"}, COMPOSITE)


def strip() -> None:
    """identity | expression | result."""
    (result,) = portraits()(identity=people(1)[0], expression=smile(), seed=0)
    tiles = [("identity", people(1)[0]), ("expression", smile()), ("result", result)]
    save_image(sheet([tiles]), DOCS / "strip.png", settings())


def expressions() -> None:
    """One invented person, twelve expressions."""
    (person,) = people(1)
    results = portraits()(identity=[person] * len(EXPRESSIONS), expression=list(EXPRESSIONS.values()), seed=0)
    tiles = list(zip(EXPRESSIONS, results, strict=True))
    blank = Image.new("RGB", (SIDE, SIDE), "white")
    rows = [[("identity", person), *tiles[:6]], [("", blank), *tiles[6:]]]
    save_image(sheet(rows, SIDE), DOCS / "gallery_expressions.webp", settings())


def everybody() -> None:
    """One expression, twelve invented people."""
    results = portraits()(identity=people(), expression=smile(), seed=0)
    blank = Image.new("RGB", (SIDE, SIDE), "white")
    rows = []
    for first in range(0, PEOPLE, 6):
        corner = ("expression", smile()) if first == 0 else ("", blank)
        rows.append(
            [
                ("", blank),
                *((f"person {first + i + 1}", p) for i, p in enumerate(people()[first : first + 6])),
            ]
        )
        rows.append([corner, *(("", result) for result in results[first : first + 6])])
    save_image(sheet(rows, SIDE), DOCS / "gallery_people.webp", settings())


def reface() -> None:
    """Two photos, each with the three tasks of refacing."""
    pipe = mien.load_reface("mini", device="cpu")
    tasks = {"swap": ("identity",), "reenact": ("expression",), "both": ("identity", "expression")}
    rows = []
    first, second, third, fourth = people(4)
    for photo, identity in ((second, first), (third, fourth)):
        given = {"identity": identity, "expression": smile()}
        tiles = [("photo", photo), *given.items()]
        for task, wanted in tasks.items():
            tiles.append((task, pipe(photo, **{name: given[name] for name in wanted}, seed=0)[0]))
        rows.append(tiles)
    save_image(sheet(rows), DOCS / "gallery_reface.webp", {"backbone": "mini", "seed": 0})


def journey() -> None:
    """One invented person from expression to expression."""
    from mien.expressions.spec import parse

    frames = travel(portraits(), people(1)[0], STOPS, FRAMES, seed=0)
    said = [name.replace("% ", "%\n", 1) for name in names([parse(stop) for stop in STOPS], FRAMES)]
    save_image(sheet([list(zip(said, frames, strict=True))], SIDE), DOCS / "gallery_travel.webp", settings())


def settings() -> dict[str, Any]:
    """What every sheet says of how it was made."""
    return {"backbone": "mini", "seed": 0, "steps": portraits().steps, "guidance": portraits().guidance}


PICTURES: dict[str, Callable[[], None]] = {
    "inputs": inputs,
    "strip": strip,
    "expressions": expressions,
    "people": everybody,
    "reface": reface,
    "travel": journey,
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
