"""What options may be given: callbacks of typer's, which refuse what is wrong before anything heavy is imported."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import typer

from mien.errors import InputError, choice, nearest
from mien.making.wishes import BACKBONES

PLACES = ("largest", "left", "right")
DTYPES = ("auto", "float32", "bfloat16", "float16")
MAX_SEED = 2**63 - 1  # what torch's generators take, with room for the seeds of a pair's other pictures


def text(text: str | None) -> str | None:
    """What the shell gave, if it is text: bytes that are none come as lone surrogates, which no tokenizer takes."""
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{text!r} is not text in UTF-8: write it again.") from error
    return text


def small_seed(seed: int) -> int:
    if seed > MAX_SEED:
        raise typer.BadParameter(f"{seed} is too large: give a number up to {MAX_SEED}.")
    return seed


def device(name: str) -> str:
    """`InputError` if no machine has such a device; whether this one has it, loading a model tells."""
    if not re.fullmatch(r"(auto|cpu|mps|(cuda|xpu|hpu|npu)(:[0-9]+)?)", name):
        raise InputError(f"{name} is not a device: choose auto, cpu, cuda, cuda:1 or mps.")
    return name


def dtype(name: str) -> str:
    """`InputError` if it is no precision."""
    return str(choice(name, DTYPES, "precision"))


def backbone(name: str) -> str:
    """`InputError` if it is neither a name, nor a folder, nor a checkpoint's file, nor a hub id: said before anything
    heavy is imported."""
    known = "/" in name or name.endswith(".safetensors") or os.path.isdir(name)
    return name if known else str(choice(name, BACKBONES, "backbone"))


def scheduler(name: str | None) -> str | None:
    """`InputError` if diffusers has no such scheduler, by its files alone: importing them takes seconds."""
    found = None if name is None else find_spec("diffusers")
    if name is None or found is None or found.origin is None:
        return name
    files = Path(found.origin).parent.glob("schedulers/scheduling_*.py")
    found_in = [re.findall(r"^class (\w+)Scheduler\(", file.read_text("utf-8"), re.M) for file in files]
    known = {one.lower() for names in found_in for one in names}
    short = name.lower().removesuffix("scheduler")
    if known and short not in known:
        hint = nearest(short, known)
        raise InputError(
            f"{name} is not a scheduler of diffusers{hint}: choose DDIM, PNDM, UniPCMultistep, …."
        )
    return name


def there(path: Path | None) -> Path | None:
    """`InputError` if there is no such picture."""
    if path is not None and not path.is_file():
        raise InputError(f"{path} does not exist: check the name.")
    return path


def ray(address: str | None) -> str | None:
    """`InputError` if it is not an address."""
    if address in (None, "off"):
        return None
    if address not in ("local", "auto") and not re.fullmatch(r"(ray://)?[^/\s]+:\d+", address or ""):
        raise InputError(
            f"--ray {address} is not a cluster{nearest(str(address), ('local', 'auto'))}: use local, auto or HOST:PORT."
        )
    return address


def parse_face(word: str) -> str | int:
    """largest, left, right, or a number from 0. Raises `InputError`: it is none of them."""
    if word.isascii() and word.isdigit():
        return int(word)
    if word in PLACES:
        return word
    known = f"{', '.join(PLACES)} or a number from 0"
    raise InputError(f"--face {word} is unknown{nearest(word, PLACES)}: choose {known}.")
