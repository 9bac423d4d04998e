"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported: threads that wait, sleep

ROOT = Path(__file__).parent.parent
if (ROOT.parent / "shared" / "data").is_dir():  # the data beside the project
    os.environ.setdefault("MIEN_SHARED", str(ROOT.parent / "shared"))


def shared_folder() -> Path:
    """The folder of data beside the project; what asks is skipped where it is absent."""
    folder = Path(os.environ.get("MIEN_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"the shared data are not at {folder} (set MIEN_SHARED)")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """See `shared_folder`."""
    return shared_folder()


@pytest.fixture
def picture() -> Image.Image:
    """A 96 x 64 RGB picture with no symmetry: its corners differ, so that turning and mirroring show."""
    rows, columns = np.mgrid[0:64, 0:96]
    pixels = np.stack([columns * 2, rows * 3, 255 - columns], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked `shared` skips where the data are not, whether or not it asks for the fixture."""
    if item.get_closest_marker("shared") is not None:
        shared_folder()
