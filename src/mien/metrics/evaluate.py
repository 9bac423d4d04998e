"""Judging pictures: every method on every row, and what the numbers look like without any method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.images import SUFFIXES, read_image
from mien.metrics import face as metrics
from mien.metrics import statistics
from mien.metrics.distribution import kid
from mien.metrics.pairs import COPY, ENCODERS, NO_CONTROL, EvaluationRow
from mien.metrics.photo import compared
from mien.metrics.registry import METRICS
from mien.metrics.retrieval import ranks
from mien.metrics.scoring import Observation, Scorer
from mien.metrics.statistics import Interval
from mien.metrics.words import words
from mien.provenance import read_provenance
from mien.types import FloatArray, InputError

OK, NO_RESULT, NO_FACE = "ok", "no result", "no face in the result"
UNREADABLE, BAD_INPUTS = "unreadable result", "unusable input"
PIXELS = ("detail", "seam", "colour")  # of a result against the photo that was changed
SCORES = (
    "exp", "exp_sum", "lms", "expression_distance", "id", "id_distance", "same_person", "nearer_identity",
    "id_retrieval", "pose", "copy_expression", "copy_identity", "copy_pose", "copy_appearance", *PIXELS,
)  # fmt: skip
RATIOS = ("exp", "lms")  # what reports also give against no control
Seen = Observation | str


@dataclass(frozen=True)
class Verdict:
    """One method on one row. `state` is `OK`, or says why there are no scores (then empty)."""

    row: EvaluationRow
    method: str
    state: str
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def picture(self) -> Path | None:
        """The picture that was judged."""
        if self.method == NO_CONTROL:
            return self.row.identity
        return self.row.expression if self.method == COPY else self.row.results[self.method]


@dataclass
class Evaluation:
    """All verdicts, and the identity score between pictures that no method made.

    Attributes:
        methods: names, in the order given; then the two `baselines`.
        same_person, other_person: [n] id cosines of an identity picture with another photograph of its person (empty
            without a column ``same_person``), and with other rows' identity and expression pictures.
        warnings: sentences for people. analyser, recogniser: who scored.
        kid: how far each method's results are, as a set, from the run's identity pictures (`distribution.kid`).
    """

    methods: list[str]
    verdicts: list[Verdict]
    same_person: FloatArray
    other_person: FloatArray
    warnings: list[str]
    analyser: str
    recogniser: str
    baselines: tuple[str, str] = (NO_CONTROL, COPY)
    kid: dict[str, Interval] = field(default_factory=dict)

    def of(self, method: str) -> list[Verdict]:
        """A method's verdicts, in the order of the rows."""
        return [verdict for verdict in self.verdicts if verdict.method == method]

    def values(self, method: str, metric: str) -> FloatArray:
        """[n] values over the rows where the method's result has a face. Shares are over all rows whose inputs can be
        used: a result without a face is a failure."""
        if METRICS[metric].unit == "share":
            return np.array([v.scores.get(metric, 0.0) for v in self.of(method) if v.state != BAD_INPUTS])
        return np.array([v.scores.get(metric, np.nan) for v in self.of(method) if v.state == OK])

    def said(self, method: str) -> str:
        """A method's means in everyday words (`mien.metrics.words`); "" where nothing of it can be told."""
        means: dict[str, float | None] = {
            name: statistics.mean(self.values(method, name)).value for name in ("id_distance", *PIXELS)
        }
        return words({**means, "exp_ratio": self.ratio(method, "exp").value}, self.recogniser)

    def counts(self, method: str) -> dict[str, int]:
        """How many rows came out how; `OK` and `NO_FACE` are always named."""
        states = [verdict.state for verdict in self.of(method)]
        return {state: states.count(state) for state in dict.fromkeys([OK, NO_FACE, *states])}

    def ratio(self, method: str, metric: str) -> Interval:
        """Mean over that of the untouched identity pictures, on the rows where the method's result has a face."""
        return statistics.ratio_of_means(*self._both(method, NO_CONTROL, metric))

    def difference(self, method: str, other: str, metric: str) -> tuple[Interval, int]:
        """Mean of method - other over the rows where both results have a face, and how many these are."""
        own, others = self._both(method, other, metric)
        return statistics.mean(own - others), len(own)

    def _both(self, method: str, other: str, metric: str) -> tuple[FloatArray, FloatArray]:
        """[n] of each, over the rows where both results have a face."""
        pairs = zip(self.of(method), self.of(other), strict=True)
        both = [(a.scores[metric], b.scores[metric]) for a, b in pairs if a.state == b.state == OK]
        found = np.array(both, float).reshape(-1, 2)
        return found[:, 0], found[:, 1]


