"""Uploads and calls as nobody should send them, made from a number alone, against a studio in a process of its own.

    python -m tests.studio.hostile --n 2000

sends the inputs 0 to 1999 and ends with 1 if one is answered by an error without a sentence or tells what it must not,
if the server dies or hangs, or if a file appears outside its working folder. The suite sends a sample.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from PIL import Image

from tests import mutations

SECRET = "the-secret-of-this-machine"
KINDS = ("picture", "bomb", "name", "path", "file", "json", "types", "text", "http")
API = "/gradio_api"
WAIT = 300.0  # seconds for one answer, on a busy machine
# Arguments that are fine, of each endpoint with its pictures left open: what is wrong is put among them.
CALLS: dict[str, list[Any]] = {
    "faces": ["PICTURE"],
    "measure": [["PICTURE"]],
    "expressions": ["grief"],
    "portrait": ["PICTURE", "words", "joy", None, "", "", 1, 0, 1, 1, 1, 0, "mini"],
    "reface": ["PICTURE", "reenact", 0, None, "words", "joy", None, "", 0, 1, 1, 1, 0, "mini"],
    "travel": ["PICTURE", "neutral, joy", 2, 8, False, "", 0, 1, 1, 1, 0, "mini"],
}
CHEAP = ("faces", "faces", "measure")  # what fuzzed pictures are sent to
NAMES = (
    "../../../evil.png", "..\\..\\evil.png", "/tmp/evil.png", "C:\\evil.png", "evil.png\0.txt", "a" * 5000 + ".png", "",
    ".", "..", "~/.ssh/authorized_keys", "%2e%2e%2fevil.png", "\u202egnp.live", "con.png", "evil.php", "evil.svg",
    "-rf.png", "$(touch evil).png", "<img src=x onerror=alert(1)>.png", "evil\r\nX-Evil: 1.png", "😀" * 80 + ".png",
)  # fmt: skip
TEXTS = (
    "<script>alert(1)</script>", "{0.__class__.__mro__}", "%s%s%s%n", "\x1b[2J\x1b]0;evil\x07", "a\0b",
    "../../etc/passwd",
    "${jndi:ldap://127.0.0.1/x}", "'; DROP TABLE faces; --", "\u202e" * 500, "joy:" + "9" * 400, "joy+" * 500 + "joy",
    "joy:nan+anger:inf", '{"jawOpen": 1e400}', '{"jawOpen": ' * 200, "{" * 60_000, "[" * 500, "😀" * 1999,
    "é\u0301" * 900,
    '{"__proto__": {"a": 1}}', "file:///etc/passwd", "joy:-1", " " * 1999, "\ud800", "joy\r\nX-Evil: 1",
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**30, 1e308, "", "x", [], {}, [[]], [None] * 50, {"path": None}, {"path": 7}, {"path": []},
    {"path": "x", "meta": {"_type": "gradio.FileData"}}, {"__type__": "update"}, {"__type__": "update", "value": 1},
    {"meta": {"_type": "gradio.FileData"}}, {"url": "http://127.0.0.1:1/x.png", "path": ""}, "NaN",
    {"path": "data:image/png;base64,AAAA", "meta": {"_type": "gradio.FileData"}}, "data:image/png;base64,AAAA", -0.0,
    "1", "mini\0", [1, "a", None],
)  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A studio in a sandbox: all that it may write is below `tmp`; files beside it hold `SECRET`."""

    host: str
    port: int
    process: subprocess.Popen[str]
    sandbox: Path

    @property
    def folder(self) -> Path:
        """Its working folder."""
        return next((self.sandbox / "tmp").glob("mien-studio-*"))

    def intruders(self) -> list[str]:
        """Files outside the working folder that were not there before."""
        found = [path for path in self.sandbox.rglob("*") if path.is_file()]
        mine = self.folder
        fonts = self.sandbox / "home" / ".cache" / "matplotlib"  # of its own, whatever is sent
        known = {self.sandbox / name / "secret.txt" for name in ("home", "here", "tmp")}
        return [
            str(path)
            for path in found
            if not path.is_relative_to(mine) and not path.is_relative_to(fonts) and path not in known
        ]


