"""A tiny face set with triples, and tiny models with an adapter of the embedded encoders' widths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mien.data.pairs import Triple, write_triples
from mien.data.records import HELD_OUT, TRAIN, Manifest, Record
from mien.models.e_adapter import EAdapter
from tests import tiny
from tests.face.faces import rng_landmarks


def save_set(root: Path, people: int = 3, triples: bool = True, pictures: int = 2) -> Path:
    """So many pictures a person (of expressions that differ where they are more than two), the last person held out;
    each triple's reference is of the next person."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows, made = [], []
    for person in range(people):
        for k in range(pictures):
            key = f"p{person}-{k}"
            levels = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
            Image.fromarray(levels).resize((256, 288), Image.Resampling.BICUBIC).save(root / f"{key}.png")
            landmarks = rng_landmarks(pictures * person + k).astype(np.float32)
            flat = landmarks[:, :2]
            rows.append(
                Record(
                    key,
                    f"{key}.png",
                    path=f"{key}.png",
                    width=256,
                    height=288,
                    identity=str(person),
                    split=HELD_OUT if person == people - 1 else TRAIN,
                    prompt="a portrait",
                    faces=1,
                    box=np.concatenate([flat.min(0), flat.max(0)]).astype(np.float32),
                    landmarks=landmarks.ravel(),
                    blendshapes=np.full(52, 0.1 + 0.2 * (k if pictures > 2 else 0) ** 1.5 / 2, np.float32),
                    pose=np.zeros(3, np.float32),
                    confidence=1.0,
                )
            )
            other = f"p{(person + 1) % people}-{k}"
            made.append(
                Triple(f"t-{key}", key, f"p{person}-{(k + 1) % pictures}", other, "a portrait", "test", other)
            )
    Manifest.of(rows, root).write()
    if triples:
        write_triples(made, root, {})
    return root


def save_model(folder: Path, family: str) -> Path:
    """`tiny.save_folder` with an ``adapter/`` of the embedded encoders' widths (identity 224, expression 57)."""
    tiny.save_folder(folder, family)
    unet = {"sd15": tiny.sd15_unet, "sdxl": tiny.sdxl_unet, "sd15-inpainting": tiny.inpainting_unet}[family]()
    torch.manual_seed(0)
    adapter = EAdapter.create(unet, 224, 57, expression_projection="mlp")
    adapter.save(folder / "adapter")
    settings = {"identity_encoder": "embedded", "expression_encoder": "embedded", "steps": 2}
    (folder / "adapter" / "adapter.json").write_text(json.dumps(settings))
    return folder
