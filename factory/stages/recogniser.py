"""Distils the embedded recogniser from dlib's embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from factory.faces.dataset import load_faces, split_rows
from factory.training.augment import colour_jitter, similarity_matrices, warp_pixels
from factory.training.networks import save_network
from factory.training.verification import verification_accuracy
from mien.encoders.identity import Recogniser
from mien.encoders.standardise import standardise
from mien.face.align import CROP_SIZE
from mien.face.network import read_network
from mien.pixels import to_pixels


class RecogniserStage:
    """Squared error to the teacher's standardised embedding, plus telling the batch's people apart by it: a softmax
    over the cosines between each student's embedding and every teacher's in the batch (van den Oord et al. 2018,
    Eq. 4).

    Args:
        weights: prepared set → how often it is drawn, relative.
        contrast: weight of the second term. temperature: of its softmax.
        init: weights to start from, a file made by `export`; its own sizes then count.
    """

    def __init__(
        self,
        weights: dict[str, float],
        contrast: float = 0.5,
        temperature: float = 0.08,
        blocks: tuple[int, ...] = (0, 1, 2, 3),
        init: str | None = None,
    ) -> None:
        self.sets = [load_faces(source) for source in weights]
        known = [np.isfinite(faces.embedding[:, 0]) for faces in self.sets]
        self.rows = [
            rows[has[rows]]
            for rows, has in ((split_rows(f, False), k) for f, k in zip(self.sets, known, strict=True))
        ]
        self.targets = [
            standardise(torch.from_numpy(np.nan_to_num(faces.embedding.astype(np.float32))), "identity")
            for faces in self.sets
        ]
        self.weights = torch.tensor([float(w) for w in weights.values()])
        self.contrast, self.temperature = contrast, temperature
        torch.manual_seed(0)
        if init is None:
            self.model = Recogniser(blocks=tuple(blocks))
        else:
            config, tensors = read_network(Path(init))
            self.model = Recogniser(**config)
            self.model.load_state_dict(tensors)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def modules(self) -> dict[str, nn.Module]:
        return {"recogniser": self.model}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        sets = torch.multinomial(self.weights, size, replacement=True, generator=rng).tolist()
        draws = torch.rand(size, generator=rng).tolist()
        which = [(s, int(self.rows[s][int(u * len(self.rows[s]))])) for s, u in zip(sets, draws, strict=True)]
        x = to_pixels(np.stack([self.sets[s].crops[i] for s, i in which]))
        flip = torch.rand(size, generator=rng) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
        x = warp_pixels(x, similarity_matrices(size, CROP_SIZE, 4, 0.05, 0.02, rng))
        return {"x": colour_jitter(x, rng), "target": torch.stack([self.targets[s][i] for s, i in which])}

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        self.model.train()
        embedding = self.model(batch["x"].contiguous(memory_format=torch.channels_last))
        target = batch["target"]
        error = F.mse_loss(embedding, target)
        cosines = F.normalize(embedding, dim=1) @ F.normalize(target, dim=1).T
        contrast = F.cross_entropy(
            cosines / self.temperature, torch.arange(len(target), device=target.device)
        )
        loss = error + self.contrast * contrast
        return loss, {"loss": loss.item(), "error": error.item(), "contrast": contrast.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Error to the teacher, and verification accuracy on held-out people with several pictures."""
        self.model.eval()
        numbers: dict[str, float] = {}
        for s, faces in enumerate(self.sets[:2]):
            held = split_rows(faces, held_out=True)[:800]
            x = to_pixels(faces.crops[held])
            device = next(self.model.parameters()).device
            embedding = torch.cat([self.model(part.to(device)).float().cpu() for part in x.split(64)])
            numbers[f"{faces.source}_error"] = float(F.mse_loss(embedding, self.targets[s][held]))
            people = faces.person[held]
            if len(set(people.tolist())) < len(people):
                numbers[f"{faces.source}_verification"] = verification(embedding, people)
        return numbers, None

    def export(self, folder: Path) -> None:
        save_network(self.model, folder / "recogniser.safetensors", self.model.config)


def verification(embedding: Tensor, people: np.ndarray) -> float:
    """LFW's accuracy on every same-person pair and as many random others, by cosine of embeddings [n, 128]."""
    unit = F.normalize(embedding.float(), dim=1).numpy()
    first, second = np.triu_indices(len(people), 1)
    distance, same = 1 - (unit @ unit.T)[first, second], people[first] == people[second]
    others = np.random.default_rng(0).choice(np.flatnonzero(~same), size=int(same.sum()), replace=False)
    chosen = np.concatenate([np.flatnonzero(same), others])
    return verification_accuracy(distance[chosen], same[chosen])[0]
