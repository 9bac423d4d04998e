"""Every recipe: its first line is its command, its keys are known, and its count is known too."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.training.loop import LoopConfig
from mien.training.recipe import read_recipe, stage_class
from mien.types import InputError

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def test_there_are_as_many_as_we_know_of() -> None:
    assert [path.stem for path in RECIPES] == [
        "mini_analyser",
        "mini_autoencoder",
        "mini_base",
        "mini_detector",
        "mini_pretrain",
        "mini_recogniser",
        "mini_sfsr",
        "sd14_sfsr",
        "sd15_sfsr",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_whole(path: Path) -> None:
    assert path.read_text().splitlines()[0] == f"# mien train recipes/{path.name}"
    recipe = read_recipe(path, ["loop.steps=3"])
    assert LoopConfig(**recipe["loop"]).steps == 3
    assert stage_class(recipe["stage"]).__name__.endswith("Stage")


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stepz"):
        read_recipe(RECIPES[0], ["loop.stepz=3"])
    with pytest.raises(InputError, match="colour"):
        read_recipe(RECIPES[0], ["args.colour=3"])
    with pytest.raises(InputError, match="no stage"):
        read_recipe(RECIPES[0], ["stage=nothing"])
    with pytest.raises(InputError, match="missing.yaml"):
        read_recipe(tmp_path / "missing.yaml")
