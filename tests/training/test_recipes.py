"""Every recipe: its first line is its command, its keys are known, and its count is known too."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli.main import app
from mien.training.loop import LoopConfig
from mien.training.recipe import read_recipe, run
from mien.training.recipes import find, names
from mien.types import InputError
from tests.training.tiny_set import save_model, save_set

RECIPES = [find(name) for name in names()]


def test_there_are_as_many_as_we_know_of() -> None:
    adapter = ("base", "ica", "refined")
    assert [path.stem for path in RECIPES] == [
        *(f"mini_{name}" for name in ("base", "ica", "pixels_base", "refined", "sfsr")),
        *(f"sd15_{name}" for name in (*adapter, "sfsr")),
        *(f"sdxl_{name}" for name in adapter),
    ]


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stepz"):
        read_recipe(RECIPES[0], ["loop.stepz=3"])
    with pytest.raises(InputError, match="colour"):
        read_recipe(RECIPES[0], ["args.colour=3"])
    with pytest.raises(InputError, match="stage 'nothing' is unknown"):
        read_recipe(RECIPES[0], ["stage=nothing"])
    with pytest.raises(InputError, match="missing.yaml"):
        read_recipe(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\n", "line 2"),
        ("stage: base: x\n", "line 1, mapping"),
        ("- stage\n", "is a list"),
        ("", "stage"),
        ("stage: base\nargs: 5\n", "args is 5"),
        ("stage: \xff\n", "utf-8"),
    ],
)
def test_files_that_are_no_recipe_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=words) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert "r.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("stage", ["base", "refined", "ica"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_papers_numbers_are_the_default(family: str, stage: str) -> None:
    """EmojiDiff, training details: Adam β = (0.5, 0.999), 2e-5, for ICA 5e-6; 512 and 1024 px."""
    recipe = read_recipe(RECIPES[0].with_name(f"{family}_{stage}.yaml"))
    loop = LoopConfig(**recipe["loop"])
    assert (loop.optimizer, list(loop.betas)) == ("adam", [0.5, 0.999])
    assert loop.lr == (5e-6 if stage == "ica" else 2e-5)
    assert recipe["args"]["data"]["size"] == {"sd15": 512, "sdxl": 1024}[family]
    assert ("scaling" in recipe["args"]["data"]) == (family == "sdxl")
    assert read_recipe(RECIPES[0].with_name("sd15_base.yaml"), ["loop.lr=1e-3"])["loop"]["lr"] == 1e-3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_on_a_tiny_model(path: Path, tmp_path: Path) -> None:
    """The recipe itself, but for the model, the folders and the sizes: a step or two, from its start to its export."""
    assert path.read_text().splitlines()[0] == f"# mien train {path.stem}"
    family = "sdxl" if path.stem.startswith("sdxl") else "sd15"
    model, root = save_model(tmp_path / "model", family), save_set(tmp_path / "set")
    settings = [f"args.backbone={model}", "loop.steps=1", "loop.batch_size=2", "loop.accumulation=1"]
    settings += ["loop.precision=fp32"]
    if path.stem.endswith("sfsr"):
        settings += [f"args.manifest={root}"]
        if "recognisers" in read_recipe(path)["args"]:
            settings += ["args.recognisers=[recogniser,embedded]"]  # which need no other files
    else:
        settings += [f"args.data.root={root}", "args.data.size=16", "args.people=0"]
        settings += [f"args.adapter={model / 'adapter'}"]
    exported = run(path, settings, out=tmp_path / "runs")
    assert (Path(exported) / "adapter" / "expression.safetensors").is_file()
    tracked = read_recipe(path)["loop"]["tracker"] == "tensorboard"
    assert (tmp_path / "runs" / path.stem / "tensorboard").is_dir() == tracked


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "base.yaml"
    path.write_text("stage: base\nargs: {backbone: mini}\n")
    with pytest.raises(InputError, match="data"):
        run(path, out=tmp_path)


def test_minutes_end_a_run_and_say_how_to_go_on(tmp_path: Path) -> None:
    model, root = save_model(tmp_path / "model", "sd15"), save_set(tmp_path / "set")
    settings = [f"args.backbone={model}", f"args.data.root={root}", "args.data.size=16", "args.people=0"]
    settings += [
        f"args.adapter={model / 'adapter'}",
        "loop.steps=2",
        "loop.batch_size=2",
        "loop.precision=fp32",
    ]
    path = RECIPES[0].with_name("sd15_base.yaml")
    arguments = ["train", str(path), *settings, "--out", str(tmp_path / "runs")]
    first = CliRunner().invoke(app, [*arguments, "--minutes", "0.001"])
    assert (
        first.exit_code == 0 and "stopped at step 1 of 2" in first.stdout and "same command" in first.stdout
    )
    second = CliRunner().invoke(app, arguments)
    assert second.exit_code == 0 and Path(second.stdout.strip().splitlines()[-1]).is_dir()
