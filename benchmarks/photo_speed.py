"""What the photo engine costs, as ratios within one run: other work on the machine makes every number worse.

    python -m benchmarks.photo_speed [--repeats 7] [--photo FILE] [--out runs/bench] [--write PAGE]

The floor is what nobody can do without: one analysis of the photo and one `cv2.remap` of it. Warm: analysis, feedback
and full size of a photo, in a process that has made one. Further: another expression of the same photo. Cold: `mien
reface` from the shell to the file. Others: networks of the sizes of first-order-motion and LivePortrait with random
weights (`benchmarks/photo_floors.py` says from where), one frame. Times are medians of wall time [shortest, longest].
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.model_card import body, fill
from benchmarks.photo_scenes import london
from benchmarks.speed import PEAK, seconds, spread
from benchmarks.table import Row, environment, exact, publish, run
from mien.images import read_image
from mien.metrics.statistics import Interval

SIDE, LARGE = 1350, (4000, 3000)  # px: a photo, and one of 12 megapixels
EXPRESSIONS = ("joy", "sadness", "surprise", "anger", "disgust", "fear")


def timed(calls: dict[str, Callable[[int], object]], repeats: int) -> dict[str, Interval]:
    """Wall seconds of each call, which is told how often it was called before; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call(number)
            times[name].append(time.perf_counter() - start)
    return {name: spread(some[1:]) for name, some in times.items()}


def warm(photo: Image.Image, repeats: int) -> dict[str, Interval]:
    """Seconds of floor, warm and further, of the same by words, and of the remap alone. Pictures of known faces
    are followed in a closed loop, words are not."""
    from mien.expressions.faces import picture
    from mien.face.analyze import analyze
    from mien.face.subject import Subject
    from mien.pipelines.photo import PhotoPipeline

    pixels = np.asarray(photo)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)

    def remap(_: int) -> object:
        return cv2.remap(pixels, columns + 0.3, rows + 0.3, cv2.INTER_CUBIC)

    def floor(number: int) -> None:
        analyze(photo)
        remap(number)

    pipe = PhotoPipeline()
    sitter = pipe.sit(photo)
    shown = [Subject(picture(word), analyze(picture(word))[0]) for word in EXPRESSIONS]
    calls: dict[str, Callable[[int], object]] = {
        "floor": floor,
        "warm": lambda n: pipe(photo, shown[n % len(shown)]),
        "further": lambda n: pipe.express(sitter, shown[n % len(shown)]),
        "warm, a word": lambda n: pipe(photo, EXPRESSIONS[n % len(EXPRESSIONS)]),
        "further, a word": lambda n: pipe.express(sitter, EXPRESSIONS[n % len(EXPRESSIONS)]),
        "remap": remap,
    }
    return timed(calls, repeats)


def cold(photo: Path, repeats: int) -> tuple[dict[str, Interval], float]:
    """`mien reface` from the shell to the file and `import torch`: wall seconds, and the former's peak memory in GB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PEAK, "reface", str(photo), "--expression", "joy"]
        command += ["-o", str(Path(folder) / "out.png"), "--quiet"]
        said = ""

        def reface(_: int) -> None:
            nonlocal said
            said = seconds(command, 1)[2]

        calls: dict[str, Callable[[int], object]] = {
            "torch": lambda _: seconds([sys.executable, "-c", "import torch"], 1),
            "cold": reface,
        }
        times = timed(calls, repeats)
    return times, float(said.rsplit("peak ", 1)[1].split()[0]) * 1024 / 1e9  # KiB


def networks(repeats: int) -> dict[str, Interval]:
    """Name → seconds a frame."""
    import torch

    from benchmarks.photo_floors import NETWORKS

    found: dict[str, Interval] = {}
    for name, build in NETWORKS.items():
        network = build().eval()
        with torch.no_grad():
            calls: dict[str, Callable[[int], object]] = {name: lambda _, network=network: network()}  # type: ignore[misc]
            found |= timed(calls, repeats)
    return found


def over(one: Interval, other: Interval) -> Interval:
    """A ratio of times; its bounds are the shortest and the longest time over the other's median."""
    return Interval(one.value / other.value, one.low / other.value, one.high / other.value)


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--photo", type=Path, help=f"default: one of london-dev, at {SIDE} px")
    parser.add_argument("--write", type=Path, help="a page whose table is to be filled in")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the commands below
    import torch

    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    load, few = os.getloadavg()[0], max(1, arguments.repeats // 2)
    photo = read_image(arguments.photo) if arguments.photo else next(iter(london().values()))["neutral"]
    if not arguments.photo:
        photo = photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "photo.jpg", Path(folder) / "large.jpg"
        photo.save(small, quality=95)
        photo.resize(LARGE, Image.Resampling.LANCZOS).save(large, quality=95)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "compiled")
        times = warm(read_image(small), arguments.repeats) | cold(small, few)[0]
        _, peak = cold(large, 1)
    others = networks(few)
    floor, further, remap = times["floor"], times["further"], times["remap"]
    size = f"{photo.width} x {photo.height} px"
    rows = [
        Row(
            "warm ÷ floor (analysis and one remap)", over(times["warm"], floor), 2.0, False, ".2f", note=size
        ),
        Row("a further expression ÷ one remap", over(further, remap), None, False, ".2f", note=size),
        Row("cold `mien reface` ÷ `import torch`", over(times["cold"], times["torch"]), 2.0, False, ".2f"),
        Row("peak memory at 12 megapixels, GB", exact(peak), 1.0, False, ".2f"),
        Row("warm, seconds", times["warm"], 0.5, False, ".3f"),
        Row("the same of a word, seconds", times["warm, a word"], 0.5, False, ".3f"),
        Row("a further expression, seconds", further, 0.08, False, ".3f"),
        Row("the same of a word, seconds", times["further, a word"], 0.08, False, ".3f"),
        Row("floor, seconds", floor, None, False, ".3f"),
        Row("one remap, seconds", remap, None, False, ".3f"),
    ]
    for (name, frame), target in zip(others.items(), (10.0, 50.0), strict=True):
        rows.append(Row(f"{name} ÷ a further expression", over(frame, further), target, True, ".1f"))
        rows.append(Row(f"{name}, seconds a frame", frame, None, False, ".2f"))
    title = f"Speed of the photo engine, {arguments.threads} threads, load {load:.1f} at the start"
    publish(arguments.out, "photo_speed", title, rows, {"threads": arguments.threads, "load": load})
    if arguments.write is not None:
        made = f"{title}; measured {environment()['date']} by `python -m benchmarks.photo_speed`."
        fill(arguments.write, {"speed": f"{body(rows)}\n{made}"})


if __name__ == "__main__":
    run(main)
