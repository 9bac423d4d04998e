from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mien.metrics.pairs import read_csv, read_folder
from mien.types import InputError


def write(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_rows_methods_and_what_is_left_alone(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "\ufeffidentity, expression,ours,theirs,same_person,prompt,seed,note",
        "a.png,b.png,o.png,,c.png,a man,3,x",
        "",
        "/deep/a.png,b.png,o.png,t.png,,,,",
    )
    (first, second), wrong = read_csv(path)
    assert wrong == []
    assert first.results == {"ours": tmp_path / "o.png", "theirs": None}
    assert (first.identity, first.same_person) == (tmp_path / "a.png", tmp_path / "c.png")
    assert (second.number, second.identity, second.same_person) == (2, Path("/deep/a.png"), None)


def test_what_conditioned_a_row_and_what_gives_its_pose(tmp_path: Path) -> None:
    (row,), _ = read_csv(
        write(
            tmp_path,
            "identity,expression,background,identity_encoder,expression_encoder,m",
            "a,b,g,arcface+dlib,,c",
        )
    )
    assert (row.background, row.encoders) == (tmp_path / "g", {"identity_encoder": "arcface+dlib"})
    assert list(row.results) == ["m"]


def test_a_bad_row_is_named_and_the_others_stay(tmp_path: Path) -> None:
    rows, wrong = read_csv(write(tmp_path, "identity,expression,m", "a,b", "a,,c", "a,b,c"))
    assert [row.number for row in rows] == [3]
    assert len(wrong) == 2
    assert "row 1 has fewer cells than there are columns" in wrong[0]
    assert "row 2 has an empty expression" in wrong[1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["identity,method", "a,b"], "no column 'expression'"),
        (["identity,expression,prompt", "a,b,c"], "no column of results"),
        (["identity,expression,m,m", "a,b,c,d"], "column 'm' twice"),
        (["identity,expression,m"], "has no rows"),
        (["identity,expression,m", ",b,c"], "empty identity"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_csv(write(tmp_path, *lines))


def test_not_text_and_not_there(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\xd8")
    for name, words in (("x.csv", "cannot be read as CSV"), ("nowhere.csv", "does not exist")):
        with pytest.raises(InputError, match=f"{name} {words}"):
            read_csv(tmp_path / name)


def test_folders(tmp_path: Path) -> None:
    for name in ("identity/1.png", "identity/2.png", "expression/1.jpg", "expression/2.png", "ours/2.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes").mkdir()
    (first, second), wrong = read_folder(tmp_path)
    assert wrong == []
    assert first.results == {"ours": None}
    assert first.expression == tmp_path / "expression" / "1.jpg"
    assert second.results == {"ours": tmp_path / "ours" / "2.webp"}
    for name in ("ours/3.png", "ours/4.png", "background/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (_, second), wrong = read_folder(tmp_path)
    assert second.background == tmp_path / "background" / "2.png"
    assert len(wrong) == 1 and "has 3 and 1 more, which no identity goes with" in wrong[0]
    (tmp_path / "expression" / "1.png").touch()
    with pytest.raises(InputError, match="have one name"):
        read_folder(tmp_path)
    (tmp_path / "expression" / "1.png").unlink()
    (tmp_path / "expression" / "1.jpg").unlink()
    with pytest.raises(InputError, match="no picture 1"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("identity/1.png", "expression/1.png", "ours/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    listed = Path.iterdir
    for locked in (tmp_path / "ours", tmp_path):

        def look(folder: Path, locked: Path = locked) -> Iterator[Path]:
            if folder == locked:
                raise PermissionError(13, "Permission denied", str(folder))
            return listed(folder)

        monkeypatch.setattr(Path, "iterdir", look)
        with pytest.raises(InputError, match=f"The folder {locked} cannot be read"):
            read_folder(tmp_path)


@pytest.mark.parametrize("name", ["identity picture", "expression picture"])
def test_no_method_is_called_as_a_baseline(tmp_path: Path, name: str) -> None:
    table = write(tmp_path, f"identity,expression,{name},m", "a,b,c,d")
    with pytest.raises(InputError, match=f"called '{name}'.*rename it"):
        read_csv(table)
    (row,), _ = read_csv(table, ["m"])
    assert list(row.results) == ["m"]
    for folder in ("identity", "expression", name):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").touch()
    with pytest.raises(InputError, match=f"called '{name}'"):
        read_folder(tmp_path)


def test_the_results_of_generate_can_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a.png", "b.png", "out/1.png"):
        (tmp_path / name).touch()
    results = tmp_path / "out" / "results.csv"
    results.write_text(
        "row,identity,expression,out,steps,same_person\n1,a.png,b.png,out/1.png,9,1.0\n2,,,,,",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    (row,), wrong = read_csv(results, ["out"])
    assert row.results == {"out": Path("out/1.png")}
    assert row.identity == Path("a.png")
    assert row.same_person is None  # there it is a score
    assert len(wrong) == 1
    with pytest.raises(InputError, match="no method called ours: choose of row, out, steps"):
        read_csv(results, ["ours"])
