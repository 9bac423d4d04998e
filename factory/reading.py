"""What brings the embedded analyser's readings nearer to MediaPipe's: `warping/reading.npz`.

    python -m factory.reading FOLDER... [--renders 1200] [--photos 600] [--plain 8000]

The analyser was taught pictures and their mirror images alike, but MediaPipe takes one side of a straight face for
livelier than the other; and it was taught few renders and few of the engine's results. One hidden layer maps its 52
blendshapes (logits) and landmarks of brows, eyes and mouth to what these lack of MediaPipe's blendshapes and of the
five ratios. It learns from rendered heads, from results of the engine on photographs of FOLDER (a first guess and one
correction each), and from these photographs as they are. People and heads whose number divides by 12 are held out.

The mean and spread of resting faces in `response.npz` are readings too: run `factory.response` after it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
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
from mien.warping.mesh import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID
from mien.warping.target import Solver, seen_of

FIRST_HEAD = PLAIN_SEED + 1_000_000  # apart from the heads that benchmarks render
RENDERED = 256  # px
EXPRESSIONS = 4  # a photograph
HIDDEN, STEPS, BATCH, RATE = 96, 3000, 256, 2e-3
SHARES = (0.25, 0.38, 0.37)  # of renders, results and photographs in a batch
HELD_OUT = 12
BROWS = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
MOUTH = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178)
ELSEWHERE = (468, 473, 1, 2, 4, 98, 327, 152, 199, 50, 280, 205, 425, 187, 411)
LIDS = (*RIGHT_UPPER_LID, *RIGHT_LOWER_LID, *LEFT_UPPER_LID, *LEFT_LOWER_LID)
POINTS = sorted({*BROWS, *MOUTH, *ELSEWHERE, *LIDS})


class Shown:
    """Faces as the analyser and MediaPipe saw them: what `reading` goes by, the analyser's ratios, MediaPipe's numbers,
    and who it is."""

    def __init__(self) -> None:
        self.rows: list[tuple[FloatArray, FloatArray, FloatArray, int]] = []
        self._reader = load_reader()

    def add(self, picture: ByteImage, who: int, landmarks: FloatArray | None = None) -> FloatArray | None:
        """See a picture's face, in the crop of `landmarks` or of MediaPipe's own; returns the analyser's blendshapes,
        if there is a face."""
        found = mediapipe.analyze(Image.fromarray(picture))
        if not found:
            return None
        crop = align.crop_matrix(found[0].landmarks if landmarks is None else landmarks)
        said = self._reader(align.warp(picture, crop)[None].copy())
        seen = seen_of(said.blendshapes[0], said.landmarks[0], np.array(POINTS))
        true = np.r_[found[0].blendshapes, lms_ratios(found[0].landmarks)]
        self.rows.append((seen, lms_ratios(said.landmarks[0]), true, who))
        return said.blendshapes[0]

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is seen [n, d], ratios [n, 5], truth [n, 57], held out [n]."""
        seen, ratios, true, who = (np.array(part) for part in zip(*self.rows, strict=True))
        held = torch.from_numpy(who % HELD_OUT == 0)
        return *(torch.from_numpy(part).float() for part in (seen, ratios, true)), held  # type: ignore[return-value]


def renders(count: int) -> Shown:
    """Frontal heads, half of them with a preset, half with random expressions."""
    shown, head, rng = Shown(), load_head(), np.random.default_rng(0)
    for k in tqdm(range(count), mininterval=10):
        shape = preset(str(rng.choice(preset_names()))) if k % 2 else sample(rng)[1]
        person, view = make_person(head, FIRST_HEAD + k), plain_view(FIRST_HEAD + k)
        shown.add(render(head, person, shape, view, RENDERED), k)
    return shown


