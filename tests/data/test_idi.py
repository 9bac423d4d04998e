"""ID-irrelevant data iteration: the plan, what a worker makes and rejects, the set that is written, resuming."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import growing, idi_page
from mien.data.filters import Limits, load_quality
from mien.data.idi import Job, Made, Subject, Worker, _People, plan
from mien.data.idi_run import Run, run
from mien.data.observe import Observer
from mien.data.pairs import Pairs, read_triples
from mien.data.records import Manifest
from mien.data.shards import read_shard
from mien.metrics.face import exp, id_distance
from mien.provenance import read_provenance
from mien.spread import spread
from mien.types import Face, InputError
from tests.data.sets import face, make

pytest.importorskip("pyarrow", reason="manifests need the extra mien[data]")

METHODS = ("restruct", "faceswap:made-up")
LIMITS = Limits(quality=0.0, id_distance=0.5)


class Generator:
    """Gives the identity's picture; a prompt may ask for trouble."""

    name = "made-up"

    def __call__(
        self,
        identities: Sequence[Subject],
        expressions: Sequence[Subject],
        prompts: Sequence[str],
        seeds: Sequence[int],
    ) -> list[Image.Image]:
        if "trouble" in prompts:
            raise InputError("the model gave up")
        return [subject.image.copy() for subject in identities]


class Swapper:
    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        self.seeds.append(seed)
        return Image.blend(target, identity, 0.5)


def seen(expression: Face, embedding: Sequence[float] = (9.0,) * 8, blank: bool = False) -> Observer:
    """Sees `expression` in every picture, and somebody whom the set doesn't know."""
    faces = [] if blank else [expression]
    return Observer(
        lambda images: [faces for _ in images],
        lambda image, face: np.array(embedding, np.float32),
        "embedded",
        "embedded",
        0.5,
    )


def worker(manifest: Manifest, observer: Observer | None = None, limits: Limits = LIMITS) -> Worker:
    looks = observer or seen(manifest.face(0))
    return Worker(manifest, looks, load_quality("plain"), limits, Generator(), {METHODS[1]: Swapper()})


def jobs_of(manifest: Manifest, count: int | None = None, methods: Sequence[str] = METHODS) -> list[Job]:
    return plan(manifest, methods, count)


def test_the_plan_takes_another_person_and_another_expression(tmp_path: Path) -> None:
    manifest = make(tmp_path, 12, people=3)
    jobs = jobs_of(manifest)
    assert len(jobs) == 24 and len({job.key for job in jobs}) == 24
    who = dict(zip(manifest.values("key"), manifest.values("identity"), strict=True))
    assert all(who[job.target] == who[job.source] != who[job.other] for job in jobs)
    blendshapes = dict(zip(manifest.values("key"), manifest.array("blendshapes"), strict=True))
    for job in jobs:
        others = [key for key, person in who.items() if person == who[job.target] and key != job.target]
        farthest = max(others, key=lambda key: exp(blendshapes[job.target], blendshapes[key]))
        assert job.source == farthest
    assert [job.method for job in jobs[:4]] == [*METHODS, *METHODS]
    assert jobs[0].target == jobs[1].target != jobs[2].target


def test_others_are_found_where_nearly_all_are_one_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make(tmp_path, 12, people=3)
    who = dict(zip(manifest.values("key"), manifest.values("identity"), strict=True))

    class Unlucky:
        """Draws the first row again and again."""

        def __init__(self, seed: int) -> None:
            self.rng = real(seed)

        def integers(self, low: int, high: int, size: int) -> np.ndarray:
            return np.zeros(size, int)

        def permutation(self, rows: list[int]) -> np.ndarray:
            return self.rng.permutation(rows)

    real = np.random.default_rng
    monkeypatch.setattr("mien.data.idi.np.random.default_rng", Unlucky)
    people = _People(manifest, list(range(12)), 0.1)
    first = people.other(0, 5, 4)
    assert who[manifest.values("key")[first]] != who[manifest.values("key")[0]]


