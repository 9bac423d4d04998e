"""Copies of other people's models that other programs have put on this machine: ComfyUI's folders, the hub's cache."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mien.files import expand

_HUB = re.compile(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/main/(.+)")


def comfyui() -> Path | None:
    """ComfyUI's folder ``models``, by `MIEN_COMFYUI`: the folder of ComfyUI, or its ``models``; None: it is not set."""
    given = os.environ.get("MIEN_COMFYUI")
    if not given:
        return None
    folder = expand(given)
    return folder / "models" if (folder / "models").is_dir() else folder


def offline() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def snapshot(repository: str) -> Path | None:
    """The folder of a hub's repository in its cache, of the branch ``main``, whole or not; None: there is none. The
    cache is where huggingface_hub has it: `HF_HUB_CACHE`, else ``hub`` in `HF_HOME`, else in the user's cache."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = expand(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    folder = cache / f"models--{repository.replace('/', '--')}"
    try:
        found = folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return found if found.is_dir() else None


def find(url: str | None, in_comfyui: str | None) -> Path | None:
    """A file that another program has fetched. url: where it comes from. in_comfyui: its place below ComfyUI's
    ``models``."""
    folder = comfyui()
    if folder is not None and in_comfyui and (folder / in_comfyui).is_file():
        return folder / in_comfyui
    known = _HUB.fullmatch(url or "")
    cached = snapshot(known[1]) if known else None
    if cached is not None and known is not None and (cached / known[2]).is_file():
        return cached / known[2]
    return None
