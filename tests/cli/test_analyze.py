"""`mien analyze` from the outside, with the shipped networks where they are there."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien import weights
from mien.cli import analyze as verb
from mien.cli.main import app, main
from mien.face.analyze import MIN_CONFIDENCE
from mien.face.blendshapes import NAMES
from mien.face.overlay import draw_faces, strongest
from mien.provenance import read_provenance
from mien.types import Face
from tests.face.faces import rng_landmarks


def _shipped() -> bool:
    try:
        weights.path("analyser")
        weights.path("detector")
    except ValueError:
        return False
    return True


needs_weights = pytest.mark.skipif(
    not _shipped(), reason="the analyser and detector are not in the package yet"
)


def face(confidence: float = 0.9, shift: float = 0.0) -> Face:
    landmarks = rng_landmarks() + [shift, 0, 0]
    shapes = np.linspace(0, 0.51, 52)
    box = np.concatenate([landmarks[:, :2].min(0), landmarks[:, :2].max(0)])
    return Face(box, landmarks, shapes, np.array([10.0, -5.0, 2.5]), confidence)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two faces in every picture, whatever it shows."""
    two = [face(), face(0.7, 90)]
    monkeypatch.setattr(
        "mien.face.analyze.analyze_many", lambda images, *_, **__: iter([two for _ in images])
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    place.mkdir()
    for name in ("b.png", "a.jpg"):
        Image.new("RGB", (256, 240), (90, 120, 140)).save(place / name)
    return place


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["analyze", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_table_json_and_csv(found: None, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run(folder, "-q")
    assert code == 0
    assert f"{folder / 'a.jpg'}: 2 faces" in out and "yaw +10 pitch -5" in out
    code, out, _ = run(folder / "a.jpg", folder / "b.png", "--json", "-q")
    assert code == 0
    records = json.loads(out)
    assert [Path(r["path"]).name for r in records] == ["a.jpg", "b.png"]
    first = records[0]["faces"][0]
    assert set(first) == {"box", "pose", "confidence", "blendshapes"}
    assert list(first["blendshapes"]) == list(NAMES) and first["pose"]["pitch"] == -5
    table = tmp_path / "faces.csv"
    code, _, _ = run(folder, "-q", "--csv", table)
    rows = list(csv.DictReader(table.open()))
    assert code == 0 and len(rows) == 4 and rows[1]["face"] == "1" and rows[0]["jawOpen"] == "0.2500"
    code, out, _ = run(folder, "-q", "--csv", "-")
    assert out.startswith("path,face,x0") and len(out.splitlines()) == 5


def test_overlay_of_one_and_of_many(found: None, folder: Path, tmp_path: Path) -> None:
    code, _, _ = run(folder / "a.jpg", "--overlay", tmp_path / "o.png")
    drawn = Image.open(tmp_path / "o.png")
    assert code == 0 and drawn.width > 256
    assert read_provenance(tmp_path / "o.png") is None  # a photo with lines on it is not a generated picture
    code, _, _ = run(folder, "-q", "--overlay", tmp_path / "drawn")
    assert code == 0 and sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.jpg"], "does not exist"),
        (["photos", "--overlay", "one.png"], "name of a folder"),
        (["photos/a.jpg", "--overlay", "one.gif"], "how to save"),
        (["photos", "--backend", "mediapip"], "did you mean mediapipe"),
        (["photos", "--json", "--csv", "-"], "stdout"),
        (["photos", "--csv", "no/where.csv"], "does not exist"),
        (["empty"], "holds no picture"),
        (["photos/b.png", "--overlay", "photos/../photos/b.png"], "would be overwritten"),
        (["photos", "--overlay", "photos"], "would be overwritten"),
        (["photos/a.jpg", "--csv", "photos/a.jpg"], "would be overwritten"),
        (["photos", "--backend", "mediapipe", "--min-confidence", "0.9"], "of the embedded backend"),
        (["photos", "--model", "face.task"], "add --backend mediapipe"),
        (["photos", "--backend", "mediapipe", "--model", "face.task"], "face.task does not exist"),
        (["photos", "--parser", "folder"], "add --overlay"),
        (["photos", "--parser", "./folder", "--overlay", "drawn.d"], "name of a folder"),
        (["photos/a.jpg", "--overlay", "x" * 300 + ".png"], "file name too long"),
        (["photos", "--overlay", "x" * 300], "cannot be made"),
        (["photos", "--overlay", "drawn", "--csv", "photos/a.jpg"], "would be overwritten"),
        (["photos/a.jpg", "--overlay", "o.png", "--csv", "./o.png"], "would be written twice"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    found: None, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, err = run(*words)
    assert code == 2 and sentence in err and "Traceback" not in err and out == ""
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(p.name for p in folder.parent.iterdir()) == ["empty", "photos"]


def test_a_folder_may_have_a_dot_in_its_name(found: None, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.1").mkdir()
    code, _, err = run(folder, "-q", "--overlay", tmp_path / "run.1")
    assert code == 0, err
    assert sorted(p.name for p in (tmp_path / "run.1").iterdir()) == ["a.png", "b.png"]


def test_names_that_are_no_text(found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the shell gives them; a table is written, and a strict terminal does not stop the program."""
    name, table = os.fsdecode(b"\xe9t\xe9.png"), tmp_path / "t.csv"
    Image.new("RGB", (256, 240)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / name)
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "utf-8", errors="strict"))
    monkeypatch.setattr("sys.argv", ["mien", "analyze", str(tmp_path / name), "--csv", str(table)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    sys.stdout.flush()
    assert b"\\udce9t\\udce9.png: 2 faces" in written.getvalue()
    assert "\\udce9t\\udce9.png" in table.read_text(encoding="utf-8")


def test_a_parser_s_mask_is_drawn_in_place_of_the_ovals(
    found: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        def mask(self, image: Image.Image) -> np.ndarray:
            return np.repeat(np.arange(image.width) < image.width // 2, image.height).reshape(image.size).T

    monkeypatch.setattr("mien.face.parsing.load_parser", lambda source: Half())
    run(folder / "b.png", "--overlay", tmp_path / "plain.png")
    code, _, _ = run(folder / "b.png", "--overlay", tmp_path / "parsed.png", "--parser", "any")
    plain, parsed = (np.asarray(Image.open(tmp_path / f"{name}.png"))[5:20] for name in ("plain", "parsed"))
    changed = (plain != parsed).any(axis=(0, 2))  # the first rows of the photo hold no face
    assert code == 0 and changed[5:300].all() and not changed[330:640].any()


def test_a_bad_picture_does_not_stop_the_others(found: None, folder: Path) -> None:
    (folder / "c.png").write_bytes(b"not a picture")
    (folder / "d.png").write_bytes(b"")
    code, out, err = run(folder, "-q", "--json")
    assert code == 2 and len(json.loads(out)) == 2
    assert "c.png" in err and "d.png" in err and len(err.strip().splitlines()) == 2


def test_strongest_leaves_neutral_out() -> None:
    shapes = np.zeros(52)
    shapes[[0, 5, 9]] = 1.0, 0.2, 0.4
    assert strongest(shapes, 2) == [(NAMES[9], 0.4), (NAMES[5], 0.2)]


@pytest.mark.parametrize("size", [(16, 900), (3000, 200), (300, 300)])
def test_drawing_fits_any_picture(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size)
    assert max(draw_faces(picture, []).size) <= 2048
    drawn = draw_faces(picture, [face()] * 9)
    assert drawn.height >= 200
    far = face(shift=1e5)
    assert draw_faces(picture, [far]).width > 0


@needs_weights
def test_shipped_networks_find_nobody_in_a_plain_picture(tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), (90, 120, 140)).save(tmp_path / "plain.png")
    code, out, _ = run(tmp_path / "plain.png")
    assert code == 0 and out.strip().endswith("no face")


def test_every_option_is_explained() -> None:
    code, out, _ = run("--help")
    assert code == 0 and verb.__doc__ and "--overlay" in out and f"{MIN_CONFIDENCE} if not given" in out
