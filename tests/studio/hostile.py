"""Uploads and calls as nobody should send them, made from a number alone.

    python -m tests.studio.hostile --n 2000

sends the inputs 0 to 1999 to a studio of its own and ends with 1 if one is answered by an error without a sentence or
tells what it must not, or if the studio does not answer any more. The suite sends a sample.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from random import Random
from typing import Any
from urllib.parse import quote

from tests import mutations
from tests.studio.conftest import FACE, Client

TEXTS = (
    "<script>alert(1)</script>", "%s%n", "\x1b[2J", "a\0b", "../../etc/passwd", "/etc/passwd", "joy:nan+anger:inf",
    '{"jawOpen": 1e400}', "{" * 5000, "😀" * 1999, '{"__proto__": {"a": 1}}', "file:///etc/passwd", "\ud800", "joy:-1",
    "http://127.0.0.1:1/x.png", "..", "joy+" * 500 + "joy", "~/.ssh/id_rsa", "lock", "/proc/self/environ",
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    10**30,
    "",
    "x",
    [],
    {},
    [[]],
    [None] * 50,
    {"path": "/"},
    "NaN",
    *TEXTS,
)
NAMES = (
    "photo", "face", "expression", "reference", "other", "strength", "sliders", "turn", "region", "model", "steps",
    "stops", "driver", "pictures", "variations", "seed",
)  # fmt: skip
LEAKS = ("root:x:0", "Traceback", "site-packages", " object at 0x")


def send(number: int, client: Client, photo: str) -> tuple[int, str]:
    """Send the input of that number: status and text of the answer."""
    rng = Random(number)
    kind = number % 5
    if kind == 0:
        status, said = client.raw(
            "/api/photo?name=" + quote(rng.choice(TEXTS), errors="replace"), mutations.make(number)[1]
        )
    elif kind == 1:
        wish = {"photo": photo, "expression": "joy"} | {
            rng.choice(NAMES): rng.choice(WRONG) for _ in range(3)
        }
        route = rng.choice(("make", "film", "measure", "photo", "driver"))
        status, said = client.raw(f"/api/{route}", json.dumps(wish).encode())
    elif kind == 2:
        place = quote(rng.choice(TEXTS), safe=rng.choice(["", "/", "/.%"]), errors="replace")
        route = rng.choice(
            ("/files/", "/static/", "/people/", "/api/words?q=", "/api/face?expression=", "/api/photo?file=")
        )
        status, said = client.raw(route + place, b"{}" if "photo" in route else None)
    elif kind == 3:
        body = rng.choice(
            [
                b"[" * 10**5,
                b'{"a":' * 30_000,
                b"null",
                b"3",
                b"NaN",
                b"\xff\xfe{",
                rng.randbytes(900),
                b"0" * 300_000,
            ]
        )
        status, said = client.raw(f"/api/{rng.choice(('make', 'film', 'measure'))}", body)
    else:
        status, said = client.raw("/api/driver?name=x.mp4", mutations.make(number)[1])
        if status == 200:
            wish = {"photo": photo, "driver": json.loads(said)["id"]}
            status, said = client.raw("/api/film", json.dumps(wish).encode())
    return status, said.decode("utf-8", "replace")


def verdict(status: int, said: str) -> str:
    """What came of it in a word; "WRONG" with the reason if it is not as it should be."""
    if any(leak in said for leak in LEAKS):
        return "WRONG: tells what it must not"
    if status >= 500 and status != 503:
        return f"WRONG: {status}"
    if status == 422:
        sentence = json.loads(said)["error"]
        return (
            "refused in a sentence"
            if sentence and "\n" not in sentence and len(sentence) < 600
            else "WRONG: no sentence"
        )
    return "refused" if status >= 400 else "answered"


def main() -> None:
    """The command."""
    from mien.studio.server import serve

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=2000, help="inputs")
    outcomes: Counter[str] = Counter()
    with serve({"mini": "mini"}, device="cpu") as (address, _):
        client = Client(address)
        photo = client.give(FACE)
        for number in range(parser.parse_args().n):
            status, said = send(number, client, photo)
            came = verdict(status, said)
            outcomes[came] += 1
            if came.startswith("WRONG"):
                print(f"input {number}: {came}: {status} {said[:300]!r}", flush=True)
        outcomes["WRONG: it does not answer"] += len(client.get("/api/words?q=grief")) == 0
    for name, count in sorted((+outcomes).items()):
        print(f"{count:6d}  {name}")
    sys.exit(1 if any(name.startswith("WRONG") for name in +outcomes) else 0)


if __name__ == "__main__":
    main()
