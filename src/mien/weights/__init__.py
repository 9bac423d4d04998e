"""Every file of weights: what it is, where it is, whether it is whole, and on what terms it may be used."""

from __future__ import annotations

from mien.weights.registry import (
    SHIPPED_FOLDER,
    Entry,
    Status,
    WeightFile,
    bundles,
    check,
    entries,
    entry,
    models_folder,
    named,
    path,
    place,
    verify,
)

__all__ = [
    "SHIPPED_FOLDER",
    "Entry",
    "Status",
    "WeightFile",
    "bundles",
    "check",
    "entries",
    "entry",
    "models_folder",
    "named",
    "path",
    "place",
    "verify",
]
