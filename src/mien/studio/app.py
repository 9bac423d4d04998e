"""What the studio answers, by route."""

from __future__ import annotations

import asyncio
import base64
import io
import secrets
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from mien import __version__
from mien.expressions import everyday
from mien.expressions.faces import FOLDER, illustrate
from mien.making.consent import NOTICE
from mien.studio import actions, live
from mien.studio.actions import Ask
from mien.studio.engine import Engine
from mien.studio.gate import WithHeaders, call, content, is_foreign, told
from mien.studio.sessions import AGE, File, Session, Sessions
from mien.studio.wishes import MAX_SEED, Fields, Refused, refusing, search, words

HERE = Path(__file__).parent
MAX_BYTES = 20_000_000  # of an uploaded picture
MAX_FILM = 300_000_000  # of an uploaded film
COOKIE = "mien"
KNOWN_BY = ("/", "/api/state", "/api/photo", "/api/driver", "/api/invent")  # answers that set it
PALETTE = "😀 😄 😉 😘 😮 😢 😠 😱 🤢 😏 😴 😐".split()
PEOPLE = ("cleo", "max", "ida", "raj")  # of people/: they are nobody
Answer = Callable[[Session, Request], Awaitable[Any]]
STATIC = {"page.js": "text/javascript", "page.css": "text/css"}


