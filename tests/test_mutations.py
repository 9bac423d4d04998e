"""A sample of what `python -m tests.mutations` runs ten thousand of: no crash, no hang, faces or one sentence."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli.main import app
from mien.face.analyze import analyze
from mien.types import Face
from tests import mutations

SAMPLE = 48
LIMIT = 20.0  # seconds of processor time for one input; the slowest of ten thousand took a fraction of one


def test_a_sample(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(20_000, 20_000 + SAMPLE):  # others than the command's
        kind, data = mutations.make(number)
        (tmp_path / "input.png").write_bytes(data)
        start = time.process_time()
        try:
            outcomes[mutations.look(tmp_path / "input.png")] += 1
        except Exception as error:
            pytest.fail(f"input {number} ({kind}): {type(error).__name__}: {error}")
        assert time.process_time() - start < LIMIT, f"input {number} ({kind}) hung"
    assert min(outcomes[name] for name in ("refused", "no face", "1 face")) > SAMPLE / 20, outcomes


def test_a_number_always_means_the_same_input() -> None:
    assert [mutations.make(n) for n in range(8)] == [mutations.make(n) for n in range(8)]
    assert [mutations.make(n)[0] for n in range(8)] == list(mutations.KINDS)


def test_the_check_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(mutations.EXAMPLES[0].read_bytes())
    (face, *_) = analyze(tmp_path / "a.png")
    broken = Face(face.box, face.landmarks * np.nan, face.blendshapes, face.pose, face.confidence)
    monkeypatch.setattr(mutations, "analyze", lambda image: [broken])
    with pytest.raises(AssertionError):
        mutations.look(tmp_path / "a.png")


def test_the_command_line_answers_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30_000, 30_016):
        (folder / f"{number}.png").write_bytes(mutations.make(number)[1])
    done = CliRunner().invoke(app, ["analyze", str(folder), "--json", "-q", "--overlay", str(tmp_path / "o")])
    assert isinstance(done.exception, SystemExit) and done.exit_code == 2
    refused = [line for line in done.stderr.splitlines() if line.startswith("mien: ")]
    answered = json.loads(done.stdout)
    assert len(refused) + len(answered) == 16 and refused and any(record["faces"] for record in answered)
    assert len(list((tmp_path / "o").iterdir())) == len(answered)
