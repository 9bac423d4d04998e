"""Every recipe of the factory: its first line is its command, and its stage is really made and takes a step."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from factory.faces.sources import ARCHIVES
from factory.train import register
from mien.training.loop import LoopConfig, make_rng, named_trainable
from mien.training.recipe import read_recipe, stage_class
from mien.weights import SHIPPED_FOLDER
from tests.factory.prepared_set import save_prepared

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "factory" / "recipes").glob("*.yaml"))
# What a recipe takes from a run before it: here, what ships.
OVERRIDES = {"mini_pretrain": [f"args.autoencoder={SHIPPED_FOLDER / 'mini' / 'vae'}"]}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A cache of tiny prepared sets, and a shared folder with the archives that they are of."""
    root = tmp_path_factory.mktemp("factory")
    cache, shared = root / "cache", root / "shared"
    save_prepared(cache, "utkface-adults", [f"{20 + i}_{i % 2}_0_2017{i}.jpg" for i in range(40)])
    people = ("Ann_A", "Bob_B", "Cem_C", "Dia_D")
    save_prepared(cache, "lfw-gray", [f"{p}_{k:04d}.jpg" for p in people for k in (1, 2)], seed=100)
    heads = [f"head{i:08d}-0" for i in range(12)]
    for seed, source in enumerate(("renders-train", "renders-holdout", "warped-train", "warped-train-2")):
        save_prepared(cache, source, heads, seed)
    save_prepared(cache, "portraits-of-nobody", [f"nobody-{i}.jpg" for i in range(80)])
    (shared / "data").mkdir(parents=True)
    for source, archives in ARCHIVES.items():
        names = np.load(cache / f"{source}.table.npz")["name"].tolist()
        for archive in archives:
            with tarfile.open(shared / "data" / f"{archive}.tar", "w") as tar:
                for name in names if archive == archives[0] else ():
                    data = io.BytesIO()
                    Image.new("RGB", (256, 256), (120, 90, 80)).save(data, "JPEG")
                    member = tarfile.TarInfo(name)
                    member.size = data.tell()
                    data.seek(0)
                    tar.addfile(member, data)
    return cache, shared


def test_there_are_as_many_as_we_know_of() -> None:
    names = ("analyser", "autoencoder", "decoder", "detector", "pretrain", "recogniser", "reward")
    assert [path.stem for path in RECIPES] == [f"mini_{name}" for name in names]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_what_it_says(
    path: Path, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert path.read_text().splitlines()[0] == f"# python -m factory.train factory/recipes/{path.name}"
    register()
    for name, folder in zip(("MIEN_CACHE", "MIEN_SHARED"), places, strict=True):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(ROOT)
    recipe = read_recipe(path, OVERRIDES.get(path.stem))
    assert LoopConfig(**recipe["loop"]).steps > 0
    stage = stage_class(recipe["stage"])(**recipe["args"])
    assert named_trainable(stage)
    rng = make_rng(0, 0, 0)
    loss, logs = stage.step(stage.batch(2, rng), rng)
    assert torch.isfinite(loss) and loss.requires_grad and logs
