"""DiffSFSR's claims: Tables 1, 3 and 4, Figure 10, and what improved midpoint costs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.laboratory import pictures
from benchmarks.laboratory.claims import Cell, Claim, Result, Samples
from benchmarks.laboratory.experiments import (
    Chart,
    Experiment,
    Line,
    Pictures,
    Table,
    measured,
    read_log,
    read_samples,
)

TASKS = ("swap all", "swap ID", "swap expression")
TABLE_1 = {  # CelebA-HQ: ID (retrieval), Exp (distance of embeddings), Pose
    "swap all": ("90.2%", "0.55", "6.00"),
    "swap ID": ("90.8%", "0.32", "2.59"),
    "swap expression": ("99.9%", "0.58", None),
    "SimSwap + StyleHEAT": ("76.9%", "2.24", "7.07"),
}
NO_LOSSES, FULL = "no ID & Exp losses", "full"
TABLE_3 = {  # ID, Exp
    NO_LOSSES: (0.675, 0.71),
    "one-step": (0.831, 0.62),
    "midpoint": (0.740, 0.70),
    FULL: (0.870, 0.63),
}
TABLE_4 = {  # ID, Exp, Pose, MSE
    "no background": (0.815, 0.66, 8.97, 51.40),
    "one recogniser": (0.379, 0.56, 7.90, 52.98),
    "two recognisers": (0.749, 0.63, 7.54, 52.09),
    FULL: (0.870, 0.63, 7.36, 51.23),
}
IMPROVED = "improved-midpoint"
ESTIMATORS = ("one-step", "midpoint", "improved-midpoint, mean", IMPROVED)


def _task(task: str, what: str, column: str = "") -> Cell:
    return Cell(f"{task}: {what}", column)


RIGHT, EMBEDDED, POSE = "nearest identity is right", "Exp, distance of embeddings", "pose, degrees"


def task_claims(result: Result | None) -> list[Claim]:
    claims = [
        Claim(
            "Identity survives a change of expression better than a change of everything",
            "Table 1",
            _task("swap expression", RIGHT), ">", _task("swap all", RIGHT), paper=(0.999, 0.902),
        ),
        Claim(
            "The expression is nearer where it is the background's own",
            "Table 1",
            _task("swap ID", EMBEDDED), "<", _task("swap all", EMBEDDED), paper=(0.32, 0.55),
        ),
        Claim(
            "So is the pose",
            "Table 1",
            _task("swap ID", POSE), "<", _task("swap all", POSE), paper=(2.59, 6.00),
        ),
    ]  # fmt: skip
    for task in TASKS[:2]:
        claims.append(
            Claim(
                f"{task}: the new person is recognised more often than in the photo as it is",
                "Table 1",
                _task(task, RIGHT),
                ">",
                _task(task, RIGHT, "photo as it is"),
            )
        )
    return claims


def task_tables(result: Result) -> list[Table]:
    lines = [
        Line(task, tuple(_task(task, what) for what in (RIGHT, EMBEDDED, POSE)), TABLE_1[task])
        for task in TASKS
    ]
    other = "SimSwap + StyleHEAT"
    lines.append(Line(f"{other}, swap all", (None,) * 3, TABLE_1[other]))
    for task in TASKS:
        cells = tuple(_task(task, what, "photo as it is") for what in (RIGHT, EMBEDDED, POSE))
        lines.append(Line(f"the photo as it is, {task}", cells, (None,) * 3))
    title = "Table 1 (CelebA-HQ; other people and judges: not comparable)"
    return [Table(title, ("ID ↑", "Exp ↓", "pose ↓"), tuple(lines))]


def task_pictures(folder: Path) -> Pictures:
    return [
        strip
        for task in TASKS
        for strip in pictures.quads(folder / f"reface_{task.replace(' ', '_')}.png", task, range(4))
    ]


def _slug(variant: str) -> str:
    """A variant's folder, as `sfsr_tables` names it."""
    return variant.replace(" ", "_").replace("&", "and")


def _variant(variant: str, measure: str) -> Cell:
    return Cell(f"{measure}: {variant}", sample=(variant, measure))