def evaluate(
    rows: Sequence[EvaluationRow],
    scorer: Scorer,
    conditioned_by: Sequence[str] = (),
    progress: Callable[[], Any] = lambda: None,
    seen: Mapping[Path, Seen] | None = None,
) -> Evaluation:
    """Judge every method on every row. Raises `InputError`: no row can be used at all.

    Args:
        rows: from `pairs.read_csv` or `pairs.read_folder`.
        conditioned_by: names of the encoders that the methods were conditioned by, as far as known (pictures of this
            software say it themselves). Scoring by one of them draws a warning.
        progress: called once a row. seen: what the scorer sees in pictures that were looked at before (`look_at`).
    """
    looks = _Looks(scorer, seen or {})
    methods = [*rows[0].results, NO_CONTROL, COPY]
    verdicts: list[Verdict] = []
    results: dict[str, list[tuple[Verdict, Observation]]] = {method: [] for method in methods}
    gallery: dict[Path, Observation] = {}
    same: list[float] = []
    # {column of ENCODERS: {method: names}}
    conditioned = {column: {method: set(conditioned_by) for method in rows[0].results} for column in ENCODERS}
    for row in rows:
        identity, reference = looks(row.identity), looks(row.expression)
        background = looks(row.background) if row.background is not None else None
        if isinstance(identity, str) or isinstance(reference, str) or isinstance(background, str):
            why = [str(one) for one in (identity, reference, background) if isinstance(one, str)]
            if row.expression.suffix.lower() not in SUFFIXES:
                why.append("Words and blendshapes are not pictures: `mien generate --pairs` scores them.")
            looks.warnings.append(f"Row {row.number} is left out of every mean: {' '.join(why)}")
            verdicts += [Verdict(row, method, BAD_INPUTS) for method in methods]
            progress()
            continue
        gallery[row.identity] = identity
        if row.same_person is not None:
            other = looks(row.same_person)
            if isinstance(other, str):
                looks.warnings.append(f"Row {row.number}: no same-person baseline: {other}")
            else:
                same.append(float(metrics.id_similarity(identity.direction, other.direction)))
        for method in methods:
            verdict = Verdict(row, method, NO_RESULT)
            if (picture := verdict.picture) is not None:
                look = looks(picture)
                if isinstance(look, str):
                    verdict = Verdict(row, method, NO_FACE if look == _no_face(picture) else UNREADABLE)
                    if verdict.state == UNREADABLE:
                        looks.warnings.append(f"Row {row.number}, {method}: {look}")
                else:
                    scores = scorer.compare(look, identity, reference, background)
                    if method in row.results:
                        photo = (row.background, background) if background else (row.identity, identity)
                        scores |= _pixels((picture, look), photo)
                    verdict = Verdict(row, method, OK, scores)
                    results[method].append((verdict, look))
                if method in row.results:
                    for column, name in {**_conditioned_by(picture), **row.encoders}.items():
                        conditioned[column][method] |= _single(name)
            verdicts.append(verdict)
        progress()
    if not gallery:
        raise InputError(f"No row can be judged: {looks.warnings[0]}")
    for found in results.values():
        _add_retrieval(found, gallery)
    for column, role, name, flattered in (
        ("identity_encoder", "recogniser", scorer.recogniser, "flatters ID"),
        ("expression_encoder", "analyser", scorer.analyser, "flatters Exp and LMS"),
    ):
        pleased = [method for method, encoders in conditioned[column].items() if name in encoders]
        if pleased:
            looks.warnings.append(
                f"The {role} that scores ({name}) also conditioned {', '.join(pleased)}, which {flattered}: "
                f"score with another --{role}."
            )
    others = _other_people(rows, looks)
    return Evaluation(
        methods, verdicts, np.array(same), others, looks.warnings, scorer.analyser, scorer.recogniser,
        kid={method: _kid(found, gallery) for method, found in results.items()},
    )  # fmt: skip


def pictures(rows: Sequence[EvaluationRow]) -> list[Path]:
    """All that `evaluate` looks at, each once."""
    return list(
        dict.fromkeys(
            path
            for row in rows
            for path in (row.identity, row.expression, row.background, row.same_person, *row.results.values())
            if path is not None
        )
    )


def look_at(scorer: Scorer, paths: Sequence[Path]) -> dict[Path, Seen]:
    """What a scorer sees in pictures; a sentence stands for what could not be seen."""
    found: dict[Path, Seen] = {}
    for path in paths:
        try:
            found[path] = scorer.observe(read_image(path)) or _no_face(path)
        except InputError as error:
            found[path] = str(error)
    return found


