"""What an installed package brings along: everything that the source tree has, weights and faces included."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mien"
LARGEST = 100e6  # bytes; what package indexes take


def test_a_wheel_holds_every_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    from setuptools import Distribution
    from setuptools.config.pyprojecttoml import apply_configuration

    monkeypatch.chdir(ROOT)
    project = apply_configuration(Distribution({"script_name": "setup.py"}), "pyproject.toml")
    project.include_package_data = False  # else a build from before, in src/*.egg-info, hides what is missing
    build = project.get_command_obj("build_py")
    build.build_lib = str(tmp_path)
    build.ensure_finalized()
    packed = {Path(name).relative_to(tmp_path / "mien") for name in build.get_outputs(include_bytecode=False)}
    there = {
        path.relative_to(SOURCE)
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there - packed == set(), "pyproject's package-data leaves these out"
    assert Path("weights/mini/model_index.json") in packed and Path("expressions/faces/joy.webp") in packed
    assert sum((SOURCE / path).stat().st_size for path in packed) <= LARGEST