def test_a_swapper_is_told_its_jobs_seeds(tmp_path: Path) -> None:
    manifest = make(tmp_path, 6)
    jobs = [job for job in jobs_of(manifest) if job.method == METHODS[1]]
    swapper = Swapper()
    Worker(manifest, seen(manifest.face(0)), load_quality("plain"), LIMITS, None, {METHODS[1]: swapper})(jobs)
    assert swapper.seeds == [job.seed for job in jobs] and len(set(swapper.seeds)) == len(jobs)


def test_a_smaller_plan_begins_a_larger_one(tmp_path: Path) -> None:
    manifest = make(tmp_path, 6)
    assert jobs_of(manifest, 7) == jobs_of(manifest, 40)[:7]
    rounds = jobs_of(manifest, 40)
    assert len({job.key for job in rounds}) == 40
    assert [job.target for job in rounds[:12]] == [job.target for job in rounds[12:24]]
    assert plan(manifest, METHODS, 12, seed=1) != plan(manifest, METHODS, 12, seed=0)


def test_without_labels_people_are_told_apart_by_embeddings(tmp_path: Path) -> None:
    manifest = make(tmp_path, 9, people=3)
    records = [replace(manifest.record(row), identity=None) for row in manifest.kept()]
    unlabelled = Manifest.of(records, tmp_path, manifest.facts)
    vectors = dict(zip(unlabelled.values("key"), unlabelled.array("embedding"), strict=True))
    jobs = plan(unlabelled, METHODS, 18, same_person=0.5)
    assert all(id_distance(vectors[job.target], vectors[job.other]) >= 0.5 for job in jobs)
    assert all(job.source == job.target for job in jobs)
    with pytest.raises(InputError, match="one person only"):
        plan(unlabelled, METHODS, 1, same_person=1e9)
    with pytest.raises(InputError, match="split held_out"):
        plan(unlabelled, METHODS, 1, split="held_out")


def test_targets_may_be_asked_to_have_a_source(tmp_path: Path) -> None:
    manifest = make(tmp_path, 5, people=4)
    jobs = plan(manifest, METHODS, None, with_source=True)
    assert {(job.target, job.source) for job in jobs} == {("k0", "k4"), ("k4", "k0")}
    with pytest.raises(InputError, match="has two pictures"):
        plan(make(tmp_path / "lone", 3, people=3), METHODS, None, with_source=True)


def test_the_other_person_is_of_the_same_split(tmp_path: Path) -> None:
    manifest = make(tmp_path, 40, people=20)
    records = [manifest.record(row) for row in manifest.kept()]
    halves = [replace(r, split="held_out") if int(r.key[1:]) % 20 < 10 else r for r in records]
    split = Manifest.of(halves, tmp_path, manifest.facts)
    of = dict(zip(split.values("key"), split.values("split"), strict=True))
    jobs = plan(split, METHODS, None, split=None)
    assert len(jobs) == 80 and all(of[job.target] == of[job.other] for job in jobs)


def test_the_swapped_in_face_has_a_near_pose(tmp_path: Path) -> None:
    manifest = make(tmp_path, 60, people=60)
    poses = dict(zip(manifest.values("key"), manifest.array("pose"), strict=True))

    def apart(method: str) -> float:
        jobs = plan(manifest, [method], 60)
        return float(np.mean([np.linalg.norm(poses[job.target] - poses[job.other]) for job in jobs]))

    assert apart("faceswap:made-up") < 0.7 * apart("restruct")


