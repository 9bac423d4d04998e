"""ICA, ID-enhanced Contrast Alignment, EmojiDiff's fine-tuning: the noise error and two losses on pictures.

ε is predicted with expression control and without it (λ_exp = 0, no gradient); both pictures are reconstructed by one
call each with Adaptive Noise Inversion (EmojiDiff Eq. 8) and decoded; then
L = L_diffusion + 0.08 L_id + 10 L_exp (`diffusion.losses.contrast_alignment`): the person must be who they would be
without control, the expression the target's. What φ and the expression numbers are: `training.judge`. lr 5e-6.

Another estimator of `diffusion.x0` may stand in for ANI, which is how the papers' comparison is made.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from mien.data.pairs import TRIPLES
from mien.diffusion.losses import contrast_alignment
from mien.diffusion.x0 import ESTIMATORS, R_TMAX, Estimator, adaptive_noise_inversion
from mien.errors import InputError, choice
from mien.training.adapter import EVERYTHING, PAPER_LOOP, share_of
from mien.training.examples import DataConfig
from mien.training.judge import FaceJudge, canonical
from mien.training.stages.base import BaseStage


class IcaStage(BaseStage):
    """See the module.

    Args:
        backbone, encoders, shared: as `BaseStage`'s. A `data.root` that holds IDI's triples is read as those
            (the paper's); any other folder as same-identity ones.
        w_id, w_exp: of the loss. r_tmax: above it f(t) of EmojiDiff Eq. 8 is constant.
        estimator: name in `diffusion.x0.ESTIMATORS`.
        person: whom L_id asks for: "without", who is drawn without expression control (the paper's contrast), or
            "source", the picture the identity is from (DiffSFSR Eq. 5), which needs no prediction without control.
        judged: at most so many samples of a step are reconstructed and judged, for decoders that need much memory;
            None: all of which nothing was dropped.
    """

    LOOP = {**PAPER_LOOP, "lr": 5e-6}

    def __init__(
        self,
        backbone: str,
        data: dict[str, Any],
        encoders: str | None = None,
        w_id: float = 0.08,
        w_exp: float = 10.0,
        r_tmax: int = R_TMAX,
        estimator: str = "ani",
        person: str = "without",
        judged: int | None = None,
        **shared: Any,
    ) -> None:
        choice(estimator, ESTIMATORS, "estimator")
        choice(person, ("without", "source"), "person")
        if judged is not None and judged < 1:
            raise InputError(f"judged must be at least 1, not {judged}: leave it out to judge all")
        self.another = all((root / TRIPLES).is_file() for root in DataConfig.read(data).roots)
        self.person_target = person == "source"
        super().__init__(backbone, data, encoders=encoders, **shared)
        self.judge = FaceJudge(encoders, self.backbone.device)
        self.w_id, self.w_exp, self.judged, self.person = w_id, w_exp, judged, person
        self.estimate: Estimator = ESTIMATORS[estimator]
        if estimator == "ani":
            self.estimate = partial(adaptive_noise_inversion, r_tmax=r_tmax)

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        noised = self.noised(batch, rng)
        predicted = self.predict(noised)
        diffusion = self.error(predicted, noised)
        whole = torch.nonzero(noised.mode == EVERYTHING)[:, 0]
        if len(whole) == 0:  # every sample lost a condition: there is nothing to contrast
            return diffusion, {"loss": diffusion.item()}
        share = share_of(len(whole), len(noised.z), 1 - float(self.drop[-1]))
        chosen = whole[: self.judged]
        part = noised.of(chosen)
        given = {name: value[chosen.to(value.device)].to(chosen.device) for name, value in batch.items()}

        def crops(eps: Tensor, expression_scale: float) -> Tensor:
            """Canonical crops [k, 3, 128, 128] of x̂0 with (1) or without (0) expression control."""
            predict = self.predictor(part, expression_scale)
            z0 = part.estimated(self.estimate, predict, self.schedule, rng, eps)
            return canonical(self.backbone.decode(z0), given.get("face_matrix"))

        if self.person == "source":
            face = given["person_target"]
        else:
            with torch.no_grad():
                face = self.judge.identity(crops(self.predict(part, 0.0), 0.0))
        made = crops(predicted[chosen], 1.0)
        does, wanted = self.judge.expression(made), given["expression_target"]
        weights = self.w_id * share, self.w_exp * share
        found = contrast_alignment(diffusion, self.judge.identity(made), face, does, wanted, *weights)
        logs = {"loss": found.total, "diffusion": diffusion, "id": found.identity, "exp": found.expression}
        return found.total, {key: value.item() for key, value in logs.items()}
