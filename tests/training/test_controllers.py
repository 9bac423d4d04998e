"""The ablation's controllers in the stages: chosen by name, trained as the paper says, exported so that they load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.backbones import load_backbone
from mien.models.controllers import CONTROLLERS
from mien.training.loop import make_rng
from mien.training.stages.base import BaseStage
from mien.training.stages.ica import IcaStage
from mien.types import InputError
from tests.training.tiny_set import save_model, save_set


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("controllers")
    return {"sd15": save_model(root / "sd15", "sd15"), "set": save_set(root / "set")}


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_stage_trains_and_exports_the_controller_it_names(
    places: dict[str, Path], name: str, tmp_path: Path
) -> None:
    start = str(places["sd15"])
    made = BaseStage(start, {"root": str(places["set"])}, people=0, controller=name)
    adapter, frozen = made.adapter, made.backbone.unet
    before = {key: value.clone() for key, value in adapter.state_dict().items()}
    base = {key: value.clone() for key, value in frozen.state_dict().items()}
    optimizer = torch.optim.Adam(list(made.trainable()), 1e-2)
    for step in range(3):  # behind a ControlNet's zero convolutions gradients come later
        rng = make_rng(0, 0, step)
        loss, _ = made.step(made.batch(3, rng), rng)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    kept = {key for key, value in adapter.state_dict().items() if torch.equal(value, before[key])}
    assert kept == {key for key in before if key.removeprefix("parallel.").startswith("identity.ip_adapter")}
    assert all(torch.equal(value, base[key]) for key, value in frozen.state_dict().items())
    made.export(tmp_path)
    loaded = load_backbone(start, "cpu", adapter=tmp_path / "adapter").load_controller()
    assert loaded.controller == name
    assert all(torch.equal(value, adapter.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_alignment_goes_on_with_the_controller_of_its_start(places: dict[str, Path], tmp_path: Path) -> None:
    start, data = str(places["sd15"]), {"root": str(places["set"])}
    BaseStage(start, data, people=0, controller="serial").export(tmp_path)
    made = IcaStage(start, data, adapter=str(tmp_path / "adapter"), people=0, drop=(0.0, 0.0, 0.0))
    assert made.adapter.controller == "serial"
    rng = make_rng(0, 0, 0)
    loss, logs = made.step(made.batch(2, rng), rng)
    assert torch.isfinite(loss) and logs["id"] >= 0
    with pytest.raises(InputError, match="'sideways' is unknown"):
        IcaStage(start, data, people=0, controller="sideways")
