"""IDI's ways side by side, from triples whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from mien.data.pairs import Triple


def test_shares_and_means_are_of_each_way() -> None:
    pytest.importorskip("numba", reason="the benchmark's other pictures are rendered with it")
    from benchmarks.idi_ways import rows

    def made(kept: int, apart: float) -> list[Triple]:
        return [
            Triple(
                key=str(i), target="t", source="s", reference="r", prompt="", method="m", other="o",
                exp=0.01 * (i % 3), lms=0.1, id_distance=apart, quality=0.5,
                reason=None if i < kept else "no face",
            )
            for i in range(20)
        ]  # fmt: skip

    triples = {"carry": made(16, 0.8), "restruct": made(7, 0.6), "faceswap": made(4, 0.7)}
    found = {row.what: row for row in rows(triples, {way: np.full(20, 0.03) for way in triples})}
    assert found["kept"].value.value == 0.8 and found["kept"].baselines["faceswap"].value == 0.2
    assert found["kept, carry ÷ restruct"].value.value == pytest.approx(16 / 7)
    assert found["kept, carry ÷ restruct"].met and found["kept, carry ÷ faceswap"].met is None
    change = next(row for what, row in found.items() if what.startswith("identity's change"))
    assert change.value.value == pytest.approx(0.8)
    assert change.baselines["restruct"].value == pytest.approx(0.6)
