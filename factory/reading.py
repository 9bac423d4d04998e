"""What brings the embedded analyser's readings nearer to MediaPipe's: `warping/reading.npz`.

    pip install ai-edge-litert
    python -m factory.reading FOLDER... [--renders 1200] [--photos 900]

MediaPipe's blendshapes are a function of 146 of its landmarks (a network of its own in `face_landmarker.task`). One
network learns that function, of faces, of mixtures of two and of these with noise, so that it can be asked about the
analyser's landmarks. A second one learns what MediaPipe's readings of the same picture differ by: MediaPipe takes one
side of a straight face for livelier than the other, and sees more of renders and of warped photographs.

The faces are rendered heads, photographs of FOLDER and their mirror images, and results of the engine on these, a first
guess and one correction each. People and heads whose number divides by 12 are held out.

The mean and spread of resting faces in `response.npz` are readings too: run `factory.response` after it.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

import mien.warping
from factory.faces.coefficients import preset, preset_names, sample
from factory.faces.ict import load_head
from factory.faces.render import make_person, render
from factory.faces.warped import PLAIN_SEED, plain_view
from mien.face import align, mediapipe
from mien.face.analyze import analyze, load_reader
from mien.face.landmarks import lms_ratios
from mien.files import replacing
from mien.images import read_image
from mien.pipelines.photo import CELLS, Sitter
from mien.types import ByteImage, FloatArray
from mien.warping.draw import draw
from mien.warping.target import FARTHEST, Solver, centred, seen_of

FIRST_HEAD = PLAIN_SEED + 1_000_000  # apart from the heads that benchmarks render
RENDERED = 256  # px
MOST_TURNED = 20.0  # degrees of yaw or pitch, of a photograph that gets expressions
EXPRESSIONS = 2  # a photograph
HELD_OUT = 12
MIXTURES, BEYOND = 100_000, 0.25  # faces mixed of two; how far a mixture may lie beyond them
NOISE = (0.0, 1e-3, 2.5e-3, 5e-3)  # of a landmark, of the crop's side
SHARES = {"renders": 0.25, "results": 0.45, "photographs": 0.3}  # of a batch
# Which landmarks MediaPipe's blendshapes are computed from (face_blendshapes_graph.cc).
POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81,
    82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154,
    155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263,
    267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321,
    323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387,
    388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip


class Shown:
    """Faces as the analyser and MediaPipe saw them: what `reading` goes by, the analyser's ratios, MediaPipe's
    landmarks and numbers, and who it is."""

    def __init__(self) -> None:
        self.rows: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray, int]] = []
        self._reader = load_reader()

    def add(self, picture: ByteImage, who: int, landmarks: FloatArray | None = None) -> None:
        """See a picture's face, if there is one, in the crop of `landmarks` or of MediaPipe's own."""
        found = mediapipe.analyze(Image.fromarray(np.ascontiguousarray(picture)))
        if not found:
            return
        points, crop = (
            np.array(POINTS),
            align.crop_matrix(found[0].landmarks if landmarks is None else landmarks),
        )
        said = self._reader(align.warp(picture, crop)[None].copy())
        seen = seen_of(said.blendshapes[0], said.landmarks[0], points)
        theirs = seen_of(found[0].blendshapes, found[0].landmarks, points)[52:]
        true = np.r_[found[0].blendshapes, lms_ratios(found[0].landmarks)]
        self.rows.append((seen, lms_ratios(said.landmarks[0]), theirs, true, who))

    def tensors(self) -> list[Tensor]:
        """What is seen [n, d], ratios [n, 5], MediaPipe's landmarks [n, 2p], truth [n, 57], who [n]."""
        return [torch.from_numpy(np.array(part)).float() for part in zip(*self.rows, strict=True)]


def renders(count: int) -> Shown:
    """Frontal heads, half of them with a preset, half with random expressions."""
    shown, head, rng = Shown(), load_head(), np.random.default_rng(0)
    for k in tqdm(range(count), mininterval=10):
        shape = preset(str(rng.choice(preset_names()))) if k % 2 else sample(rng)[1]
        person, view = make_person(head, FIRST_HEAD + k), plain_view(FIRST_HEAD + k)
        shown.add(render(head, person, shape, view, RENDERED), k)
    return shown


