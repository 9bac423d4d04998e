"""Manifests, shards and triples: what is written is read again, and what is wrong gets a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.pairs import Pairs, Triple, read_triples, write_triples
from mien.data.records import Manifest, Record, write_table
from mien.data.shards import encode, read_shard, write_shard
from mien.types import InputError
from tests.data.sets import face, make, picture

pyarrow = pytest.importorskip("pyarrow", reason="manifests need the extra mien[data]")


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = make(tmp_path)
    read = Manifest.read(tmp_path)
    assert read.facts == {"analyser": "embedded", "recogniser": "embedded", "format": 1}
    assert read.kept() == list(range(6)) and read.kept("held_out") == []
    for row in range(len(written)):
        for name, value in dataclasses.asdict(written.record(row)).items():
            np.testing.assert_array_equal(getattr(read.record(row), name), value)
    wanted = face(4)
    got = read.face(4)
    np.testing.assert_allclose(got.landmarks, wanted.landmarks, atol=1e-4)
    np.testing.assert_allclose(got.blendshapes, wanted.blendshapes, atol=1e-6)
    stacked = read.array("landmarks")
    assert stacked.shape == (7, 478, 3) and np.isnan(stacked[6]).all()
    np.testing.assert_allclose(stacked[2], face(2).landmarks, atol=1e-4)
    assert read.array("embedding").shape == (7, 8) and np.isnan(read.array("embedding")[6]).all()
    with pytest.raises(InputError, match="no face"):
        read.face(6)


def test_arrays_of_a_slice_are_those_of_the_rows(tmp_path: Path) -> None:
    whole = make(tmp_path)
    part = Manifest(whole.table.slice(3, 4), tmp_path)
    np.testing.assert_array_equal(part.array("blendshapes"), whole.array("blendshapes")[3:])


def test_pictures_come_out_of_the_shard(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    wanted = np.asarray(Image.open(io.BytesIO(encode(picture(3)))))
    np.testing.assert_array_equal(np.asarray(manifest.picture(3)), wanted)
    with pytest.raises(InputError, match="rejected"):
        manifest.picture(6)


def test_a_changed_or_short_picture_is_noticed(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    shard = tmp_path / "shards" / "000000.tar"
    data = bytearray(shard.read_bytes())
    data[manifest.record(1).offset + 200] ^= 1  # type: ignore[operator]
    shard.write_bytes(data)
    with pytest.raises(InputError, match="has changed"):
        manifest.picture(1)
    shard.write_bytes(data[:800])
    with pytest.raises(InputError, match="cut short"):
        manifest.picture(5)
    shard.unlink()
    with pytest.raises(InputError, match="incomplete"):
        manifest.picture(0)


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "a/../../b", "c:/x", "a\\b"])
def test_a_path_out_of_the_set_is_refused(tmp_path: Path, path: str) -> None:
    Manifest.of([Record(key="k", name="n", path=path)], tmp_path).write()
    with pytest.raises(InputError, match="leaves the set"):
        Manifest.read(tmp_path).read_bytes(0)


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError, match="not a Parquet file"):
        Manifest.read(tmp_path)
    manifest = make(tmp_path / "set")
    write_table(manifest.table.drop_columns(["pose"]), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="no column 'pose'"):
        Manifest.read(tmp_path)
    newer = manifest.table.replace_schema_metadata({"mien": json.dumps({"format": 2})})
    write_table(newer, tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="format 2"):
        Manifest.read(tmp_path)
    twice = pyarrow.concat_tables([manifest.table, manifest.table])
    write_table(twice, tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="one key"):
        Manifest.read(tmp_path)
    wrong = manifest.table.set_column(0, "key", pyarrow.array([[1]] * 7))
    write_table(wrong, tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="wrong column"):
        Manifest.read(tmp_path)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    manifest = make(tmp_path / "a")
    assert manifest.digest() == make(tmp_path / "b").digest()
    order = pyarrow.array([3, 1, 0, 2, 6, 5, 4])
    assert Manifest(manifest.table.take(order), tmp_path).digest() == manifest.digest()
    assert make(tmp_path / "c", people=2).digest() != manifest.digest()


def test_shards_are_the_same_bytes_again_and_hold_no_owner(tmp_path: Path) -> None:
    files = [("a.jpg", b"1" * 700), ("a.json", b"{}"), ("b.jpg", b"22")]
    places = write_shard(tmp_path / "a.tar", files)
    write_shard(tmp_path / "b.tar", files)
    data = (tmp_path / "a.tar").read_bytes()
    assert data == (tmp_path / "b.tar").read_bytes()
    assert [data[p.offset : p.offset + p.length] for p in places.values()] == [d for _, d in files]
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {(m.uid, m.uname, m.mtime) for m in tar} == {(0, "", 0)}
    assert list(read_shard(tmp_path / "a.tar")) == [
        ("a", {"jpg": b"1" * 700, "json": b"{}"}),
        ("b", {"jpg": b"22"}),
    ]
    with pytest.raises(ValueError, match="one name"):
        write_shard(tmp_path / "c.tar", [files[0], files[0]])


def test_webdataset_reads_our_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the library webdataset is not installed")
    files = [("x/a.target.jpg", b"1" * 700), ("x/a.json", b'{"exp": 0.1}'), ("x/b.target.jpg", b"22")]
    write_shard(tmp_path / "a.tar", files)
    samples = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False))
    assert [s["__key__"] for s in samples] == ["x/a", "x/b"]
    assert samples[0]["target.jpg"] == b"1" * 700 and samples[1]["target.jpg"] == b"22"


def test_a_broken_shard_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"not a readable tar")
    with pytest.raises(InputError, match="not a readable tar"):
        list(read_shard(tmp_path / "a.tar"))


def test_triples_and_their_crops(tmp_path: Path) -> None:
    make(tmp_path)
    triples = [
        Triple("t0", "k0", "k3", "k1", "colour photo", "restruct", "k4", 0.03, 0.1, 0.7, 0.5),
        Triple("t1", "k0", "k0", None, "", "restruct", "k4", reason="no face"),
    ]
    write_triples(triples, tmp_path, {"made_of": "test"})
    assert read_triples(tmp_path) == [
        dataclasses.replace(
            triples[0], **{n: pytest.approx(getattr(triples[0], n)) for n in ("exp", "lms", "id_distance")}
        )
    ]
    assert [t.reason for t in read_triples(tmp_path, rejected=True)] == [None, "no face"]
    pairs = Pairs.read(tmp_path)
    assert len(pairs) == 1 and pairs.row(0, "source") == 3
    crop = pairs.crop(0, "reference")
    assert crop.shape == (128, 128, 3)
    assert np.abs(crop[8:-8, 8:-8].astype(float) - np.asarray(picture(1))[8:-8, 8:-8]).mean() < 12
    write_triples([dataclasses.replace(triples[0], source="nobody")], tmp_path, {})
    with pytest.raises(InputError, match="no picture nobody"):
        Pairs.read(tmp_path)
    write_triples(triples[1:], tmp_path, {})
    with pytest.raises(InputError, match="no triple"):
        Pairs.read(tmp_path)
