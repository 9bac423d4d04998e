"""A 4,000 x 3,000 photo with five people is refaced on a CPU: memory, time, and what changes outside the mask.

    python -m benchmarks.large_photo [--out runs/bench] [--backbone mini] [--steps 50]
    python -m benchmarks.large_photo --engine photo      # the photo engine: everybody becomes somebody else

The people are those of ``examples/``, who do not exist, on a background of noise: whatever would touch a pixel of it
shows. Memory is the peak of the whole process, model and libraries included.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.table import Row, exact, publish, run
from mien.provenance import save_image
from mien.types import FloatArray

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIZE, PEOPLE = (4000, 3000), 5
LIMIT_GB = {"diffusion": 3.0, "photo": 1.5}


def photo() -> Image.Image:
    """PIL RGB: five people of different sizes in a row."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    page = Image.fromarray(noise)
    for k in range(PEOPLE):
        side = 740 - 60 * k
        person = Image.open(EXAMPLES / ("identity.png", "expression.png")[k % 2]).convert("RGB")
        page.paste(person.resize((side, side), Image.Resampling.BICUBIC), (30 + 790 * k, 700 + 250 * (k % 3)))
    return page


def by_diffusion(
    page: Image.Image, arguments: argparse.Namespace
) -> tuple[Image.Image, FloatArray, int, float]:
    """One of the people smiles: the result, its mask [H, W], how many people were found, processor seconds."""
    import mien

    pipe = mien.load_reface(arguments.backbone, device="cpu")
    found = len(pipe.analyzer()(page))
    began = time.process_time()
    (result,) = pipe.reface(page, expression="joy", face="right", steps=arguments.steps)
    return result.image(), result.mask(), found, time.process_time() - began


def by_photo(page: Image.Image, arguments: argparse.Namespace) -> tuple[Image.Image, FloatArray, int, float]:
    """As `by_diffusion`, of everybody who becomes somebody else; the mask is where that may show."""
    from mien.pipelines.photo import framed
    from mien.pipelines.photo_swap import SwapPipeline

    pipe = SwapPipeline()
    began = time.process_time()
    with Image.open(EXAMPLES / "people" / "may_rest.jpg") as person:
        changes = pipe.changes(page, person.convert("RGB"), "all")
    pixels = pipe.apply(changes)
    mask = np.zeros(pixels.shape[:2], np.float32)
    for change in changes:
        x0, y0, x1, y1 = framed(change.sitter.face, pixels.shape)
        mask[y0:y1, x0:x1] = 1
    return Image.fromarray(pixels), mask, len(changes), time.process_time() - began


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--engine", choices=("diffusion", "photo"), default="diffusion")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    page = photo()
    draw = by_photo if arguments.engine == "photo" else by_diffusion
    image, mask, found, seconds = draw(page, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = save_image(image, arguments.out / "large_photo.png", {"benchmark": "large_photo"}, mask=mask)
    written = np.asarray(Image.open(path).convert("RGB"), np.int16)
    outside = np.abs(written - np.asarray(page, np.int16)).max(-1)[mask == 0].max()
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    rows = [
        Row("people found", exact(found), PEOPLE, spec=".0f"),
        Row("largest change outside the mask, in the file", exact(outside), 0, at_least=False, spec=".0f"),
        Row("share of the photo inside the mask", exact(float((mask > 0).mean())), spec=".1%"),
        Row("peak memory, GiB", exact(peak), LIMIT_GB[arguments.engine], at_least=False, spec=".2f"),
        Row("processor seconds", exact(seconds), spec=".1f"),
    ]
    settings = {"settings": {key: str(value) for key, value in vars(arguments).items()}}
    whom = "five" if arguments.engine == "photo" else "one of five"
    name = "large_photo" if arguments.engine == "diffusion" else "large_photo_swap"
    publish(arguments.out, name, f"Refacing {whom} people in 4,000 x 3,000 pixels", rows, settings)


if __name__ == "__main__":
    run(main)
