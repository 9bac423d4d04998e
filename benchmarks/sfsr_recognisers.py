"""DiffSFSR's Table 4 with recognisers that are independent of each other and of the judge.

    python -m benchmarks.sfsr_recognisers SET ARCFACE MODELS [--train-steps 100] [--n 100]

SET is a set of `mien data ingest`, ARCFACE a recogniser of ArcFace's contract (``.onnx``; `mien.encoders.arcface`),
MODELS the folder of `benchmarks.graph_models`. From the shipped model, variants are
trained alike (same pictures, noise, steps): told who it is by one network, by another, by two, and by three. Each
network's projection is first fitted to the tokens that the shipped one makes of the embedded identity, on the training
pictures, so that all start at one place: two networks that say the same weigh as one. No variant is told anything by
the embedded recogniser then, but L_id judges by it, as everywhere in `sfsr`. Beside them stands the shipped model,
untrained, which is told by the embedded recogniser, dlib's pupil.

Scores are of "swap all" on the held-out triples of `reface_scenes`; MSE is of reconstruction. Whose identity is found
is asked of dlib, which tells nobody, and of each network: of those that told a variant (*) this is no judgement.
What is trained or seen in --out is not trained or seen again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.graph_models import KINDS, GraphRecogniser
from benchmarks.reface_scenes import Triple, look_at, reface, triples
from benchmarks.sfsr_tables import reconstruction
from benchmarks.table import Row, publish, run
from mien.backbones import Backbone, load_backbone
from mien.encoders.arcface import ArcFaceIdentity
from mien.encoders.compound import JoinedIdentity, compound
from mien.files import replacing, write_text
from mien.metrics import statistics
from mien.metrics.retrieval import ranks
from mien.metrics.scoring import Scorer, load_scorer
from mien.models.compound import CompoundProjection
from mien.pipelines.reface import RefacePipeline
from mien.training.cache import Cache
from mien.training.loop import LoopConfig, train
from mien.training.stages.sfsr import SfsrStage
from mien.types import Face, FaceEncoder, FloatArray
from mien.weights.bases import find_folder

NETWORKS = FIRST, SECOND, _ = ("arcface", *KINDS)


@dataclass(frozen=True)
class Variant:
    """A row of the table: by which networks the model is told who it is; none: as it ships."""

    name: str
    told: tuple[str, ...]


FULL = Variant("three networks", NETWORKS)
VARIANTS = (
    Variant("as it ships", ()),
    Variant(FIRST, (FIRST,)),
    Variant(SECOND, (SECOND,)),
    Variant("two networks", (FIRST, SECOND)),
    FULL,
)
# DiffSFSR, Table 4: identity, expression, pose, reconstruction; its recognisers, data, judges and scale are others.
PAPER = {
    FIRST: (0.379, 0.56, 7.90, 52.98),
    "two networks": (0.749, 0.63, 7.54, 52.09),
    FULL.name: (0.870, 0.63, 7.36, 51.23),
}
COLUMNS = {"dlib": ".1%", "expression": ".3f", "pose": ".2f", "mse": ".1f"}  # as in PAPER; dlib: retrieval


class Remembering:
    """A recogniser that looks at a face once: what it said is kept in a file."""

    def __init__(self, recogniser: FaceEncoder, folder: Path) -> None:
        self.recogniser, self.name, self.width = recogniser, recogniser.name, recogniser.width
        self.path = folder / f"{recogniser.name}.pt"
        self.known: dict[str, Tensor] = torch.load(self.path) if self.path.is_file() else {}
        self.new = 0

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[width] float32 of one face of a PIL picture."""
        key = hashlib.sha1(image.tobytes() + face.landmarks.round(1).tobytes()).hexdigest()
        if key not in self.known:
            self.known[key] = self.recogniser(image, face)
            self.new += 1
            if self.new % 500 == 0:
                self.save()
        return self.known[key]

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as path:
            torch.save(self.known, path)


