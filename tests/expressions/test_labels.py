"""The 135 words: complete, sourced, and told apart by their prototypes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from factory.faces.sources import shared_dir
from mien.expressions import labels as room
from mien.expressions.labels import correlations, get, labels, prototype, similar, units
from mien.face.blendshapes import FLIP, INDEX
from mien.types import InputError


@pytest.mark.shared
def test_the_words_are_those_of_the_135_class_set() -> None:
    words = json.loads((shared_dir() / "expression_labels_135.json").read_text())
    assert list(labels()) == sorted(words)


def test_every_word_has_a_reason_sources_and_a_prototype_of_its_own() -> None:
    known = labels()
    assert len(known) == 135 and len({label.cluster for label in known.values()}) == 25
    for label in known.values():
        assert (
            len(label.why) > 10
            and label.sources
            and all("19" in s or "20" in s or "18" in s for s in label.sources)
        )
        assert (
            label.prototype.shape == (52,) and label.prototype.min() >= 0 and 0.2 < label.prototype.max() <= 1
        )
        assert all(
            0 < strength <= 1 and unit.rstrip("LR") in units() for unit, strength in label.units.items()
        )
    prototypes = np.stack([label.prototype for label in known.values()])
    assert len(np.unique(prototypes.round(6), axis=0)) == 135


def test_prototypes_of_different_clusters_are_apart() -> None:
    known = list(labels().values())
    prototypes = np.stack([label.prototype for label in known])
    for label in known:
        r = correlations(label.prototype, prototypes)
        other = [r[i] for i, one in enumerate(known) if one.cluster != label.cluster]
        assert max(other) < 0.97, label.word


def test_a_prototype_adds_up_its_units() -> None:
    mine = prototype({"12L": 0.5, "26": 1.0, "1": 0.25, "4": 1.0})
    wanted = {"mouthSmileLeft": 0.475, "jawOpen": 0.5, "browInnerUp": 0.2375}
    wanted |= {"browDownLeft": 0.675, "browDownRight": 0.675}  # 0.9, shortened by unit 1
    assert {name: mine[i] for name, i in INDEX.items() if mine[i]} == pytest.approx(wanted)
    assert prototype({"10": 1.0, "25": 1.0})[INDEX["mouthUpperUpLeft"]] == 1.0  # 0.85 + 0.3, clipped
    assert np.array_equal(prototype({"12R": 0.5}), prototype({"12L": 0.5})[list(FLIP)])
    with pytest.raises(ValueError):
        get("joy").prototype[0] = 1  # shared by all callers


def test_contempt_is_one_sided_and_joy_is_not() -> None:
    assert not np.allclose(get("contempt").prototype, get("contempt").prototype[list(FLIP)])
    assert np.allclose(get("joy").prototype, get("joy").prototype[list(FLIP)])


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(52), rng.random((3, 52))
    assert np.allclose(correlations(a, b), [np.corrcoef(a, row)[0, 1] for row in b])
    assert correlations(a, np.ones((1, 52)))[0] == 0


def test_emoji_mean_one_word_each_in_any_drawing() -> None:
    symbols = [symbol for label in labels().values() for symbol in label.emoji]
    assert len(symbols) == len({room.plain(symbol) for symbol in symbols}) > 120
    assert (
        room.plain("❤\ufe0f") == "❤"
        and room.plain("👍🏽") == "👍"
        and room.plain("🤦🏾\u200d♀\ufe0f") == "🤦"
    )


def test_hints_are_spelt_alike_and_never_the_opposite() -> None:
    known = ["friendliness", "kind", "spite", "smile", "kiss", "bliss", "joy"]
    for word in ("friendless", "unkind", "smite", "x", ""):
        assert "friend" not in room.nearest(word, known) and "kind" not in room.nearest(word, known)
    assert room.nearest("smil", known) == " (did you mean smile?)"
    assert room.nearest("kis", known) == " (did you mean kiss?)" and room.nearest("miss", known) == ""
    assert room.asked(["a", "b", "c"]) == " (did you mean a, b or c?)"


def test_similar_words_are_of_the_same_kind() -> None:
    like = similar("joy", 3)
    assert all(get(word).basic == "joy" for word, _ in like) and "joy" not in dict(like)
    assert [r for _, r in like] == sorted((r for _, r in like), reverse=True)


@pytest.mark.parametrize(
    ("wrong", "right"), [("sadnes", "sadness"), ("suprise", "surprise"), ("angr", "anger")]
)
def test_a_misspelt_word_gets_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(InputError, match=f"did you mean.*{right}"):
        get(wrong)
