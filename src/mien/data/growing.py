"""A set that grows part by part and survives a kill at any moment.

A part is a shard of pictures, written first, and the tables of its rows, each written atomically; it is whole if its
last table is there, and is else written again. At the end the parts become the set's own tables, and are removed.

    root/shards/000012.tar    root/parts/000012.manifest.parquet    root/manifest.parquet
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien.data import records
from mien.errors import InputError, saying
from mien.files import make_folder

PARTS = "parts"


class Growing:
    """Tables of a root, a folder that is made, that grow together. tables: file name of each table → its columns. The
    last one says which parts are whole. facts: what holds for all rows; a set made with other facts is refused.
    made_by: the command, for messages."""

    def __init__(
        self, root: Path, tables: dict[str, dict[str, Any]], facts: dict[str, Any], made_by: str
    ) -> None:
        self.root, self.tables, self.facts, self.made_by = root, tables, facts, made_by
        make_folder(root / PARTS)
        last = list(tables)[-1]
        numbers = [path.name.partition(".")[0] for path in (root / PARTS).glob(f"*.{last}")]
        self.parts = sorted(int(number) for number in numbers if number.isdigit())

    def read(self, name: str) -> Any:
        """All rows of a table so far, as an Arrow table; of rows with one key the first. Raises `InputError`: they were
        made with other facts, or cannot be read."""
        pa = records.arrow()
        paths = [self.root / name] if (self.root / name).is_file() else []
        paths += [self._part(number, name) for number in self.parts]
        found = []
        for path in paths:
            table = records.read_table(path, self.tables[name], self.made_by)
            facts = records.facts_of(table)
            for fact in sorted({*facts, *self.facts} - {"format"}):
                if facts.get(fact) != self.facts.get(fact):
                    raise InputError(
                        f"The set {self.root} was made with {fact} {facts.get(fact)!r}, not "
                        f"{self.facts.get(fact)!r}: give the same again, or another folder."
                    )
            found.append(table.replace_schema_metadata(None))
        empty = pa.schema(list(self.tables[name].items())).empty_table()
        whole = pa.concat_tables([empty, *found])
        seen: set[str] = set()
        first = [not (key in seen or seen.add(key)) for key in whole.column("key").to_pylist()]  # type: ignore[func-returns-value]
        return records.with_facts(whole.filter(pa.array(first, pa.bool_())), self.facts)

    def next_part(self) -> int:
        """The number of the next part: one that no part, and no shard of the set's own table, has."""
        used = [*self.parts, -1]
        for folder in self.root.glob("*/"):
            used += [int(p.stem) for p in folder.glob("*.tar") if p.stem.isdigit() and self._whole(p)]
        return max(used) + 1

    def add(self, number: int, rows: dict[str, Sequence[Any]]) -> None:
        """Write a part's tables; its shards must be there already."""
        for name, types in self.tables.items():
            records.write_table(records.to_table(rows[name], types, self.facts), self._part(number, name))
        self.parts.append(number)

    def finish(self, tables: dict[str, Any], shards: dict[str, set[str | None]]) -> None:
        """Write the set's own tables, file name → its rows, and remove the parts. shards: each folder of shards → the
        paths that the rows speak of; what else lies there was left by a run that was killed, and is removed too."""
        for name, table in tables.items():
            records.write_table(records.with_facts(table, self.facts), self.root / name)
        shutil.rmtree(self.root / PARTS)
        for folder, wanted in shards.items():
            for path in (self.root / folder).glob("*.tar"):
                if path.relative_to(self.root).as_posix() not in wanted:
                    path.unlink()
        self.parts = []

    def _part(self, number: int, name: str) -> Path:
        return self.root / PARTS / f"{number:06d}.{name}"

    def _whole(self, shard: Path) -> bool:
        """Whether a shard belongs to a finished set, or to a part that is whole."""
        return (self.root / list(self.tables)[-1]).is_file() or int(shard.stem) in self.parts


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the root's lock, so that two runs never write one set; a killed run holds none. Raises `InputError`: another
    run holds it."""
    from filelock import FileLock, Timeout

    with saying(f"Another run is writing the set {root}: wait, or choose another.", Timeout):
        held = FileLock(root / ".lock").acquire(timeout=0)
    with held:
        yield
