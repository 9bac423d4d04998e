"""What raters' answers say: means with intervals, analysis of variance, and which methods differ (DiffSFSR, Table 2).

A rater's mean over the pictures of a method is one number, and raters are the sample. Every rater judges every method:
strict and lenient ones are blocks, taken out before methods are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mien.errors import choice
from mien.metrics.statistics import Interval, plain
from mien.metrics.study import QUESTIONS, Answers, Study
from mien.types import FloatArray


@dataclass(frozen=True)
class Result:
    """One question's.

    Attributes:
        question: name. mean: method → mean over raters, with Student's 95% interval. variance: method → of raters'
            means. anova: p that all methods are rated alike; nan for one rater. against: method → p that it is rated as
            `ours` is, corrected for how many there are; without ours.
    """

    question: str
    mean: dict[str, Interval]
    variance: dict[str, float]
    anova: float
    against: dict[str, float]


def results(study: Study, answers: Sequence[Answers], ours: str | None = None) -> list[Result]:
    """Of every question. ours: the method that the others are held against; None: they are not. Raises `InputError`:
    there is no method `ours`."""
    methods = study.methods
    choice(ours, (None, *methods), "the study's method")
    found = []
    for question in study.questions:
        rated = by_rater(study, answers, question)
        means = {method: student(rated[:, i]) for i, method in enumerate(methods)}
        spread = {
            m: float(rated[:, i].var(ddof=1)) if len(rated) > 1 else np.nan for i, m in enumerate(methods)
        }
        against = {} if ours is None else compared(rated, methods, ours)
        found.append(Result(question, means, spread, anova(rated), against))
    return found


def by_rater(study: Study, answers: Sequence[Answers], question: str) -> FloatArray:
    """[raters, methods], methods in alphabetical order: the mean over a method's pictures."""
    trials = {m: [t for t, (_, method) in study.trials.items() if method == m] for m in study.methods}
    return np.array(
        [[np.mean([one.values[t, question] for t in trials[m]]) for m in study.methods] for one in answers],
        np.float64,
    )


def student(values: FloatArray) -> Interval:
    """Mean of [n] with Student's 95% interval; nan bounds for one value."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def anova(rated: FloatArray) -> float:
    """p of the two-way analysis of variance without replication (Fisher 1925), raters as blocks; [raters, methods]. F =
    MS_methods / MS_rest with k - 1 and (k - 1)(n - 1) degrees of freedom; nan for one rater."""
    n, k = rated.shape
    if n < 2 or k < 2:
        return float("nan")
    centred = rated - rated.mean()
    methods, raters = centred.mean(axis=0), centred.mean(axis=1)
    between = n * (methods**2).sum() / (k - 1)
    rest = ((centred - methods - raters[:, None]) ** 2).sum() / ((k - 1) * (n - 1))
    if rest < 1e-12:  # every rater sees the same differences
        return 1.0 if between < 1e-12 else 0.0
    return float(stats.f.sf(between / rest, k - 1, (k - 1) * (n - 1)))


def compared(rated: FloatArray, methods: Sequence[str], ours: str) -> dict[str, float]:
    """method → p of a paired t-test against `ours`, after Holm (1979); nan for one rater."""
    own = rated[:, methods.index(ours)]
    raw = {}
    for i, method in enumerate(methods):
        if method != ours:
            apart = rated[:, i] - own
            if len(own) < 2:
                raw[method] = float("nan")
            elif apart.std() < 1e-9:  # the t-test divides by it
                raw[method] = 1.0 if abs(apart.mean()) < 1e-9 else 0.0
            else:
                raw[method] = float(stats.ttest_1samp(apart, 0).pvalue)
    corrected, largest = {}, 0.0
    for rank, (method, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(raw) - rank) * p))
        corrected[method] = largest if p == p else p
    return corrected


def table(study: Study, found: Sequence[Result], raters: int, ours: str | None = None) -> str:
    """DiffSFSR's Table 2 in Markdown: a row a method, a column a question; p against `ours`, whose row is the last."""
    titles = [QUESTIONS[result.question].title for result in found]
    lines = [["method", *titles]]
    for method in sorted(study.methods, key=lambda name: (name == ours, name)):
        cells = [f"{method} (ours)" if method == ours else method]
        for result in found:
            percent = QUESTIONS[result.question].answers == 2
            best = max(result.mean.values(), key=lambda mean: mean.value).value
            value = _shown(result.mean[method], percent)
            cell = f"**{value}**" if result.mean[method].value == best else value
            cells.append(
                cell + (f" ({_p(result.against[method])})" if raters > 1 and method in result.against else "")
            )
        lines.append(cells)
    if raters > 1:
        lines.append(["ANOVA", *(_p(result.anova) for result in found)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    rows.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    pictures = len({row for row, _ in study.trials.values()})
    who = f"{raters} rater{'s' * (raters > 1)}"
    of = f"{who}, {pictures} pictures of each method; means over raters, 95% intervals."
    return "\n".join(rows) + f"\n\n{of}"


def summary(found: Sequence[Result]) -> list[dict[str, Any]]:
    """The same as JSON values; what cannot be told (one rater) is null."""
    return [
        plain(
            {
                "question": result.question,
                "anova_p": result.anova,
                "methods": {
                    method: {
                        "mean": mean.value,
                        "low": mean.low,
                        "high": mean.high,
                        "variance": result.variance[method],
                        "p": result.against.get(method, np.nan),
                    }
                    for method, mean in result.mean.items()
                },
            }
        )
        for result in found
    ]


def _shown(mean: Interval, percent: bool) -> str:
    spec = ".1%" if percent else ".2f"
    return f"{mean.value:{spec}}" if np.isnan(mean.low) else f"{mean:{spec}}"


def _p(p: float) -> str:
    if np.isnan(p):
        return "p unknown"
    for limit in (0.001, 0.005, 0.05):
        if p < limit:
            return f"p<{limit:g}"
    return f"p={p:.3f}"
