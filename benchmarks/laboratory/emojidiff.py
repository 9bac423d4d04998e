"""EmojiDiff's claims: its controllers, its two training stages and their loss, its table of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.laboratory import pictures
from benchmarks.laboratory.chart import Curve
from benchmarks.laboratory.claims import Cell, Claim, Result
from benchmarks.laboratory.experiments import Chart, Experiment, Line, Pictures, Table, measured, read_log
from mien.metrics.statistics import Interval

CONTROLLERS = {
    "self_attention": "(a) self-attention",
    "controlnet": "(b) ControlNet",
    "serial": "(c) serial",
    "parallel": "(d) parallel, the method",
}
ARMS = {
    "base": "Base E-Adapter",
    "refined": "Refined (IDI)",
    "ica": "Refined + ICA with ANI",
    "one_step": "Refined + ICA with one-step",
}
MEASURES = {"id": "ID ↑", "exp": "Exp ↓", "lms": "LMS ↓", "leak": "leak ↓"}
TABLE_1 = {  # supplement, Table 1: ID, Exp, LMS
    "DaGAN": ("0.202", "0.135", "0.569"),
    "Follow-Your-Emoji": ("0.243", "0.125", "0.428"),
    "AvatarArtist": ("0.239", "0.110", "0.454"),
    "SkyReels-A1": ("0.277", "0.104", "0.387"),
    "EmojiDiff": ("0.304", "0.095", "0.359"),
}
KNOBS = {"guidance": (1.0, 1.5, 2.5, 4.0), "expression_scale": (0.0, 0.5, 1.0, 1.5)}  # of `tradeoff`
NAMES = {"guidance": "guidance", "expression_scale": "λ_exp"}
STEPS = (100, 300, 500, 700, 900, 999)  # of the story's reconstructions
R_TMAX = 600


def _controller(name: str, measure: str) -> Cell:
    return Cell(measure, "" if name == "parallel" else name, (name, measure))


def controller_claims(result: Result | None) -> list[Claim]:
    claims = []
    for name, label in list(CONTROLLERS.items())[:-1]:
        for measure, relation, words in (
            ("exp", "<", "shows the reference's expression better than"),
            ("id", ">", "keeps the identity better than"),
        ):
            claims.append(
                Claim(
                    f"Parallel cross-attention {words} {label}",
                    "supplement A.2, Fig. 1: (d) is the method",
                    _controller("parallel", measure),
                    relation,  # type: ignore[arg-type]
                    _controller(name, measure),
                )
            )
    return claims


def controller_tables(result: Result) -> list[Table]:
    extra = ("held-out noise error", "CPU seconds a training step")
    lines = []
    for name, label in CONTROLLERS.items():
        column = "" if name == "parallel" else name
        cells = [_controller(name, measure) for measure in MEASURES]
        cells += [Cell(row, column) for row in extra]
        lines.append(Line(label, tuple(cells), (None,) * len(cells)))
    untouched = tuple(_controller("no control", measure) for measure in MEASURES)
    lines.append(Line("the identity's photo itself", (*untouched, None, None), (None,) * 6))
    columns = (*MEASURES.values(), "noise error ↓", "CPU s a step ↓")
    return [Table("Four controllers, trained alike", columns, tuple(lines))]


def controller_charts(result: Result, folder: Path) -> list[Chart]:
    logs = [
        read_log(folder / "train" / name / "log.csv", label, "loss") for name, label in CONTROLLERS.items()
    ]
    points = [
        _point(label, result.number(_controller(name, "exp")), result.number(_controller(name, "id")))
        for name, label in CONTROLLERS.items()
    ]
    return [Chart(points, "Exp ↓", "ID ↑ against Exp"), Chart(logs, "step", "training loss")]


def _point(name: str, x: Interval, y: Interval) -> Curve:
    """A lozenge as wide and as high as both intervals; empty where nothing was measured."""
    if x.value != x.value or y.value != y.value:
        return Curve(name, [], [])
    at = y.value
    return Curve(name, [x.low, x.value, x.high], [at] * 3, [at, y.low, at], [at, y.high, at])


def story_claims(result: Result | None) -> list[Claim]:
    claims = [
        Claim(
            "Trained on IDI's pairs, the adapter carries less of the reference's identity over",
            "abstract: disentangles expression from identity",
            Cell("leak, refined ÷ base"), "<", 1.0,
        ),
        Claim(
            "… by a third at least",
            "the project's own aim",
            Cell("leak, refined ÷ base"), "<", 2 / 3,
        ),
        Claim(
            "ICA raises identity",
            "abstract: aligns identity with and without expression control",
            Cell("ID, ica ÷ refined"), ">", 1.0,
        ),
        Claim(
            "ICA keeps the expression: Exp grows by less than 2%",
            "abstract: precise expression control",
            Cell("Exp, ica ÷ refined"), "<", 1.02,
        ),
        Claim(
            "ICA with ANI keeps identity better than with plain one-step",
            "supplement B",
            Cell("ID, ica with ANI ÷ with one-step"), ">", 1.0,
        ),
    ]  # fmt: skip
    for t in (t for t in STEPS if t > R_TMAX):
        row = f"reconstruction error at t = {t}"
        words = f"ANI reconstructs better than one-step at t = {t} (> R_tmax)"
        claims.append(Claim(words, "supplement B, Eq. 8", Cell(row), "<", Cell(row, "one_step")))
    return claims


def _arm(arm: str, measure: str, group: str) -> Cell:
    return Cell(f"{measure}, {group}", "" if arm == "ica" else arm)


def story_tables(result: Result) -> list[Table]:
    tables = []
    for group in ("photographs", "renders"):
        lines = [
            Line(label, tuple(_arm(arm, measure, group) for measure in MEASURES), (None,) * 4)
            for arm, label in ARMS.items()
        ]
        untouched = tuple(_arm("no_control", measure, group) for measure in MEASURES)
        lines.append(Line("the identity's photo itself", untouched, (None,) * 4))
        tables.append(Table(f"References are {group}", tuple(MEASURES.values()), tuple(lines)))
    return tables


def story_charts(result: Result, folder: Path) -> list[Chart]:
    errors = []
    for column, label in (("one_step", "one-step (Eq. 6)"), ("", "ANI (Eq. 8)")):
        numbers = [result.number(Cell(f"reconstruction error at t = {t}", column)) for t in STEPS]
        errors.append(measured(label, STEPS, numbers))
    logs = [read_log(folder / "train" / arm / "log.csv", label, "loss") for arm, label in ARMS.items()]
    points = [
        _point(label, result.number(_arm(arm, "exp", "renders")), result.number(_arm(arm, "id", "renders")))
        for arm, label in ARMS.items()
    ]
    return [
        Chart(errors, "t", "reconstruction error, grey levels²", log=True),
        Chart(points, "Exp ↓", "ID ↑ against Exp, renders"),
        Chart(logs, "step", "training loss"),
    ]


def story_pictures(folder: Path) -> Pictures:
    return pictures.arms(
        folder, {"base": "base", "refined": "refined", "ica": "ICA", "one_step": "one-step"}, range(8)
    )


def cost_claims(result: Result | None) -> list[Claim]:
    return [
        Claim(
            "A training step with ANI costs less than one with pictures sampled in 50 steps",
            "abstract: rapid reconstruction",
            Cell("ICA, ANI: ms"), "<", Cell("ICA, 50-step sampling: ms"),
        )
    ]  # fmt: skip


def cost_tables(result: Result) -> list[Table]:
    names = ("plain training step", "ICA, ANI", "ICA, improved midpoint", "ICA, 50-step sampling")
    parts = ("ms", "÷ plain training step", "÷ ICA, ANI")
    lines = [Line(name, tuple(Cell(f"{name}: {part}") for part in parts), (None,) * 3) for name in names]
    return [Table("One training step, forward and backward", ("ms ↓", *parts[1:]), tuple(lines))]


def portrait_claims(result: Result | None) -> list[Claim]:
    source = "abstract: precise expression control with highly maintained identity"
    claims = [
        Claim(
            f"{name}: nearer to the reference than without control, {label}",
            source, Cell(f"{name} against no control, {label}"), "<", 1.0,
        )
        for name in ("Exp", "LMS")
        for label in ("(a) photographs", "(b) renders")
    ]  # fmt: skip
    nearer = "nearer to the identity than to the reference's person"
    claims.append(Claim(f"Results are {nearer}", source, Cell(nearer), ">", 0.5))
    return claims


def portrait_tables(result: Result) -> list[Table]:
    columns = ("ID ↑", "Exp ↓", "LMS ↓")
    lines = [Line(name, (None,) * 3, numbers) for name, numbers in TABLE_1.items()]
    for key, group in (("a", "photographs"), ("b", "renders")):
        for column, label in (("", "mien"), ("no control", "the identity's photo itself")):
            cells = tuple(Cell(f"mean {name} ({key})", column) for name in ("id", "exp", "lms"))
            lines.append(Line(f"{label}, references are {group}", cells, (None,) * 3))
    return [
        Table(
            "Supplement, Table 1 (other people, pictures and recogniser: not comparable)",
            columns,
            tuple(lines),
        )
    ]


def portrait_pictures(folder: Path) -> Pictures:
    found = []
    for key, label in (("a", "photograph"), ("b", "render")):
        strips = pictures.arms(folder, {key: "result"}, range(6))
        found += [(f"{label} {name}", picture) for name, picture in strips]
    return found


def _setting(knob: str, value: float, measure: str) -> Cell:
    name = f"{knob} = {value:g}"
    return Cell(f"{measure}, {name}", sample=(name, measure))


def tradeoff_claims(result: Result | None) -> list[Claim]:
    source = "supplement A.1: λ_exp = 1"
    knob = "expression_scale"
    return [
        Claim(
            f"The expression is nearer with λ_exp = 1 than with {value:g}",
            source, _setting(knob, 1.0, "exp"), "<", _setting(knob, value, "exp"),
        )
        for value in (0.0, 0.5, 1.5)
    ] + [
        Claim(
            "λ_exp = 1 keeps at least 90% of the identity that is there without expression control",
            "abstract: high identity preservation; the 90% is ours",
            _setting(knob, 1.0, "id"), ">", _setting(knob, 0.0, "id"), factor=0.9,
        )
    ]  # fmt: skip


def tradeoff_tables(result: Result) -> list[Table]:
    lines = [
        Line(f"{NAMES[knob]} {value:g}", tuple(_setting(knob, value, m) for m in MEASURES), (None,) * 4)
        for knob, values in KNOBS.items()
        for value in values
    ]
    return [Table("Guidance and the expression's scale", tuple(MEASURES.values()), tuple(lines))]


def tradeoff_charts(result: Result, folder: Path) -> list[Chart]:
    charts = []
    across = []
    for knob, values in KNOBS.items():
        exp, identity = ([result.number(_setting(knob, v, m)) for v in values] for m in ("exp", "id"))
        across.append(
            measured(f"{NAMES[knob]} {', '.join(f'{v:g}' for v in values)}", [n.value for n in exp], identity)
        )
        charts.append(Chart([measured("Exp ↓", values, exp)], NAMES[knob], f"Exp over {NAMES[knob]}"))
    return [Chart(across, "Exp ↓", "ID ↑ against Exp"), *charts]


EXPERIMENTS: Sequence[Experiment] = (
    Experiment(
        name="portraits",
        title="Portraits of the shipped model",
        paper="EmojiDiff, supplement, Table 1",
        question="Does the portrait show the right person with the right expression?",
        script="portrait_benchmark", folder="bench", result="portrait_benchmark.json", minutes=10,
        claims=portrait_claims, tables=portrait_tables, pictures=portrait_pictures,
        differs="A model of 128 pixels, trained by us; held-out UTKFace and LFW people; dlib in ArcFace's place.",
    ),
    Experiment(
        name="controllers",
        title="How the expression enters",
        paper="EmojiDiff, supplement A.2 and Fig. 1",
        question="Is parallel cross-attention the best of the four controllers?",
        script="controllers", folder="controllers", result="controllers.json", minutes=7,
        claims=controller_claims, tables=controller_tables, charts=controller_charts,
        pictures=lambda folder: pictures.arms(folder, {name: name.replace("_", "-") for name in CONTROLLERS}, range(9)),
        differs=(
            "The paper's numbers (main body, 4.3) are not in our texts. A short training of each on the frozen mini "
            "base, which was itself trained together with a parallel controller. The expression is 57 numbers, where "
            "the paper has CLIP's embedding of the picture. Who follows the expression less keeps more of the "
            "identity: read both columns together."
        ),
    ),
    Experiment(
        name="story",
        title="Base, Refined, ICA",
        paper="EmojiDiff, 3.2 (IDI), 3.3 (ICA), supplement B (ANI)",
        question="Do IDI's pairs take the reference's identity out, and does ICA give the identity back?",
        script="emojidiff_story", folder="story", result="emojidiff_story.json", minutes=150,
        claims=story_claims, tables=story_tables, charts=story_charts, pictures=story_pictures,
        differs=(
            "Some hundred steps instead of the paper's training, on about a thousand triples instead of 100,000. The "
            "expression is 57 numbers, which hold little identity to begin with; CLIP's embedding holds much. Eq. 8 "
            "starts from the true z0, so that ANI's error is small at large t by construction."
        ),
    ),
    Experiment(
        name="tradeoff",
        title="What expression costs identity",
        paper="EmojiDiff, E-Adapter: λ_id = λ_exp = 1",
        question="Is the paper's scale of the expression a good place to be?",
        script="tradeoff", folder="tradeoff", result="tradeoff.json", minutes=5,
        claims=tradeoff_claims, tables=tradeoff_tables, charts=tradeoff_charts,
    ),
    Experiment(
        name="ica-cost",
        title="What ICA costs",
        paper="EmojiDiff, 3.3 and supplement B",
        question="Is one-step reconstruction with ANI cheaper than sampling the picture that the losses see?",
        script="ica_cost", folder="bench", result="ica_cost.json", minutes=2, quick="--rounds 1 --batch 2",
        claims=cost_claims, tables=cost_tables,
    ),
)  # fmt: skip
