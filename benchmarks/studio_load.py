"""Many users at once at one studio: does each get their own picture or a clear "queue full", and is memory given back?

    python -m benchmarks.studio_load [--users 20] [--jobs 10] [--queue 20] [--out runs/bench]

The studio runs in a process of its own on loopback; every user is a client with a session, a picture and strengths
of their own. A result is theirs if its metadata hold their strength, their word and the fingerprint of their picture,
and if the same job, asked for again when all is quiet, gives the same pixels. Linux alone (/proc).
"""

from __future__ import annotations

import argparse
import http.cookiejar
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.table import Row, exact, publish, run
from mien.expressions import labels
from mien.images import read_image
from mien.metrics.statistics import Interval
from mien.provenance import read_provenance
from mien.provenance.hashes import hash_pixels

EXAMPLES = Path(__file__).parent.parent / "examples"
WARM_UP = 10  # jobs before the memory is looked at: the allocator's own reserves have filled by then


@dataclass(frozen=True)
class Outcome:
    """What became of a job: "picture", "full", "swapped" or another error's text; its pixels' hash; its seconds."""

    kind: str
    pixels: str
    seconds: float


@contextmanager
def studio(queue: int) -> Iterator[tuple[str, int]]:
    """A studio in a process of its own: its address and process id."""
    command = ["studio", "--no-browser", "--device", "cpu", "--queue", str(queue)]
    program = "from mien.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[2], process.pid
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def memory(process: int, field: str = "VmRSS") -> float:
    """MB of a process, now ("VmRSS") or at most so far ("VmHWM")."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{process}/status has no {field}")


def faces(count: int, folder: Path) -> list[Path]:
    """A picture for each user: the examples, brighter or darker, mirrored or not; no two the same."""
    places = []
    for user in range(count):
        picture = read_image(EXAMPLES / ("identity.png", "expression.png")[user % 2])
        picture = ImageEnhance.Brightness(picture).enhance(0.8 + 0.02 * user)
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if user % 3 == 0 else picture
        places.append(folder / f"user_{user}.png")
        picture.save(places[-1])
    return places


class Client:
    """A user's browser: a session of its own."""

    def __init__(self, address: str, picture: Path) -> None:
        self.address, self.picture = address.rstrip("/"), picture
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        self.send("/api/state")
        self.photo = json.loads(self.send("/api/photo", picture.read_bytes()))["id"]

    def send(self, path: str, body: bytes | None = None) -> bytes:
        """What is answered."""
        with self._opener.open(urllib.request.Request(self.address + path, body), timeout=600) as answer:
            return bytes(answer.read())


def job(client: Client, strength: float, word: str) -> Outcome:
    """Ask for an expression, wait for it, save it and look whose it is."""
    began = time.perf_counter()
    wish = {"photo": client.photo, "expression": word, "strength": strength}
    try:
        result = json.loads(client.send("/api/make", json.dumps(wish).encode()))["results"][0]
        data = client.send(f"/files/{result['id']}?download=1")
    except urllib.error.HTTPError as error:
        return Outcome(
            "full" if error.code == 503 else f"error: {error.read()!r}", "", time.perf_counter() - began
        )
    except OSError as error:
        return Outcome(f"error: {error}", "", time.perf_counter() - began)
    seconds = time.perf_counter() - began
    with tempfile.NamedTemporaryFile(suffix=".png") as place:
        place.write(data)
        place.flush()
        said = read_provenance(place.name)
    if said is None:
        return Outcome("error: no metadata", "", seconds)
    settings = said["settings"]
    inputs = settings["inputs"]
    mine = (
        settings["strength"] == strength
        and inputs["expression"] == [{"weight": 1.0, "word": word}]
        and inputs["photo"] == hash_pixels(read_image(client.picture), inputs["salt"])
    )
    return Outcome("picture" if mine else "swapped", settings["pixels"], seconds)


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=10, help="of each user, one after another")
    parser.add_argument("--queue", type=int, default=20, help="jobs that may wait")
    arguments = parser.parse_args()
    words = list(labels.labels())
    with tempfile.TemporaryDirectory() as name, studio(arguments.queue) as (address, process):
        pictures = faces(arguments.users, Path(name))
        first = Client(address, pictures[0])
        for _ in range(WARM_UP):
            job(first, 1.0, "joy")
        before = memory(process)
        start = threading.Barrier(arguments.users)
        with ThreadPoolExecutor(arguments.users) as pool:
            clients = list(pool.map(lambda picture: Client(address, picture), pictures))

        def order(number: int, k: int) -> tuple[float, str]:
            return round(0.5 + 0.01 * number, 2), words[(7 * number + k) % len(words)]

        def user(number: int) -> list[Outcome]:
            start.wait()
            return [job(clients[number], *order(number, k)) for k in range(arguments.jobs)]

        began = time.perf_counter()
        with ThreadPoolExecutor(arguments.users) as pool:
            outcomes = list(pool.map(user, range(arguments.users)))
        minutes = (time.perf_counter() - began) / 60
        again, same = 0, 0
        for number, mine in enumerate(outcomes):
            for k, outcome in enumerate(mine):
                if outcome.kind == "picture":
                    repeated = job(clients[number], *order(number, k))
                    same += repeated.pixels == outcome.pixels
                    again += 1
                    break
        time.sleep(5)
        after, most = memory(process), memory(process, "VmHWM")
    every = [outcome for mine in outcomes for outcome in mine]
    count = {kind: sum(o.kind == kind for o in every) for kind in ("picture", "full", "swapped")}
    errors = [o.kind for o in every if o.kind not in count]
    for error in sorted(set(errors)):
        print(error)
    seconds = np.array([o.seconds for o in every if o.kind == "picture"])
    wait = Interval(*(float(np.quantile(seconds, q)) for q in (0.5, 0.05, 0.95)))
    total = arguments.users * arguments.jobs
    crowd = f"{arguments.users} users x {arguments.jobs} jobs, queue of {arguments.queue}"
    lost = total - sum(count.values()) - len(errors)
    rows = [
        Row("jobs that ended with the user's own picture", exact(count["picture"]), None, spec=".0f", note=crowd),
        Row('jobs that ended with "queue full"', exact(count["full"]), None, spec=".0f", note=crowd),
        Row("jobs without an end, or with another error", exact(lost + len(errors)), 0, False, ".0f", note=crowd),
        Row("jobs that ended with another user's picture", exact(count["swapped"]), 0, False, ".0f", note=crowd),
        Row("same pixels when asked for again alone", exact(same / max(1, again)), 1, spec=".3f", note=str(again)),
        Row("memory after / before", exact(after / before), 1.1, False, note=f"{before:.0f} -> {after:.0f} MB"),
        Row("memory at most / before", exact(most / before), None, False, note=f"{most:.0f} MB"),
        Row("seconds from asking to the picture", wait, None, False, ".1f", note="median [5%, 95%]"),
        Row("pictures a minute", exact(count["picture"] / minutes), None, spec=".1f", note=f"{minutes:.1f} min"),
    ]  # fmt: skip
    publish(arguments.out, f"studio_load_{arguments.queue}", "Studio under load", rows, {"errors": errors})


if __name__ == "__main__":
    run(main)
