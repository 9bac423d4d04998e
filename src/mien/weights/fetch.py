"""Fetching a foreign model: streamed, checked while it arrives, and put in place whole."""

from __future__ import annotations

import bz2
import hashlib
import http.client
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from mien import __version__
from mien.errors import InputError, saying
from mien.files import make_folder, replacing
from mien.weights import Entry, Status, WeightFile, check, copies, models_folder, place, sha256_of

Progress = Callable[[int, "int | None"], None]
_TIMEOUT_SECONDS = 30


def fetch(
    model: Entry, progress: Progress, force: bool = False, only_configs: bool = False
) -> list[tuple[Path, str, bool]]:
    """Download the files of `model` that are not here yet: of each its place, its sha256, and whether that was checked.
    Raises `InputError`: shipped model; no address; offline; the download broke off or its checksum is wrong. What is
    not whole is never put in place.

    Args:
        progress: called with the bytes received so far and the bytes expected (None: the server did not say).
        force: also download what is here already. only_configs: not its weights.
    """
    if model.shipped:
        raise InputError(f"{model.name} comes with the package: there is nothing to fetch.")
    done = []
    for file in model.files:
        if only_configs and file.path.endswith(".safetensors"):
            continue
        location = place(model, file)
        if force or check(model, file) not in (Status.OK, Status.UNVERIFIED):
            location = models_folder() / file.path  # never another program's copy
            digest = _download(model, file, location, progress)
        else:
            digest = file.sha256 or sha256_of(location)
        done.append((location, digest, file.sha256 is not None))
    return done


def _download(model: Entry, file: WeightFile, location: Path, progress: Progress) -> str:
    by_hand = f"download {file.url} elsewhere and put it at {location}"
    if file.url is None:
        raise InputError(f"{model.name} has no address: get it from {model.source} and put it at {location}.")
    if copies.offline() and file.url.startswith("https://huggingface.co/"):
        raise InputError(f"{model.name} is on the hub, which HF_HUB_OFFLINE forbids: unset it, or {by_hand}.")
    if file.url.endswith(".bz2"):
        by_hand += " (unpacked)"
    make_folder(location.parent, "set MIEN_MODELS to another")
    request = urllib.request.Request(file.url, headers={"User-Agent": f"mien/{__version__}"})
    unpack = bz2.BZ2Decompressor() if file.url.endswith(".bz2") else None
    digest = hashlib.sha256()
    received = 0
    expected: int | None = None
    with replacing(location) as temporary, temporary.open("wb") as out:
        for block, expected in _blocks(request, model.name, by_hand):
            received += len(block)
            with saying(
                f"What {file.url} sent is no bz2 archive: nothing was kept, try again.", OSError, EOFError
            ):
                content = unpack.decompress(block) if unpack else block
            digest.update(content)
            out.write(content)
            progress(received, expected)
        if (expected is not None and received != expected) or (unpack and not unpack.eof):
            raise InputError(f"{model.name} broke off after {received} bytes: try again, or {by_hand}.")
        if file.sha256 is not None and digest.hexdigest() != file.sha256:
            raise InputError(
                f"What {file.url} sent is not the expected file (sha256 {digest.hexdigest()}, expected "
                f"{file.sha256}): nothing was kept; {by_hand}."
            )
    return digest.hexdigest()


def _blocks(request: urllib.request.Request, name: str, by_hand: str) -> Iterator[tuple[bytes, int | None]]:
    """The answer piece by piece, with its length as announced. Raises `InputError`: offline, refused or broken off.
    (What goes wrong with the disk is raised by whoever writes.)"""
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            length = response.headers["Content-Length"]
            while block := response.read(1 << 18):
                yield block, int(length) if length else None
    except (OSError, http.client.HTTPException) as error:  # URLError, TimeoutError and SSLError are OSErrors
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{name} could not be fetched ({reason}): {by_hand}.") from error
