"""A library of labelled pictures: what is found, indexed, drawn and doubted."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factory.faces.sources import shared_dir
from mien.expressions.labels import get, labels
from mien.expressions.library import INDEX, Library, build, find_labelled
from mien.expressions.reading import complete
from mien.face.blendshapes import NAMES
from mien.types import Face, InputError

pytest.importorskip("pyarrow")


def say(path: Path, word: str, number: int) -> None:
    """A picture whose colour says which face `read` sees in it: the word's prototype, or none at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = -1 if word == "nobody" else list(labels()).index(word)
    Image.new("RGB", (32, 32), (code + 1, number, 0)).save(path)


def read(images: Iterator[Image.Image]) -> Iterator[Sequence[Face]]:
    """An analyser that is never wrong, up to a little noise."""
    for image in images:
        code, number, _ = image.getpixel((0, 0))
        if not code:
            yield []
            continue
        prototype = get(list(labels())[code - 1]).prototype
        shapes = complete({name: float(v) for name, v in zip(NAMES, prototype, strict=True) if v})
        rng = np.random.default_rng(number)
        points = 100 + 20 * rng.random((478, 3))
        yield [
            Face(
                np.array([0, 0, 9, 9.0]),
                points,
                (shapes + rng.normal(0, 0.02, 52)).clip(0, 1),
                np.zeros(3),
                0.9,
            )
        ]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Ten pictures each of three words in three layouts, two of them mislabelled, one without a face."""
    for number in range(10):
        say(tmp_path / "joy" / f"{number}.png", "anger" if number == 3 else "joy", number)
        say(tmp_path / "train" / "012_Anger" / f"{number}.png", "anger", number)
        say(
            tmp_path / "test" / "surprise-1" / f"{number}.png",
            "sadness" if number == 7 else "surprise",
            number,
        )
    say(tmp_path / "joy" / "empty.png", "nobody", 0)
    (tmp_path / "joy" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    (tmp_path / "joy" / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_folder_is_indexed_and_read_again(place: Path) -> None:
    told = []
    made = build(place, read, lambda done, of: told.append((done, of)))
    assert told[-1] == (32, 32) and len(made.usable) == 30
    assert {entry.path: entry.reason for entry in made.entries if entry.reason}.keys() == {
        "joy/empty.png",
        "joy/broken.jpg",
    }
    again = Library.read(place)
    assert [(e.path, e.word, e.reason) for e in again.entries] == [
        (e.path, e.word, e.reason) for e in made.entries
    ]
    assert np.allclose(again.usable[0].vector, made.usable[0].vector)
    assert str(place) not in (place / INDEX).read_bytes().decode("latin-1")


def test_what_has_not_changed_is_not_analysed_again(place: Path) -> None:
    build(place, read)
    say(place / "joy" / "new.png", "joy", 99)
    (place / "joy" / "0.png").rename(place / "joy" / "moved.png")
    seen = []

    def counting(images: Iterator[Image.Image]) -> Iterator[Sequence[Face]]:
        for image in images:
            seen.append(image)
            yield from read(iter([image]))

    made = build(place, counting)
    assert len(seen) == 2 and len(made.usable) == 31  # the new and the moved one


def test_stopped_half_way_what_was_known_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(place, read)
    monkeypatch.setattr("mien.expressions.library.SAVE_EVERY", 16)

    def stop(done: int, of: int) -> None:
        if done > 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(place, read, stop)
    assert [entry.path for entry in Library.read(place).entries] == [entry.path for entry in whole.entries]


def test_drawing(place: Path) -> None:
    library = build(place, read)
    one = library.draw("surprise", seed=5)
    assert one == library.draw("surprise", seed=5) and one[0].word == "surprise"
    assert len({library.draw("surprise", seed=seed)[0].path for seed in range(20)}) > 5
    assert len({entry.path for entry in library.draw("joy", count=10)}) == 10
    assert library.draw("surprise", "typical")[0].path != "test/surprise-1/7.png"
    assert library.draw("surprise", "typical", count=10)[-1].path == "test/surprise-1/7.png"
    anger = complete({name: float(v) for name, v in zip(NAMES, get("anger").prototype, strict=True) if v})
    near = library.draw(None, "nearest", near=anger, count=11)
    assert {entry.path for entry in near} == {
        "joy/3.png",
        *(f"train/012_Anger/{number}.png" for number in range(10)),
    }
    for words, said in (
        (("joy", "random", 0, 11), "10 pictures"),
        (("joyy",), "did you mean joy"),
        (("fear",), "0 pictures of fear"),
    ):
        with pytest.raises(InputError, match=said):
            library.draw(*words)
    with pytest.raises(InputError, match="blendshapes to be near to"):
        library.draw("joy", "nearest")


def test_the_mislabelled_are_found(place: Path) -> None:
    doubts = build(place, read).mislabelled()
    assert {doubt.path for doubt in doubts} == {"joy/3.png", "test/surprise-1/7.png"}
    found = {doubt.path: doubt for doubt in doubts}
    assert found["joy/3.png"].nearest == "anger" and found["joy/3.png"].ratio > 1.5
    assert doubts[0].ratio >= doubts[1].ratio


def test_a_csv_file_labels_pictures(place: Path) -> None:
    table = place / "labels.csv"
    table.write_text(
        "path,word\njoy/0.png,Joy\ntrain/012_Anger/0.png,anger\ngone.png,fear\n", encoding="utf-8-sig"
    )
    made = build(table, read)
    assert [entry.word for entry in made.usable] == ["joy", "anger"] and made.root == place
    assert made.entries[2].reason is not None and "no such file" in made.entries[2].reason
    for text, said in (
        ("path\na.png\n", "no column 'word'"),
        ("path,word\na.png,joyy\n", "line 2.*did you mean joy"),
        ("path,word\n", "no rows"),
        ("path,word\na.png,joy\na.png,fear\n", "twice"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=said):
            find_labelled(table)


def test_places_that_are_no_library(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder nor a .csv"):
        find_labelled(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no pictures"):
        find_labelled(tmp_path)
    say(tmp_path / "hapiness" / "1.png", "joy", 1)
    with pytest.raises(InputError, match="did you mean happiness"):
        find_labelled(tmp_path)
    with pytest.raises(InputError, match="mien expressions build"):
        Library.read(tmp_path)
    (tmp_path / INDEX).write_bytes(b"no parquet")
    with pytest.raises(InputError, match="delete it and run"):
        Library.read(tmp_path)


@pytest.mark.shared
@pytest.mark.slow
def test_real_photographs_swapped_on_purpose_are_doubted(tmp_path: Path) -> None:
    """LFW's faces labelled joy or neutral by their smiles as the analyser reads them, then a tenth of them swapped:
    most of the doubted are the swapped."""
    from mien.face.analyze import analyze_many

    smile = [NAMES.index("mouthSmileLeft"), NAMES.index("mouthSmileRight")]
    archive = sorted((shared_dir() / "data").glob("lfw-gray-*.tar"))[0]
    pictures = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".jpg") and (stream := tar.extractfile(member)):
                pictures.append(stream.read())
            if len(pictures) == 240:
                break
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    rows, swapped, faces = [], set(), []
    rng = np.random.default_rng(0)
    for i, found in enumerate(analyze_many(images)):
        strength = found[0].blendshapes[smile].mean() if found else 0.4
        if 0.2 < strength < 0.7:  # neither a clear smile nor none
            continue
        word = "joy" if strength >= 0.7 else "neutral"
        if rng.random() < 0.1:
            swapped.add(f"{i}.jpg")
            word = {"joy": "neutral", "neutral": "joy"}[word]
        (tmp_path / f"{i}.jpg").write_bytes(pictures[i])
        rows.append([f"{i}.jpg", word])
        faces.append(found)
    with (tmp_path / "words.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "word"], *rows])
    seen = iter(faces)  # in the same order
    library = build(tmp_path / "words.csv", lambda images: (next(seen) for _ in images))
    doubts = [doubt.path for doubt in library.mislabelled()]
    hits = swapped & set(doubts[: len(swapped)])
    assert len(swapped) >= 8 and len(hits) >= 0.75 * len(swapped)
