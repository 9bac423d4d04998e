"""IResNet against the published layout, written down here apart from our network.

Names, shapes and order of operations are those of insightface's recognition/arcface_torch/backbones/iresnet.py,
whose ``backbone.pth`` files are plain state dicts of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.encoders.arcface import BLOCKS, IResNet, load_iresnet

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, width: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{part}": (width,) for part in parts}, f"{name}.num_batches_tracked": ()}


def published(layers: tuple[int, ...]) -> Shapes:
    names: Shapes = {"conv1.weight": (64, 3, 3, 3), **norm("bn1", 64), "prelu.weight": (64,)}
    before = 64
    for level, (planes, count) in enumerate(zip((64, 128, 256, 512), layers, strict=True), start=1):
        for i in range(count):
            at = f"layer{level}.{i}"
            names |= norm(f"{at}.bn1", before)
            names[f"{at}.conv1.weight"] = (planes, before, 3, 3)
            names |= norm(f"{at}.bn2", planes)
            names[f"{at}.prelu.weight"] = (planes,)
            names[f"{at}.conv2.weight"] = (planes, planes, 3, 3)
            names |= norm(f"{at}.bn3", planes)
            if i == 0:  # every stage halves the picture in its first block
                names[f"{at}.downsample.0.weight"] = (planes, before, 1, 1)
                names |= norm(f"{at}.downsample.1", planes)
            before = planes
    return {
        **names,
        **norm("bn2", 512),
        "fc.weight": (512, 512 * 49),
        "fc.bias": (512,),
        **norm("features", 512),
    }


def batch_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def forward(x: Tensor, state: dict[str, Tensor], layers: tuple[int, ...]) -> Tensor:
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    x = F.prelu(batch_norm(x, state, "bn1"), state["prelu.weight"])
    for level, count in enumerate(layers, start=1):
        for i in range(count):
            at, stride = f"layer{level}.{i}", 2 if i == 0 else 1
            out = F.conv2d(batch_norm(x, state, f"{at}.bn1"), state[f"{at}.conv1.weight"], padding=1)
            out = F.prelu(batch_norm(out, state, f"{at}.bn2"), state[f"{at}.prelu.weight"])
            out = F.conv2d(out, state[f"{at}.conv2.weight"], stride=stride, padding=1)
            out = batch_norm(out, state, f"{at}.bn3")
            if i == 0:
                x = F.conv2d(x, state[f"{at}.downsample.0.weight"], stride=2)
                x = batch_norm(x, state, f"{at}.downsample.1")
            x = out + x
    x = batch_norm(x, state, "bn2").flatten(1)
    return batch_norm(x @ state["fc.weight"].T + state["fc.bias"], state, "features")


@pytest.mark.parametrize("depth", [50, 100])
def test_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in IResNet(BLOCKS[depth]).state_dict().items()}
    assert ours == published(BLOCKS[depth])


def test_a_published_file_loads_and_says_what_it_should(tmp_path: Path) -> None:
    layers = (1, 2, 1, 1)
    torch.manual_seed(0)
    state = {}
    for name, shape in published(layers).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape) + 0.5
        else:
            state[name] = torch.randn(shape) * 0.05 + (0.5 if len(shape) == 1 else 0)
    torch.save(state, tmp_path / "backbone.pth")
    crops = torch.rand(2, 3, 112, 112) * 2 - 1
    said = load_iresnet(tmp_path / "backbone.pth")(crops)
    assert said.shape == (2, 512)
    torch.testing.assert_close(said, forward(crops, state, layers), atol=1e-4, rtol=1e-4)
