"""A whole run of IDI: plan the jobs, spread them, write the pairs as they come, resume, sum up.

What is written is a set like any other (`records`) that needs no other: ``pairs/`` holds the kept pairs, one sample
each (target, source, reference and JSON); ``rejected/`` the references that were turned down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.data import pairs, records
from mien.data.growing import Growing, alone
from mien.data.idi import Job, Made
from mien.data.pairs import TRIPLES
from mien.data.records import MANIFEST, Manifest, Record
from mien.data.shards import write_shard
from mien.types import InputError

CHUNK = 64  # jobs a worker gets at once; as many are lost at most, for each worker, when a run is killed
Spread = Callable[[Sequence[list[Job]]], Iterator[list[Made]]]


@dataclass(frozen=True)
class Run:
    """Where a run stands. done: jobs that were there already. made: jobs done now. kept: of all."""

    done: int
    made: int
    kept: int


def run(
    manifest: Manifest,
    jobs: Sequence[Job],
    root: str | Path,
    facts: dict[str, Any],
    spread: Spread,
    chunk: int = CHUNK,
    progress: Callable[[int], object] = lambda count: None,
) -> Run:
    """Do the jobs that are not done, and write the set in `root`. Raises `InputError`: the folder cannot be written,
    holds a set made otherwise, or is being written.

    Args:
        manifest: what the jobs speak of. spread: does chunks of jobs.
        facts: all that decides what a job gives (methods, limits, models…), JSON values; a set made with others is
            refused.
        progress: is called with the number of jobs done, those that were there already included.
    """
    root = Path(root)
    if root.resolve() == manifest.root.resolve():
        raise InputError(f"{root} is the set the pairs are made of: give another folder for them.")
    tables = {MANIFEST: records.columns(), TRIPLES: pairs.columns()}
    growing = Growing(root, tables, {**facts, "kind": "pairs", "made_of": manifest.digest()}, pairs.MADE_BY)
    with alone(root):
        for folder in ("pairs", "rejected"):
            (root / folder).mkdir(exist_ok=True)
        done = set(growing.read(TRIPLES).column("key").to_pylist())
        todo = list({job.key: job for job in jobs if job.key not in done}.values())
        progress(len({job.key for job in jobs}) - len(todo))
        for made in spread([todo[i : i + chunk] for i in range(0, len(todo), chunk)]):
            _add(growing, manifest, made)
            progress(len(made))
        found = {name: growing.read(name) for name in tables}
        paths = set(found[MANIFEST].column("path").to_pylist())
        growing.finish(found, {"pairs": paths, "rejected": paths})
    reasons = found[TRIPLES].column("reason")
    return Run(len(done), len(todo), reasons.null_count)


def _add(growing: Growing, manifest: Manifest, made: Sequence[Made]) -> None:
    """Write what became of a chunk: two shards, then its rows."""
    number = growing.next_part()
    refused: tuple[list[tuple[str, bytes]], dict[str, Record]] = [], {}
    for one in made:
        if one.triple.reason is not None and one.record is not None and one.data is not None:
            refused[0].append((f"{one.record.key}.jpg", one.data))
            refused[1][f"{one.record.key}.jpg"] = one.record
    kept = _kept(manifest, [one for one in made if one.triple.reason is None])
    written: dict[str, Record] = {}
    for folder, (files, rows) in (("pairs", kept), ("rejected", refused)):
        if files:
            path = f"{folder}/{number:06d}.tar"
            places = write_shard(growing.root / path, files)
            for name, row in rows.items():
                written[row.key] = replace(row, path=path, **vars(places[name]))
    growing.add(number, {MANIFEST: list(written.values()), TRIPLES: [one.triple for one in made]})


def _kept(manifest: Manifest, made: Sequence[Made]) -> tuple[list[tuple[str, bytes]], dict[str, Record]]:
    """The files of the kept pairs, and the rows of their pictures by file name."""
    files: list[tuple[str, bytes]] = []
    rows: dict[str, Record] = {}
    for one in made:
        triple, record = one.triple, one.record
        assert record is not None and one.data is not None
        roles = {"target": triple.target, "source": triple.source}
        for role, key in roles.items():
            row = manifest.index[key]
            files.append((f"{triple.key}.{role}.jpg", manifest.read_bytes(row)))
            rows[files[-1][0]] = replace(manifest.record(row), member=None, offset=None, length=None)
        files.append((f"{triple.key}.reference.jpg", one.data))
        person = rows[f"{triple.key}.target.jpg"]
        rows[files[-1][0]] = replace(record, split=person.split)
        facts = {name: getattr(triple, name) for name in ("prompt", "method", "exp", "lms", "id_distance")}
        facts |= {"target": triple.target, "source": triple.source, "identity": person.identity}
        text = json.dumps(facts)
        files.append((f"{triple.key}.json", text.encode()))
    return files, rows
