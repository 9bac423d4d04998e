"""What every number is: which way is better, its range, unit and source."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as in tables and files. title: for people.
        better: which way is better; "neither" where zero is best or it depends on the task.
        low, high: the range of its values, inclusive.
        unit: of its values; "" has none.
        source: paper and equation, or "ours".
        meaning: one sentence.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "neither"]
    low: float
    high: float
    unit: str
    source: str
    meaning: str

    @property
    def arrow(self) -> str:
        """↑, ↓ or → (zero is best)."""
        return {"higher": "↑", "lower": "↓", "neither": "→0"}[self.better]


_COPY = "1: equal to the {source}'s; -1: equal to what was wanted, the {wanted}'s; 0: as far from both."

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "exp", "Exp", "lower", 0, 1, "", "EmojiDiff Eq. 1",
            "Mean absolute difference of the 52 blendshapes, result against expression reference.",
        ),
        Metric(
            "exp_sum", "Exp (sum)", "lower", 0, 52, "", "EmojiDiff Eq. 1, read literally",
            "The same difference summed over the 52 blendshapes.",
        ),
        Metric(
            "lms", "LMS", "lower", 0, inf, "", "EmojiDiff Eqs. 2-3",
            "Five ratios' absolute differences, summed: both eyes' opening and gaze, the mouth's opening.",
        ),
        Metric(
            "id", "ID", "higher", -1, 1, "cosine", "EmojiDiff supplement, Table 1",
            "Cosine of the recogniser's centred embeddings, result against identity.",
        ),
        Metric(
            "id_distance", "ID distance", "lower", 0, inf, "", "dlib",
            "Euclidean distance of the recogniser's embeddings, result against identity.",
        ),
        Metric(
            "same_person", "Same person", "higher", 0, 1, "share", "dlib",
            "Share of results whose ID distance is below the recogniser's threshold (dlib: 0.6, embedded: 0.478).",
        ),
        Metric(
            "nearer_identity", "Nearer to identity", "higher", 0, 1, "share", "ours",
            "Share of results whose embedding is nearer to the identity than to the reference's person.",
        ),
        Metric(
            "id_retrieval", "ID retrieval", "higher", 0, 1, "share", "DiffSFSR 4, Table 1",
            "Share of results whose nearest identity picture, among all of the run's, is their own.",
        ),
        Metric(
            "pose", "Pose", "lower", 0, 180 * 3**0.5, "degrees", "DiffSFSR 4, Table 1",
            "Euclidean distance of (yaw, pitch, roll), result against the picture that gives the pose.",
        ),
        Metric(
            "expression_distance", "Expression distance", "lower", 0, inf, "", "DiffSFSR 4, Table 1",
            "Euclidean distance of expression embeddings, result against expression reference.",
        ),
        Metric(
            "copy_expression", "Copied expression", "lower", -1, 1, "", "ours",
            "Of blendshapes: " + _COPY.format(source="identity picture", wanted="reference"),
        ),
        Metric(
            "copy_identity", "Copied identity", "lower", -1, 1, "", "ours",
            "Of identity embeddings: " + _COPY.format(source="reference", wanted="identity picture"),
        ),
        Metric(
            "copy_pose", "Copied pose", "neither", -1, 1, "", "ours",
            "Of the head's pose: " + _COPY.format(source="reference", wanted="identity picture"),
        ),
        Metric(
            "copy_appearance", "Copied appearance", "lower", -1, 1, "", "ours",
            "Of the coarse colours of the aligned face: "
            + _COPY.format(source="reference", wanted="identity picture"),
        ),
        Metric(
            "frechet", "Frechet distance", "lower", 0, inf, "", "Heusel et al. 2017 (FID), on the recogniser's numbers",
            "Of Gaussians fitted to the results' and to photographs' features: for equal numbers of pictures only.",
        ),
        Metric(
            "kid", "KID", "lower", -inf, inf, "", "Binkowski et al. 2018, on the recogniser's numbers",
            "Squared kernel distance of the results' features to photographs', unbiased: 0 for more of the same.",
        ),
        Metric(
            "gain", "Gain", "higher", -inf, 1, "", "ours",
            "How far the face's grey values went from the untouched photo's (0) to those of a real photograph (1).",
        ),
        Metric(
            "detail", "Detail", "neither", 0, inf, "of the photo's", "ours",
            "Mean absolute Laplacian of the aligned face against the photo's: best is 1, below is blurred.",
        ),
        Metric(
            "seam", "Seam", "lower", 0, 255, "grey levels", "ours",
            "Largest step along the border of what was changed, beyond the photo's own.",
        ),
        Metric(
            "colour", "Colour", "lower", 0, inf, "ΔE", "CIE 1976",
            "Distance of the skin's mean colour to the photo's in L*a*b*.",
        ),
    )
}  # fmt: skip
