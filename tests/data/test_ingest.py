"""Pictures into sets: what comes in comes out, what is wrong is rejected with its reason, a kill loses nothing."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import growing
from mien.data.filters import load_quality
from mien.data.gather import Item, Source, open_source
from mien.data.ingest import Options, clusters, frame, ingest
from mien.data.records import Manifest
from mien.data.shards import read_shard
from mien.data.split import is_held_out, is_held_out_key
from mien.face import align, pose
from mien.face.templates import ffhq_matrix
from mien.types import InputError
from tests.data.sets import face, make, observer, picture

pytest.importorskip("pyarrow", reason="manifests need the extra mien[data]")

PLAIN = load_quality("none")
SMALL = Options(shard=4)


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def folder_of(place: Path, count: int = 10) -> Path:
    """`count` pictures of three people in folders, and four files that are no use."""
    for i in range(count):
        (place / f"person{i % 3}").mkdir(parents=True, exist_ok=True)
        (place / f"person{i % 3}" / f"{i:02d}.png").write_bytes(png(picture(i, 160)))
    (place / "person0" / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    (place / "person0" / "copy.png").write_bytes(png(picture(1, 160)))
    (place / "person1" / "grey.png").write_bytes(png(Image.new("RGB", (160, 160), "grey")))
    (place / "person1" / "tiny.png").write_bytes(png(picture(99, 30)))
    (place / "notes.txt").write_text("no picture")
    return place


def run(source: Source, root: Path, options: Options = SMALL) -> Manifest:
    return ingest(source, root, observer(), PLAIN, options)


def test_every_picture_gets_a_row(tmp_path: Path) -> None:
    manifest = run(open_source(str(folder_of(tmp_path / "in")), "folder"), tmp_path / "out")
    reasons = dict(zip(manifest.values("name"), manifest.values("reason"), strict=True))
    rejected = {name: reason for name, reason in reasons.items() if reason}
    assert len(reasons) == 14 and len(rejected) == 4
    assert rejected["person0/broken.jpg"].startswith("unreadable: person0/broken.jpg")
    # In order of names the copy comes before the picture it is of.
    assert rejected["person1/01.png"] == "duplicate: person0/copy.png"
    assert rejected["person1/grey.png"] == "no face"
    assert rejected["person1/tiny.png"].startswith("small face: ")
    kept = manifest.record(manifest.values("name").index("person2/05.png"))
    assert kept.identity == "person2" and kept.faces == 1 and (kept.width, kept.height) == (128, 128)
    assert kept.split == ("held_out" if is_held_out_key("person2") else "train")
    assert kept.prompt.startswith("colour photo of a person")
    assert not (tmp_path / "out" / growing.PARTS).exists()
    text = " ".join(str(value) for column in ("name", "path", "reason") for value in manifest.values(column))
    assert str(tmp_path) not in text


def test_the_stored_crop_is_the_framed_face(tmp_path: Path) -> None:
    manifest = run(open_source(str(folder_of(tmp_path / "in", 2)), "none"), tmp_path / "out")
    row = manifest.values("name").index("person0/00.png")
    crop = np.asarray(manifest.picture(row), float)
    seen = observer().analyse([picture(0, 160)])[0][0]
    wanted = align.warp(np.asarray(picture(0, 160)), align.crop_matrix(seen.landmarks))
    assert np.abs(crop - wanted).mean() < 3
    stored = manifest.face(row)
    np.testing.assert_allclose(
        stored.landmarks[list(align.ANCHORS), :2], align.ANCHOR_PLACES * 128, atol=0.01
    )


def test_shards_hold_what_the_manifest_says(tmp_path: Path) -> None:
    manifest = run(open_source(str(folder_of(tmp_path / "in"))), tmp_path / "out")
    found = {key for path in (tmp_path / "out" / "shards").iterdir() for key, _ in read_shard(path)}
    assert found == {manifest.values("key")[row] for row in manifest.kept()}


@pytest.mark.parametrize("framing", ["canonical", "ffhq", "none"])
def test_framings_move_the_face_with_the_picture(framing: str) -> None:
    pixels, seen = np.asarray(picture(3, 200)), face(0)
    crop, framed = frame(pixels, seen, framing, 96)
    if framing == "none":
        assert framed is seen and crop is pixels
        return
    matrix = (align.crop_matrix if framing == "canonical" else ffhq_matrix)(seen.landmarks, 96)
    assert crop.shape == (96, 96, 3)
    np.testing.assert_allclose(framed.landmarks, align.transform_points(seen.landmarks, matrix))
    turn = (framed.pose[2] - pose.tilt(matrix) - seen.pose[2] + 180) % 360 - 180
    assert turn == pytest.approx(0, abs=1e-9) and (framed.pose[:2] == seen.pose[:2]).all()


def test_several_faces(tmp_path: Path) -> None:
    pair = picture(5, 160)
    pair.paste((255, 255, 255), (0, 0, 2, 2))
    source = Source(lambda: iter([Item("a#1.png", lambda: png(pair), "Ann")]), 1)
    assert run(source, tmp_path / "one").values("faces") == [2]
    both = run(source, tmp_path / "all", replace(SMALL, faces="all"))
    assert both.values("name") == ["a#1.png", "a#1.png#1"] and both.values("identity") == ["Ann", None]
    assert run(source, tmp_path / "single", replace(SMALL, faces="single")).values("reason") == [
        "several faces: 2"
    ]
    again = run(source, tmp_path / "all", replace(SMALL, faces="all"))
    assert again.digest() == both.digest()


class Killed(BaseException):
    """As a kill: nothing that follows is run."""


def test_a_killed_run_is_taken_up_and_gives_the_same_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(str(folder_of(tmp_path / "in")), "folder")
    whole = run(source, tmp_path / "whole")
    written: list[int] = []
    add = growing.Growing.add

    def dying(self: growing.Growing, number: int, rows: dict[str, list[object]]) -> None:
        if len(written) == 2:  # the third part's shard is there, its rows are not
            raise Killed
        add(self, number, rows)
        written.append(number)

    with monkeypatch.context() as patch:
        patch.setattr(growing.Growing, "add", dying)
        with pytest.raises(Killed):
            run(source, tmp_path / "out")
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 3
    read: list[str] = []

    def watched() -> Iterator[Item]:
        for item in source.items():
            yield replace(item, read=lambda item=item: (read.append(item.name), item.read())[1])  # type: ignore[misc]

    resumed = run(Source(watched, source.count), tmp_path / "out")
    assert resumed.digest() == whole.digest()
    assert len(read) == 14 - 8
    for row in resumed.kept():
        resumed.picture(row)


def test_a_source_that_grew_is_completed(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "in", 6)
    first = run(open_source(str(place), "folder"), tmp_path / "out")
    (place / "person9").mkdir()
    (place / "person9" / "new.png").write_bytes(png(picture(50, 160)))
    second = run(open_source(str(place), "folder"), tmp_path / "out")
    assert len(second) == len(first) + 1 and second.values("name")[-1] == "person9/new.png"
    for row in second.kept():
        second.picture(row)


def test_another_way_of_making_the_set_is_refused(tmp_path: Path) -> None:
    place = str(folder_of(tmp_path / "in", 2))
    run(open_source(place), tmp_path / "out")
    with pytest.raises(InputError, match="made with size 128, not 64"):
        run(open_source(place), tmp_path / "out", replace(SMALL, size=64))
    with growing.alone(tmp_path / "out"), pytest.raises(InputError, match="Another run"):
        run(open_source(place), tmp_path / "out")


@pytest.mark.parametrize("wrong", [{"framing": "loose"}, {"faces": "two"}, {"size": 4}, {"shard": 0}])
def test_options_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Options(**wrong)  # type: ignore[arg-type]


def test_people_without_labels_are_clusters(tmp_path: Path) -> None:
    manifest = make(tmp_path, 9, people=3)
    labels = clusters(manifest, 0.5)
    assert labels[:9] == [f"cluster-k{i % 3}" for i in range(9)] and labels[9] is None
    source = open_source(str(folder_of(tmp_path / "in", 4)))
    grouped = run(source, tmp_path / "out", replace(SMALL, cluster=True))
    people = [grouped.values("identity")[row] for row in grouped.kept()]
    assert all(person.startswith("cluster-") for person in people)
    splits = dict(zip(grouped.values("identity"), grouped.values("split"), strict=True))
    assert all((splits[person] == "held_out") == is_held_out_key(person) for person in people)


def test_pictures_without_a_person_go_by_their_name(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(60)]
    source = Source(lambda: (Item(n, lambda i=i: png(picture(i, 64))) for i, n in enumerate(names)), 60)  # type: ignore[misc]
    manifest = run(source, tmp_path, Options(size=32, shard=50))
    held = [name for name, part in zip(names, manifest.values("split"), strict=True) if part == "held_out"]
    assert held == [name for name in names if is_held_out(name)] and held


def test_a_set_can_be_moved(tmp_path: Path) -> None:
    manifest = run(open_source(str(folder_of(tmp_path / "in", 2))), tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    moved = Manifest.read(tmp_path / "elsewhere")
    assert moved.digest() == manifest.digest() and moved.picture(moved.kept()[0]).size == (128, 128)
