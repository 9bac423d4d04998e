"""The studio's camera and its sliders in a real browser: frames a second, and how long until a picture is seen.

    python -m benchmarks.studio_live [--seconds 15] [--out runs/bench] [--write docs/studio.md]

Debian's Chromium opens the page of a studio on loopback. Its camera is a film of somebody who is nobody, 640 x 480 px,
25 frames a second, that this command makes; it drives the example photo of another. The page's own clock tells: from a
camera's frame to the picture shown, and from a slider's move to its preview. Needs `pip install "mien[browser]"`.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

from PIL import Image

from benchmarks.model_card import body, fill
from benchmarks.speed import spread
from benchmarks.studio_load import EXAMPLES, studio
from benchmarks.table import Row, environment, publish, run
from mien.images import read_image
from mien.pipelines.photo import PhotoPipeline
from mien.types import InputError

CAMERA, RATE = (640, 480), 25
WORDS = ("joy", "surprise", "anger")
EVERY = 1.0  # seconds between two looks at the page's numbers
MOVES = (0.2, 0.5, 0.8, 1.0, 0.6, 0.3, 0.0, 0.4, 0.9)  # of the slider
WAIT = 90_000  # ms


def camera(path: Path) -> None:
    """Write the camera's film: one second to each expression and back."""
    import av

    pipe = PhotoPipeline()
    photo = read_image(EXAMPLES / "people" / "ben_rest.jpg")
    height = round(photo.width * CAMERA[1] / CAMERA[0])
    sitter = pipe.sit(photo.crop((0, 0, photo.width, height)).resize(CAMERA, Image.Resampling.LANCZOS))
    with av.open(str(path), "w", format="mjpeg") as film:
        stream = film.add_stream("mjpeg", Fraction(RATE))
        stream.width, stream.height = CAMERA
        stream.pix_fmt = "yuvj420p"
        for word in WORDS:
            for k in range(RATE):
                share = 0.5 - 0.5 * math.cos(2 * math.pi * k / RATE)
                image = pipe.express(sitter, word, strength=share).image()
                film.mux(stream.encode(av.VideoFrame.from_image(image)))
        film.mux(stream.encode())


def watched(address: str, film: Path, program: str, seconds: float) -> dict[str, list[float]]:
    """What the page says of itself: frames a second and ms behind the camera, at each look; ms of each preview."""
    driver = importlib.import_module("playwright.sync_api").sync_playwright
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
    with driver() as api:
        browser = api.chromium.launch(
            executable_path=program, args=[*flags, f"--use-file-for-fake-video-capture={film}"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.locator("body[data-ready]").wait_for()
        page.get_by_label("Use raj, who is nobody").click()
        page.locator("#pair").wait_for()
        page.wait_for_timeout(2000)
        found: dict[str, list[float]] = {"rate": [], "late": [], "preview": []}
        slider = page.locator("[data-slider=smile]")
        for move in MOVES:
            slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", move)
            page.wait_for_timeout(500)
            found["preview"].append(float(page.evaluate("window.latency")))
        page.get_by_role("tab", name="Live").click()
        page.locator("#live-start").click()
        page.wait_for_function("window.live && window.live.shown > 60")
        for _ in range(math.ceil(seconds / EVERY)):
            page.wait_for_timeout(1000 * EVERY)
            found["rate"].append(float(page.evaluate("window.live.rate")))
            found["late"].append(float(page.evaluate("window.live.late")))
        browser.close()
    return found


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--seconds", type=float, default=15.0, help="that the camera is watched")
    parser.add_argument("--write", type=Path, help="a page whose table is to be filled in")
    arguments = parser.parse_args()
    program = shutil.which("chromium")
    if program is None or importlib.util.find_spec("playwright") is None:
        raise InputError('a browser is missing: install Debian\'s chromium and pip install "mien[browser]"')
    with tempfile.TemporaryDirectory() as name, studio(20) as (address, _):
        film = Path(name) / "camera.mjpeg"
        camera(film)
        found = watched(address, film, program, arguments.seconds)
    looks = f"median of {len(found['rate'])} looks [least, most]"
    rows = [
        Row("live: shown frames a second", spread(found["rate"]), 12, True, ".1f", note=looks),
        Row("live: ms from the camera to the picture", spread(found["late"]), 200, False, ".0f", note=looks),
        Row(
            "ms from a slider's move to its preview",
            spread(found["preview"]),
            150,
            False,
            ".0f",
            note=f"median of {len(MOVES)} moves [least, most]",
        ),
    ]
    title = f"The studio in Chromium, its camera {CAMERA[0]} x {CAMERA[1]} px"
    publish(arguments.out, "studio_live", title, rows, {})
    if arguments.write is not None:
        made = f"{title}; two cores, measured {environment()['date']} by `python -m benchmarks.studio_live`."
        fill(arguments.write, {"live": f"{body(rows)}\n{made}"})


if __name__ == "__main__":
    run(main)
