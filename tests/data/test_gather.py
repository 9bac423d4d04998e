"""Pictures from folders, tars and Hugging Face datasets, with their labels."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from mien.data.gather import Item, open_source
from mien.data.shards import encode, write_shard
from mien.types import InputError
from tests.data.sets import picture


def items(place: Path | str, identity: str = "none", prompt: str = "") -> list[Item]:
    source = open_source(str(place), identity, prompt)
    found = list(source.items())
    assert source.count in (None, len(found))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "sub/Bob_0001.jpg", "sub/other.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(len(name))))
    return tmp_path / "in"


def test_a_folder_and_its_labels(folder: Path, tmp_path: Path) -> None:
    found = items(folder)
    assert [item.name for item in found] == [
        "Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "sub/Bob_0001.jpg", "sub/other.png",
    ]  # fmt: skip
    assert found[0].read() == (folder / "Ann_Lee_0001.jpg").read_bytes()
    assert {item.identity for item in found} == {None}
    assert [item.identity for item in items(folder, "folder")] == [None, None, "sub", "sub"]
    assert [item.identity for item in items(folder, "name")] == ["Ann_Lee", "Ann_Lee", "Bob", None]
    table = tmp_path / "labels.csv"
    table.write_text("file,identity,prompt\nsub/other.png,Cy,a drawing\nAnn_Lee_0001.jpg,,\n")
    labelled = {item.name: (item.identity, item.prompt) for item in items(folder, str(table))}
    assert labelled["sub/other.png"] == ("Cy", "a drawing")
    assert labelled["Ann_Lee_0001.jpg"] == (None, "") == labelled["Ann_Lee_0002.jpg"]


def test_a_table_of_labels_that_is_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_source(str(folder), str(tmp_path / "no.csv"))
    (tmp_path / "bad.csv").write_text("name,who\na,b\n")
    with pytest.raises(InputError, match="no column 'file'"):
        open_source(str(folder), str(tmp_path / "bad.csv"))


def test_webdataset_shards(tmp_path: Path) -> None:
    data = encode(picture(0))
    for i in range(2):
        files = [(f"{i}a.jpg", data), (f"{i}a.json", b'{"who": 7, "text": "a man"}'), (f"{i}b.jpg", data)]
        write_shard(tmp_path / f"{i}.tar", [*files, (f"{i}b.who", b"Bob\n"), (f"{i}b.text", b"x")])
    found = items(tmp_path, "who", "text")
    assert [(i.name, i.identity, i.prompt) for i in found] == [
        ("0/0a.jpg", "7", "a man"), ("0/0b.jpg", "Bob", "x"), ("1/1a.jpg", "7", "a man"), ("1/1b.jpg", "Bob", "x"),
    ]  # fmt: skip
    assert found[2].read() == data
    assert [item.name for item in items(tmp_path / "0.tar")] == ["0a.jpg", "0b.jpg"]
    assert len(items(tmp_path / "*.tar")) == 4
    with pytest.raises(InputError, match="has no field 'name2', only"):
        items(tmp_path, "name2")


def test_a_plain_tar_of_names(tmp_path: Path) -> None:
    write_shard(tmp_path / "lfw.tar", [("lfw/Ann_Lee_0003.jpg", b"1"), ("lfw/Bob_0001.jpg", b"2")])
    assert [i.identity for i in items(tmp_path / "lfw.tar", "name")] == ["Ann_Lee", "Bob"]


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("secret.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        plain = tarfile.TarInfo("a.jpg")
        plain.size = 1
        tar.addfile(plain, io.BytesIO(b"1"))
    assert [item.name for item in items(tmp_path / "a.tar")] == ["a.jpg"]


def test_a_place_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for place in (tmp_path, tmp_path / "notes.txt", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="not a folder of pictures"):
            open_source(str(place))


def test_a_hugging_face_dataset_on_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip(
        "datasets", reason="the library datasets is not installed (mien[datasets])"
    )
    features = datasets.Features(
        {
            "face": datasets.Image(),
            "who": datasets.ClassLabel(names=["Ann", "Bob"]),
            "text": datasets.Value("string"),
        }
    )
    pictures: list[Image.Image] = [picture(i) for i in range(3)]
    data = datasets.Dataset.from_dict(
        {"face": pictures, "who": [1, 0, 1], "text": ["a", None, "c"]}, features=features
    )
    data.save_to_disk(str(tmp_path / "one"))
    found = items(tmp_path / "one", "who", "text")
    assert [(i.identity, i.prompt) for i in found] == [("Bob", "a"), ("Ann", ""), ("Bob", "c")]
    assert Image.open(io.BytesIO(found[1].read())).size == (128, 128)
    assert len({item.name for item in found}) == 3
    datasets.DatasetDict(train=data, test=data.select([0])).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(InputError, match="has the splits train, test"):
        open_source(str(tmp_path / "two"))
    assert len(items(f"hf:{tmp_path / 'two'}:test")) == 1
    with pytest.raises(InputError, match="no split dev"):
        open_source(f"hf:{tmp_path / 'two'}:dev")
    with pytest.raises(InputError, match="no field 'person'"):
        items(tmp_path / "one", "person")
    data.remove_columns("face").save_to_disk(str(tmp_path / "three"))
    with pytest.raises(InputError, match="no column of pictures"):
        open_source(str(tmp_path / "three"))