def fit(
    projection: nn.Module, said: Tensor, tokens: Tensor, nobody: Tensor, steps: int, batch: int = 256
) -> float:
    """Train a recogniser's projection to make these tokens of what it said; the last error, as a share of the variance.

    Args:
        said: [n, C]. tokens: [n, k, D], the aim. nobody: [k, D], the aim of zeros, which guidance compares with.
    """
    first: nn.Linear = projection.proj[0]  # type: ignore[index,assignment]
    with torch.no_grad():  # as if its input were standardised
        std = said.std(0).clamp_min(0.05 * said.std())
        first.weight.div_(std)
        first.bias.sub_(first.weight @ said.mean(0))
    optimiser = torch.optim.Adam(projection.parameters(), lr=1e-3)
    rng = torch.Generator().manual_seed(0)
    errors = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        rows = torch.randint(len(said), (batch,), generator=rng)
        x, y = said[rows], tokens[rows]
        x[: batch // 16], y[: batch // 16] = 0, nobody
        loss = F.mse_loss(projection(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    return float(np.mean(errors[-20:])) / tokens.var(0).mean().item()


def begin(stage: SfsrStage, start: Backbone, told: list[Remembering], given: argparse.Namespace) -> None:
    """Fit the projection of every network of a stage to what the shipped model's makes of the embedded identity."""
    data, own = stage.data, start.encoder("identity")
    cached = Cache(data.manifest)
    rows = data.drawn
    seen = cached("identity-shipped", rows, lambda row, image: own(image, data.manifest.face(row)))
    known: Any = start.load_adapter().identity.image_proj  # type: ignore[union-attr]
    with torch.no_grad():
        tokens = known(torch.stack([seen[row] for row in rows]))
        nobody = known(torch.zeros(1, known.width))[0]
    projection = CompoundProjection({one.name: one.width for one in told}, known.dim, known.tokens)
    stage.adapter.identity.image_proj = projection  # type: ignore[union-attr]
    for network in told:
        kept = given.out / "projections" / f"{network.name}.pt"
        part = projection.of[network.name]
        if not kept.is_file():
            faces = ((data.manifest.picture(row), data.manifest.face(row)) for row in rows)
            error = fit(
                part, torch.stack([network(*face) for face in faces]), tokens, nobody, given.fit_steps
            )
            print(f"{network.name}: tokens fitted, error {error:.2f} of their variance", flush=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.save(part.state_dict(), kept)
        part.load_state_dict(torch.load(kept))


def make(variant: Variant, networks: dict[str, Remembering], given: argparse.Namespace) -> Path:
    """Train a variant, if it has not been; its export's folder."""
    if not variant.told:
        return find_folder(given.backbone)
    folder = given.out / "models" / variant.name.replace(" ", "_").replace(",", "")
    if (folder / "export" / "adapter" / "adapter.json").is_file():
        return folder / "export"
    torch.manual_seed(0)
    told = [networks[name] for name in variant.told]
    stage = SfsrStage(
        given.backbone,
        manifest=str(given.set),
        recognisers=told,
        identity_weight=0.3,
        expression_weight=0.15,
        judged=given.judged,
    )
    begin(stage, load_backbone(given.backbone, device="cpu"), told, given)
    config = LoopConfig(
        steps=given.train_steps,
        batch_size=16,
        lr=given.lr,
        warmup=20,
        schedule="hold-decay",
        ema=0.98,
        validate_every=10**9,
        save_every=25,
        threads=torch.get_num_threads(),
    )
    train(stage, config, folder, {"benchmark": "sfsr_recognisers", "variant": asdict(variant)})
    return folder / "export"


def evaluate(
    pipe: RefacePipeline,
    scorer: Scorer,
    networks: dict[str, Remembering],
    chosen: list[Triple],
    looks: dict[str, Any],
) -> dict[str, FloatArray]:
    """Of every triple: 1 where the right person is found, by each judge; expression, pose, mse. nan: no face."""
    images = reface(pipe, "swap all", chosen, 10, steps=6)
    seen = [None if image is None else scorer.observe(image) for image in images]
    found = {name: np.full(len(chosen), np.nan) for name in ("expression", "pose")}
    there = [i for i, one in enumerate(seen) if one is not None]
    for i in there:
        parts = [looks[p.name] for p in (chosen[i].identity, chosen[i].expression, chosen[i].background)]
        score = scorer.compare(seen[i], *parts)  # type: ignore[arg-type]
        found["expression"][i], found["pose"][i] = score["expression_distance"], score["pose"]
    people = [triple.identity.person for triple in chosen]
    for judge in ("dlib", *networks):
        if judge == "dlib":
            gallery = [looks[triple.identity.name].identity for triple in chosen]
            results = [seen[i].identity for i in there]  # type: ignore[union-attr]
        else:
            ask = networks[judge]
            gallery = [ask(t.identity.image, looks[t.identity.name].face).numpy() for t in chosen]
            results = [ask(images[i], seen[i].face).numpy() for i in there]  # type: ignore[arg-type,union-attr]
        found[judge] = np.zeros(len(chosen))
        place = ranks(np.stack(results), np.stack(gallery), [people[i] for i in there], people, "euclidean")
        found[judge][there] = place == 1
    found["mse"] = reconstruction(pipe, chosen, 6, None)
    return found


def rows_of(scores: dict[str, dict[str, FloatArray]], judges: tuple[str, ...]) -> list[Row]:
    """The paper's columns with its numbers beside, then who is found by whom."""
    rows = []
    full = scores[FULL.name]
    for place, (column, spec) in enumerate(COLUMNS.items()):
        for variant in VARIANTS:
            values = scores[variant.name][column]
            paper = PAPER.get(variant.name)
            rows.append(
                line(f"{column}: {variant.name}", values, full[column], spec, variant, paper and paper[place])
            )
    for judge in judges:
        for variant in VARIANTS:
            mark = "*" if judge in variant.told else ""
            values = scores[variant.name][judge]
            rows.append(
                line(f"{judge} finds{mark}: {variant.name}", values, full[judge], ".1%", variant, None)
            )
    return rows


def line(
    what: str, values: FloatArray, full: FloatArray, spec: str, variant: Variant, paper: float | None
) -> Row:
    difference = full - values
    return Row(
        what,
        statistics.mean(values[~np.isnan(values)]),
        spec=spec,
        baselines={}
        if variant is FULL
        else {"three minus it": statistics.mean(difference[~np.isnan(difference)])},
        note="" if paper is None else f"{paper:{spec}} in the paper",
    )


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("arcface", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--backbone", default="mini", help="where every variant starts")
    parser.add_argument("--n", type=int, default=100, help="triples")
    parser.add_argument("--train-steps", type=int, default=100)
    parser.add_argument("--fit-steps", type=int, default=600, help="of the projections")
    parser.add_argument("--judged", type=int, default=4, help="samples of a step that L_id and L_exp see")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, default=Path("runs/sfsr_recognisers"))
    given = parser.parse_args()
    encoders: list[FaceEncoder] = [ArcFaceIdentity(given.arcface)]
    encoders += [GraphRecogniser(name, given.models) for name in KINDS]
    networks = {encoder.name: Remembering(encoder, given.out / "said") for encoder in encoders}
    exports = {variant: make(variant, networks, given) for variant in VARIANTS}
    scorer = load_scorer("mediapipe", "dlib")
    chosen = triples(given.n, lambda image: bool(scorer.analyse(image)))
    looks = look_at(scorer, chosen)
    scores: dict[str, dict[str, FloatArray]] = {}
    for variant, export in exports.items():
        kept = given.out / "scores" / f"{variant.name}.json"
        if not kept.is_file():
            backbone = load_backbone(str(export), device="cpu")
            told = [networks[name] for name in variant.told]
            who = JoinedIdentity(compound(told)) if told else None
            pipe = RefacePipeline(backbone, backbone.load_adapter(), identity_encoder=who)
            found = evaluate(pipe, scorer, networks, chosen, looks)
            text = {name: [None if np.isnan(v) else v for v in values] for name, values in found.items()}
            kept.parent.mkdir(exist_ok=True)
            write_text(kept, json.dumps(text) + "\n")
            for network in networks.values():
                network.save()
        scores[variant.name] = {k: np.array(v, float) for k, v in json.loads(kept.read_text()).items()}
    title = f"DiffSFSR, Table 4 with independent networks: {given.n} triples, {given.train_steps} steps each"
    samples = {
        arm: {name: values.tolist() for name, values in found.items()} for arm, found in scores.items()
    }
    details = {"settings": {key: str(value) for key, value in vars(given).items()}, "samples": samples}
    publish(given.out, "sfsr_recognisers", title, rows_of(scores, tuple(networks)), details)


if __name__ == "__main__":
    run(main)
