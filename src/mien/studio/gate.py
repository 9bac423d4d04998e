"""What is refused before the studio sees it, what every answer carries, and what goes wrong, made into one sentence."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import InputError, saying
from mien.studio.engine import Cancelled, Full

LOG = logging.getLogger("mien.studio")
MAX_CALL = 200_000  # bytes of a call; pictures come by routes of their own
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class WithHeaders:
    """The app, with `HEADERS` in every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


def is_foreign(headers: Any) -> bool:
    """Whether a page of somebody else asks: its browser names where the page is from."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


async def content(request: Request, most: int = MAX_CALL) -> bytes:
    """A call's body.

    Raises:
        InputError: it has more than `most` bytes.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise InputError(f"That has over {most / 10**6:g} MB: give a smaller file.")
    return bytes(body)


async def call(request: Request) -> Any:
    """A call's JSON.

    Raises:
        InputError: it is none.
    """
    body = await content(request)
    with saying("The call is no valid JSON.", ValueError, RecursionError):
        return json.loads(body or b"{}")


def told(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """`answer` with bad input answered by 422 and one sentence; any other error by 500 and one that tells nothing."""

    async def careful(request: Request) -> Response:
        if request.method != "GET" and is_foreign(request.headers):
            return JSONResponse({"error": "Other pages may not ask for anything here."}, 403)
        try:
            return await answer(request)
        except InputError as error:
            code = 503 if isinstance(error, Full) else 409 if isinstance(error, Cancelled) else 422
            return JSONResponse({"error": str(error), "field": getattr(error, "field", "")}, code)
        except Exception as error:
            where = " < ".join(
                f"{Path(frame.filename).name}:{frame.lineno}"
                for frame in reversed(traceback.extract_tb(error.__traceback__)[-4:])
            )
            LOG.error("a job failed: %s %r at %s", type(error).__name__, str(error)[:300], where)
            sentence = "Something went wrong; the log has the details. Try again, or other settings."
            return JSONResponse({"error": sentence, "field": ""}, 500)

    return careful
