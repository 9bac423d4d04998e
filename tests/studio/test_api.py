"""The studio as a client sees it: every endpoint on the embedded model, two users, hostile calls."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.pages import wide

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
FACE, SMILE = ROOT / "examples" / "identity.png", ROOT / "examples" / "expression.png"


@pytest.fixture(scope="module")
def client(studio: Any) -> Any:
    return studio.client()


def file(path: Path) -> Any:
    from gradio_client import handle_file

    return handle_file(str(path))


def portrait(client: Any, **options: Any) -> Any:
    given = {"identity": file(FACE), "expression_picture": None, "steps": 2, **options}
    return client.predict(api_name="/portrait", **given)


def test_a_portrait_says_what_made_it(client: Any) -> None:
    from mien.provenance import read_provenance

    preview, gallery, files, note = portrait(client, expression="surprise", seed=5, variations=2)
    assert preview is None and len(gallery) == len(files) == 2 and "Seed 6" in note
    for number, path in enumerate(files):
        said = read_provenance(path)
        assert said is not None and said["watermark"]["method"] == "mien-1"
        settings = said["settings"]
        assert settings["seed"] == 5 + number and settings["inputs"]["expression"][0]["word"] == "surprise"
        assert "/" not in json.dumps({k: v for k, v in settings.items() if k != "scores"})


def test_the_same_seed_the_same_picture_and_the_expression_counts(client: Any) -> None:
    def pixels(**options: Any) -> Any:
        from mien.provenance import read_provenance

        return read_provenance(portrait(client, **options)[2][0])["settings"]["pixels"]  # type: ignore[index]

    first = pixels(expression="joy")
    assert pixels(expression="joy") == first
    assert pixels(how="sliders", expression='{"jawOpen":0.9}') != first
    assert pixels(how="picture", expression_picture=file(SMILE)) != first


def test_travel_makes_a_film(client: Any) -> None:
    from mien.provenance.animation import read_animation

    _, film, files, note = client.predict(
        identity=file(FACE),
        expressions="neutral, joy",
        frames=3,
        prompt_text="a photo",
        steps=2,
        api_name="/travel",
    )
    with Image.open(files[0]) as image:
        assert image.n_frames == 4  # there and back
    said = read_animation(files[0])
    assert said is not None and said["settings"]["expressions"] == ["neutral", "joy"]
    settings = said["settings"]
    assert (settings["kind"], settings["frames"], settings["steps"], settings["seed"]) == ("travel", 3, 2, 0)
    assert settings["models"].keys() == {"backbone", "adapter", "face"} and settings["dtype"] == "float32"
    assert note == "3 frames." and Path(film).is_file()


def test_a_film_without_a_prompt_is_of_the_photo_itself(client: Any) -> None:
    from mien.provenance.animation import read_animation

    _, _, files, _ = client.predict(
        identity=file(FACE), expressions="neutral, joy", frames=3, api_name="/travel"
    )
    said = read_animation(files[0])
    assert said is not None and said["settings"]["engine"] == "photo"
    assert said["settings"]["models"].keys() == {"face"}


def reface(client: Any, **options: Any) -> Any:
    given = {"photo": file(FACE), "identity": None, "expression_picture": None, "steps": 2, **options}
    return client.predict(api_name="/reface", **given)


@pytest.mark.parametrize(
    ("task", "name"), [("reenact", "reenactment"), ("swap", "face swapping"), ("both", "swap all")]
)
def test_reface_keeps_the_rest_of_the_photo(client: Any, tmp_path: Path, task: str, name: str) -> None:
    from mien.provenance import PARTLY_GENERATED, read_provenance

    identity = None if task == "reenact" else file(SMILE)
    _, (before, after), files, note = reface(
        client, photo=file(wide(tmp_path)), task=task, identity=identity, expression="surprise", seed=3
    )
    old, new = (np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / "wide.png", files[0]))
    assert old.shape == new.shape and (old[:, -100:] == new[:, -100:]).all() and (old != new).any()
    said = read_provenance(files[0])
    assert said is not None and said["source_type"] == PARTLY_GENERATED
    assert said["settings"]["task"] == name and said["settings"]["seed"] == 3
    assert before and after and note.startswith("Done. ")


def test_pictures_of_the_studio_are_made_again_by_the_command_line(client: Any, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mien.cli.main import app
    from mien.provenance import read_provenance

    given = {"how": "picture", "expression_picture": file(SMILE)}
    for source, words in (
        (portrait(client, seed=3, variations=2, **given)[2][1], ["generate", FACE, SMILE]),
        (portrait(client, expression="joy:0.5", guidance=2)[2][0], ["generate", FACE]),
        (
            reface(client, task="both", identity=file(SMILE), **given)[2][0],
            ["reface", FACE, "--identity", SMILE, "--expression", SMILE],
        ),
        (reface(client, expression="anger", id_scale=0.8)[2][0], ["reface", FACE]),
    ):
        again = tmp_path / "again.png"
        command = [words[0], "--from", source, *words[1:], "-o", again, "-q"]
        result = CliRunner().invoke(app, list(map(str, command)))
        assert result.exit_code == 0 and "bit for bit" in result.stdout, result.output
        assert read_provenance(again) == read_provenance(source)
        assert again.read_bytes() == Path(source).read_bytes()


def test_faces_are_found_and_boxed(client: Any) -> None:
    boxed, chosen, note = client.predict(file(FACE), api_name="/faces")
    assert Path(boxed).is_file() and chosen == 0 and note.startswith("1 face")


def test_measuring(client: Any) -> None:
    from mien.face.analyze import analyze

    gallery, faces, scores, numbers = client.predict([file(FACE), file(SMILE)], api_name="/measure")
    assert len(gallery) == len(numbers) == 2 and len(faces["data"]) == 2
    face = analyze(SMILE)[0]
    said = numbers[1]["faces"][0]
    assert said["blendshapes"]["jawOpen"] == pytest.approx(face.blendshapes[25], abs=1e-3)
    assert 0 < scores["data"][0][1] < 1


def test_words_are_searched(client: Any) -> None:
    gallery, note = client.predict("grief", api_name="/expressions")
    assert gallery[0]["caption"].startswith("grief") and note.startswith(f"{len(gallery)} of 135")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"expression": "../../etc/passwd"}, "no word or emoji"),
        ({"expression": "/etc/passwd"}, "no word or emoji"),
        ({"expression": "smille"}, "did you mean smile"),
        ({"expression": "<script>alert(1)</script>"}, "&lt;script"),
        ({"prompt_text": "a" * 5000}, "limit"),
        ({"seed": -4}, ""),
        ({"seed": 2**70}, "out of range"),
        ({"steps": 10**6}, ""),
        ({"variations": 1000}, ""),
        ({"how": "telepathy"}, ""),
        ({"backbone": "/etc"}, ""),
        ({"steps": "many"}, ""),
        ({"expression": {"a": [1]}}, ""),
        ({"identity": None}, "give one"),
        ({"identity": "joy"}, ""),
    ],
)
def test_bad_calls_end_in_a_sentence(client: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception) as caught:
        portrait(client, **options)
    said = str(caught.value)
    assert sentence in said and said not in ("", "None") and "Traceback" not in said


def test_files_of_the_machine_are_neither_read_nor_written(studio: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    Image.open(FACE).save(outside)
    for path in (str(outside), "/etc/passwd", f"{studio.folder}/uploads/../../{outside}", "..", "\0"):
        answer = post(
            studio, "call/portrait", {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, *REST]}
        )
        assert answer[0] >= 400 or "event: error" in result(studio, answer[1])
        assert get(studio, f"file={path}")[0] in (400, 403, 404)
    for own in (ROOT / "pyproject.toml", Path(__file__), studio.engine.folder):
        assert get(studio, f"file={own}")[0] in (403, 404)


def test_uploads_stay_in_the_folder(studio: Any) -> None:
    for name in ("../../../evil.png", "/tmp/evil.png", "..\\evil.png", "a" * 400 + ".png", "x\0y.png"):
        status, said = upload(studio, name, FACE.read_bytes())
        if status == 200:
            place = Path(json.loads(said)[0]).resolve()
            assert place.is_relative_to((studio.folder / "uploads").resolve())
    assert {path.name for path in studio.folder.iterdir()} == {"lock", "uploads"}
    assert not (studio.folder.parent / "evil.png").exists() and not Path("/tmp/evil.png").exists()


def test_a_file_that_is_too_large_is_refused(studio: Any) -> None:
    from mien.studio.inputs import MAX_BYTES

    status, _ = upload(studio, "large.png", bytes(MAX_BYTES + 10_000))
    assert status in (400, 413)


def test_fuzzed_pictures_and_calls_leave_the_server_up(studio: Any, client: Any) -> None:
    rng = random.Random(7)
    whole = FACE.read_bytes()
    for _ in range(25):
        data = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(6):
            data[rng.randrange(len(data))] = rng.randrange(256)
        status, said = upload(studio, "fuzz.png", bytes(data))
        assert status == 200
        given = {"path": json.loads(said)[0], "meta": {"_type": "gradio.FileData"}}
        answer = post(studio, "call/faces", {"data": [given]})
        assert answer[0] == 200
        assert "event: " in result(studio, answer[1], "faces")
    for body in (
        {},
        {"data": 3},
        {"data": []},
        {"data": [[[[]]]] * 13},
        [1],
        {"data": None, "fn_index": 10**9},
    ):
        post(studio, "call/portrait", body)
        post(studio, "queue/join", body)
    assert client.predict("grief", api_name="/expressions")[1].endswith("of 135 words")


def test_users_do_not_see_each_others_pictures(studio: Any) -> None:
    one, two = studio.client(), studio.client()
    a, b = portrait(one, expression="joy")[2][0], portrait(two, expression="anger")[2][0]
    assert Path(a).read_bytes() != Path(b).read_bytes()
    config = json.loads(get(studio, "../config")[1])
    assert "portrait_0.png" not in json.dumps(config)
    assert get(studio, f"file={studio.engine.folder}")[0] in (403, 404)


def test_pictures_go_when_the_page_is_closed(
    studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.engine.sessions, "_grace", 0.01)
    mine = tmp_path / "mine.png"
    with Image.open(FACE) as face:
        face.rotate(3).save(mine)
    before = {path for path in studio.folder.rglob("*") if path.is_file()}
    one = studio.client()
    one.predict(api_name="/portrait", identity=file(mine), expression_picture=None, steps=2)
    one.predict(file(mine), api_name="/faces")
    made = {path for path in studio.folder.rglob("*") if path.is_file()} - before
    assert {"mine.png", "portrait_0.png", "faces.png"} <= {path.name for path in made}
    assert len([path for path in made if path.name == "portrait_0.png"]) == 1  # no copies
    one.close()
    for _ in range(300):
        left = [path for path in made if path.exists()]
        if not left:
            break
        time.sleep(0.1)
    assert left == []


def test_a_models_error_is_survived(studio: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(backbone: str) -> Any:
        raise RuntimeError("CUDA out of memory at /secret/path")

    monkeypatch.setattr(studio.engine, "model", broken)
    with pytest.raises(Exception, match="Something went wrong") as caught:
        portrait(client, prompt_text="a photo")  # which only the model does
    assert "secret" not in str(caught.value)
    monkeypatch.undo()
    assert len(portrait(client)[2]) == 1


REST = ["words", "joy", None, "", "", 1, 0, 2, 1, 1, 0, "mini"]


def post(studio: Any, route: str, body: Any) -> tuple[int, str]:
    request = urllib.request.Request(
        f"{studio.address}gradio_api/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return _answer(request)


def get(studio: Any, route: str) -> tuple[int, str]:
    from urllib.parse import quote

    return _answer(urllib.request.Request(f"{studio.address}gradio_api/{quote(route, safe='/=.')}"))


def result(studio: Any, said: str, endpoint: str = "portrait") -> str:
    return get(studio, f"call/{endpoint}/{json.loads(said)['event_id']}")[1]


def upload(studio: Any, name: str, data: bytes) -> tuple[int, str]:
    head = f'--frontier\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + data + b"\r\n--frontier--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=frontier"}
    return _answer(urllib.request.Request(f"{studio.address}gradio_api/upload", body, kind))


def _answer(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
