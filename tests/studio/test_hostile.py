"""A sample of what `python -m tests.studio.hostile` sends two thousand of: one sentence or a result, nothing told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio import hostile

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
SAMPLE = 72


@pytest.fixture(scope="module")
def server() -> Iterator[hostile.Server]:
    with hostile.serve() as server:
        yield server


def test_a_sample(server: hostile.Server) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(20_000, 20_000 + SAMPLE):  # others than the command's
        kind, status, said = hostile.send(number, server)
        came = hostile.verdict(status, said, server)
        assert not came.startswith("WRONG"), f"input {number} ({kind}): {came}: {status} {said[:400]!r}"
        outcomes[came] += 1
    assert hostile.check(server) == []
    assert min(outcomes[name] for name in ("refused in a sentence", "refused", "done")) > 2, outcomes


def test_the_check_can_fail(server: hostile.Server) -> None:
    for status, said in (
        (500, "Internal Server Error"),
        (200, f"data: {hostile.SECRET}"),
        (200, "event: error\ndata: null"),
        (200, "Traceback (most recent call last)"),
    ):
        assert hostile.verdict(status, said, server).startswith("WRONG")
    intruder: Path = server.sandbox / "here" / "evil.png"
    intruder.write_bytes(b"x")
    assert hostile.check(server) == [f"outside its folder: {intruder}"]
    intruder.unlink()