def results(files: list[Path], shapes: FloatArray) -> Shown:
    """What the engine draws of photographs that are to show others' blendshapes [n, 52]: at first, and corrected."""
    shown, rng = Shown(), np.random.default_rng(0)
    for who, file in enumerate(tqdm(files, mininterval=10)):
        image = np.asarray(read_image(file))
        faces = analyze(Image.fromarray(image))
        if not faces or np.abs(faces[0].pose[:2]).max() > 14:
            continue
        sitter = Sitter(image, faces[0])
        close = sitter.closeup
        for goal in shapes[rng.integers(len(shapes), size=EXPRESSIONS)]:
            solver = Solver(sitter.own, np.r_[goal, sitter.own[52:]], np.r_[np.ones(52), np.zeros(5)])
            for _ in range(2):
                before, after = solver.before, solver.after
                picture = draw(close.image, close.landmarks, before, after, close.mouth, cells=CELLS).image
                shown.add(picture, who, close.landmarks)
                solver.correct(close.read(before, after))
    return shown


def photographs(files: list[Path]) -> Shown:
    """Photographs as they are."""
    shown = Shown()
    for who, file in enumerate(tqdm(files, mininterval=10)):
        shown.add(np.pad(np.asarray(read_image(file)), ((40, 40), (40, 40), (0, 0)), mode="edge"), who)
    return shown


def fit(sets: list[Shown]) -> dict[str, FloatArray]:
    """The layer that brings what is seen nearer to MediaPipe's numbers; prints errors on those held out."""
    torch.manual_seed(0)
    data = [one.tensors() for one in sets]
    every = torch.cat([seen[~held] for seen, _, _, held in data])
    mean, scale = every.mean(0), every.std(0) + 1e-6
    layers = nn.Linear(every.shape[1], HIDDEN), nn.Linear(HIDDEN, 57)
    net = nn.Sequential(nn.Dropout(0.05), layers[0], nn.ReLU(), nn.Dropout(0.1), layers[1])
    nn.init.zeros_(layers[1].weight)
    nn.init.zeros_(layers[1].bias)
    size = torch.tensor([1.0] * 52 + [0.1] * 5)

    def read(seen: torch.Tensor, ratios: torch.Tensor) -> torch.Tensor:
        change = net((seen - mean) / scale) * size
        return torch.cat([(seen[:, :52] + change[:, :52]).sigmoid(), ratios + change[:, 52:]], 1)

    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS, pct_start=0.02)
    rows = [torch.nonzero(~held)[:, 0] for *_, held in data]
    for _ in range(STEPS):
        loss = torch.zeros(())
        for (seen, ratios, true, _), row, share in zip(data, rows, SHARES, strict=True):
            pick = row[torch.randint(len(row), (round(share * BATCH),))]
            far = (read(seen[pick], ratios[pick]) - true[pick]).clamp(-1, 1)
            loss = loss + share * (far.abs().mean() + 2 * far.square().mean())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    for name, (seen, ratios, true, held) in zip(("renders", "results", "photographs"), data, strict=True):
        before = (torch.cat([seen[:, :52].sigmoid(), ratios], 1) - true)[held].abs()
        after = (read(seen, ratios) - true)[held].abs()
        print(
            f"{name}: {len(seen)}; blendshapes off by {before[:, :52].mean():.4f}, now {after[:, :52].mean():.4f}; "
            f"ratios by {before[:, 52:].mean():.4f}, now {after[:, 52:].mean():.4f}"
        )
    first, last = layers
    parts = {
        "mean": mean,
        "scale": scale,
        "hidden": first.weight.half(),
        "hidden_bias": first.bias,
        "out": (last.weight * size[:, None]).half(),
        "out_bias": last.bias * size,
    }
    return {name: part.detach().numpy() for name, part in parts.items()} | {
        "points": np.array(POINTS, np.int16)
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--renders", type=int, default=1200, help="heads")
    parser.add_argument("--photos", type=int, default=600, help="photographs that get expressions")
    parser.add_argument("--plain", type=int, default=8000, help="photographs as they are, at most")
    given = parser.parse_args()
    files = [file for folder in given.folders for file in sorted(folder.rglob("*.jpg"))]
    files = [files[k] for k in np.random.default_rng(0).permutation(len(files))]
    heads, plain = renders(given.renders), photographs(files[: given.plain])
    shapes = np.concatenate([[true[:52] for _, _, true, _ in one.rows] for one in (heads, plain)])
    found = fit([heads, results(files[: given.photos], shapes), plain])
    out = Path(mien.warping.__file__).with_name("reading.npz")
    with replacing(out) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **found)
    print(f"{out.name}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