@contextmanager
def serve() -> Iterator[Server]:
    """Started by the command line, as a person would, in a home, a temporary and a current folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        sandbox = Path(name)
        for folder in ("home", "here", "tmp"):
            (sandbox / folder).mkdir()
            (sandbox / folder / "secret.txt").write_text(SECRET)
        surroundings = {**os.environ, "HOME": str(sandbox / "home"), "TMPDIR": str(sandbox / "tmp")}
        surroundings |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        program = "from mien.cli.main import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "studio", "--no-browser", "--device", "cpu", "--seconds", "60"],
            cwd=sandbox / "here", env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            host, port = process.stdout.readline().split()[2].removeprefix("http://").rstrip("/").split(":")
            yield Server(host, int(port), process, sandbox)
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()


def ask(server: Server, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
    """Status and text of an answer."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=WAIT)
    try:
        connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def call(server: Server, endpoint: str, data: Any) -> tuple[int, str]:
    """Ask for a job and wait for its end: the status of the first answer that is bad, or of the last, and all text."""
    body = json.dumps({"data": data}).encode()
    status, said = ask(server, "POST", f"{API}/call/{endpoint}", body, "application/json")
    if status != 200:
        return status, said
    return ask(server, "GET", f"{API}/call/{endpoint}/{json.loads(said)['event_id']}")


def upload(server: Server, name: str, data: bytes) -> tuple[int, str]:
    """Send a file; the answer is a list of one path."""
    plain = name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{plain}"\r\n\r\n'
    body = head.encode("utf-8", "replace") + data + b"\r\n--edge--\r\n"
    return ask(server, "POST", f"{API}/upload", body, "multipart/form-data; boundary=edge")


def given(path: Any) -> dict[str, Any]:
    """A picture as a call names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def filled(endpoint: str, picture: Any) -> list[Any]:
    """The endpoint's arguments with that picture."""
    return [picture if a == "PICTURE" else [picture] if a == ["PICTURE"] else a for a in CALLS[endpoint]]


@cache
def bombs() -> tuple[tuple[str, bytes], ...]:
    """Files that grow: many pixels, many frames, a header that promises more, or no picture at all."""
    wide, moving, large = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.new("1", (30_000, 6000)).save(wide, "PNG")
    frame = Image.new("P", (200, 200))
    frame.save(moving, "GIF", save_all=True, append_images=[frame] * 300)
    Image.new("L", (16_383, 1500)).save(large, "WEBP", quality=1, method=0)
    found = [("bomb.png", wide.getvalue()), ("bomb.gif", moving.getvalue()), ("bomb.webp", large.getvalue())]
    svg = b'<!DOCTYPE s [<!ENTITY a "aaaaaaaa">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>'
    tiff = b"II*\0" + (8).to_bytes(4, "little") + b"\xff\xff" + Random(0).randbytes(4000)
    found += [("bomb.svg", svg), ("bomb.tiff", tiff)]
    for size in (b"\x7f\xff\xff\xff" * 2, b"\0\1\0\0" * 2, b"\0" * 8):
        data = bytearray(mutations.EXAMPLES[0].read_bytes())
        data[16:24] = size
        found.append(("bomb.png", bytes(data)))
    return tuple(found)


def nested(rng: Random) -> bytes:
    """A body of JSON, huge, deep, cut, of odd types, or none."""
    which = rng.randrange(7)
    if which == 0:
        depth = rng.choice([31, 33, 1000, 400_000])
        return b'{"data": ' + b"[" * depth + b"]" * depth + b"}"
    if which == 1:
        return b'{"data": [' + b"0," * rng.choice([100, 400_000, 600_000]) + b"0]}"
    if which == 2:
        body = json.dumps({"data": filled("portrait", given("x"))}).encode()
        return body[: rng.randrange(len(body))]
    if which == 3:
        return rng.randbytes(rng.randrange(1, 3000))
    if which == 4:
        keys = (
            "data",
            "fn_index",
            "session_hash",
            "event_id",
            "trigger_id",
            "event_data",
            "simple_format",
            "request",
        )
        return json.dumps({key: rng.choice(WRONG) for key in rng.sample(keys, 4)}).encode()
    if which == 5:
        return b'{"data": ["' + b"a" * rng.choice([1000, 900_000, 3_000_000]) + b'"]}'
    return rng.choice(
        [b"null", b"[]", b"3", b'"x"', b"NaN", b"{}", b'{"data": NaN}', b"\xff\xfe{", b'{"data": {"a": 1}}']
    )