def test_a_worker_keeps_what_keeps_the_expression(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    job = next(job for job in jobs_of(manifest) if job.method == "restruct")
    target = manifest.face(manifest.index[job.target])
    [made] = worker(manifest, seen(target))([job])
    assert made.triple.reason is None and made.triple.exp == 0.0 and made.triple.lms == 0.0
    own = manifest.array("embedding")[manifest.index[job.target]]
    assert made.triple.id_distance == pytest.approx(float(np.linalg.norm(own - 9.0)), rel=1e-5)
    assert made.record is not None and made.record.key == made.triple.reference and made.data is not None
    result = np.asarray(Image.open(io.BytesIO(made.data)), float)
    assert np.abs(result - np.asarray(manifest.picture(manifest.index[job.other]), float)).mean() < 6


def test_the_reference_says_that_it_was_made_and_not_of_whom(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    for job in jobs_of(manifest)[:2]:
        [made] = worker(manifest)([job])
        assert made.data is not None
        (tmp_path / "reference.jpg").write_bytes(made.data)
        found = read_provenance(tmp_path / "reference.jpg")
        assert found is not None and found["settings"]["method"] == f"IDI {job.method}"
        assert job.other not in json.dumps(found) and "person" not in json.dumps(found)


@pytest.mark.parametrize(
    ("observer", "limits", "phrase"),
    [
        (seen(face(77)), LIMITS, "expression changed (Exp)"),
        (seen(face(0), blank=True), LIMITS, "no face"),
        (None, replace(LIMITS, quality=1.1), "low quality"),
    ],
)
def test_a_worker_rejects_with_a_reason(
    tmp_path: Path, observer: Observer | None, limits: Limits, phrase: str
) -> None:
    manifest = make(tmp_path)
    for made in worker(manifest, observer, limits)(jobs_of(manifest, 4)):
        assert made.triple.reason is not None and made.triple.reason.startswith(phrase)
        assert made.record is not None and made.record.reason is not None, "the picture is kept too"


def test_the_same_person_is_rejected(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    job = jobs_of(manifest)[0]
    row = manifest.index[job.target]
    looks = seen(manifest.face(row), manifest.array("embedding")[row].tolist())
    [made] = worker(manifest, looks)([job])
    assert made.triple.reason == "same person: 0.000"
    [kept] = worker(manifest, looks, replace(LIMITS, id_distance=0.0))([job])
    assert kept.triple.reason is None


def test_one_bad_job_spoils_no_batch(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    jobs = [job for job in jobs_of(manifest, 12) if job.method == "restruct"]
    jobs[2] = replace(jobs[2], other_prompt="trouble")
    made = worker(manifest)(jobs)
    assert [one.triple.key for one in made] == [job.key for job in jobs]
    assert made[2].triple.reason == "not generated: the model gave up" and made[2].record is None
    assert all(one.record is not None for i, one in enumerate(made) if i != 2)


def idi(
    manifest: Manifest,
    out: Path,
    count: int | None = 12,
    do: Callable[..., Iterator[list[Made]]] = spread,
) -> Run:
    return run(
        manifest,
        jobs_of(manifest, count),
        out,
        {"methods": list(METHODS)},
        partial(do, partial(worker, manifest)),
        3,
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A set whose people all make one face, which the observer sees in the results too; but for two targets."""
    made = make(tmp_path / "in", 8, people=4)
    one = made.record(0)
    records = [replace(made.record(row)) for row in range(len(made))]
    same = {"landmarks": one.landmarks, "blendshapes": one.blendshapes}
    records = [replace(r, **same) if r.key not in ("x", "k3", "k5") else r for r in records]  # type: ignore[arg-type]
    changed = Manifest.of(records, tmp_path / "in", made.facts)
    changed.write()
    return Manifest.read(tmp_path / "in")


def test_a_run_writes_a_set_of_its_own(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    state = idi(manifest, out, None)
    triples = read_triples(out, rejected=True)
    assert state.done == 0 and state.made == 16 == len(triples)
    assert {t.target for t in triples if t.reason} == {"k3", "k5"} and state.kept == 12
    (tmp_path / "in").rename(tmp_path / "gone")
    pairs = Pairs.read(out)
    assert len(pairs) == 12
    for i in range(len(pairs)):
        assert pairs.crop(i, "target").shape == pairs.crop(i, "reference").shape == (128, 128, 3)
    samples = [s for path in sorted((out / "pairs").iterdir()) for s in read_shard(path)]
    assert {key for key, _ in samples} == {triple.key for triple in pairs}
    assert all(files.keys() == {"target.jpg", "source.jpg", "reference.jpg", "json"} for _, files in samples)
    turned_down = [key for path in (out / "rejected").iterdir() for key, _ in read_shard(path)]
    assert len(turned_down) == 4
    text = " ".join(str(v) for n in ("path", "name") for v in pairs.manifest.values(n)) + str(
        pairs.manifest.facts
    )
    assert str(tmp_path) not in text and not (out / growing.PARTS).exists()


def test_a_killed_run_loses_no_pair_and_makes_none_twice(manifest: Manifest, tmp_path: Path) -> None:
    idi(manifest, tmp_path / "whole")

    def dying(make: Callable[[], Worker], chunks: Sequence[list[Job]]) -> Iterator[list[Made]]:
        for number, made in enumerate(spread(make, chunks)):
            if number == 2:
                raise KeyboardInterrupt
            yield made

    with pytest.raises(KeyboardInterrupt):
        idi(manifest, tmp_path / "out", do=dying)
    state = idi(manifest, tmp_path / "out")
    assert (state.done, state.made) == (6, 6)
    wanted, found = (
        sorted(read_triples(tmp_path / n, rejected=True), key=lambda t: t.key) for n in ("whole", "out")
    )
    assert found == wanted
    assert Manifest.read(tmp_path / "out").digest() == Manifest.read(tmp_path / "whole").digest()
    assert idi(manifest, tmp_path / "out").made == 0
    more = idi(manifest, tmp_path / "out", 16)
    assert (more.done, more.made) == (12, 4)
    pairs = Pairs.read(tmp_path / "out")
    assert [pairs.manifest.picture(pairs.row(i, "reference")).size for i in range(len(pairs))]


def test_half_a_part_is_made_again(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = growing.records.write_table

    def dying(table: object, path: Path) -> None:
        if path.name == "000001.triples.parquet":
            raise KeyboardInterrupt
        write(table, path)

    with monkeypatch.context() as patch:
        patch.setattr(growing.records, "write_table", dying)
        with pytest.raises(KeyboardInterrupt):
            idi(manifest, tmp_path / "out")
    assert (tmp_path / "out" / growing.PARTS / "000001.manifest.parquet").is_file()
    assert idi(manifest, tmp_path / "out").done == 3
    pairs = Pairs.read(tmp_path / "out")
    assert len(read_triples(tmp_path / "out", rejected=True)) == 12
    for row in range(len(pairs.manifest)):
        pairs.manifest.picture(row)


def test_a_run_with_other_settings_or_another_set_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    idi(manifest, tmp_path / "out", 3)
    with pytest.raises(InputError, match="made with methods"):
        run(
            manifest,
            [],
            tmp_path / "out",
            {"methods": ["restruct"]},
            partial(spread, partial(worker, manifest)),
        )
    other = make(tmp_path / "other", 5)
    with pytest.raises(InputError, match="made_of"):
        idi(other, tmp_path / "out", 3)
    with pytest.raises(InputError, match="is the set the pairs are made of"):
        idi(manifest, manifest.root)


def test_the_page_holds_its_pictures_and_the_counts(manifest: Manifest, tmp_path: Path) -> None:
    idi(manifest, tmp_path / "out", None)
    page, numbers = (path.read_text() for path in reversed(idi_page.write(tmp_path / "out", manifest)))
    facts = json.loads(numbers)
    assert facts["methods"]["all"]["kept"] == 12 and facts["methods"]["restruct"]["pairs"] == 8
    assert facts["methods"]["all"]["reasons"] == {"kept": 12, "expression changed (Exp)": 4}
    triples = read_triples(tmp_path / "out", rejected=True)
    wanted = np.median([t.id_distance for t in triples])
    assert facts["methods"]["all"]["id_distance"]["50%"] == pytest.approx(wanted, abs=1e-3)
    assert "http://" not in page and "https://" not in page and str(tmp_path) not in page
    assert page.count("data:image/jpeg;base64,") == 6 * (1 + 2 * 2) + 4 * 3
    assert "12 of 16 pairs were kept" in page and page.count("<svg") == 6


def test_a_carrier_is_a_way_of_its_own_with_a_near_pose(tmp_path: Path) -> None:
    manifest = make(tmp_path, 12, people=12)
    jobs = plan(manifest, ["carry"], 12)

    class Carrier(Swapper):
        def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
            return identity

    made = Worker(
        manifest, seen(manifest.face(0)), load_quality("plain"), LIMITS, None, {"carry": Carrier()}
    )(jobs)
    assert {one.triple.method for one in made} == {"carry"}
    for job, one in zip(jobs, made, strict=True):
        assert one.data is not None
        other = np.asarray(manifest.picture(manifest.index[job.other]), float)
        assert np.abs(np.asarray(Image.open(io.BytesIO(one.data)), float) - other).mean() < 6
