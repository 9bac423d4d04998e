"""What an installed package brings along: everything that the source tree has, weights and faces included."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mien"
LARGEST = 100e6  # bytes of weights in the tree


# In a process of its own: setuptools replaces distutils, which must not have been imported before.
LISTING = """
import sys
from setuptools import Distribution
from setuptools.config.pyprojecttoml import apply_configuration

project = apply_configuration(Distribution({"script_name": "setup.py"}), "pyproject.toml")
project.include_package_data = False  # else a build from before, in src/*.egg-info, hides what is missing
build = project.get_command_obj("build_py")
build.build_lib = sys.argv[1]
build.ensure_finalized()
print(*build.get_outputs(include_bytecode=False), sep="\\n")
"""


def test_a_wheel_holds_every_file(tmp_path: Path) -> None:
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    command = [sys.executable, "-c", LISTING, str(tmp_path)]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    packed = {
        Path(name).relative_to(tmp_path / "mien")
        for name in listed.splitlines()
        if name.startswith(str(tmp_path))
    }
    there = {
        path.relative_to(SOURCE)
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there - packed == set(), "pyproject's package-data leaves these out"
    assert Path("weights/mini/model_index.json") in packed and Path("expressions/faces/joy.webp") in packed
    weights = [path for path in packed if path.suffix in (".safetensors", ".npz")]
    assert sum((SOURCE / path).stat().st_size for path in weights) <= LARGEST
