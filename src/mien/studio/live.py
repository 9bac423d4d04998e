"""A page's socket: previews that follow sliders, and a photo that follows the visitor's camera.

The page sends JSON, and pictures of its camera as 4 bytes of a number and a JPEG; it is answered likewise, the number
telling which question that was. It asks again when it has its answer, so nothing piles up: frames are dropped,
not late.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import cv2
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.face.track import Tracker
from mien.making.wishes import REGIONS
from mien.pipelines.photo import STRONGEST
from mien.pipelines.photo_film import Puppet
from mien.provenance.film import Mark
from mien.studio import actions
from mien.studio.engine import Engine
from mien.studio.sessions import Session, Sessions
from mien.studio.wishes import Fields
from mien.types import InputError

LONGEST = 640  # px of a live picture, and of the camera's
QUALITY = 80


class Mirror:
    """One photo that follows one camera; what it shows has the watermark."""

    def __init__(self, puppet: Puppet) -> None:
        self._puppet, self._track, self._mark = puppet, Tracker(), Mark()
        self._began = time.monotonic()
        self.resting = False  # the next face is the driver's rest; else it is estimated from the first

    def __call__(self, data: bytes) -> tuple[bytes, bool]:
        """The photo for a picture of the camera, both JPEG, and whether that showed a face.

        Raises:
            InputError: it is no picture.
        """
        if not data.startswith(b"\xff\xd8") or len(data) < 100:
            raise InputError("The camera's picture cannot be read.")
        seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if seen is None or max(seen.shape) > 2 * LONGEST:
            raise InputError("The camera's picture cannot be read, or is too large.")
        face = self._track(np.ascontiguousarray(seen[..., ::-1]))
        if face is not None and self.resting:
            self._puppet.rest(face)
            self.resting = False
        shown = self._mark(self._puppet(face, time.monotonic() - self._began))
        return actions.jpeg(shown, QUALITY), face is not None


class Line:
    """What one socket asks for."""

    def __init__(self, socket: WebSocket, engine: Engine, session: Session) -> None:
        self._socket, self._engine, self._session = socket, engine, session
        self._mirror: Mirror | None = None
        self._faced = True  # what the page knows of the camera's last frame

    async def text(self, given: Any) -> None:
        """An order: preview, live, rest or end."""
        fields = Fields(given)
        do = fields.one_of("do", ("preview", "live", "rest", "end", "here"))
        if do == "preview":
            number = fields.whole("n", 0, 2**31, 0)
            ask = actions.Ask(self._engine, self._session, Fields(fields.given.get("wish")))
            shown = await self._do(lambda: actions.preview(ask))
            await self._socket.send_bytes(number.to_bytes(4, "big") + shown)
        elif do == "live":
            wish = Fields(fields.given.get("wish"))
            self._mirror, self._faced = await self._do(lambda: self._begin(wish)), True
            await self._socket.send_json({"live": True})
        elif do == "rest" and self._mirror is not None:
            self._mirror.resting = True
        elif do == "end":
            self._mirror = None

    def _begin(self, wish: Fields) -> Mirror:
        who = actions.seat(actions.Ask(self._engine, self._session, wish))
        strength, region = wish.number("strength", 0, STRONGEST, 1), wish.one_of("region", REGIONS)
        pose = wish.given.get("pose") is not False
        return Mirror(Puppet(actions.within(who.full, LONGEST), strength=strength, region=region, pose=pose))

    async def frame(self, data: bytes) -> None:
        """A picture of the camera."""
        mirror = self._mirror
        if mirror is None or len(data) <= 4:
            return
        shown, faced = await self._do(lambda: mirror(data[4:]))
        await self._socket.send_bytes(data[:4] + shown)
        if faced != self._faced:
            self._faced = faced
            await self._socket.send_json({"face": faced})

    async def _do(self, work: Any) -> Any:
        return await asyncio.wrap_future(self._engine.frame(work))


async def serve(socket: WebSocket, engine: Engine, sessions: Sessions, session: Session) -> None:
    """A socket, from its opening to its end; what cannot be done is answered in a sentence."""
    await socket.accept()
    sessions.opened(session)
    line = Line(socket, engine, session)
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                break
            try:
                if (data := message.get("bytes")) is not None:
                    await line.frame(data)
                else:
                    import json

                    await line.text(json.loads(message.get("text") or ""))
            except (InputError, ValueError, RecursionError) as error:
                said = str(error) if isinstance(error, InputError) else "That is no JSON."
                await socket.send_json({"error": said, "field": getattr(error, "field", "")})
    except (WebSocketDisconnect, RuntimeError):  # it went while it was answered
        pass
    finally:
        sessions.closed(session)
        if not session.pages:
            engine.stop(session.key)