def _of(measure: str, words: str, left: str, relation: str, right: str, table: int) -> Claim:
    """left's measure against right's, with the paper's numbers where it is a column of its table."""
    numbers: dict[str, tuple[float, ...]] = {**TABLE_3} if table == 3 else {**TABLE_4}
    place = {"ID": 0, "expression_distance": 1, "pose": 2, "mse": 3}[measure]
    paper = (numbers[left][place], numbers[right][place])
    a, b = _variant(left, measure), _variant(right, measure)
    return Claim(words, f"Table {table}", a, relation, b, paper=paper)  # type: ignore[arg-type]


def loss_claims(result: Result | None) -> list[Claim]:
    words = "Identity is retrieved more often with improved midpoint than with"
    return [
        *[
            _of("ID", f"{words} {'neither loss' if other == NO_LOSSES else other}", FULL, ">", other, 3)
            for other in (NO_LOSSES, "one-step", "midpoint")
        ],
        _of("expression_distance", "The losses bring the expression nearer", FULL, "<", NO_LOSSES, 3),
        _of("ID", "One-step serves identity better than midpoint", "one-step", ">", "midpoint", 3),
    ]


def part_claims(result: Result | None) -> list[Claim]:
    return [
        _of("ID", "Three recognisers hold identity better than one", FULL, ">", "one recogniser", 4),
        _of("ID", "… and than two", FULL, ">", "two recognisers", 4),
        _of("ID", "Two hold it better than one", "two recognisers", ">", "one recogniser", 4),
        _of(
            "expression_distance",
            "One recogniser leaves the expression nearer",
            "one recogniser",
            "<",
            FULL,
            4,
        ),
        _of("pose", "Seeing the background keeps the pose", FULL, "<", "no background", 4),
        _of("mse", "… and reconstructs better", FULL, "<", "no background", 4),
    ]


def _ablation(title: str, numbers: dict[str, tuple[float, ...]], extra: bool) -> Table:
    measures = (
        ("ID", "expression_distance", "exp", "pose", "mse") if extra else ("ID", "expression_distance", "exp")
    )
    columns = {
        "ID": "ID ↑",
        "exp": "blendshapes ↓",
        "expression_distance": "Exp ↓",
        "pose": "pose ↓",
        "mse": "MSE ↓",
    }
    lines = []
    for variant, paper in numbers.items():
        told: list[str | None] = [
            f"{paper[0]:.1%}",
            f"{paper[1]:.2f}",
            None,
            *(f"{v:.2f}" for v in paper[2:]),
        ]
        cells = tuple(_variant(variant, measure) for measure in measures)
        lines.append(Line(variant, cells, tuple(told)))
    return Table(title, tuple(columns[measure] for measure in measures), tuple(lines))


def _variant_samples(names: Sequence[str], folder: Path) -> Samples:
    return {name: read_samples(folder / "models" / _slug(name) / "scores.json") for name in names}


def _variant_charts(names: Sequence[str], folder: Path) -> list[Chart]:
    logs = {name: folder / "models" / _slug(name) / "log.csv" for name in names}
    charts = []
    for key, axis in (("noise", "noise error (L_DM)"), ("loss", "training loss")):
        curves = [read_log(path, name, key) for name, path in logs.items()]
        charts.append(Chart(curves, "step", axis))
    return charts


def curve_stages(result: Result | None) -> list[str]:
    """The stages of training that were measured, in order; the shipped model before anything was."""
    if result is None:
        return ["mini"]
    found = (re.fullmatch(rf"(.+), all t: MSE by {IMPROVED}", row) for row in result.rows)
    return [match.group(1) for match in found if match]


def _error(stage: str, time: str, estimator: str) -> Cell:
    column = "" if estimator == IMPROVED else estimator
    return Cell(f"{stage}, {time}: MSE by {IMPROVED}", column, (f"{stage}, {time}", estimator))


def curve_claims(result: Result | None) -> list[Claim]:
    return [
        Claim(
            f"Improved midpoint reconstructs better than {other} ({stage}, mean over t)",
            "Fig. 10: lowest at every stage of training",
            _error(stage, "all t", IMPROVED), "<", _error(stage, "all t", other),
        )
        for stage in curve_stages(result)
        for other in ("one-step", "midpoint")
    ]  # fmt: skip


