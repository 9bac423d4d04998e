"""What the invisible watermark survives, where it is found though nobody put it, and how little it changes.

    python -m benchmarks.watermark [--out runs/bench] [--portraits FOLDER] [--quick]

Photographs: whole portraits of nobody (256 px), aligned faces, selfies, of the data beside the project. Generated
pictures: portraits by the embedded model of faces from there, or those of FOLDER.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import binomtest

from benchmarks.table import Row, exact, publish, run
from factory.faces.sources import read_pictures, shared_dir
from mien.images import find_images, read_image
from mien.metrics.statistics import Interval
from mien.provenance import watermark
from mien.provenance.watermark import Box

Damage = Callable[[Image.Image], Image.Image]


def saved(image: Image.Image, kind: str = "JPEG", quality: int = 75) -> Image.Image:
    """The picture after a lossy file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(buffer).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    """The picture at another size, by the filter that most software takes."""
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.BICUBIC)


LARGE: dict[str, Damage] = {
    "JPEG 75": saved,
    **{f"{percent}% and JPEG 75": lambda i, p=percent: saved(resized(i, p / 100)) for percent in (50, 60, 75, 90)},
    "mirrored, JPEG 75": lambda i: saved(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}  # fmt: skip
SMALL: dict[str, Damage] = {
    "JPEG 90": lambda i: saved(i, quality=90),
    "WebP 90": lambda i: saved(i, "WEBP", 90),
    "JPEG 75": saved,
}


def share(found: Sequence[bool]) -> Interval:
    """How many of them, with Wilson's interval at 95%."""
    ends = binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return Interval(sum(found) / len(found), ends.low, ends.high)


def psnr(before: Image.Image, after: Image.Image) -> float:
    """dB, of 8-bit RGB."""
    error = np.mean((np.asarray(before, float) - np.asarray(after, float)) ** 2)
    return float(10 * np.log10(255**2 / error))


def photographs(source: str, count: int, step: int = 1) -> Iterator[Image.Image]:
    """Every `step`-th picture of a set, `count` of them."""
    pictures = read_pictures(source, shared_dir())
    return (Image.fromarray(pixels) for _, pixels in islice(pictures, 0, count * step, step))


def portraits(folder: Path | None, count: int) -> list[Image.Image]:
    """Generated pictures: those of the folder, or made now, a new person and expression each."""
    if folder is not None:
        return [read_image(path) for path in find_images([str(folder)])[:count]]
    import mien
    from mien.types import InputError

    pipe = mien.load("mini")
    made: list[Image.Image] = []
    faces = list(photographs("utkface-adults", 2 * count + 64, 7))
    for start in range(0, len(faces) - 16, 16):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # several faces: any will do
                made += pipe(faces[start : start + 8], faces[start + 8 : start + 16], seed=start, steps=10)
        except InputError:
            continue  # no face was found in one of the sixteen
        if len(made) >= count:
            break
    return made[:count]


def survival(
    name: str, images: Sequence[Image.Image], damages: dict[str, Damage], targets: dict[str, float]
) -> list[Row]:
    """A row for each damage, and how much marking changes."""
    marked = [watermark.embed(image) for image in images]
    rows = []
    for damage, apply in damages.items():
        found = [watermark.find(apply(image)).found for image in marked]
        rows.append(
            Row(f"{name}: found after {damage}", share(found), targets.get(damage), note=str(len(found)))
        )
    change = np.array([psnr(*pair) for pair in zip(images, marked, strict=True)])
    note = "median [5%, 95%]"
    spread = Interval(*(float(np.quantile(change, q)) for q in (0.5, 0.05, 0.95)))
    return [*rows, Row(f"{name}: PSNR of marking, dB", spread, None, True, ".1f", note=note)]


def parts(images: Sequence[Image.Image]) -> list[Row]:
    """A mark in an ellipse of each picture, as a refaced photo has it: where it is known, and where it is searched."""
    rng = np.random.default_rng(0)
    known, searched, clean = [], [], []
    for image in images:
        photo = image.resize((600, 600), Image.Resampling.LANCZOS)
        middle, radius = 300 + rng.uniform(-40, 40, 2), rng.uniform(90, 160)
        rows, columns = np.mgrid[0:600, 0:600]
        mask = (6 - 5 * np.hypot((columns - middle[0]) / 0.8, rows - middle[1]) / radius).clip(0, 1)
        damaged = saved(resized(watermark.embed(photo, mask), 0.6), quality=80)
        box = [edge * 0.6 for edge in watermark.mask_box(mask)]
        known.append(watermark.find(damaged, (box[0], box[1], box[2], box[3])).found)
        x, y = 0.6 * (middle + rng.normal(0, 0.06 * radius, 2))
        rough: Box = (x - 0.45 * radius, y - 0.5 * radius, x + 0.45 * radius, y + 0.5 * radius)
        for place, picture in ((searched, damaged), (clean, saved(resized(photo, 0.6), quality=80))):
            near = watermark.search(picture, [rough])
            place.append(near is not None and near.found)
    after = "after 60% and JPEG 80"
    return [
        Row(
            f"part of a 600 px photo: found at its known place {after}",
            share(known),
            0.95,
            note=str(len(known)),
        ),
        Row(
            f"part of a 600 px photo: found by search {after}", share(searched), None, note=str(len(searched))
        ),
        Row("search: found in photographs without a mark", share(clean), 0.01, False, note=str(len(clean))),
    ]


def cost() -> Row:
    """Marking against encoding the same picture as PNG, both in this run."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).resize((512, 512))
    times: dict[str, list[float]] = {"mark": [], "png": []}
    for _ in range(9):
        start = time.perf_counter()
        watermark.embed(image)
        middle = time.perf_counter()
        image.save(io.BytesIO(), "PNG")
        times["mark"].append(middle - start)
        times["png"].append(time.perf_counter() - middle)
    ratio = float(np.median(times["mark"]) / np.median(times["png"]))
    return Row(
        "time of marking / of encoding as PNG, 512 px",
        exact(ratio),
        None,
        False,
        ".2f",
        note="median of 9",
    )


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--portraits", type=Path, help="folder of generated pictures, 128 px")
    parser.add_argument("--quick", action="store_true", help="few pictures: to see that it runs")
    arguments = parser.parse_args()
    few = arguments.quick
    nobody = list(photographs("portraits-of-nobody", 8 if few else 901))
    faces = list(photographs("utkface-adults", 4 if few else 450, 10))
    photos, targets = nobody[:: max(1, len(nobody) // 200)][:200], dict.fromkeys(list(LARGE)[:-1], 0.95)
    rows = survival("photos, 256 px", photos, LARGE, targets)
    large = [photo.resize((512, 512), Image.Resampling.LANCZOS) for photo in photos[::4]]
    rows += survival("photos, enlarged to 512 px", large, LARGE, targets)
    small = portraits(arguments.portraits, 8 if few else 200)
    rows += survival("generated, 128 px", small, SMALL, {"JPEG 90": 0.9})
    everyone = [watermark.find(image).found for image in (*nobody, *faces)]
    rows.append(Row("photos without a mark: found", share(everyone), 0.01, False, note=str(len(everyone))))
    rows += parts(photos[:: 1 if few else 4])
    rows.append(cost())
    publish(arguments.out, "watermark", "Invisible watermark", rows, {"threshold": watermark.THRESHOLD})


if __name__ == "__main__":
    run(main)