def photographs(files: list[Path]) -> Shown:
    """Photographs and their mirror images."""
    shown = Shown()
    for who, file in enumerate(tqdm(files, mininterval=10)):
        picture = np.asarray(read_image(file))
        shown.add(picture, who)
        shown.add(picture[:, ::-1], who)
    return shown


def results(files: list[Path], shapes: FloatArray) -> Shown:
    """What the engine draws of photographs that are to show others' blendshapes [n, 52]: at first, and corrected."""
    shown, rng = Shown(), np.random.default_rng(0)
    for who, file in enumerate(tqdm(files, mininterval=10)):
        image = np.asarray(read_image(file))
        faces = analyze(Image.fromarray(image))
        if not faces or np.abs(faces[0].pose[:2]).max() > MOST_TURNED:
            continue
        sitter = Sitter(image, faces[0])
        close = sitter.closeup
        for goal in shapes[rng.integers(len(shapes), size=EXPRESSIONS)]:
            solver = Solver(sitter.own, np.r_[goal, sitter.own[52:]], np.r_[np.ones(52), np.zeros(5)])
            for _ in range(2):
                how = solver.before, solver.after, close.mouth
                picture = draw(close.image, close.landmarks, *how, cells=CELLS, front=close.front).image
                shown.add(picture, who, close.landmarks)
                solver.correct(close.read(solver.before, solver.after))
    return shown


def blendshapes_of(places: FloatArray) -> FloatArray:
    """MediaPipe's blendshapes [n, 52] of its landmarks `POINTS` at places [n, 2p], by its own network."""
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(mediapipe.find_model()) as bundle:
        network = Interpreter(model_content=bundle.read("face_blendshapes.tflite"))
    network.allocate_tensors()
    (given,), (told,) = network.get_input_details(), network.get_output_details()
    found = np.empty((len(places), 52), np.float32)
    for row, at in zip(found, tqdm(places, mininterval=10), strict=True):
        network.set_tensor(given["index"], at.reshape(given["shape"]).astype(np.float32))
        network.invoke()
        row[:] = network.get_tensor(told["index"])
    return found


