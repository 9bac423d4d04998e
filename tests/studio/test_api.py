"""The studio as a program sees it: every call on the embedded model, two users, hostile calls."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.pipelines.photo import HIDDEN_MOUTH, Sitter
from mien.studio.app import build
from tests.studio.conftest import FACE, ROOT, SMILE, Client

pytestmark = pytest.mark.slow


def wide(folder: Path) -> Path:
    """A photo with a face at its left and nothing in its right 100 columns."""
    with Image.open(FACE) as face:
        photo = Image.new("RGB", (2 * face.width + 40, face.height + 40), (90, 120, 150))
        photo.paste(face.convert("RGB"), (20, 20))
    photo.save(folder / "wide.png")
    return folder / "wide.png"


def make(client: Client, **wish: Any) -> Any:
    answer = client.post("/api/make", wish)
    assert answer["status"] == 200, answer
    return answer["results"]


def test_an_expression_says_what_made_it_and_keeps_the_rest(client: Client, tmp_path: Path) -> None:
    from mien.provenance import PARTLY_GENERATED, read_provenance

    photo = client.give(wide(tmp_path))
    (result,) = make(client, photo=photo, expression="surprise", strength=0.9)
    saved = client.save(result["id"], tmp_path / "made.png")
    said = read_provenance(saved)
    assert (
        said is not None
        and said["source_type"] == PARTLY_GENERATED
        and said["watermark"]["method"] == "mien-1"
    )
    settings = said["settings"]
    assert settings["strength"] == 0.9 and settings["inputs"]["expression"][0]["word"] == "surprise"
    assert "/" not in json.dumps({k: v for k, v in settings.items() if k != "scores"})
    old, new = (np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / "wide.png", saved))
    assert old.shape == new.shape and (old[:, -100:] == new[:, -100:]).all() and (old != new).any()
    assert "person" in result["words"] and result["framed"]


@pytest.mark.parametrize(
    "wish",
    [
        {"expression": "joy"},
        {"expression": "joy", "sliders": {"brows": 0.5}, "turn": [6.0, 0.0, 0.0]},
        {"other": 1},
    ],
)
def test_results_are_made_again_by_the_command_line(
    client: Client, tmp_path: Path, wish: dict[str, Any]
) -> None:
    from typer.testing import CliRunner

    from mien.cli.main import app

    photo, more = client.give(FACE), []
    if "other" in wish:
        wish, more = {"other": client.give(SMILE, "other")}, ["--identity", str(SMILE)]
    (result,) = make(client, photo=photo, **wish)
    source = client.save(result["id"], tmp_path / "made.png")
    command = ["reface", "--from", str(source), str(FACE), *more, "-o", str(tmp_path / "again.png"), "-q"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0 and "bit for bit" in told.stdout, told.output


def test_variations_zip_history_and_a_result_as_photo(client: Client) -> None:
    photo = client.give(FACE)
    made = make(client, photo=photo, expression="joy", variations=True)
    assert len({result["label"] for result in made}) == len(made) == 4
    with zipfile.ZipFile(io.BytesIO(client.raw("/api/all.zip")[1])) as archive:
        assert len(archive.namelist()) == 4
    state = client.get("/api/state")
    assert [r["id"] for r in state["results"]] == [r["id"] for r in reversed(made)] and state["photo"][
        "id"
    ] == photo
    again = client.post(f"/api/photo?file={made[0]['id']}")
    assert again["id"] != photo and len(again["faces"]) == 1


def test_a_picture_as_reference(client: Client, tmp_path: Path) -> None:
    photo, reference = client.give(FACE), client.give(SMILE, "reference")
    (one,) = make(client, photo=photo, reference=reference)
    assert (
        client.raw(f"/files/{one['id']}")[1]
        != client.raw(f"/files/{make(client, photo=photo, expression='joy')[0]['id']}")[1]
    )


def test_a_model_draws_a_portrait(client: Client, tmp_path: Path) -> None:
    from mien.provenance import read_provenance

    wish = {"photo": client.give(FACE), "expression": "joy", "model": "mini", "steps": 1, "prompt": "a photo"}
    made = make(client, **wish, count=2, seed=5)
    for number, result in enumerate(made):
        said = read_provenance(client.save(result["id"], tmp_path / "drawn.png"))
        assert said is not None and said["settings"]["seed"] == 5 + number and not result["framed"]
    (one,) = make(client, **wish, draws="photo")
    assert one["framed"]


def test_a_film_through_expressions_and_by_a_film(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    av = pytest.importorskip("av")
    photo = client.give(FACE)
    first = client.post("/api/film", {"photo": photo, "stops": "neutral, joy"})["results"][0]
    place = client.save(first["id"], tmp_path / "first.mp4")
    with av.open(str(place)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24  # there and back
    driver = client.post("/api/driver?name=../first.mp4", place.read_bytes())
    assert driver["name"] == "first.mp4"
    monkeypatch.setattr(Sitter, "hides_mouth", True)
    second = client.post("/api/film", {"photo": client.give(SMILE), "driver": driver["id"]})["results"][0]
    assert HIDDEN_MOUTH in second["words"]
    with av.open(str(client.save(second["id"], tmp_path / "second.mp4"))) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24
    cut = client.post("/api/driver?name=cut.mp4", place.read_bytes()[:400])
    told = client.post("/api/film", {"photo": photo, "driver": cut["id"]})
    assert told["status"] == 422 and told["field"] == "driver" and "cut.mp4" in told["error"]


def test_measuring(client: Client) -> None:
    from mien.face.analyze import analyze

    ids = [client.give(path, "pictures") for path in (FACE, SMILE)]
    one, two = client.post("/api/measure", {"pictures": ids})["pictures"]
    said = two["faces"][0]["blendshapes"]["jawOpen"]
    assert said == pytest.approx(analyze(SMILE)[0].blendshapes[25], abs=1e-3)
    assert "compared" not in one and 0 < two["compared"]["exp"] < 1
    assert client.raw(f"/files/{one['drawn']}")[0] == 200


def test_words_and_their_faces(client: Client) -> None:
    assert len(client.get("/api/words")) == 135
    assert any("smile" in word["name"] for word in client.get("/api/words?q=smile"))
    for word in ("grief", "wink", "bittersweet", "%F0%9F%98%8F"):
        status, data = client.raw(f"/api/face?expression={word}")
        assert status == 200 and Image.open(io.BytesIO(data)).size[0] > 100
    photo = client.give(FACE)
    own = [client.raw(f"/api/face?expression={word}&photo={photo}&face=0")[1] for word in ("joy", "grief")]
    assert own[0] != own[1]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"expression": "../../etc/passwd"}, "expression"),
        ({"expression": "smille"}, "expression"),
        ({"expression": {"a": [1]}}, "expression"),
        ({"photo": None}, "photo"),
        ({"photo": "/etc/passwd"}, "photo"),
        ({"photo": ["x"]}, "photo"),
        ({"face": 7}, "face"),
        ({"other": "0" * 32}, "other"),
        ({"reference": "joy"}, "reference"),
        ({"model": "/etc"}, "model"),
        ({"model": "mini", "steps": 10**6}, "steps"),
        ({"model": "mini", "seed": -4}, "seed"),
        ({"model": "mini", "prompt": "a" * 5000}, "prompt"),
        ({"model": "mini", "count": 2.5}, "count"),
    ],
)
def test_bad_calls_end_in_a_sentence_at_their_field(client: Client, wish: dict[str, Any], field: str) -> None:
    told = client.post("/api/make", {"photo": client.give(FACE), "expression": "joy", **wish})
    assert told["status"] == 422 and told["field"] == field, told
    assert "\n" not in told["error"] and "Traceback" not in told["error"]


def test_uploads_have_limits(client: Client) -> None:
    for path, body, said in (
        ("/api/photo", b"", "empty"),
        ("/api/photo", b"GIF89a" + bytes(40), "photo"),
        ("/api/photo?person=../../app", b"{}", "no such example"),
        ("/api/photo?file=../lock", b"{}", "gone"),
        ("/api/photo", bytes(20_000_001), "20 MB"),
        ("/api/make", b" " * 300_000, "MB"),
        ("/api/make", b'{"a":' * 20_000, "JSON"),
        ("/api/make", b"[1]", "JSON"),
        ("/api/driver", b"", "empty"),
    ):
        told = client.post(path, body)
        assert told["status"] == 422 and said in told["error"], (path, told)


def test_files_of_the_machine_and_of_others_are_not_given(
    studio: Any, client: Client, tmp_path: Path
) -> None:
    photo = client.give(FACE)
    (result,) = make(client, photo=photo, expression="joy")
    stranger = studio.client()
    for id in (photo, result["id"]):
        assert stranger.raw(f"/files/{id}?download=1")[0] == 404
        assert stranger.post("/api/make", {"photo": id, "expression": "joy"})["status"] == 422
        assert stranger.raw(f"/api/face?expression=joy&photo={id}")[0] == 422
    for path in (
        "/files/..%2flock",
        "/static/app.py",
        "/static/..%2fapp.py",
        "/people/..%2f..%2fapp.py",
        "/people/../app.py",
    ):
        assert client.raw(path)[0] in (400, 404), path
    assert {path.name for path in studio.studio.sessions.folder.iterdir() if path.is_file()} == {"lock"}


def test_other_pages_may_not_ask(studio: Any, client: Client) -> None:
    assert client.raw("/api/stop", b"{}", Origin="http://evil.example")[0] == 403
    assert client.raw("/api/stop", b"{}", Origin=studio.address.rstrip("/"))[0] == 200
    request = urllib.request.Request(studio.address)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        headers = answer.headers
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=strict" in headers["Set-Cookie"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def headers_of(app: Any, path: str, query: str = "") -> dict[str, str]:
    """What an app answers to somebody unknown, without the server."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}  # before, answers wait for the asker to leave
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200, path
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_the_app_itself_sets_its_headers_and_makes_no_session_of_a_stray_question(studio: Any) -> None:
    """Whatever serves the app. A question that needs nobody's pictures makes no session, and none but a page that is
    opened, or given something, gets a cookie."""
    app, before = build(studio.studio), len(studio.studio.sessions._all)
    for path, query in (("/api/words", "q=smile"), ("/api/face", "expression=joy"), ("/static/page.js", "")):
        headers = headers_of(app, path, query)
        assert headers["x-content-type-options"] == "nosniff" and "set-cookie" not in headers
    assert "set-cookie" not in headers_of(app, "/api/progress")
    assert len(studio.studio.sessions._all) == before
    assert "set-cookie" in headers_of(app, "/")
    assert len(studio.studio.sessions._all) == before + 1