class _Looks:
    """Looks at every file once."""

    def __init__(self, scorer: Scorer, seen: Mapping[Path, Seen]) -> None:
        self.scorer = scorer
        self.warnings: list[str] = []
        self._before = seen
        self._seen: dict[Path, Seen] = {}

    def __call__(self, path: Path) -> Seen:
        if path not in self._seen:
            look = self._before[path] if path in self._before else look_at(self.scorer, [path])[path]
            self._seen[path] = look
            if not isinstance(look, str) and look.faces > 1:
                self.warnings.append(f"{path} shows {look.faces} faces: the largest was judged.")
        return self._seen[path]


def _no_face(path: Path) -> str:
    return f"No face was found in {path}."


def _pixels(result: tuple[Path, Observation], photo: tuple[Path | None, Observation]) -> dict[str, float]:
    """What was done to the photo's face, of `PIXELS`."""
    assert photo[0] is not None
    given, made = ((read_image(path or ""), look.face.landmarks) for path, look in (photo, result))
    return compared((np.asarray(made[0]), made[1]), (np.asarray(given[0]), given[1]))


def _single(encoder: str) -> set[str]:
    """Names one by one: a compound's are joined by "+", and the embedded recogniser is one by either name."""
    names = {part.strip() for part in encoder.split("+")}
    return names | {"embedded"} if "recogniser" in names else names


def _conditioned_by(picture: Path) -> dict[str, str]:
    """The encoders that a picture of ours says it was conditioned by, by the names of `ENCODERS`."""
    try:
        provenance = read_provenance(picture)
    except InputError:
        return {}
    settings = (provenance or {}).get("settings", {})
    named = {column: str(settings[column]) for column in ENCODERS if settings.get(column)}
    return named or (dict.fromkeys(ENCODERS, "embedded") if settings.get("backbone") == "mini" else {})


def _add_retrieval(found: list[tuple[Verdict, Observation]], gallery: dict[Path, Observation]) -> None:
    """`id_retrieval` is 1 where the nearest of all identity pictures is the row's own (DiffSFSR 4)."""
    if not found:
        return
    people = [verdict.row.identity for verdict, _ in found]
    queries = np.stack([seen.identity for _, seen in found])
    places = ranks(
        queries, np.stack([look.identity for look in gallery.values()]), people, list(gallery), "euclidean"
    )
    for (verdict, _), place in zip(found, places, strict=True):
        verdict.scores["id_retrieval"] = float(place == 1)


def _kid(found: list[tuple[Verdict, Observation]], gallery: dict[Path, Observation]) -> Interval:
    """KID of results against all identity pictures, a result's own left out; nan with fewer than two of either."""
    if min(len(found), len(gallery)) < 2:
        return Interval(np.nan, np.nan, np.nan)
    made = np.stack([seen.direction for _, seen in found])
    real = np.stack([look.direction for look in gallery.values()])
    own = np.array([[verdict.row.identity == path for path in gallery] for verdict, _ in found])
    return statistics.jackknife(
        lambda part: kid(made[part], real, own[part]) if len(part) > 1 else np.nan, len(found)
    )


def _other_people(rows: Sequence[EvaluationRow], looks: _Looks, limit: int = 2000) -> FloatArray:
    """ID of pairs of pictures from different files: an identity with an identity or expression picture."""
    identities = list(dict.fromkeys(row.identity for row in rows))
    everyone = list(dict.fromkeys([*identities, *(row.expression for row in rows)]))
    # Identity i goes with all that come after it in `everyone`. Pairs are numbered, not listed: they are as many as
    # the rows squared. Those of i end before `ends[i]`, and are counted from there backwards.
    after = len(everyone) - 1 - np.arange(len(identities))
    ends = np.cumsum(after)
    chosen = np.random.default_rng(0).choice(ends[-1], min(limit, ends[-1]), replace=False)
    scores = []
    for number in chosen:
        i = int(np.searchsorted(ends, number, side="right"))
        a, b = looks(identities[i]), looks(everyone[number - ends[i]])
        if not isinstance(a, str) and not isinstance(b, str):
            scores.append(float(metrics.id_similarity(a.direction, b.direction)))
    return np.array(scores)


def examples(evaluation: Evaluation, method: str, metric: str = "exp") -> list[tuple[str, Verdict]]:
    """The best, the median and the worst result of a method by one metric, where it has any."""
    sign = -1 if METRICS[metric].better == "higher" else 1
    ranked = sorted(
        (verdict for verdict in evaluation.of(method) if verdict.state == OK),
        key=lambda verdict: sign * verdict.scores[metric],
    )
    if not ranked:
        return []
    places = {"best": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    return [(name, ranked[place]) for name, place in places.items()]