@dataclass
class Studio:
    """What answers: the engine and the sessions. `notices`: session -> what its running job last told."""

    engine: Engine
    sessions: Sessions

    def __post_init__(self) -> None:
        self.notices: dict[str, dict[str, Any]] = {}

    def session(self, request: Request, keep: bool = False) -> Session:
        """The caller's; keep: a new one is known from now on."""
        return self.sessions.get(request.cookies.get(COOKIE), keep)

    async def work(self, session: Session, do: Any, slow: bool = False) -> Any:
        """A job of the caller's, with its progress noted."""

        def tell(step: int, total: int, preview: Image.Image | None) -> None:
            shown = None
            if preview is not None:
                shown = "data:image/jpeg;base64," + base64.b64encode(actions.jpeg(preview)).decode()
            self.notices[session.key] = {"step": step, "total": total, "preview": shown}

        try:
            return await asyncio.wrap_future(self.engine.run(session.key, do, slow, tell))
        finally:
            self.notices.pop(session.key, None)

    def route(self, path: str, answer: Answer, method: str = "GET") -> Route:
        """A route of what `answer` gives to the caller's session: a response or JSON values. Only what begins a
        session, or gives it something, sets the cookie."""

        async def answered(request: Request) -> Response:
            session = self.session(request, keep=path in KNOWN_BY)
            given = await answer(session, request)
            response = given if isinstance(given, Response) else JSONResponse(given)
            if path in KNOWN_BY and request.cookies.get(COOKIE) != session.key:
                response.set_cookie(COOKIE, session.key, httponly=True, samesite="strict")
            return response

        return Route(path, told(answered), methods=[method])

    async def page(self, session: Session, request: Request) -> Response:
        """The page itself."""
        text = (HERE / "page.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{consent}", NOTICE).replace("{version}", __version__))

    async def static(self, request: Request) -> Response:
        """The page's script or style."""
        name = request.path_params["name"]
        if name not in STATIC:
            return Response(status_code=404)
        return FileResponse(HERE / name, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    async def state(self, session: Session, request: Request) -> Any:
        """What the page shows at first, or again after it was loaded anew."""
        photo = session.files.get(session.photo or "")
        return {
            "photo": photo and described(photo),
            "results": session.results,
            "palette": [{"text": face, "name": meaning(face)} for face in PALETTE],
            "people": list(PEOPLE),
            "models": list(self.engine.backbones),
            "kept_for": AGE,
            "given": {r["of"]: True for r in session.results if r["of"] in session.files},
        }

    async def photo(self, session: Session, request: Request) -> Any:
        """Take a picture: the body's, an example's (`?person=`), or one that was made (`?file=`)."""
        asked = request.query_params
        kind = asked.get("as", "photo")
        if "person" in asked:
            if asked["person"] not in PEOPLE:
                raise Refused(kind, "There is no such example.")
            data, name = (HERE / "people" / f"{asked['person']}.jpg").read_bytes(), asked["person"]
        elif "file" in asked:
            file = session.file(asked["file"], "picture")
            data, name = file.path.read_bytes(), file.name
        else:
            data, name = await content(request, MAX_BYTES), asked.get("name", "picture")
        what = {"photo": "photo", "other": "other person's picture", "reference": "picture of the expression"}
        with refusing(kind):
            called = what.get(kind, "picture")
            file = await self.work(session, lambda job: actions.give(session, data, name, called))
        if kind == "photo":
            session.photo = file.id
        return described(file)

    async def driver(self, session: Session, request: Request) -> Any:
        """Take a film or a motion file, to its place on disk as it comes."""
        name = request.query_params.get("name", "film")
        suffix = ".json" if name.lower().endswith(".json") else ".film"
        id, place = session.place("driver" + suffix)
        size = 0
        with place.open("wb") as handle:
            async for part in request.stream():
                size += len(part)
                if size > MAX_FILM:
                    place.unlink(missing_ok=True)
                    raise Refused("driver", f"The film has over {MAX_FILM / 10**6:g} MB: give a shorter one.")
                handle.write(part)
        if not size:
            raise Refused("driver", "The film is empty: save or copy it again.")
        file = session.add(File(id, place, Path(name).name[:80]))
        return {"id": file.id, "name": file.name}

    async def make(self, session: Session, request: Request) -> Any:
        """An expression, another face or both; `{"variations": true}`: several at once."""
        fields = Fields(await call(request))
        if fields.given.get("instead"):
            self.engine.stop(session.key)
        slow = fields.given.get("model", actions.PHOTO) != actions.PHOTO
        ask = Ask(self.engine, session, fields)
        made = await self.work(session, lambda job: actions.make(ask, job), slow)
        return {"results": made}

    async def film(self, session: Session, request: Request) -> Any:
        """A film of the photo."""
        from mien.studio import films

        ask = Ask(self.engine, session, Fields(await call(request)))
        made = await self.work(session, lambda job: films.film(ask, job), True)
        return {"results": [made]}

    async def invent(self, session: Session, request: Request) -> Any:
        """Somebody who does not exist, as the photo."""
        seed = secrets.randbelow(MAX_SEED)
        file = await self.work(session, lambda job: actions.invent(self.engine, session, job, seed), True)
        session.photo = file.id
        return described(file)

    async def measure(self, session: Session, request: Request) -> Any:
        """What is in pictures."""
        ids = Fields(await call(request)).given.get("pictures")
        if not isinstance(ids, list):
            raise Refused("pictures", "pictures is a list of ids: give pictures first.")
        return await self.work(session, lambda job: actions.measure(session, ids, job))

    async def words(self, request: Request) -> Response:
        """Expressions that a text may mean."""
        found = search(request.query_params.get("q", ""))
        return JSONResponse([{"text": name, "name": name, "emoji": emoji(name)} for name in found])

    async def face(self, request: Request) -> Response:
        """An expression as a picture: on the caller's photo (`?photo=&face=`), or a shipped face of nobody."""
        asked = dict(request.query_params)
        if not asked.get("photo"):
            shown = illustrate(words(asked.get("expression", "")))
            place = shown if isinstance(shown, Path) else FOLDER / f"{meaning(asked['expression'])}.webp"
            if place.is_file():
                return FileResponse(place, headers={"Cache-Control": "max-age=3600"})
            assert isinstance(shown, Image.Image)
            return Response(actions.jpeg(shown), media_type="image/jpeg")
        number = asked.get("face", "0")
        fields = Fields({**asked, "face": int(number) if number.isdigit() else 0})
        ask = Ask(self.engine, self.session(request), fields)
        data = await asyncio.wrap_future(self.engine.frame(lambda: actions.preview(ask, True)))
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def file(self, session: Session, request: Request) -> Response:
        """A picture or film of the caller's; `?download=1`: to be saved; `?shown=1`: as the page shows it."""
        file = session.files.get(request.path_params["id"])
        if file is None or not file.path.is_file():
            return JSONResponse({"error": "It was kept for a while only and is gone: make it again."}, 404)
        shown = file.path.with_name("shown.jpg")
        if "download" in request.query_params:
            return FileResponse(file.path, filename=Path(file.name).stem + file.path.suffix)
        if file.path.suffix not in (".png", ".mp4") or ("shown" in request.query_params and shown.is_file()):
            if not shown.is_file():
                return Response(status_code=404)
            return FileResponse(shown, media_type="image/jpeg")
        return FileResponse(file.path)

    async def everything(self, session: Session, request: Request) -> Response:
        """All results of the caller's, as a zip."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for number, result in enumerate(reversed(session.results), 1):
                file = session.files.get(result["id"])
                if file is not None and file.path.is_file():
                    name = "".join(c if c.isalnum() else "_" for c in result["label"])[:40]
                    archive.write(file.path, f"{number:02d}_{name}{file.path.suffix}")
        disposition = {"Content-Disposition": 'attachment; filename="mien.zip"'}
        return Response(buffer.getvalue(), media_type="application/zip", headers=disposition)

    async def progress(self, session: Session, request: Request) -> Any:
        """Where the caller's job is."""
        return self.notices.get(session.key, {})

    async def stop(self, session: Session, request: Request) -> Any:
        """Stop the caller's jobs."""
        return {"stopped": self.engine.stop(session.key)}

    async def forget(self, session: Session, request: Request) -> Any:
        """Remove everything of the caller's now."""
        self.engine.stop(session.key)
        self.sessions.forget(session)
        return {}

    async def line(self, websocket: WebSocket) -> None:
        """The page's socket."""
        key = websocket.cookies.get(COOKIE)
        session = self.sessions.get(key, keep=False)
        if session.key != key or is_foreign(websocket.headers):
            await websocket.close(1008)
            return
        await live.serve(websocket, self.engine, self.sessions, session)


def described(file: File) -> dict[str, Any]:
    """A given picture, as the page shows it."""
    boxes = [[round(float(v), 1) for v in face.box] for face in file.faces]
    return {"id": file.id, "name": file.name, "size": file.size, "faces": boxes}


def meaning(text: str) -> str:
    """What a word or emoji is called."""
    found = everyday.find(text)
    return text if found is None else found.name


def emoji(name: str) -> str:
    """An emoji of a word, or nothing."""
    found = everyday.find(name)
    return found.emoji[0] if found is not None and found.emoji else ""


def build(studio: Studio) -> ASGIApp:
    """The app; every answer of it has `gate.HEADERS`, an error's too."""
    shown = {
        "/": studio.page,
        "/api/state": studio.state,
        "/api/progress": studio.progress,
        "/api/all.zip": studio.everything,
        "/files/{id}": studio.file,
    }
    asked = ("photo", "driver", "make", "film", "invent", "measure", "stop", "forget")
    app = Starlette(
        routes=[
            *(studio.route(path, answer) for path, answer in shown.items()),
            *(studio.route(f"/api/{name}", getattr(studio, name), "POST") for name in asked),
            Route("/static/{name}", told(studio.static)),
            Route("/api/words", told(studio.words)),
            Route("/api/face", told(studio.face)),
            WebSocketRoute("/api/line", studio.line),
            Mount("/people", StaticFiles(directory=HERE / "people")),
        ]
    )
    return WithHeaders(app)
