"""Makes the example pictures and the README's gallery. Nobody is in them: the people are samples of our own base model,
the expressions are renders of a synthetic head (which need the head's data, see `data/ict.py`).

python examples/make.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.data.coefficients import preset
from mien.data.ict import load_head
from mien.data.render import HOLDOUT_SEEDS, make_person, render
from mien.data.scene import sample_view
from mien.provenance import COMPOSITE, save_image
from mien.sheets import sheet

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PERSON = {"prompt": "colour photo of a woman", "seed": 303, "steps": 20, "guidance": 2.5}
OTHERS = (300, 306, 301)
EXPRESSIONS = ("big_smile", "surprise", "jaw_open", "closed_eyes", "frown", "smirk_left")
HEAD = HOLDOUT_SEEDS + 900_003


def expression_picture(name: str) -> Image.Image:
    """A nearly frontal render of one synthetic head with an expression at full strength."""
    head = load_head()
    view = replace(sample_view(np.random.default_rng([HEAD, 2])), pose=np.array([3.0, 0.0, 0.0], np.float32))
    return Image.fromarray(render(head, make_person(head, HEAD), preset(name), view))


def main() -> None:
    pipe = mien.load("mini", device="cpu")
    settings = {"backbone": "mini", **PERSON}
    people = [
        pipe(identity=None, expression=None, **{**PERSON, "seed": seed})[0]
        for seed in (PERSON["seed"], *OTHERS)
    ]
    save_image(people[0], HERE / "identity.png", settings)
    pictures = [expression_picture(name) for name in EXPRESSIONS]
    save_image(pictures[0], HERE / "expression.png", {"render": EXPRESSIONS[0]}, COMPOSITE)
    blank = Image.new("RGB", (192, 192), "white")
    rows = [
        [("", blank), *((name.replace("_", " "), p) for name, p in zip(EXPRESSIONS, pictures, strict=True))]
    ]
    for person in people:
        results = pipe(identity=[person] * len(pictures), expression=pictures, seed=0)
        rows.append([("", person), *(("", result) for result in results)])
    save_image(sheet(rows), DOCS / "gallery.png", {"backbone": "mini", "seed": 0, "guidance": pipe.guidance})
    strip = pipe(identity=people[0], expression=pictures[0], seed=0)
    labels = ("identity", "expression", "result")
    tiles = list(zip(labels, (people[0], pictures[0], strip[0]), strict=True))
    save_image(sheet([tiles]), DOCS / "strip.png", {"backbone": "mini", "seed": 0, "guidance": pipe.guidance})
    refaced(people[1], people[0], pictures[0])


def refaced(photo: Image.Image, identity: Image.Image, expression: Image.Image) -> None:
    """A strip of the three tasks of refacing."""
    pipe = mien.load_reface("mini", device="cpu")
    tiles = [("photo", photo), ("identity", identity), ("expression", expression)]
    for task, given in (
        ("swap", {"identity": identity}),
        ("reenact", {"expression": expression}),
        ("both", {"identity": identity, "expression": expression}),
    ):
        tiles.append((task, pipe(photo, **given, seed=0)[0]))
    save_image(sheet([tiles]), DOCS / "reface.png", {"backbone": "mini", "seed": 0})


if __name__ == "__main__":
    main()
