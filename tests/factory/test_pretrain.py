"""The base's stage, going on from what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from factory.stages.pretrain import PretrainStage
from mien.training.loop import make_rng
from tests.factory.prepared_set import FACE, save_base, save_prepared, save_sets


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tuning")
    save_sets(root / "sets")
    save_prepared(root / "sets", "renders-holdout", [f"head{i:08d}-0" for i in range(2)])
    return save_base(root / "base")


def make(base: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> PretrainStage:
    monkeypatch.setenv("MIEN_CACHE", str(base.parent / "sets"))
    sets = {"utkface-adults": 0.7, "lfw-gray": 0.3}
    return PretrainStage(
        str(base / "vae"), sets, start=str(base), encoders=str(FACE), sheet=False, **arguments
    )


def test_moved_pictures_take_their_outline_along(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same draws, moved and not: each picture by at most 3 pixels, its face's region as far."""
    for name, value in (("GROW", 0.1), ("JAW", 0.1)):  # the same region in both
        monkeypatch.setattr(f"factory.training.conditions.{name}", (value, value))
    still, shifted = make(base, monkeypatch), make(base, monkeypatch, shift=3)
    a, b = (stage.batch(6, make_rng(0, 0, 0)) for stage in (still, shifted))

    def middle(region: torch.Tensor) -> torch.Tensor:
        places = torch.arange(128).float()
        return torch.stack([(region.sum(axis) * places).sum(1) / region.sum((1, 2)) for axis in (1, 2)])

    seen = set()
    for x, y, at_x, at_y in zip(
        a["x"], b["x"], middle(a["face"][:, 0]).T, middle(b["face"][:, 0]).T, strict=True
    ):
        moves = [
            (right, down)
            for right in range(-3, 4)
            for down in range(-3, 4)
            if torch.equal(x[:, 3:-3, 3:-3].roll((down, right), (1, 2))[:, 6:-6, 6:-6], y[:, 9:-9, 9:-9])
        ]
        assert len(moves) == 1
        assert torch.allclose(at_y - at_x, torch.tensor(moves[0]).float(), atol=0.6)
        seen.add(moves[0])
    assert len(seen) > 2
