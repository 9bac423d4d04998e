"""Compact pictures: what is written is read, held-out ones never travel as training, shards keep their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data.captions import background_colour, light_words
from mien.data.dataset import load_faces
from mien.data.split import is_held_out
from mien.face.mask import OVAL
from mien.training.slices import pictures
from mien.training.slices.pictures import (
    BACKGROUNDS,
    COLUMNS,
    LIGHTS,
    LOSSLESS,
    decode,
    encode,
    grey,
    held_rows,
    read_shards,
    training_rows,
    write_prepared,
    write_shards,
)
from mien.types import InputError
from tests.training.slices_set import save_sets


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "prepared"))
    save_sets(tmp_path / "prepared")
    return tmp_path / "prepared"


def test_round_trip(tmp_path: Path) -> None:
    faces = load_faces("utkface-adults")
    rows = training_rows(faces, 20)
    (read,) = read_shards(write_shards("utkface-adults", rows, tmp_path, 90))
    assert len(read) == 20 and read.source == "utkface-adults" and set(read.names) == {""}
    error = (read.crops.astype(float) - faces.crops[rows]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 35
    assert np.abs(read.outline - faces.landmarks[rows][:, list(OVAL), :2]).max() <= 0.5
    np.testing.assert_allclose(read.crop_matrix, faces.crop_matrix[rows], atol=2e-3)
    for i, row in enumerate(rows):
        crop = np.asarray(faces.crops[row])
        age, gender, ethnicity = read.labels[read.label[i]]
        name = str(faces.names[row]).split("_")
        assert age == int(name[0]) and gender == {"0": "man", "1": "woman"}[name[1]] and ethnicity is not None
        assert BACKGROUNDS[read.background[i]] == background_colour(crop)
        assert LIGHTS[read.light[i]] == light_words(crop, faces.landmarks[row])
        assert BACKGROUNDS[read.background_grey[i]] == background_colour(grey(crop))


def test_shards_keep_their_size_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SHARD_BYTES", 2**17 + 60_000)
    faces = load_faces("utkface-adults")
    rows = training_rows(faces, None)
    shards = write_shards("utkface-adults", rows, tmp_path, 80, ("embedding",))
    assert len(shards) > 1 and all(path.stat().st_size <= 2**17 + 60_000 for path in shards)
    (read,) = read_shards(shards)
    assert list(read.names) == list(faces.names[rows])
    np.testing.assert_allclose(read.columns["embedding"], faces.embedding[rows], atol=1e-3)
    np.testing.assert_array_equal(read.person, faces.person[rows])
    labels = [read.labels[k] for k in read.label]
    assert [age for age, _, _ in labels] == [int(str(name).split("_")[0]) for name in faces.names[rows]]


def test_lossless_is_lossless() -> None:
    crop = np.asarray(load_faces("lfw-gray").crops[0])
    np.testing.assert_array_equal(decode(encode(crop, LOSSLESS)), crop)
    assert len(encode(crop, 40)) < len(encode(crop, 90))


def test_held_out_stays_held_out() -> None:
    faces = load_faces("utkface-adults")
    trained, held = training_rows(faces, None), held_rows(faces, True, 1000)
    assert not set(trained) & set(held) and len(trained) + len(held) == len(faces)
    assert all(is_held_out(str(name)) for name in faces.names[held])
    assert len(training_rows(faces, 10)) == 10 and set(training_rows(faces, 10)) <= set(trained)
    assert list(held_rows(faces, False, 3)) == [0, 1, 2]


def test_prepared_again(tmp_path: Path, cache: Path) -> None:
    faces = load_faces("utkface-adults")
    held, trained = held_rows(faces, True, 3), training_rows(faces, 5)
    parts = [
        *read_shards(write_shards("utkface-adults", held, tmp_path / "held", LOSSLESS, COLUMNS)),
        *read_shards(write_shards("utkface-adults", trained, tmp_path / "trained", 60, ("embedding",))),
    ]
    write_prepared(parts, tmp_path / "unpacked")
    again = load_faces("utkface-adults", tmp_path / "unpacked")
    assert list(again.names) == [*faces.names[held], *faces.names[trained]]
    np.testing.assert_array_equal(again.crops[:3], faces.crops[held])
    np.testing.assert_allclose(again.landmarks[:3], faces.landmarks[held], atol=0.06)
    assert np.isnan(again.landmarks[3:]).all()
    np.testing.assert_allclose(again.embedding[3:], faces.embedding[trained], atol=1e-3)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'colour'"):
        write_shards("utkface-adults", np.arange(2), tmp_path, 50, ("colour",))
    with pytest.raises(InputError, match="does not exist"):
        write_shards("nothing", np.arange(2), tmp_path, 50)
    (path,) = write_shards("utkface-adults", np.arange(2), tmp_path, 50)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        read_shards([path])