ROUTES = (
    "call/portrait", "call/nothing", "call/", "queue/join", "run/portrait", "run/predict", "api/portrait", "cancel",
    "reset", "stream/x", "component_server", "upload", "upload_progress", "login", "queue/data",
)  # fmt: skip


def paths(rng: Random, server: Server) -> str:
    """The name of a file that is none of the caller's business."""
    secret = server.sandbox / rng.choice(["home", "here", "tmp"]) / "secret.txt"
    folder = server.folder
    climbing = f"{folder}/uploads/" + "../" * rng.randrange(1, 4) + "secret.txt"
    return rng.choice(
        [
            str(secret), f"//{secret}", f"file://{secret}", climbing, "secret.txt", "./secret.txt", "~/secret.txt",
            "/etc/passwd", "/proc/self/environ", "/dev/zero", "/dev/stdin", "..", ".", "/", "", "\0",
            str(folder), str(folder / "lock"), str(folder / "uploads"), f"{folder}/uploads/../lock",
            f"{folder}/uploads/%2e%2e/lock", "http://127.0.0.1:1/x.png", "HTTPS://localhost/x", "ftp://x/y", "a" * 5000,
            f"{folder}/uploads/./results/../../../secret.txt", str(Path(mutations.__file__)), "\\\\host\\share\\x",
        ]
    )  # fmt: skip


def send(number: int, server: Server) -> tuple[str, int, str]:
    """Send the input of that number: its kind, and the status and text that came back."""
    rng = Random(number)
    kind = KINDS[number % len(KINDS)]
    if kind in ("picture", "bomb"):
        name, data = ("fuzz.png", mutations.make(number)[1]) if kind == "picture" else rng.choice(bombs())
        status, said = upload(server, name, data)
        if status != 200:
            return kind, status, said
        endpoint = rng.choice(tuple(CALLS) if rng.random() < 0.05 else CHEAP)
        return kind, *call(server, endpoint, filled(endpoint, given(json.loads(said)[0])))
    if kind == "name":
        data = mutations.EXAMPLES[0].read_bytes()
        status, said = upload(server, rng.choice(NAMES), data[: rng.choice([0, 500, len(data)])])
        if status != 200:
            return kind, status, said
        return kind, *call(server, "faces", [given(json.loads(said)[0])])
    if kind == "path":
        endpoint = rng.choice(tuple(CALLS))
        picture = given(paths(rng, server))
        if rng.random() < 0.3:
            picture |= {"url": paths(rng, server), "orig_name": rng.choice(NAMES), "is_stream": True}
        return kind, *call(server, endpoint, filled(endpoint, picture))
    if kind == "file":
        route = rng.choice(
            ["file=", "file=", "file/", "proxy=", "../", "static/", "assets/", "stream/", "..%2f", ""]
        )
        place = quote(paths(rng, server), safe=rng.choice(["", "/", "/=.%"]))
        return kind, *ask(server, rng.choice(["GET", "HEAD", "POST"]), f"{API}/{route}{place}")
    if kind == "json":
        return kind, *ask(server, "POST", f"{API}/{rng.choice(ROUTES)}", nested(rng), "application/json")
    if kind == "types":
        endpoint = rng.choice(tuple(CALLS))
        arguments = filled(endpoint, None)
        for _ in range(rng.randrange(1, 4)):
            arguments[rng.randrange(len(arguments))] = rng.choice(WRONG)
        arguments = arguments[: rng.randrange(len(arguments) + 1)] if rng.random() < 0.2 else arguments
        return kind, *call(server, endpoint, arguments)
    if kind == "text":
        status, said = upload(server, "face.png", mutations.EXAMPLES[1].read_bytes())
        endpoint = rng.choice(("portrait", "reface", "travel", "expressions"))
        arguments = filled(endpoint, given(json.loads(said)[0]))
        places = [k for k, a in enumerate(arguments) if isinstance(a, str) and a != "mini"]
        arguments[rng.choice(places)] = rng.choice(TEXTS)
        return kind, *call(server, endpoint, arguments)
    return kind, *raw(server, rng)


