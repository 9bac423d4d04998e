"""Tiny prepared sets and models, as the recipes of the embedded default take them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from factory.stages.pretrain import EXPRESSION_WIDTH, IDENTITY_WIDTH
from factory.training.mini import (
    all_captions,
    create_scheduler,
    create_text_encoder,
    create_tokenizer,
    create_unet,
)
from mien.models.autoencoder import PatchAutoencoder
from mien.models.e_adapter import EAdapter
from mien.weights import SHIPPED_FOLDER
from tests.face.faces import rng_landmarks

FACE = SHIPPED_FOLDER / "mini" / "face"


def save_prepared(cache: Path, source: str, names: list[str], seed: int = 0) -> None:
    """A set as `factory.faces.prepare` writes it: smooth random crops, landmarks within them."""
    rng = np.random.default_rng(seed)
    n = len(names)
    small = [Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)) for _ in range(n)]
    crops = np.stack([np.asarray(one.resize((128, 128), Image.Resampling.BICUBIC)) for one in small])
    landmarks = np.stack([rng_landmarks(seed + i) for i in range(n)]).astype(np.float32)
    low, high = landmarks.min((1, 2), keepdims=True), landmarks.max((1, 2), keepdims=True)
    people = [name.rsplit("_", 1)[0] if source == "lfw-gray" else name for name in names]
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / f"{source}.crops.npy", crops)
    np.savez(
        cache / f"{source}.table.npz",
        allow_pickle=False,
        landmarks=20 + 90 * (landmarks - low) / (high - low),
        blendshapes=rng.random((n, 52)).astype(np.float32),
        matrix=np.tile(np.eye(4, dtype=np.float32), (n, 1, 1)),
        crop_matrix=np.tile(np.array([[0.85, 0, 6], [0, 0.85, 6]], np.float32), (n, 1, 1)),
        name=np.array(names),
        person=np.array([list(dict.fromkeys(people)).index(person) for person in people]),
        embedding=rng.normal(0, 0.1, (n, 128)).astype(np.float32),
    )


def save_sets(cache: Path) -> None:
    """Photographs with labels, some held out; grey ones of a few people."""
    save_prepared(cache, "utkface-adults", [f"{20 + i % 60}_{i % 2}_{i % 4}_2017{i}.jpg" for i in range(100)])
    people = ("Ann_A", "Bob_B", "Cem_C", "Dia_D")
    save_prepared(cache, "lfw-gray", [f"{p}_{k:04d}.jpg" for p in people for k in (1, 2, 3)], seed=100)


def save_autoencoder(folder: Path) -> Path:
    """A tiny one, untrained."""
    torch.manual_seed(0)
    PatchAutoencoder(16, (32, 16, 16, 16), (1, 1, 1, 1)).save_pretrained(folder)
    return folder


def save_base(folder: Path) -> Path:
    """What `stages.pretrain` exports, tiny, with an autoencoder and what only the shipped folder has."""
    tokenizer = create_tokenizer(all_captions())
    torch.manual_seed(0)
    unet = create_unet(16, (32, 64))
    adapter = EAdapter.create(unet, IDENTITY_WIDTH, EXPRESSION_WIDTH, expression_projection="mlp")
    unet.save_pretrained(folder / "unet")
    create_text_encoder(tokenizer).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    create_scheduler().save_pretrained(folder / "scheduler")
    adapter.save(folder / "adapter")
    save_autoencoder(folder / "vae")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (folder / "adapter" / "adapter.json").write_text(json.dumps({"steps": 2}))
    return folder
