"""The rows of a table made, in this process or in another (`mien.spread`): pictures, and an account of every one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mien.errors import InputError, reason
from mien.files import replacing
from mien.making.telling import Tell

if TYPE_CHECKING:
    from mien.making.made import Drawn, Made, Maker
    from mien.making.subjects import Looked

Line = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of the file: its number (from 1), its line as an editor counts, where its results go, what it asks for,
    and what the results repeat of it."""

    number: int
    line: int
    places: tuple[Path, ...]
    asked: Any
    shown: Line = field(default_factory=dict)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be made, and why; `shown`: cells that say in the results which one it was."""

    number: int
    line: int
    reason: str
    shown: Line = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row, reason: object) -> BadRow:
        """A row that was tried."""
        return cls(row.number, row.line, str(reason), row.shown)


@dataclass
class Done:
    """What became of some rows. rows: of each, the lines of its results, or why there are none. files: of workers
    elsewhere, what is to be written: row number → places and bytes. said: of the same, sentences for people."""

    rows: list[tuple[Row, BadRow | list[Line]]] = field(default_factory=list)
    files: dict[int, list[tuple[Path, bytes]]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


Work = Callable[[Sequence[Row]], Done]


class RowMaker:
    """Makes rows of pictures, a batch at a time. load: given whom to tell, a maker; pickled where the work is spread.
    tell: is told what a person should know; None: that, and the pictures, come back with the rows, to be written
    elsewhere."""

    def __init__(self, load: Callable[..., Maker], tell: Tell | None = None) -> None:
        self._away, self._done = tell is None, Done()
        self.maker = load(tell=tell or (lambda message: self._done.said.append(message)))

    def __call__(self, rows: Sequence[Row]) -> Done:
        settings = self.maker.settings
        for row, one in self._make(rows):
            told = one if isinstance(one, BadRow) else [{**settings, **line} for line in one]
            self._done.rows.append((row, told))
        done, self._done = self._done, Done()
        return done

    def _make(self, rows: Sequence[Row]) -> Iterator[tuple[Row, BadRow | list[Line]]]:
        looked = []
        for row in rows:
            try:
                looked.append((row, [self.maker.look(request) for request in row.asked]))
            except InputError as error:
                yield row, BadRow.of(row, error)
        if looked:
            yield from self._batch(looked)

    def _batch(self, rows: Sequence[tuple[Row, list[Looked]]]) -> Iterator[tuple[Row, BadRow | list[Line]]]:
        began = time.perf_counter()
        try:
            drawn = iter(self.maker.make([one for _, looked in rows for one in looked]))
        except InputError as error:
            if len(rows) > 1:  # one of them spoilt the batch: each alone, so that it can be named
                for one in rows:
                    yield from self._batch([one])
            else:
                yield rows[0][0], BadRow.of(rows[0][0], error)
            return
        seconds = (time.perf_counter() - began) / sum(len(looked) for _, looked in rows)
        for row, looked in rows:
            own = [next(drawn) for _ in looked]
            try:
                lines = self._save(row, own)
                yield row, [{"row": row.number, **line, "seconds": seconds} for line in lines]
            except (OSError, InputError) as error:
                yield row, unwritten(row, error)

    def _save(self, row: Row, drawn: Sequence[Drawn]) -> list[Line]:
        """Write a row's results, or keep them to be sent; their lines for the table."""
        from mien.making.made import finish
        from mien.making.recording import Fingerprints

        lines, prints = [], Fingerprints()
        for place, one in zip(row.places, drawn, strict=True):
            made = finish(self.maker, one, prints)
            if self._away:
                self._done.files.setdefault(row.number, []).append((place, _encoded(made, place)))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                made.save(place)
            found = {"face_found": made.scores["id"] is not None} if self.maker.kind == "portrait" else {}
            lines.append({**row.shown, "out": str(place), **made.line, **found})
        return lines


def _encoded(made: Made, place: Path) -> bytes:
    """The file that `made` would be at `place`."""
    with TemporaryDirectory() as folder:
        try:
            return made.save(Path(folder) / place.name).read_bytes()
        except InputError as error:
            raise InputError(str(error).replace(folder, str(place.parent))) from error


def deliver(done: Done) -> Iterator[BadRow | list[Line]]:
    """What became of each row, after the files that workers elsewhere sent are written to their places."""
    for row, outcome in done.rows:
        try:
            for place, data in done.files.get(row.number, ()):
                place.parent.mkdir(parents=True, exist_ok=True)
                with replacing(place) as temporary:
                    temporary.write_bytes(data)
            yield outcome
        except (OSError, InputError) as error:
            yield unwritten(row, error)


def unwritten(row: Row, error: Exception) -> BadRow:
    """A row whose result cannot be written, or was refused."""
    why = str(error)
    if isinstance(error, OSError):
        why = f"the folder {row.places[0].parent} cannot be made ({reason(error)}): free the name."
    return BadRow.of(row, why)