def curve_tables(result: Result) -> list[Table]:
    lines = [
        Line(stage, tuple(_error(stage, "all t", name) for name in ESTIMATORS), (None,) * len(ESTIMATORS))
        for stage in curve_stages(result)
    ]
    columns = tuple(f"{name} ↓" for name in ESTIMATORS)
    return [Table("Mean squared error over all t, grey levels²", columns, tuple(lines))]


def curve_charts(result: Result, folder: Path) -> list[Chart]:
    times = result.details.get("times", [])
    charts = []
    for stage in curve_stages(result):
        curves = []
        for name in ESTIMATORS:
            numbers = [result.number(_error(stage, f"t = {t}", name)) for t in times]
            curves.append(measured(name, times, numbers))
        charts.append(Chart(curves, "t", f"MSE, {stage}", log=True))
    return charts


def walk_claims(result: Result | None) -> list[Claim]:
    return [
        Claim(
            "The walk from t to t/2 needs no loop: one draw has the same mean …",
            "Eq. 2 (ours: the steps compose to one Gaussian)",
            Cell("largest difference of the means, float64"), "<", 1e-9,
        ),
        Claim("… and is at least 50 times faster", "the project's own aim", Cell("loop ÷ closed form"), ">", 50.0),
    ]  # fmt: skip


def walk_tables(result: Result) -> list[Table]:
    lines = [Line(row, (Cell(row),), (None,)) for row in result.rows]
    return [Table("The paper's loop against the closed form", ("ours",), tuple(lines))]


SCALE = (
    "From the shipped model, some hundred steps each instead of 200,000, the losses' weights larger for that reason. "
    "Of the recognisers one is a network, the other two are Fisherfaces. Retrieval is judged by dlib."
)
EXPERIMENTS: Sequence[Experiment] = (
    Experiment(
        name="swaps",
        title="Swap all, swap ID, swap expression",
        paper="DiffSFSR, Table 1",
        question="Does one model change the face, the expression, or both, and leave the rest?",
        script="reface", folder="bench", result="reface.json", minutes=25,
        claims=task_claims, tables=task_tables, pictures=task_pictures,
        differs="128 pixels instead of 512; held-out UTKFace and LFW people; MediaPipe and dlib judge.",
    ),
    Experiment(
        name="losses",
        title="Identity and expression losses, and where x0 comes from",
        paper="DiffSFSR, Table 3",
        question="Do L_id and L_exp pay, and does improved midpoint serve them best?",
        script="sfsr_tables", folder="sfsr_tables", result="sfsr_table_3.json", minutes=70,
        claims=loss_claims, tables=lambda result: [_ablation("Table 3", {**TABLE_3}, False)],
        charts=lambda result, folder: _variant_charts(list(TABLE_3), folder),
        samples=lambda folder: _variant_samples(list(TABLE_3), folder),
        differs=SCALE,
    ),
    Experiment(
        name="parts",
        title="Background and compound identity",
        paper="DiffSFSR, Table 4",
        question="What do the background and each further recogniser bring?",
        script="sfsr_tables", folder="sfsr_tables", result="sfsr_table_4.json", minutes=1,  # after `losses`
        claims=part_claims, tables=lambda result: [_ablation("Table 4", {**TABLE_4}, True)],
        charts=lambda result, folder: _variant_charts(list(TABLE_4), folder),
        samples=lambda folder: _variant_samples(list(TABLE_4), folder),
        differs=SCALE,
    ),
    Experiment(
        name="x0-curve",
        title="How well x0 is estimated inside a training step",
        paper="DiffSFSR, Figure 10",
        question="Has improved midpoint the lowest reconstruction error of the three?",
        script="x0_curve", folder="bench", result="x0_curve.json", minutes=15,
        arguments="src/mien/weights/mini",
        claims=curve_claims, tables=curve_tables, charts=curve_charts,
        differs="The shipped model in place of stages of training. The posterior's mean is shown beside its samples.",
    ),
    Experiment(
        name="x0-cost",
        title="What improved midpoint's walk costs",
        paper="DiffSFSR, Eq. 2",
        question="Is the walk of up to 500 posterior steps one draw?",
        script="x0_cost", folder="bench", result="x0_cost.json", minutes=1, quick="--rounds 1",
        claims=walk_claims, tables=walk_tables,
    ),
)  # fmt: skip