def raw(server: Server, rng: Random) -> tuple[int, str]:
    """Bytes that are hardly HTTP; whatever is answered before the connection ends."""
    form, job = b"POST /gradio_api/upload HTTP/1.1", b"POST /gradio_api/call/faces HTTP/1.1"
    host, kind = b"\r\nHost: x\r\n", b"Content-Type: multipart/form-data"
    lines = [
        b"GET / HTTP/1.1" + host + b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        form + host + kind + b"\r\nContent-Length: 9\r\n\r\n123456789",
        form + host + kind + b"; boundary=e\r\nContent-Length: 30\r\n\r\n--e\r\nContent-Disposition: form-",
        job + host + b"Content-Length: -5\r\n\r\n{}",
        job + host + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        job + host + b"Content-Type: application/json\r\nContent-Length: 900000000\r\n\r\n{",
        b"GET /gradio_api/heartbeat/../../x HTTP/1.1" + host + b"\r\n",
        b"GET /gradio_api/file=\xff\xfe HTTP/1.1" + host + b"\r\n",
        b"BREW / HTCPCP/1.0\r\n\r\n",
        rng.randbytes(rng.randrange(1, 2000)),
        b"GET /gradio_api/queue/data?session_hash=x HTTP/1.1" + host + b"Range: bytes=5-1\r\n\r\n",
    ]
    with socket.create_connection((server.host, server.port), timeout=WAIT) as line:
        line.settimeout(1.0)
        said = b""
        try:
            line.sendall(rng.choice(lines))
            while len(said) < 10_000 and (more := line.recv(4096)):
                said += more
        except OSError:
            pass  # it hung up, or waits for more
    status = said.split(b" ", 2)[1] if said.startswith(b"HTTP/") else b"0"
    return int(status) if status.isdigit() else 0, said.decode("utf-8", "replace")


def verdict(status: int, said: str, server: Server) -> str:
    """What came of it in a word; `WRONG` with the reason if it is not as it should be."""
    leaks = (SECRET, "root:x:0", "Traceback", "site-packages", " object at 0x")
    if any(leak in said for leak in leaks):
        return "WRONG: tells what it must not"
    if "event: error" in said:
        told = said.split("event: error", 1)[1].split("data:", 1)[1].strip()
        sentence = json.loads(told).get("error") if told.startswith("{") else None
        if not sentence or "\n" in sentence or len(sentence) > 600 or str(server.sandbox) in sentence:
            return "WRONG: an error without a sentence"
        return "refused in a sentence"
    if "event: complete" in said:
        return "done"
    if status >= 500:
        sentence = json.loads(said) if said.startswith("{") else {}
        return (
            "failed in a sentence" if sentence.get("error") or sentence.get("detail") else f"WRONG: {status}"
        )
    return "refused" if status >= 400 or status == 0 else "answered"


def check(server: Server) -> list[str]:
    """What is wrong with the server after all: it does not answer, or left files elsewhere."""
    if server.process.poll() is not None:
        return ["the server is gone"]
    status, said = call(server, "expressions", ["grief"])
    wrong = [] if status == 200 and "of 135 words" in said else [f"it does not answer: {status} {said[:200]}"]
    return wrong + [f"outside its folder: {path}" for path in server.intruders()]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=2000, help="inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = (0.0, -1)
    with serve() as server:
        for number in range(arguments.first, arguments.first + arguments.n):
            began = time.perf_counter()
            kind, status, said = send(number, server)
            slowest = max(slowest, (time.perf_counter() - began, number))
            came = verdict(status, said, server)
            outcomes[f"{kind}: {came}"] += 1
            if came.startswith("WRONG"):
                print(f"input {number} ({kind}): {came}: {status} {said[:400]!r}", flush=True)
                wrong.append(came)
            if number % 200 == 199:
                wrong += (found := check(server))
                print(number + 1, found or "well", flush=True)
                if server.process.poll() is not None:
                    break
        wrong += check(server)
    for name, count in sorted(outcomes.items()):
        print(f"{count:6d}  {name}")
    print(f"slowest: input {slowest[1]}, {slowest[0]:.1f} s")
    for reason in dict.fromkeys(wrong):
        print(reason)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
