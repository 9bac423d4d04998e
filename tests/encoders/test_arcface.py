"""ArcFace's network has the published names and shapes, and looks at the face that is meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.encoders.arcface import BLOCKS, ArcFaceIdentity, IResNet, load_iresnet
from mien.face.templates import ARCFACE
from mien.types import Face, InputError

SMALL = (1, 1, 1, 1)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    torch.manual_seed(0)
    network = IResNet(SMALL)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer))
    path = tmp_path_factory.mktemp("arcface") / "backbone.pth"
    torch.save(network.half().state_dict(), path)  # published in half precision
    return path


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = {k: tuple(v.shape) for k, v in IResNet(BLOCKS[100]).state_dict().items()}
    parameters = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    # facts of arcface_torch's iresnet100: 65.2 million parameters, these names
    assert parameters["conv1.weight"] == (64, 3, 3, 3) and parameters["prelu.weight"] == (64,)
    assert parameters["layer1.0.downsample.0.weight"] == (64, 64, 1, 1)
    assert parameters["layer1.0.downsample.1.running_var"] == (64,)
    assert parameters["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert parameters["layer3.29.prelu.weight"] == (256,)
    assert parameters["fc.weight"] == (512, 25088) and parameters["features.running_mean"] == (512,)
    assert "layer1.1.downsample.0.weight" not in parameters
    learned = sum(int(np.prod(v)) for k, v in parameters.items() if "running" not in k)
    assert round(learned / 1e6, 1) == 65.2


def test_loads_embeds_and_has_gradients(backbone) -> None:
    encoder = ArcFaceIdentity(backbone)
    crops = (torch.rand(2, 3, 112, 112) * 2 - 1).requires_grad_()
    embedding = encoder.embed(crops)
    assert embedding.shape == (2, encoder.width) and torch.allclose(embedding.norm(dim=-1), torch.ones(2))
    embedding[0, 0].backward()
    assert crops.grad is not None and crops.grad[0].abs().sum() > 0 and crops.grad[1].abs().sum() == 0


def test_the_picture_is_aligned_to_arcface_points(backbone) -> None:
    """A crop pasted into a larger picture, with landmarks that say where, is seen as the crop itself."""
    encoder = ArcFaceIdentity(backbone)
    generator = np.random.default_rng(0)
    crop = generator.integers(0, 256, (7, 7, 3), np.uint8).repeat(16, 0).repeat(16, 1)  # [112, 112, 3]
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[50:162, 120:232] = crop
    landmarks = np.zeros((478, 3))
    eyes = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
    for points, place in zip((*eyes, (1,), (61,), (291,)), ARCFACE + [120, 50], strict=True):
        landmarks[list(points), :2] = place
    face = Face(np.array([120.0, 50, 232, 162]), landmarks, np.zeros(52), np.zeros(3), 1.0)
    seen = encoder(Image.fromarray(picture), face)
    x = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert torch.nn.functional.cosine_similarity(seen, encoder.embed(x)[0], dim=0) > 0.98


def test_bad_files(backbone, tmp_path) -> None:
    (tmp_path / "half.pth").write_bytes(backbone.read_bytes()[:5000])
    state = torch.load(backbone, weights_only=True)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    del state["layer4.0.bn2.weight"]
    torch.save(state, tmp_path / "gap.pth")
    for name, match in (
        ("half.pth", "read"),
        ("other.pth", "not an IResNet"),
        ("gap.pth", "layer4.0.bn2.weight"),
    ):
        with pytest.raises(InputError, match=match):
            load_iresnet(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        ArcFaceIdentity("nowhere.pth")
    with pytest.raises(InputError):
        ArcFaceIdentity("arcface_w600k_r51")
