"""Whose pictures are whose: what a page was given and what it made go soon after it is closed.

Gradio keeps a connection open as long as a page is ("heartbeat"): when it ends, and does not come back within
`GRACE`, the session is over. A phone that sleeps for a moment loses nothing.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mien.studio.gate import Message, Receive, Send

GRACE = 300.0  # seconds
_HEARTBEAT = re.compile(r"/heartbeat/([A-Za-z0-9_-]{1,64})/?$")


class Sessions:
    """Which files each session holds.

    Args:
        remove: called with a path that nobody holds any more.
    """

    def __init__(self, remove: Callable[[Path], None], grace: float = GRACE) -> None:
        self._remove, self._grace = remove, grace
        self._held: defaultdict[str, set[Path]] = defaultdict(set)
        self._open: Counter[str] = Counter()
        self._ending: dict[str, threading.Timer] = {}
        self._guard = threading.Lock()

    def hold(self, session: str, *paths: str | Path | None) -> None:
        """Files of a session; the same upload may be held by several."""
        with self._guard:
            self._held[session].update(Path(path) for path in paths if path is not None)

    def opened(self, session: str) -> None:
        """A page is there, or there again."""
        with self._guard:
            self._open[session] += 1
            if timer := self._ending.pop(session, None):
                timer.cancel()

    def closed(self, session: str) -> None:
        """A page went; its files follow after `grace` unless it comes back."""
        with self._guard:
            self._open[session] -= 1
            if self._open[session] > 0:
                return
            del self._open[session]
            timer = threading.Timer(self._grace, self.forget, [session])
            timer.daemon = True
            self._ending[session] = timer
            timer.start()

    def forget(self, session: str) -> None:
        """Remove what the session holds and no other session does."""
        with self._guard:
            if session in self._open:
                return
            self._ending.pop(session, None)
            mine = self._held.pop(session, set())
            others: set[Path] = set().union(*self._held.values())
        for path in mine - others:
            self._remove(path)

    def prune(self) -> None:
        """Let go of what was removed otherwise: not everybody who calls the API opens a page that could be closed."""
        with self._guard:
            for session in list(self._held):
                self._held[session] = {path for path in self._held[session] if path.exists()}
                if not self._held[session]:
                    del self._held[session]

    def close(self) -> None:
        """Nothing is removed any more."""
        with self._guard:
            for timer in self._ending.values():
                timer.cancel()
            self._ending.clear()


class Presence:
    """ASGI middleware: tells `Sessions` which pages are there."""

    def __init__(self, app: Any, sessions: Sessions) -> None:
        self.app, self.sessions = app, sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on, and note when a heartbeat begins and ends."""
        found = _HEARTBEAT.search(str(scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self.app(scope, receive, send)
            return
        self.sessions.opened(found[1])
        try:
            await self.app(scope, receive, send)
        finally:
            self.sessions.closed(found[1])