class Layers(nn.Module):
    """Linear layers with SiLU between them, of inputs like `given` [n, d], which are brought to one scale."""

    def __init__(self, given: Tensor, widths: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.mean, self.scale = given.mean(0), given.std(0) + 1e-6
        widths = given.shape[1], *widths
        self.linear = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, widths[1:], strict=False))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = ((x - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        for layer in self.linear[:-1]:
            x = nn.functional.silu(layer(self.dropout(x)))
        return self.linear[-1](self.dropout(x))

    def arrays(self, name: str) -> dict[str, FloatArray]:
        """As `reading.npz` holds them."""
        kept = {f"{name}.mean": self.mean, f"{name}.scale": self.scale}
        for k, layer in enumerate(self.linear):
            kept |= {f"{name}.{k}.weight": layer.weight.half(), f"{name}.{k}.bias": layer.bias}
        return {key: value.detach().numpy() for key, value in kept.items()}


def far(said: Tensor, true: Tensor) -> Tensor:
    """A loss of readings."""
    away = (said - true).clamp(-1, 1)
    return away.abs().mean() + 2 * away.square().mean()


def fitted(network: Layers, steps: int, decay: float, loss: Callable[[], Tensor]) -> None:
    """Train a network for so many steps, each by a new `loss`."""
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.05)
    for _ in tqdm(range(steps), mininterval=10):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
    network.requires_grad_(False).eval()


def learned_function(places: FloatArray, people: FloatArray, steps: int = 10_000) -> Layers:
    """The network of MediaPipe's function of its landmarks, of faces at `places` [n, 2p] of `people` [n] numbers."""
    rng = np.random.default_rng(0)
    apart = people % HELD_OUT == 0
    mixtures = MIXTURES // HELD_OUT  # of people held out, and the others of the rest
    pairs = [
        rng.choice(np.flatnonzero(apart), (2, mixtures)),
        rng.choice(np.flatnonzero(~apart), (2, MIXTURES - mixtures)),
    ]
    first, second = places[np.concatenate(pairs, 1)]
    share = rng.uniform(-BEYOND, 1 + BEYOND, (MIXTURES, 1))
    noise = rng.normal(size=first.shape) * rng.choice(NOISE, (MIXTURES, 1))
    every = np.concatenate([places, first + share * (second - first) + noise])
    true = torch.from_numpy(blendshapes_of(every))
    given = torch.from_numpy(np.array([centred(row) for row in every])).float()
    held = torch.from_numpy(np.r_[apart, np.arange(MIXTURES) < mixtures])
    rows, real = torch.nonzero(~held)[:, 0], torch.nonzero(~held[: len(places)])[:, 0]
    network = Layers(given[: len(places)], (256, 256, 52))

    def loss() -> Tensor:
        pick = torch.cat([rows[torch.randint(len(rows), (384,))], real[torch.randint(len(real), (256,))]])
        return far(network(given[pick]).sigmoid(), true[pick])

    fitted(network, steps, 1e-4, loss)
    off = (network(given).sigmoid() - true)[held].abs()
    count = int(held[: len(places)].sum())
    print(f"function: off by {off[:count].mean():.4f} of faces, {off[count:].mean():.4f} of mixtures")
    return network


def learned_change(sets: dict[str, Shown], function: Layers, steps: int = 4000) -> Layers:
    """The network of what MediaPipe's readings differ by; prints errors on those held out."""
    data = {}
    for name, one in sets.items():
        seen, ratios, _, true, who = one.tensors()
        landmarks = torch.from_numpy(np.array([centred(row[52:].numpy()) for row in seen])).float()
        said = function(landmarks)
        data[name] = torch.cat([seen, said], 1), said, ratios, true, who % HELD_OUT == 0
    network = Layers(torch.cat([given[~held] for given, *_, held in data.values()]), (128, 57), 0.1)
    nn.init.zeros_(network.linear[-1].weight)
    nn.init.zeros_(network.linear[-1].bias)
    rows = {name: torch.nonzero(~held)[:, 0] for name, (*_, held) in data.items()}

    def read(name: str, which: Tensor) -> Tensor:
        given, said, ratios, _, _ = (part[which] for part in data[name])
        change = network(given)
        return torch.cat([(said + change[:, :52]).sigmoid(), ratios + change[:, 52:]], 1)

    def loss() -> Tensor:
        total = torch.zeros(())
        for name, row in rows.items():
            pick = row[torch.randint(len(row), (round(SHARES[name] * 256),))]
            total = total + SHARES[name] * far(read(name, pick), data[name][3][pick])
        return total

    fitted(network, steps, 0.1, loss)
    for name, (given, said, ratios, true, held) in data.items():
        readings = {
            "the analyser's": given[:, :52].sigmoid(),
            "of its landmarks": said.sigmoid(),
            "both": read(name, torch.arange(len(given))),
        }
        off = ", ".join(
            f"{what} {(one[:, :52] - true[:, :52])[held].abs().mean():.4f}" for what, one in readings.items()
        )
        before, after = (
            (one - true[:, 52:])[held].abs().mean() for one in (ratios, readings["both"][:, 52:])
        )
        print(
            f"{name}, {int(held.sum())} held out: blendshapes off by {off}; ratios by {before:.4f}, {after:.4f}"
        )
    return network


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--renders", type=int, default=1200, help="heads")
    parser.add_argument("--photos", type=int, default=900, help="photographs, at most")
    given = parser.parse_args()
    torch.manual_seed(0)
    files = [file for folder in given.folders for file in sorted(folder.rglob("*.jpg"))]
    files = [files[k] for k in np.random.default_rng(0).permutation(len(files))[: given.photos]]
    sets = {"renders": renders(given.renders), "photographs": photographs(files)}
    sets["results"] = results(files, np.array([row[3][:52] for one in sets.values() for row in one.rows]))
    write(sets)


def write(sets: dict[str, Shown]) -> None:
    """Learn both networks from these faces and write them."""
    rows = [row for one in sets.values() for row in one.rows]
    function = learned_function(*(np.array([row[k] for row in rows]) for k in (2, 4)))
    parts = function.arrays("function") | learned_change(sets, function).arrays("change")
    out = Path(mien.warping.__file__).with_name("reading.npz")
    with replacing(out) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, points=np.array(POINTS, np.int16), **parts)
    print(f"{out.name}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
