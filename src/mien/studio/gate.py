"""What is refused before Gradio sees it: bodies that are too large or nested too deep, and addresses to be fetched.

Gradio fetches a picture whose path is a web address, and relays some addresses; nothing here needs that, and a server
that fetches what strangers name can be sent anywhere.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

LOG = logging.getLogger("mien.studio")
MAX_BODY = 1_000_000  # bytes of a call; pictures come by the upload route, which has a limit of its own
MAX_DEPTH = 32

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gate:
    """ASGI middleware."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 4xx and one sentence; with 500 and one if Gradio fails over it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._pass(scope, receive, note)
        except Exception as error:
            if begun:
                raise
            LOG.warning("a call failed: %s %r", type(error).__name__, str(error)[:300])
            await _refuse(send, 500, "This call cannot be understood: the log says why.")

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        path = unquote(str(scope["path"]))
        if "proxy=" in path or "file=http:" in path.lower() or "file=https:" in path.lower():
            await _refuse(send, 403, "Addresses are not fetched here.")
            return
        if scope["method"] not in ("POST", "PUT", "PATCH") or path.rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                await _refuse(send, 413, f"The call has over {MAX_BODY} bytes: upload pictures first.")
                return
            if not message.get("more_body", False):
                break
        if problem := _problem(body):
            await _refuse(send, 400, problem)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)


def _problem(body: bytes) -> str | None:
    """Why a body is refused; None if it is not JSON (others deal with that) or fine."""
    if not body.lstrip().startswith((b"{", b"[")):
        return None
    try:
        content = json.loads(body)
    except RecursionError:
        return "The call is nested too deep."
    except ValueError:
        return "The call is no valid JSON."
    level = [content]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if _is_address(value.get("path")):
                    return "Addresses are not fetched here: upload the picture."
                below += value.values()
            elif isinstance(value, list):
                below += value
        if not below:
            return None
        level = below
    return "The call is nested too deep."


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http:", "https:", "ftp:"))


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
