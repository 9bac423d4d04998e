"""ArcFace (Deng et al. 2019) as an identity encoder: what IP-Adapter FaceID is conditioned on.

A recogniser of ArcFace's contract takes the 112 x 112 crop of five points, RGB in [-1, 1], and gives 512 numbers.
Weights are a torch state dict of insightface's ``arcface_torch`` (differentiable) or an ONNX file (not differentiable).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mien import weights
from mien.errors import InputError, optional, saying
from mien.face.align import warp
from mien.face.templates import ARCFACE_SIZE, arcface_matrix
from mien.types import Face

WIDTH = 512
DEFAULT = "arcface_w600k_r50"  # of the registry of weights
BLOCKS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}  # residual blocks at 1/2, 1/4, 1/8 and 1/16 of the crop


class Block(nn.Module):
    """BN, conv, BN, PReLU, strided conv, BN, around a skip: [b, c, h, w] -> [b, d, h/stride, w/stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            skip = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(skip, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + skip


class IResNet(nn.Module):
    """Crops [b, 3, 112, 112] in [-1, 1] RGB -> [b, 512]; named like ``arcface_torch``'s ``backbone.pth``."""

    def __init__(self, blocks: tuple[int, ...] = BLOCKS[50]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        width = 64
        for level, (outputs, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True), start=1):
            layers = [Block(width if i == 0 else outputs, outputs, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{level}", nn.Sequential(*layers))
            width = outputs
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, WIDTH)
        self.features = nn.BatchNorm1d(WIDTH)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(crops)))
        for level in range(1, 5):
            x = self.get_submodule(f"layer{level}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def load_iresnet(path: Path) -> IResNet:
    """A ``backbone.pth`` of any depth; frozen, in evaluation mode. No pickled code is run."""
    unread = f"{path} is not a weights file that can be read: fetch it again."
    with saying(unread, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or "layer1.0.conv1.weight" not in state:
        raise InputError(f"{path} is not an IResNet of arcface_torch: give its backbone.pth.")
    depth = [
        len({name.split(".")[1] for name in state if name.startswith(f"layer{level}.")})
        for level in range(1, 5)
    ]
    network = IResNet(tuple(depth))
    wrong = network.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    missing = [name for name in wrong.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or wrong.unexpected_keys:
        raise InputError(
            f"{path} lacks or does not know {[*missing, *wrong.unexpected_keys][0]}: fetch it again."
        )
    return network.requires_grad_(False).eval()


def load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """An ONNX recogniser of ArcFace's contract, on the CPU: [b, 3, 112, 112] RGB in [-1, 1] -> [b, 512]. Raises
    `InputError`: onnxruntime is not installed, or the file is damaged or of another contract.

    Insightface's and AuraFace's files follow it; a batch declared to be 1 is run crop by crop. Files that scale 0 to
    255 themselves (MXNet's exports) do not follow it, which their shapes do not tell.
    """
    onnxruntime = optional("onnxruntime", 'An ONNX recogniser needs onnxruntime: pip install "mien[onnx]".')
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what is wrong is raised, and said once
    unread = f"{path} is not an ONNX file that can be read: fetch it again."
    with saying(unread, Exception):  # onnxruntime's own kinds, which share no class
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or inputs[0].type != "tensor(float)"
        or list(inputs[0].shape[1:]) != [3, ARCFACE_SIZE, ARCFACE_SIZE]
        or list(outputs[0].shape[1:]) != [WIDTH]
    ):
        takes = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        gives = ", ".join(f"{o.name} {o.shape}" for o in outputs)
        raise InputError(
            f"{path} takes {takes} and gives {gives}: a recogniser of ArcFace's contract takes float crops "
            f"[b, 3, {ARCFACE_SIZE}, {ARCFACE_SIZE}] and gives [b, {WIDTH}]."
        )
    single = 1 in (inputs[0].shape[0], outputs[0].shape[0])

    def run(crops: Tensor) -> Tensor:
        if crops.requires_grad:
            raise InputError(f"{path.name} is an ONNX file, which has no gradients: use a backbone.pth.")
        parts = crops.cpu().float().split(1 if single else max(1, len(crops)))
        rows = [session.run(None, {inputs[0].name: part.numpy()})[0] for part in parts]
        return torch.from_numpy(np.concatenate(rows)).to(crops.device)

    return run


class ArcFaceIdentity:
    """One face as 512 numbers of length 1, as IP-Adapter FaceID takes them."""

    width = WIDTH

    def __init__(
        self,
        model: str | Path = DEFAULT,
        device: str | torch.device = "cpu",
        name: str = "arcface",
    ) -> None:
        """model: a name in the registry of weights, or a ``.onnx`` or ``.pth`` file. name: for reports. The default is
        what the published FaceID adapters were trained with (non-commercial); "auraface" is under Apache-2.0, in a
        space of its own."""
        path = Path(model) if Path(model).suffix in (".onnx", ".pth", ".pt") else weights.path(str(model))
        if not path.is_file():
            raise InputError(f"The recogniser {path} does not exist.")
        self.name = name
        self.device = torch.device(device)
        self.network = load_onnx(path) if path.suffix == ".onnx" else load_iresnet(path).to(self.device)

    @torch.no_grad()
    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[512] float32 of one face of a PIL picture."""
        pixels = warp(np.asarray(image.convert("RGB")), arcface_matrix(face.landmarks), ARCFACE_SIZE)
        crops = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        return self.embed(crops.to(self.device))[0].cpu()

    def embed(self, crops: Tensor) -> Tensor:
        """ArcFace crops [b, 3, 112, 112] in [-1, 1] -> [b, 512] of length 1; differentiable unless ONNX."""
        return F.normalize(self.network(crops).float(), dim=-1)
