"""The ONNX path, on small networks exported to files with the published names and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.encoders.arcface import ArcFaceIdentity, IResNet, load_onnx
from mien.face.templates import ARCFACE
from mien.types import Face, InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write(path: Path, batch: object = "None", size: int = 112, width: int = 512) -> np.ndarray:
    """A network that pools crops into 7 x 7 places of each colour and multiplies them by the matrix returned.

    Input and output are named as in insightface's w600k_r50.onnx ("input.1", "683") and AuraFace's glintr100.
    """
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(0).normal(size=(147, width)).astype(np.float32)
    stride = size // 7
    nodes = [
        helper.make_node(
            "AveragePool", ["input.1"], ["places"], kernel_shape=[stride] * 2, strides=[stride] * 2
        ),
        helper.make_node("Flatten", ["places"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["683"]),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("683", TensorProto.FLOAT, [batch, width])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return matrix


def by_hand(crops: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    places = crops.reshape(len(crops), 3, 7, 16, 7, 16).mean((3, 5)).reshape(len(crops), -1)
    rows = places @ matrix
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("batch", ["None", 1])
def test_rgb_in_minus_one_to_one_gives_512_of_length_one(tmp_path: Path, batch: object) -> None:
    matrix = write(tmp_path / "r.onnx", batch)
    encoder = ArcFaceIdentity(tmp_path / "r.onnx")
    crops = torch.rand(3, 3, 112, 112) * 2 - 1
    seen = encoder.embed(crops)
    assert seen.shape == (3, encoder.width) == (3, 512)
    np.testing.assert_allclose(seen.numpy(), by_hand(crops.numpy(), matrix), atol=2e-5)


def test_a_face_of_a_picture_is_seen_as_red_green_blue(tmp_path: Path) -> None:
    """A picture of one colour has that colour in every crop: (200, 100, 50) / 127.5 - 1, red first."""
    matrix = write(tmp_path / "r.onnx")
    landmarks = np.zeros((478, 3))
    eyes = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
    for points, place in zip((*eyes, (1,), (61,), (291,)), ARCFACE, strict=True):
        landmarks[list(points), :2] = place
    face = Face(np.array([0.0, 0, 112, 112]), landmarks, np.zeros(52), np.zeros(3), 1.0)
    seen = ArcFaceIdentity(tmp_path / "r.onnx")(Image.new("RGB", (112, 112), (200, 100, 50)), face)
    colour = np.array([200, 100, 50]) / 127.5 - 1
    expected = by_hand(np.broadcast_to(colour[None, :, None, None], (1, 3, 112, 112)), matrix)[0]
    np.testing.assert_allclose(seen.numpy(), expected, atol=2e-5)


def test_an_exported_iresnet_says_what_torch_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = IResNet((1, 1, 1, 1)).eval()
    torch.save(network.state_dict(), tmp_path / "backbone.pth")
    arguments = {"input_names": ["data"], "output_names": ["fc1"], "dynamic_axes": {"data": {0: "n"}}}
    torch.onnx.export(
        network, (torch.zeros(1, 3, 112, 112),), str(tmp_path / "r.onnx"), dynamo=False, **arguments
    )
    crops = torch.rand(2, 3, 112, 112) * 2 - 1
    ours = ArcFaceIdentity(tmp_path / "backbone.pth").embed(crops)
    exported = ArcFaceIdentity(tmp_path / "r.onnx").embed(crops)
    torch.testing.assert_close(exported, ours, atol=1e-4, rtol=1e-3)


def test_what_is_no_such_recogniser_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "wide.onnx", width=128)
    write(tmp_path / "large.onnx", size=224)
    write(tmp_path / "half.onnx")
    data = (tmp_path / "half.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name, message in (
        ("wide.onnx", r"gives 683 \['None', 128\]"),
        ("large.onnx", r"takes input.1 \['None', 3, 224, 224\]"),
        ("half.onnx", "not an ONNX file that can be read"),
        ("empty.onnx", "not an ONNX file that can be read"),
    ):
        with pytest.raises(InputError, match=message):
            load_onnx(tmp_path / name)


def test_no_gradients_are_promised(tmp_path: Path) -> None:
    write(tmp_path / "r.onnx")
    with pytest.raises(InputError, match="has no gradients"):
        load_onnx(tmp_path / "r.onnx")(torch.zeros(1, 3, 112, 112, requires_grad=True))
