"""`mien film --pairs`: a row's columns, and its film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mien.cli.rows import Account, Cells, check_columns, check_there, located, row_expression_files
from mien.making.rows import BadRow, Done, Line, Row, Tell, unwritten
from mien.provenance.film import SUFFIXES
from mien.tables import stored
from mien.types import InputError

if TYPE_CHECKING:
    from mien.making.filming import Report

COLUMNS = ("photo", "video", "expression", "identity", "out")
ACCOUNT = Account("films", ("row", *COLUMNS, "frames"), {})


@dataclass(frozen=True)
class FilmFormat:
    """A row's columns; an empty cell is one that was not given. `folder`: where files are looked for."""

    folder: Path
    count = 1

    def check(self, path: Path, columns: Sequence[str]) -> None:
        check_columns(path, columns, COLUMNS)
        if "video" not in columns:
            raise InputError(f"{path} has no column `video`: its first line must name the columns.")

    def check_out(self, out: Path) -> object:
        if out.suffix.lower() not in SUFFIXES:
            raise InputError(f"{out} is not a film: end the name in {' or '.join(SUFFIXES)}.")
        return out

    def ask(self, cells: Cells, number: int) -> tuple[dict[str, Any], str]:
        if not cells["video"]:
            raise InputError("the cell `video` is empty: name a film, or a motion (.json).")
        photo, video, identity = (self._file(cells, name) for name in ("photo", "video", "identity"))
        assert video is not None
        expression = located(cells["expression"], self.folder) if cells.get("expression") else None
        if sum(one is not None for one in (photo, expression, identity)) != 1:
            raise InputError(
                "the video needs one thing beside it, a photo that it moves, an expression or an identity: fill one."
            )
        check_there([file for file in (photo, video, identity) if file is not None], expression)
        source, driver = (video, None) if photo is None else (photo, video)
        asked = {"source": source, "driver": driver, "expression": expression, "identity": identity}
        return asked, f"{number:04d}_{source.stem}.mp4"

    def files(self, cells: Cells) -> list[Path]:
        named = [self._file(cells, name) for name in ("photo", "video", "identity")]
        expression = row_expression_files(cells.get("expression"), self.folder)
        return [*(file for file in named if file is not None), *expression]

    def shown(self, cells: Cells) -> Line:
        return {name: cells[name] for name in COLUMNS[:-1] if cells.get(name)}

    def repeated(self, asked: dict[str, Any]) -> Line:
        source, driver = asked["source"], asked["driver"]
        photo, video = (source, driver) if driver else (None, source)
        named = {
            "photo": photo,
            "video": video,
            "expression": asked["expression"],
            "identity": asked["identity"],
        }
        return {name: str(value) for name, value in named.items() if value is not None}

    def _file(self, cells: Cells, name: str) -> Path | None:
        return stored(self.folder, cells[name]) if cells.get(name) else None


def lost(report: Report, source: Path) -> str | None:
    """What of a film could not be read, for a person."""
    if not report.damaged and report.frames >= report.promised:
        return None
    if 0 < report.promised <= report.frames:
        return f"{source} is damaged: some of its {report.frames} frames show it."
    of = f"of {report.promised} " if report.promised else ""
    return f"{source} is damaged or cut short: {report.frames} {of}frames could be read, and were made."


class FilmMaker:
    """Makes rows of films, as `mien.making.rows.RowMaker` does of pictures. film: makes a film of the parameters of
    `mien film`. settings: those of all rows. tell: is told what a person should know; None: that, and the films, come
    back with the rows."""

    def __init__(
        self, film: Callable[[dict[str, Any]], Report], settings: dict[str, Any], tell: Tell | None = None
    ) -> None:
        self.film, self.settings, self.tell = film, settings, tell

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
            place.parent.mkdir(parents=True, exist_ok=True)
            report = self.film({**self.settings, **row.asked, "output": place, "tell": tell})
        except (OSError, InputError) as error:
            return unwritten(row, error)
        if report.stopped:
            raise KeyboardInterrupt
        told = {name: getattr(report, name) for name in ("frames", "faceless", "seconds")}
        warning = lost(report, row.asked["driver"] or row.asked["source"])
        return [{"row": row.number, **row.shown, "out": str(row.places[0]), **told, "warning": warning}]