def test_an_error_tells_nothing_and_is_survived(
    studio: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = client.give(FACE)

    def broken(backbone: str) -> Any:
        raise RuntimeError("CUDA out of memory at /secret/path")

    monkeypatch.setattr(studio.studio.engine, "model", broken)
    told = client.post("/api/make", {"photo": photo, "expression": "joy", "model": "mini"})
    assert told["status"] == 500 and "secret" not in told["error"] and "Something went wrong" in told["error"]
    monkeypatch.undo()
    assert make(client, photo=photo, expression="joy")


def test_everything_of_mine_goes_when_asked(studio: Any, client: Client) -> None:
    photo = client.give(FACE)
    make(client, photo=photo, expression="joy")
    client.post("/api/forget")
    assert client.raw(f"/files/{photo}?shown=1")[0] == 404 and client.get("/api/state")["results"] == []


def test_the_examples_of_the_page_are_shipped() -> None:
    pytest.importorskip("starlette")
    from mien.studio.app import PEOPLE

    for name in PEOPLE:
        with Image.open(ROOT / "src/mien/studio/people" / f"{name}.jpg") as picture:
            assert picture.size == (768, 768)


def test_a_sample_of_what_nobody_should_send(client: Client) -> None:
    from tests.studio import hostile

    photo = client.give(FACE)
    for number in range(20_000, 20_040):  # others than the command's
        status, said = hostile.send(number, client, photo)
        assert not hostile.verdict(status, said).startswith("WRONG"), (number, status, said[:300])
    assert hostile.verdict(500, "{}").startswith("WRONG") and hostile.verdict(200, "root:x:0").startswith(
        "WRONG"
    )
