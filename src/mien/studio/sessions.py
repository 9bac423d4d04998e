"""Whose pictures are whose: a browser has a session, kept in a cookie, and sees its own pictures alone.

A page keeps a socket open as long as it is shown. When the last one of a session ends and none comes back within
`GRACE`, its files go: a page that is loaded again, or a phone that sleeps for a moment, loses nothing.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.types import Face, InputError

GRACE = 300.0  # seconds
AGE = 3600.0  # seconds after which a session is forgotten that was not used
MOST = 500  # sessions; the one that was used longest ago goes
LONGEST = 40  # results of a session
MOST_GIVEN = 60  # pictures and films given to a session


@dataclass(eq=False)
class File:
    """A picture or film of a session. `faces`: found in a picture, largest first."""

    id: str
    path: Path
    name: str
    size: tuple[int, int] = (0, 0)
    faces: list[Face] = field(default_factory=list)


@dataclass(eq=False)
class Session:
    """One browser's: its folder, what it gave and made, and the results (newest first) as the page shows them."""

    key: str
    folder: Path
    files: dict[str, File] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    photo: str | None = None
    pages: int = 0
    used: float = field(default_factory=time.monotonic)

    def place(self, name: str) -> tuple[str, Path]:
        """An id that nobody can guess, and where its file goes; `name` is the file's."""
        id = secrets.token_hex(16)
        (self.folder / id).mkdir(mode=0o700, parents=True)
        return id, self.folder / id / name

    def add(self, file: File) -> File:
        """Keep a file; of those that were given, the oldest goes when there are too many."""
        self.files[file.id] = file
        made = {result["id"] for result in self.results}
        given = [id for id in self.files if id not in made and id != self.photo]
        for id in given[:-MOST_GIVEN]:
            self.drop(id)
        return file

    def remember(self, result: dict[str, Any]) -> None:
        """Add a result; the oldest goes when there are too many."""
        self.results.insert(0, result)
        for old in self.results[LONGEST:]:
            if old["id"] != self.photo:
                self.drop(old["id"])
        del self.results[LONGEST:]

    def drop(self, id: str) -> None:
        """Remove a file, if it is still there."""
        if file := self.files.pop(id, None):
            shutil.rmtree(file.path.parent, ignore_errors=True)

    def file(self, id: object, name: str) -> File:
        """A file of this session; `name` is what messages call it.

        Raises:
            InputError: there is none of that id.
        """
        found = self.files.get(id) if isinstance(id, str) else None
        if found is None:
            raise InputError(
                f"There is no {name}: give one." if not id else f"The {name} is gone: give it again."
            )
        return found


class Sessions:
    """All sessions, in a folder of the server's own."""

    def __init__(self, folder: Path, grace: float = GRACE) -> None:
        self.folder, self.grace = folder, grace
        self._all: dict[str, Session] = {}
        self._guard = threading.RLock()

    def get(self, key: str | None, keep: bool = True) -> Session:
        """The session of a cookie; a new one for nobody's, which is known from now on if it is to be kept."""
        with self._guard:
            self.sweep()
            session = self._all.get(key or "")
            if session is None:
                session = Session(secrets.token_urlsafe(24), self.folder / secrets.token_hex(16))
                if keep:
                    self._all[session.key] = session
            session.used = time.monotonic()
            return session

    def opened(self, session: Session) -> None:
        """A page is there, or there again."""
        session.pages += 1

    def closed(self, session: Session) -> None:
        """A page went; the session follows after `grace` unless one comes back."""
        session.pages -= 1
        session.used = time.monotonic()
        if session.pages == 0:
            timer = threading.Timer(self.grace, self._end, [session, session.used])
            timer.daemon = True
            timer.start()

    def _end(self, session: Session, since: float) -> None:
        with self._guard:
            if session.pages == 0 and session.used == since:
                self.forget(session)

    def forget(self, session: Session) -> None:
        """Remove a session and its files."""
        with self._guard:
            self._all.pop(session.key, None)
        shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self, age: float = AGE) -> None:
        """Forget sessions without a page that were not used for `age` seconds, or are too many."""
        with self._guard:
            alone = sorted((s for s in self._all.values() if not s.pages), key=lambda s: s.used)
            late = time.monotonic() - age
            for number, session in enumerate(alone):
                if session.used < late or len(self._all) >= MOST > number:
                    self.forget(session)
