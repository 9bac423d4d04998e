"""Write ``manifest.json``: hash what is shipped in ``weights/mini``.

    python -m factory.training.manifest

Run it after the shipped weights change. Licence, card and year that were edited by hand in the manifest
are kept.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mien.files import write_text
from mien.weights import MANIFEST, SHIPPED_FOLDER

LICENCE = "research use only (trained on UTKFace and LFW, which are for research)"

# name → (root, purpose). A file belongs to the entry with the longest root above it.
MODELS: dict[str, tuple[str, str]] = {
    "mini": ("mini", "the embedded default, a diffusers folder at 128 x 128: index, scheduler, tokenizer"),
    "mini-unet": (
        "mini/unet",
        "base text-to-image UNet, DDPM noise prediction in the latent space of mini-vae",
    ),
    "mini-vae": ("mini/vae", "autoencoder, 128 x 128 pixels <-> 8 x 8 latents"),
    "mini-text": ("mini/text_encoder", "text encoder of the words its data can teach"),
    "mini-identity": ("mini/adapter/identity.safetensors", "Base E-Adapter: identity tokens and attention"),
    "mini-expression": (
        "mini/adapter/expression.safetensors",
        "Base E-Adapter: expression tokens and attention",
    ),
    "analyser": (
        "mini/face/analyser.safetensors",
        "478 landmarks, 52 blendshapes, pose and confidence of a crop",
    ),
    "detector": ("mini/face/detector.safetensors", "finds faces in whole pictures: place, size, tilt"),
    "recogniser": ("mini/face/recogniser.safetensors", "identity embedding of a crop, 128 numbers"),
    "occlusion": (
        "mini/face/occlusion.safetensors",
        "where glasses and other things lie in front of a face",
    ),
    "people": (
        "mini/face/people.safetensors",
        "means and covariances of women's and men's identities, to invent people from",
    ),
}


def build(folder: Path, previous: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The manifest's entries for the files under ``folder/mini``; texts of `previous` entries are kept."""
    kept = {row["name"]: row for row in previous}
    files: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    for path in sorted(p for p in (folder / "mini").rglob("*") if p.is_file() and not p.name.startswith(".")):
        relative = path.relative_to(folder).as_posix()
        owner = max(
            (n for n, (root, _) in MODELS.items() if _below(relative, root)), key=lambda n: len(MODELS[n][0])
        )
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        files[owner].append({"path": relative, "sha256": digest, "size": len(data)})
    return [
        {
            "name": name,
            "purpose": purpose,
            "root": root,
            "licence": kept.get(name, {}).get("licence", LICENCE),
            "commercial": kept.get(name, {}).get("commercial", False),
            "source": kept.get(name, {}).get("source", "trained by this project"),
            "year": kept.get(name, {}).get("year", 2026),
            "card": kept.get(name, {}).get("card", ""),
            "files": files[name],
        }
        for name, (root, purpose) in MODELS.items()
        if files[name]
    ]


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def main() -> None:
    """Hash the shipped files and write the manifest beside them."""
    previous = json.loads(MANIFEST.read_text(encoding="utf-8"))["entries"] if MANIFEST.exists() else []
    entries = build(SHIPPED_FOLDER, previous)
    write_text(MANIFEST, json.dumps({"entries": entries}, indent=1, ensure_ascii=False) + "\n")
    total = sum(file["size"] for row in entries for file in row["files"])
    print(f"{MANIFEST}: {len(entries)} models, {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
