"""Pictures of the Python pipelines, saved with what was made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.provenance import PARTLY_GENERATED, read_metadata, watermark
from mien.types import InputError

PERSON = Path(__file__).parents[2] / "examples/people/may_rest.jpg"


def test_a_photo_is_saved_with_metadata_and_a_watermark_where_it_changed(tmp_path: Path) -> None:
    image = mien.load_photo()(PERSON, "joy")
    said = read_metadata(mien.save(image, tmp_path / "joy.png"))
    assert said is not None and said.source_type == PARTLY_GENERATED and said.ours
    assert said.settings == {"engine": "photo", "backbone": "mini"}
    assert said.watermark is not None and said.watermark["method"] == watermark.NAME
    kept = (np.asarray(image) == np.asarray(Image.open(PERSON).convert("RGB"))).all(2)
    saved = np.asarray(Image.open(tmp_path / "joy.png"))
    assert kept.any() and np.array_equal(saved[kept], np.asarray(image)[kept])
    assert (saved != np.asarray(image)).any()


def test_what_no_pipeline_made_is_not_said_to_be_made(tmp_path: Path) -> None:
    for image in (Image.open(PERSON), mien.load_photo()(PERSON, "joy").resize((64, 64))):
        with pytest.raises(InputError, match="pipeline of mien"):
            mien.save(image, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
