"""`mien invent`, as a user would call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.main import app
from mien.provenance import read_provenance


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_two_people_from_their_seeds(tmp_path: Path) -> None:
    result = run("invent", tmp_path / "x.png", "-n", 2, "--seed", 3, "--json", "-q")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["images"]
    assert [Path(one["path"]).name for one in told] == ["x-1.png", "x-2.png"]
    for one in told:
        said = read_provenance(Path(one["path"]))
        assert said is not None and said["settings"]["kind"] == "invented"
        assert said["settings"]["seed"] == one["seed"]
        assert said["settings"]["models"].keys() == {"backbone", "adapter", "face"}
        assert said["settings"]["dtype"] == "float32" and said["settings"]["identity_encoder"] == "embedded"
        assert said["settings"]["device"] and said["settings"]["steps"] and said["settings"]["inputs"] == {}
    again = run("invent", tmp_path / "y.png", "--seed", told[1]["seed"], "-q")
    assert again.exit_code == 0 and f"seed {told[1]['seed']}" in again.stdout
    assert Image.open(tmp_path / "y.png").tobytes() == Image.open(tmp_path / "x-2.png").tobytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x.avi",), "x.avi"),
        (("x.png", "--backbone", "minni"), "did you mean mini"),
        (("x.png", "--dtype", "half"), "precision"),
        (("nowhere/x.png",), "nowhere"),
        (("x.png", "-n", "0"), "num-images"),
    ],
)
def test_people_who_cannot_be_invented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("invent", *words)
    assert result.exit_code == 2 and said in result.stderr and not list(tmp_path.iterdir())
