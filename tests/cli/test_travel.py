"""`mien travel` with a tiny model that draws nonsense: what it says, and what its pictures say of their making."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.making.model import model_name
from mien.provenance import read_provenance
from tests.training.tiny_set import save_model

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
IDENTITY = EXAMPLES / "identity.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("home") / "mc", "sd15")


def travel(model: Path, *words: Any) -> Any:
    """Run it with one step and no progress bar, as the shell would."""
    options = ["--backbone", str(model), "--steps", "1", "--frames", "2", "--quiet"]
    return CliRunner().invoke(app, ["travel", *map(str, words), *options])


def test_warnings_are_sentences(model: Path, crowd: Path, tmp_path: Path) -> None:
    """Which face was taken and how to choose; what of a prompt has no effect; nothing of Python's."""
    prompt = "a photo of a person in a park " * 20
    result = travel(model, crowd, "joy", crowd, "-o", tmp_path / "x.png", "--prompt", prompt)
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert all(line.startswith("mien: ") for line in lines) and len(lines) == 2
    assert "crowd.png shows 2 faces" in lines[0] and "--face left" in lines[0]
    assert 'the prompt "a photo' in lines[1] and "has no effect" in lines[1]
    stop = travel(model, IDENTITY, "joy", crowd, "-o", tmp_path / "y.png")
    assert stop.exit_code == 0 and "--expression-face left" in stop.stderr
    chosen = travel(model, crowd, "joy", "fear", "-o", tmp_path / "z.png", "--face", "right")
    assert chosen.exit_code == 0 and chosen.stderr == ""


def test_what_made_it_is_said(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    result = travel(Path("~/mc"), IDENTITY, "joy", "fear", "-o", tmp_path / "x.png", "--seed", 3)
    assert result.exit_code == 0, result.output
    found = read_provenance(tmp_path / "x.png")
    assert found is not None
    settings = found["settings"]
    assert settings["kind"] == "travel" and settings["backbone"] == "mc" and settings["adapter"] is None
    assert settings["identity_encoder"] == settings["expression_encoder"] == "embedded"
    assert settings["device"] in ("cpu", "cuda", "mps") and settings["dtype"] == "float32"
    assert settings["models"].keys() == {"backbone", "adapter", "face"}
    assert all(len(sha) == 64 for sha in settings["models"].values())
    assert settings["expressions"] == ["joy", "fear"] and (settings["steps"], settings["seed"]) == (1, 3)
    assert settings["scheduler"] and settings["environment"]["torch"]


def test_a_model_is_called_by_its_name_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    monkeypatch.chdir(model)
    assert {model_name(given) for given in (str(model), "~/mc", ".", f"{model}/unet/..")} == {"mc"}
    assert [model_name(given) for given in ("mini", "owner/model")] == ["mini", "owner/model"]


def test_a_stop_whose_name_is_no_text(model: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xe9.png")
    Image.open(IDENTITY).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / name)
    result = travel(model, IDENTITY, "joy", tmp_path / name, "-o", tmp_path / "x.png", "--json")
    said = read_provenance(tmp_path / "x.png")
    assert said is not None and said["settings"]["expressions"] == ["joy", "a picture"]  # no name is kept
    assert result.exit_code == 0, result.output
