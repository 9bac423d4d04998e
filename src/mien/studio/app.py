"""What the studio answers, by route."""

from __future__ import annotations

import asyncio
import base64
import io
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from mien import __version__
from mien.expressions import everyday
from mien.expressions.faces import FOLDER, illustrate
from mien.making.consent import NOTICE
from mien.studio import actions, live
from mien.studio.engine import Engine
from mien.studio.gate import HEADERS, call, content, is_foreign, told
from mien.studio.sessions import AGE, File, Session, Sessions
from mien.studio.wishes import MAX_SEED, Fields, Refused, search, words
from mien.types import InputError

HERE = Path(__file__).parent
MAX_BYTES = 20_000_000  # of an uploaded picture
MAX_FILM = 300_000_000  # of an uploaded film
COOKIE = "mien"
PALETTE = "😀 😄 😉 😘 😮 😢 😠 😱 🤢 😏 😴 😐".split()
PEOPLE = ("cleo", "max", "ida", "raj")  # of people/: they are nobody
STATIC = {"page.js": "text/javascript", "page.css": "text/css"}


@dataclass
class Studio:
    """What answers: the engine and the sessions. `notices`: session -> what its running job last told."""

    engine: Engine
    sessions: Sessions

    def __post_init__(self) -> None:
        self.notices: dict[str, dict[str, Any]] = {}

    def session(self, request: Request | WebSocket) -> Session:
        """The caller's."""
        return self.sessions.get(request.cookies.get(COOKIE))

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

    async def page(self, request: Request) -> Response:
        """The page itself."""
        text = (HERE / "page.html").read_text(encoding="utf-8")
        response = Response(
            text.replace("{consent}", NOTICE).replace("{version}", __version__), media_type="text/html"
        )
        return self._known(request, response)

    def _known(self, request: Request, response: Response) -> Response:
        """The answer, with the cookie of the caller's session."""
        session = self.session(request)
        if request.cookies.get(COOKIE) != session.key:
            response.set_cookie(COOKIE, session.key, httponly=True, samesite="strict")
        return response

    async def static(self, request: Request) -> Response:
        """The page's script or style."""
        name = request.path_params["name"]
        if name not in STATIC:
            return Response(status_code=404)
        return FileResponse(HERE / name, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    async def state(self, request: Request) -> Response:
        """What the page shows at first, or again after it was loaded anew."""
        session = self.session(request)
        photo = session.files.get(session.photo or "")
        said = {
            "photo": photo and described(photo),
            "results": session.results,
            "palette": [{"text": face, "name": meaning(face)} for face in PALETTE],
            "people": list(PEOPLE),
            "models": list(self.engine.backbones),
            "kept_for": AGE,
            "given": {r["of"]: True for r in session.results if r["of"] in session.files},
        }
        return self._known(request, JSONResponse(said))

    async def photo(self, request: Request) -> Response:
        """Take a picture: the body's, an example's (`?person=`), or one that was made (`?file=`)."""
        session, asked = self.session(request), request.query_params
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
        try:
            file = await self.work(
                session, lambda job: actions.give(session, data, name, what.get(kind, "picture"))
            )
        except InputError as error:
            raise Refused(kind, str(error)) from error
        if kind == "photo":
            session.photo = file.id
        return self._known(request, JSONResponse(described(file)))

    async def film_given(self, request: Request) -> Response:
        """Take a film or a motion file, to its place on disk as it comes."""
        session, name = self.session(request), request.query_params.get("name", "film")
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
        session.add(File(id, place, Path(name).name[:80]))
        return self._known(request, JSONResponse({"id": id, "name": Path(name).name[:80]}))

    async def make(self, request: Request) -> Response:
        """An expression, another face or both; `{"variations": true}`: several at once."""
        session, fields = self.session(request), Fields(await call(request))
        if fields.given.get("instead"):
            self.engine.stop(session.key)
        slow = fields.given.get("model", actions.PHOTO) != actions.PHOTO
        made = await self.work(session, lambda job: actions.make(self.engine, session, fields, job), slow)
        return JSONResponse({"results": made})

    async def film(self, request: Request) -> Response:
        """A film of the photo."""
        from mien.studio import films

        session, fields = self.session(request), Fields(await call(request))
        made = await self.work(session, lambda job: films.film(self.engine, session, fields, job), True)
        return JSONResponse({"results": [made]})

    async def invent(self, request: Request) -> Response:
        """Somebody who does not exist, as the photo."""
        session, seed = self.session(request), secrets.randbelow(MAX_SEED)
        file = await self.work(session, lambda job: actions.invent(self.engine, session, job, seed), True)
        session.photo = file.id
        return self._known(request, JSONResponse(described(file)))

    async def measure(self, request: Request) -> Response:
        """What is in pictures."""
        session, fields = self.session(request), Fields(await call(request))
        ids = fields.given.get("pictures")
        if not isinstance(ids, list):
            raise Refused("pictures", "pictures is a list of ids: give pictures first.")
        return JSONResponse(await self.work(session, lambda job: actions.measure(session, ids, job)))

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
        session = self.session(request)
        fields = Fields(
            {
                "photo": asked["photo"],
                "face": int(asked.get("face", "0")) if asked.get("face", "0").isdigit() else 0,
                "expression": asked.get("expression", ""),
            }
        )
        data = await asyncio.wrap_future(
            self.engine.frame(lambda: actions.preview(self.engine, session, fields, True))
        )
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def file(self, request: Request) -> Response:
        """A picture or film of the caller's; `?download=1`: to be saved; `?shown=1`: as the page shows it."""
        file = self.session(request).files.get(request.path_params["id"])
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

    async def everything(self, request: Request) -> Response:
        """All results of the caller's, as a zip."""
        session, buffer = self.session(request), io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for number, result in enumerate(reversed(session.results), 1):
                file = session.files.get(result["id"])
                if file is not None and file.path.is_file():
                    name = "".join(c if c.isalnum() else "_" for c in result["label"])[:40]
                    archive.write(file.path, f"{number:02d}_{name}{file.path.suffix}")
        disposition = {"Content-Disposition": 'attachment; filename="mien.zip"'}
        return Response(buffer.getvalue(), media_type="application/zip", headers=disposition)

    async def progress(self, request: Request) -> Response:
        """Where the caller's job is."""
        return JSONResponse(self.notices.get(self.session(request).key, {}))

    async def stop(self, request: Request) -> Response:
        """Stop the caller's jobs."""
        return JSONResponse({"stopped": self.engine.stop(self.session(request).key)})

    async def forget(self, request: Request) -> Response:
        """Remove everything of the caller's now."""
        session = self.session(request)
        self.engine.stop(session.key)
        self.sessions.forget(session)
        return JSONResponse({})

    async def line(self, websocket: WebSocket) -> None:
        """The page's socket."""
        key = websocket.cookies.get(COOKIE)
        session = self.sessions.get(key)
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


class Headers:
    """ASGI middleware: what every answer carries."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def build(studio: Studio) -> Starlette:
    """The routes."""
    routes: list[Any] = [
        Route("/", told(studio.page)),
        Route("/static/{name}", told(studio.static)),
        Route("/api/state", told(studio.state)),
        Route("/api/words", told(studio.words)),
        Route("/api/face", told(studio.face)),
        Route("/api/progress", told(studio.progress)),
        Route("/api/all.zip", told(studio.everything)),
        Route("/files/{id}", told(studio.file)),
        WebSocketRoute("/api/line", studio.line),
        Mount("/people", StaticFiles(directory=HERE / "people")),
    ]
    for name in ("photo", "make", "film", "invent", "measure", "stop", "forget"):
        routes.append(Route(f"/api/{name}", told(getattr(studio, name)), methods=["POST"]))
    routes.append(Route("/api/driver", told(studio.film_given), methods=["POST"]))
    return Starlette(routes=routes, middleware=[Middleware(Headers)])
