"""What is known of a model and of its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightFile:
    """One file. `path` is relative to the package's weights (shipped) or to the models folder (fetched). `sha256` and
    `size` (bytes) are of the file as it is used; None: not published. `url`: where it can be fetched; one that ends in
    .bz2 is unpacked on the way. `comfyui`: where ComfyUI's users have it, below ``models``."""

    path: str
    sha256: str | None = None
    size: int | None = None
    url: str | None = None
    comfyui: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model. `root` is what `path(name)` returns: a file, or the folder that holds several.

    `card` says in one line what it was trained on, for how long, and how it measures.
    """

    name: str
    purpose: str
    root: str
    files: tuple[WeightFile, ...]
    licence: str
    commercial: bool
    source: str
    year: int
    shipped: bool = False
    card: str = ""
