"""What `mien studio` offers to choose from, and what it refuses before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli.main import app
from mien.cli.studio import choices
from mien.types import InputError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs' exports, a folder called as our model is, one without an adapter, and an adapter alone."""
    for name in ("ra/export", "rb/export", "x/rb/export", "mini", "sd15"):
        (tmp_path / name / "adapter").mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "identity.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    encoders = '{"identity_encoder": "embedded", "expression_encoder": "embedded"}'
    (tmp_path / "mine" / "adapter.json").write_text(encoders)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fetched(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the hub, which gives the same for everything."""
    asked: list[str] = []

    def snapshot(hub: str, **_: object) -> str:
        asked.append(hub)
        return str(here / "bare")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    return asked


def test_every_folder_has_a_name_of_its_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, adapters = choices(["ra/export", "rb/export", "./mini", "./sd15", "ra/export"])
    assert adapters == {} and found == {
        "mini": "mini",
        "export": str(here / "ra" / "export"),
        "rb/export": str(here / "rb" / "export"),
        f"{here.name}/mini": str(here / "mini"),
        f"{here.name}/sd15": str(here / "sd15"),
    }
    with pytest.raises(InputError, match="would be called rb/export: rename"):
        choices(["ra/export", "rb/export", "x/rb/export"])
    monkeypatch.chdir(here / "ra" / "export")
    assert choices(["."])[0] == {"mini": "mini", "export": str(here / "ra" / "export")}


def test_only_what_has_an_adapter_is_offered(here: Path, fetched: list[str]) -> None:
    assert choices([]) == ({"mini": "mini"}, {})
    assert choices(["mini"]) == ({"mini": "mini"}, {})
    for name in ("bare", "sd15", "somebody/model", "./absent"):
        with pytest.raises(
            InputError, match=f"{name} is not a folder that holds an adapter/.*--adapter FOLDER"
        ):
            choices([name])
    assert fetched == []  # gigabytes that could not be used


def test_an_adapter_goes_with_the_models_that_are_added(here: Path, fetched: list[str]) -> None:
    place = str(here / "bare")
    found, adapters = choices(["some/one", "somebody/model", "bare"], "mine")
    assert found == {"mini": "mini", "some/one": place, "somebody/model": place, "bare": place}
    assert adapters == {"some/one": "mine", "somebody/model": "mine", "bare": "mine"}
    assert fetched == ["some/one", "somebody/model"]
    assert choices(["mini"], "mine") == ({"mini": "mini"}, {"mini": "mine"})
    with pytest.raises(InputError, match="holds neither identity.safetensors"):
        choices(["bare"], "bare")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--backbone", "mnii"], "did you mean mini"),
        (["--backbone", "bare"], "holds an adapter/"),
        (["--adapter", "mine"], "--backbone"),
    ],
)
def test_bad_words_are_answered(here: Path, words: list[str], answer: str) -> None:
    pytest.importorskip("uvicorn", reason="the studio needs uvicorn: pip install mien[studio]")
    told = CliRunner().invoke(app, ["studio", *words])
    assert told.exit_code == 2 and answer in told.output


def test_what_every_picture_needs_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_WATERMARK", "bogus")
    told = CliRunner().invoke(app, ["studio"])
    assert told.exit_code == 2 and "MIEN_WATERMARK is bogus" in told.output
