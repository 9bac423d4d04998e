"""Others' recognisers in TensorFlow.js's format, on a graph that is worked out by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.graph_models import GraphModel, square
from mien.types import InputError


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def write(folder: Path, nodes: list[dict[str, Any]], weights: dict[str, np.ndarray]) -> Path:
    """A model of these nodes; weights of float16 stand for what was quantised from float32."""
    described = []
    for name, values in weights.items():
        described.append({"name": name, "shape": list(values.shape), "dtype": str(values.dtype)})
        if values.dtype == np.float16:
            described[-1] |= {"dtype": "float32", "quantization": {"dtype": "float16"}}
    (folder / "net.bin").write_bytes(b"".join(values.tobytes() for values in weights.values()))
    nodes = [{"name": "x", "op": "Placeholder"}, *nodes]
    nodes += [{"name": name, "op": "Const"} for name in weights]
    manifest = [{"paths": ["net.bin"], "weights": described}]
    path = folder / "net.json"
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return path


def convolution(kind: str, stride: int, padding: str, fused: list[str]) -> dict[str, Any]:
    attributes = {"strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}}}
    attributes |= {"padding": {"s": text(padding)}, "fused_ops": {"list": {"s": [text(f) for f in fused]}}}
    return {"name": "y", "op": kind, "input": ["x", "kernel:0", "bias"], "attr": attributes}


def by_hand(x: np.ndarray, kernel: np.ndarray, stride: int, same: bool, depthwise: bool) -> np.ndarray:
    """TensorFlow's convolution of [h, w, c], sum by sum; of the padding, the odd pixel goes below and to the right."""
    k = len(kernel)
    out = -(-len(x) // stride) if same else (len(x) - k) // stride + 1
    before = max((out - 1) * stride + k - len(x), 0) // 2 if same else 0
    y = np.zeros((out, out, kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]))
    for i, j, a, b in np.ndindex(out, out, k, k):
        at = np.array([i, j]) * stride + [a, b] - before
        if (at >= 0).all() and (at < len(x)).all():
            pixel = x[tuple(at)]
            y[i, j] += (pixel[:, None] * kernel[a, b]).ravel() if depthwise else pixel @ kernel[a, b]
    return y


@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (2, "SAME"), (2, "VALID")])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_are_tensorflows(tmp_path: Path, stride: int, padding: str, depthwise: bool) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(6, 6, 3)), rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
    wanted = by_hand(x, kernel, stride, padding == "SAME", depthwise)
    bias = rng.normal(size=wanted.shape[-1]).astype(np.float32)
    kind = "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D"
    path = write(
        tmp_path,
        [convolution(kind, stride, padding, ["BiasAdd", "Relu"])],
        {"kernel": kernel, "bias": bias},
    )
    made = GraphModel(path)(torch.from_numpy(x[None]).float(), "y")
    np.testing.assert_allclose(made[0], np.maximum(wanted + bias, 0), atol=1e-5)


def test_a_graph_is_worked_out_from_its_output(tmp_path: Path) -> None:
    """max(x, 0) + slope * min(x, 0), averaged over the picture, times a matrix of float16."""
    nodes = [
        {"name": "up", "op": "Maximum", "input": ["x", "nil"]},
        {"name": "down", "op": "Minimum", "input": ["x", "nil"]},
        {"name": "sloped", "op": "Mul", "input": ["down", "slope"]},
        {"name": "prelu", "op": "AddV2", "input": ["up", "sloped"]},
        {"name": "mean", "op": "Mean", "input": ["prelu", "axes"], "attr": {"keep_dims": {"b": False}}},
        {"name": "out", "op": "MatMul", "input": ["mean", "matrix"]},
        {"name": "unused", "op": "Softmax", "input": ["out"]},
    ]
    matrix = np.array([[1, 2], [0.5, -1]], np.float16)
    weights = {
        "nil": np.zeros((), np.float32),
        "slope": np.array([0.5, 0.25], np.float32),
        "axes": np.array([1, 2], np.int32),
        "matrix": matrix,
    }
    model = GraphModel(write(tmp_path, nodes, weights))
    x = torch.randn(2, 4, 4, 2)
    wanted = torch.where(x > 0, x, x * torch.tensor([0.5, 0.25])).mean((1, 2)) @ torch.tensor(matrix).float()
    torch.testing.assert_close(model(x, "out"), wanted)
    with pytest.raises(InputError, match="Softmax"):
        model(x, "unused")


def test_files_that_are_no_graph_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read"):
        GraphModel(tmp_path / "none.json")
    path = write(tmp_path, [], {"a": np.zeros(4, np.float32)})
    (tmp_path / "net.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="is damaged"):
        GraphModel(path)


def test_the_square_holds_the_face_with_room() -> None:
    points = np.tile([10.0, 20.0, 0.0], (478, 1))
    points[1, :2] = [50, 80]
    matrix = square(points, 224, 1.4)
    corners = np.array([[30 - 42, 50 - 42, 1], [30 + 42, 50 + 42, 1]]) @ matrix.T
    np.testing.assert_allclose(corners, [[0, 0], [224, 224]], atol=1e-9)
