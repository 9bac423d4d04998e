"""What the documents name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLAN = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_plan_names_every_room_and_no_other() -> None:
    rooms = PLAN.split("## Rooms")[1].split("```")[1]
    named = set(re.findall(r"[\w]+\.py", rooms)) - {"__init__.py"}
    there = {p.name for p in (ROOT / "src" / "mien").rglob("*.py")}
    assert named <= there, f"the plan names rooms that are not there: {sorted(named - there)}"
    for folder in (p for p in (ROOT / "src" / "mien").iterdir() if (p / "__init__.py").exists()):
        assert f"{folder.name}/" in rooms, f"the plan does not know {folder.name}/"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), f"{name} points to {target}"
    for target in re.findall(r"`((?:docs|src|tests|recipes|benchmarks|examples)/[\w./-]+\.\w+)`", text):
        assert (ROOT / target).exists(), f"{name} names {target}"


def test_make_knows_what_the_documents_say() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"make (\w+)", (ROOT / name).read_text(encoding="utf-8")):
            assert f"\n{target}:" in makefile or target in ("it",), f"{name} says make {target}"
