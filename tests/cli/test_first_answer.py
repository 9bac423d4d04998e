"""What is wrong with a command is said before anything heavy is imported: it takes a fraction of a second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mien.making.wishes import BACKBONES
from mien.weights.bases import HUB_IDS

HEAVY = {
    "torch", "diffusers", "transformers", "accelerate", "scipy", "dlib", "mediapipe", "pandas", "pyarrow", "uvicorn",
    "onnxruntime", "sklearn", "omegaconf", "huggingface_hub",
}  # fmt: skip
# words of a command: what its answer says
WRONG = {
    "generate me.png smyle": "did you mean smile",
    "generate me.png smyle:0.5+joy:0.5": "did you mean smile",
    "generate absent.png joy": "absent.png does not exist",
    "generate me.png absent.png": "absent.png does not exist",
    "generate me.png joy --backbone mimi": "did you mean mini",
    "generate me.png joy -o me.png": "would be overwritten",
    "generate me.png joy -o photo.png": "photo.png is there already",
    "generate --from absent.png me.png": "absent.png does not exist",
    "generate --from me.png me.png": "does not say how it was made",
    "generate --pairs absent.csv --out-dir out": "absent.csv does not exist",
    "reface me.png --expression smyle": "did you mean smile",
    "reface absent.png --expression joy": "absent.png does not exist",
    "reface me.png --identity absent.png": "absent.png does not exist",
    "reface me.png": "Nothing is to be changed",
    "reface --from absent.png me.png": "absent.png does not exist",
    "reface --from me.png me.png": "does not say how it was made",
    "reface --pairs absent.csv --out-dir out": "absent.csv does not exist",
    "travel absent.png joy fear": "absent.png does not exist",
    "travel me.png joy smyle": "did you mean smile",
    "travel me.png joy": "at least two expressions",
    "invent absent/nobody.png": "absent does not exist",
    "invent photo.png": "photo.png is there already",
    "analyze absent.png": "absent.png does not exist",
    "analyze me.png --backend mediapip": "did you mean mediapipe",
    "inspect absent.png": "absent.png does not exist",
    "evaluate --pairs absent.csv": "absent.csv does not exist",
    "evaluate --folder absent": "absent is not a folder",
    "expressions show smyle": "did you mean smile",
    "expressions build absent": "absent is neither a folder",
    "expressions draw absent joy": "absent does not exist",
    "expressions mislabelled absent": "absent does not exist",
    "models fetch absent": "no model called absent",
    "models fetch sd15-published": "which HF_HUB_OFFLINE forbids",
    "generate me.png joy --backbone sd15 --adapter published": "5 things are missing",
    "generate me.png joy --backbone sdxl --adapter published": "mien models fetch sdxl-published",
    "generate me.png joy --backbone sd15 --adapter fineface": "mien models fetch sd15-fineface",
    "generate me.png joy --backbone sd15 --adapter arc2face": "mien models fetch sd15-arc2face",
    "generate me.png joy --backbone sdxl --adapter arc2face": "is for models of SD1.5's family",
    "generate me.png joy --backbone sd15": "sd15 has no adapter of its own",
    "generate me.png joy --backbone sd15 --adapter absent": "2 things are missing for sd15",
    "generate me.png joy --backbone some/model --adapter published": "HF_HUB_OFFLINE forbids",
    "generate me.png joy --backbone absent.safetensors --adapter published": "no such checkpoint",
    "reface --prompt lighthouse --identity me.png --backbone sd15": "mien models fetch sd15",
    "reface me.png --expression joy --finish sd15-inpaint": "mien models fetch sd15-inpaint",
    "data ingest absent out": "absent is not a folder",
    "data idi absent out": "absent does not exist",
    "film me.png absent.mp4": "absent.mp4 does not exist",
    "film absent.mp4 --expression joy": "absent.mp4 does not exist",
    "film me.png me.png": "is a picture, not a film",
    "generate me.png traurig": "did you mean sadness",
    "generate me.png big smile": "in quotes",
    "generate https://a.org/me.jpg joy": "is an address",
    "generate me.png joy --ray local": "--ray spreads the rows of a table",
    "generate me.png joy --workers 3": "--workers belongs to --ray",
    "evaluate --pairs absent.csv --ray loca": "did you mean local",
    "train absent.yaml": "no recipe absent.yaml",
    "train sd15_base": "6 things are missing for the recipe sd15_base",
    "train sd15_refined": "the adapter to start from, made by the stage before",
    "train sd15_base args.backbone=sdxl args.data.root=photos": "mien models fetch sdxl",
    "train mini_base args.data.root=[absent,other]": "absent is not there",
    "studio --backbone sd15 --adapter absent": "2 things are missing for sd15",
}
VERBS = (
    "generate reface film travel invent expressions inspect analyze studio evaluate models data train".split()
)
SCRIPT = """
import json, sys
from typer.testing import CliRunner
from mien.cli.main import app
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, words.split())
    heavy = sorted({name.split(".")[0] for name in sys.modules} & set(json.loads(sys.argv[2])))
    print(json.dumps([words, result.exit_code, result.output, heavy]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Of each command: exit code, what it said, and what heavy things were imported by then, in one process."""
    folder = tmp_path_factory.mktemp("first")
    for name in ("me.png", "photo.png"):
        Image.new("RGB", (64, 64)).save(folder / name)
    commands = [*(f"{verb} --help" for verb in VERBS), *WRONG]
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands), json.dumps(sorted(HEAVY))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "HF_HUB_OFFLINE": "1",
        },
    ).stdout
    assert sorted(path.name for path in folder.iterdir()) == ["me.png", "photo.png"]
    return {words: (code, said, heavy) for words, code, said, heavy in map(json.loads, told.splitlines())}


@pytest.mark.parametrize("words", [f"{verb} --help" for verb in VERBS])
def test_help_imports_nothing_heavy(answers: dict[str, tuple[int, str, list[str]]], words: str) -> None:
    code, said, heavy = answers[words]
    assert code == 0 and "Usage" in said and heavy == []


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_is_told_before_anything_heavy_is_imported(
    answers: dict[str, tuple[int, str, list[str]]], words: str
) -> None:
    code, said, heavy = answers[words]
    assert code == 2 and WRONG[words] in " ".join(said.split()), said
    assert heavy == []


def test_the_names_of_backbones_are_those_that_there_are() -> None:
    assert tuple(HUB_IDS) == BACKBONES
