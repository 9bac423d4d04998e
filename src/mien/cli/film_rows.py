"""`mien film --pairs`: a row's columns, and its film."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mien.cli.rows import Cells, Format, check_there
from mien.making.rows import BadRow, Done, Line, Row, unwritten
from mien.making.telling import Tell
from mien.provenance.film import SUFFIXES
from mien.types import InputError

COLUMNS = ("photo", "video", "expression", "identity", "out")


class FilmFormat(Format):
    """The columns of a film's row."""

    known, things, first = COLUMNS, "films", ("row", *COLUMNS, "frames")

    def check(self, path: Path, columns: Sequence[str]) -> None:
        super().check(path, columns)
        if "video" not in columns:
            raise InputError(f"{path} has no column `video`: its first line must name the columns.")

    def check_out(self, out: Path) -> object:
        if out.suffix.lower() not in SUFFIXES:
            raise InputError(f"{out} is not a film: end the name in {' or '.join(SUFFIXES)}.")
        return out

    def ask(self, cells: Cells, number: int) -> tuple[dict[str, Any], str]:
        photo, video, identity = (self.file(cells, name) for name in ("photo", "video", "identity"))
        if video is None:
            raise InputError("the cell `video` is empty: name a film, or a motion (.json).")
        asked = {"photo": photo, "expression": self.expression(cells), "identity": identity}
        if sum(one is not None for one in asked.values()) != 1:
            raise InputError(
                "the video needs one thing beside it, a photo that it moves, an expression or an identity: fill one."
            )
        check_there(filter(None, (photo, video, identity)), self.expression(cells))
        source, driver = (video, None) if photo is None else (photo, video)
        named = {"video": video, "source": source, "driver": driver}
        return {**asked, **named}, f"{number:04d}_{source.stem}.mp4"

    def shown(self, cells: Cells) -> Line:
        return {name: cells[name] for name in COLUMNS[:-1] if cells.get(name)}

    def repeated(self, asked: dict[str, Any]) -> Line:
        return {name: str(asked[name]) for name in COLUMNS[:-1] if asked[name] is not None}


class FilmMaker:
    """Makes rows of films, as `mien.making.rows.RowMaker` does of pictures. settings: the parameters of `mien film`, of
    all rows. tell: is told what a person should know; None: that, and the films, come back with the rows."""

    def __init__(self, settings: dict[str, Any], tell: Tell | None = None) -> None:
        self.settings, self.tell = settings, tell

    def __call__(self, rows: Sequence[Row]) -> Done:
        done = Done()
        for row in rows:
            away = self.tell is None
            with TemporaryDirectory() if away else nullcontext(str(row.places[0].parent)) as folder:
                place = Path(folder) / row.places[0].name
                done.rows.append((row, self._make(row, place, self.tell or done.said.append)))
                if away and place.is_file():
                    done.files[row.number] = [(row.places[0], place.read_bytes())]
        return done

    def _make(self, row: Row, place: Path, tell: Tell) -> BadRow | list[Line]:
        try:
            from mien.cli.film_making import make

            place.parent.mkdir(parents=True, exist_ok=True)
            report = make({**self.settings, **row.asked, "output": place, "tell": tell})
        except (OSError, InputError) as error:
            return unwritten(row, error)
        if report.stopped:
            raise KeyboardInterrupt
        told = {name: getattr(report, name) for name in ("frames", "faceless", "seconds")}
        warning = report.lost(row.asked["driver"] or row.asked["source"])
        return [{"row": row.number, **row.shown, "out": str(row.places[0]), **told, "warning": warning}]
