"""Films driven by films: every frame at its time, the driver's expression, and what becomes of bad ones."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli import film_making as cli
from mien.cli.main import app
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.making import filming, following, live
from mien.making.footage import Footage, Shot
from mien.pipelines.photo import PhotoPipeline
from mien.pipelines.photo_film import Puppet, facelike, parted
from mien.provenance import watermark
from mien.provenance.animation import read_animation
from mien.provenance.film import film
from mien.types import ByteImage, InputError
from mien.warping.mesh import LOWER_LIP
from mien.warping.shapes import moved
from mien.warping.target import LIMITS
from tests.making.films import PEOPLE, SIDE, person, read, smiling, sound, write

GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)
SMILE = INDEX["mouthSmileLeft"]


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["film", *map(str, words), "--quiet"])


def smiles(frames: list[ByteImage]) -> np.ndarray:
    return np.array([analyze(Image.fromarray(frame))[0].blendshapes[SMILE] for frame in frames])


def test_the_calmest_frame_of_a_film_looks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = analyze(Image.fromarray(person("may_rest")))[0]
    aside = replace(ahead, pose=ahead.pose + [40.0, 0, 0])
    faces = iter([aside, ahead, aside])
    monkeypatch.setattr(following, "follow", lambda choose: lambda image: next(faces))
    footage: Any = SimpleNamespace(sampled=lambda: (Shot(GREY, Fraction(number)) for number in range(3)))
    choose = following.Chooser("largest", "", print)
    person_in_it = following.resting(footage, choose)
    assert person_in_it.face is ahead
    away: Any = replace(person_in_it, face=aside)
    with pytest.raises(InputError, match=r"^f\.mp4: .* turned away .*: use a film"):
        cli._calm({"source": "f.mp4"}, SimpleNamespace(pipe=PhotoPipeline()), away)  # type: ignore[arg-type]


def test_a_photo_smiles_with_the_film(tmp_path: Path) -> None:
    """At an awkward rate, with sound, a face that comes late and goes early."""
    rate = Fraction(30_000, 1001)
    driver = write(tmp_path / "d.mp4", [GREY, *smiling(), GREY], rate, audio=True)
    result = run(PEOPLE / "may_rest.jpg", driver, "-o", tmp_path / "o.mp4", "--size", 256, "--smooth", 0)
    assert result.exit_code == 0, result.output
    assert "14 frames, 2 without a face" in result.stdout
    frames, times = read(tmp_path / "o.mp4")
    assert times == [number / rate for number in range(14)]
    assert sound(tmp_path / "o.mp4") == sound(driver)
    theirs, ours = smiles(list(smiling())), smiles(frames[1:-1])
    assert np.corrcoef(theirs, ours)[0, 1] > 0.9 and np.ptp(ours) > 0.3
    said = read_animation(tmp_path / "o.mp4")
    assert said is not None and said["settings"]["kind"] == "film"
    assert watermark.find(Image.fromarray(frames[6])).found


def test_irregular_times_and_another_expression(tmp_path: Path) -> None:
    times = [0, 33, 74, 174, 194, 300]
    driver = write(tmp_path / "d.mp4", [GREY, *smiling()[:1] * 4, GREY], times=times, ticks=Fraction(1, 1000))
    result = run(driver, "--expression", "joy", "-o", tmp_path / "o.mp4")
    assert result.exit_code == 0, result.output
    frames, when = read(tmp_path / "o.mp4")
    assert when == [Fraction(time, 1000) for time in times]
    assert smiles(frames[1:5]).min() > smiles(list(smiling()[:1]))[0] + 0.3
    assert np.abs(frames[0].astype(int) - 128).max() < 8  # nobody there: as it was, but for the watermark


def test_neutral_takes_every_smile_from_a_film(tmp_path: Path) -> None:
    driver = write(tmp_path / "d.mp4", smiling())
    result = run(driver, "--expression", "neutral", "-o", tmp_path / "o.mp4", "--smooth", 0)
    assert result.exit_code == 0, result.output
    frames, _ = read(tmp_path / "o.mp4")
    assert smiles(frames).max() < 0.6 * smiles(list(smiling())).max()


def test_motion_of_a_film_moves_a_photo(tmp_path: Path) -> None:
    driver = write(tmp_path / "d.mp4", smiling())
    assert run(driver, "--motion", tmp_path / "m.json").exit_code == 0
    result = run(PEOPLE / "may_rest.jpg", tmp_path / "m.json", "-o", tmp_path / "o.mp4", "--size", 256)
    assert result.exit_code == 0, result.output
    frames, _ = read(tmp_path / "o.mp4")
    assert len(frames) == 12 and np.ptp(smiles(frames)) > 0.3


def test_upright(tmp_path: Path) -> None:
    """The matrix of a track that says: turn clockwise by a quarter (ISO 14496-12, 8.3.2)."""
    bright = GREY.copy()
    bright[: SIDE // 2] = 230
    path = write(tmp_path / "d.mp4", [bright])
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    turned = [0, 1 << 16, 0, -(1 << 16) % 2**32, 0, 0, SIDE << 16, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big") for value in turned)
    path.write_bytes(data)
    with Footage(path) as footage:
        image = footage.first().image
    assert image[:, -SIDE // 4 :].min() > 200 and image[:, : SIDE // 4].max() < 150


@pytest.mark.parametrize(
    "kind, words",
    [("empty", "cannot be read"), ("sound", "no pictures"), ("grey", "no face"), ("gone", "does not exist")],
)
def test_bad_films_are_refused_in_a_sentence(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "d.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "grey":
        write(path, [GREY] * 2)
    elif kind == "sound":
        import av

        whole = write(tmp_path / "w.mp4", [GREY] * 2, audio=True)
        with av.open(str(whole)) as source, av.open(str(path), "w") as container:
            stream = container.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    result = run(PEOPLE / "may_rest.jpg", path, "-o", tmp_path / "o.mp4")
    assert result.exit_code == 2 and words in result.stderr and "d.mp4" in result.stderr
    assert {entry.name for entry in tmp_path.iterdir()} <= {"d.mp4", "w.mp4"}


def test_a_film_is_opened_before_any_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "Photographs", lambda *given: pytest.fail("the models of the photo were loaded"))
    for driver in (tmp_path / "no.mp4", tmp_path / "no.json"):
        result = run(PEOPLE / "may_rest.jpg", driver, "-o", tmp_path / "o.mp4")
        assert result.exit_code == 2 and driver.name in result.stderr


def test_a_film_cut_short_says_how_much_was_lost(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.mkv", list(smiling()) * 2)
    path = tmp_path / "d.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run(PEOPLE / "may_rest.jpg", path, "-o", tmp_path / "o.mp4", "--size", 128)
    frames, _ = read(tmp_path / "o.mp4")
    assert result.exit_code == 0 and 0 < len(frames) < 24
    assert f"{len(frames)} of 24 frames could be read" in result.stderr


def test_stopped_films_play(tmp_path: Path) -> None:
    driver = write(tmp_path / "d.mp4", [GREY] * 20)
    taken = iter(range(100))

    def step(shot: Shot) -> tuple[bool, Any]:
        if next(taken) == 7:
            raise KeyboardInterrupt
        return False, lambda: shot.image

    output = tmp_path / "o.mp4"
    with Footage(driver) as footage, film(output, {}, (SIDE, SIDE), footage.rate, footage.ticks) as writer:
        report = filming.run(footage, writer, step, False, filming.unwatched)
    assert report.stopped and report.frames == 7 == len(read(output)[0])


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    driver = write(tmp_path / "d.mp4", [GREY] * 4)

    def step(shot: Shot) -> tuple[bool, Any]:
        raise InputError("no")

    with (
        pytest.raises(InputError),
        Footage(driver) as footage,
        film(tmp_path / "o.mp4", {}, (SIDE, SIDE), footage.rate, footage.ticks) as writer,
    ):
        filming.run(footage, writer, step, False, filming.unwatched)
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.mp4"]


def test_a_camera_shows_the_newest_frame() -> None:
    """What came while a frame was drawn is dropped, but for the newest."""
    drawing, came = threading.Event(), threading.Event()

    def camera() -> Any:
        yield Shot(GREY, Fraction(0))
        assert drawing.wait(5)
        for number in range(1, 6):
            yield Shot(GREY, Fraction(number))
        came.set()

    shots = live.latest(camera())
    assert next(shots)[0].time == 0
    drawing.set()
    assert came.wait(5)
    assert [(shot.time, dropped) for shot, dropped in shots] == [(5, 4)]


def test_a_virtual_camera_is_given_pictures(tmp_path: Path) -> None:
    place = tmp_path / "device"
    with live.VirtualCamera(place, (65, 64), format="rawvideo") as camera:
        for _ in range(3):
            camera.show(person("may_rest", 65)[:64])
    assert place.stat().st_size == 3 * 64 * 64 * 3 // 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="v4l2 is Linux's")
def test_a_device_gets_raw_pictures_through_v4l2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No device is at hand: what it would be opened with, and the pictures in the order of 4:2:0's planes."""
    import av

    assert av.ContainerFormat("v4l2", "w").is_output
    place, opened, real = tmp_path / "video10", [], av.open
    place.touch()

    def open_(*given: Any, **options: Any) -> Any:
        opened.append((given, options))
        return real(given[0], "w", format="rawvideo")

    monkeypatch.setattr(av, "open", open_)
    monkeypatch.setenv("MIEN_WATERMARK", "off")
    with live.VirtualCamera(place, (64, 64)) as camera:
        camera.show(GREY[:64, :64])
    assert opened == [((str(place), "w"), {"format": "v4l2"})]
    planes = np.frombuffer(place.read_bytes(), np.uint8)
    luma, chroma = planes[: 64 * 64], planes[64 * 64 :]
    assert len(chroma) == 2 * 32 * 32 and np.ptp(luma) == 0
    assert (
        abs(int(luma[0]) - (16 + round(128 * 219 / 255))) <= 1 and np.abs(chroma.astype(int) - 128).max() <= 1
    )


@pytest.mark.parametrize(
    "words, told",
    [
        (["camera", "--out", "/dev/video63"], "no camera"),
        (["/dev/video62"], "--out"),
        ([], "give a PHOTO"),
        (["x.mp4", "--expression", "joy"], "x.mp4 does not exist"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], told: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(live, "CAMERA", "/dev/video61")
    result = run(PEOPLE / "may_rest.jpg", *words)
    assert result.exit_code == 2 and told in result.stderr and len(result.stderr.splitlines()) == 1


def test_the_person_who_is_followed_stays_the_same_when_another_crosses(tmp_path: Path) -> None:
    """By the recogniser, on stills: whose face is followed at the end, after another's went in front of it."""
    frames = []
    for at in np.linspace(0, 1, 36):
        frame = np.full((SIDE, 3 * SIDE, 3), 128, np.uint8)
        for name, left in (("ben_rest", at), ("dan_rest", 1 - at)):
            start = round(left * 2 * SIDE) + SIDE // 4
            frame[:, start : start + SIDE // 2] = person(name)[:, SIDE // 4 : -SIDE // 4]
        frames.append(frame)
    track = following.follow(following.Chooser("left", "the film", str))
    seen = [track(frame) for frame in frames]
    assert seen[0] is not None and seen[0].box[0] < SIDE
    assert seen[-1] is not None and seen[-1].box[0] > 2 * SIDE


@pytest.mark.parametrize("stays", [False, True])
def test_two_whom_the_recogniser_finds_alike_are_told_apart_by_their_way(stays: bool) -> None:
    """The same face twice, once with a smile, which goes in front of the one that is followed."""
    track = following.follow(following.Chooser("left", "the film", str))
    for at in np.linspace(0, 1, 24):
        frame = np.full((SIDE, 3 * SIDE, 3), 128, np.uint8)
        place = 0.5 if stays else at
        for name, left in (("ben_rest", place), ("ben_smile", 1 - at)):
            start = round(left * 2 * SIDE) + SIDE // 4
            frame[:, start : start + SIDE // 2] = person(name)[:, SIDE // 4 : -SIDE // 4]
        seen = track(frame)
    assert seen is not None and abs(seen.box[::2].mean() - (2 * place + 0.5) * SIDE) < 0.2 * SIDE
    assert seen.blendshapes[SMILE] < 0.2


def test_a_film_of_the_photos_own_person_is_matched_as_it_is(tmp_path: Path) -> None:
    driver = write(tmp_path / "d.mp4", smiling()[::3])
    for name, told in (("karl_rest", True), ("may_rest", False)):
        result = CliRunner().invoke(
            app,
            [
                "film",
                str(PEOPLE / f"{name}.jpg"),
                str(driver),
                "-o",
                str(tmp_path / f"{name}.mp4"),
                "--size",
                "128",
            ],
        )
        assert ("same person" in result.stderr) is told
        said = read_animation(tmp_path / f"{name}.mp4")
        assert said is not None and said["settings"]["relative"] is not told


def test_lips_close_no_further_than_the_jaw_opens_them() -> None:
    before, after = np.zeros(52), np.zeros(52)
    after[INDEX["mouthClose"]], after[INDEX["jawOpen"]] = 0.3, 0.1
    assert facelike(after, before)[INDEX["mouthClose"]] == 0.1
    before[INDEX["mouthClose"]] = 0.2  # the photo's own stays
    assert facelike(after, before)[INDEX["mouthClose"]] == 0.2


def test_a_jaw_led_by_lips_tears_none() -> None:
    puppet = Puppet(PhotoPipeline().sit(Image.fromarray(person("may_rest"))), smooth=0, pose=False)
    close, jaw, rest = INDEX["mouthClose"], INDEX["jawOpen"], puppet.before
    after = rest.copy()
    after[close], after[jaw] = 0.3, 0.3
    shut = puppet._part(after, 0.0, 10.0)[0]
    assert shut[jaw] < 0.3 and shut[close] <= max(shut[jaw], rest[close])
    after[jaw] = 0.75
    assert puppet._part(after, 60.0, 0.0)[0][jaw] == LIMITS["jawOpen"]


def test_lips_part_as_far_as_the_drivers_do_whatever_their_blendshapes_say() -> None:
    puppet = Puppet(PhotoPipeline().sit(Image.fromarray(person("may_rest"))), smooth=0, pose=False)
    face = analyze(Image.fromarray(person("ida_rest")))[0]
    puppet.rest(face)
    mouth = puppet.sitter.mouth
    at_rest = min(parted(face.landmarks), 2.5)
    for number, lower in enumerate((4.0, 7.0, 0.0)):
        landmarks = face.landmarks.copy()
        unit = float(np.linalg.norm(landmarks[33] - landmarks[263])) / 90
        landmarks[list(LOWER_LIP[1:-1]), 1] += lower * unit
        shown = puppet.follow(replace(face, landmarks=landmarks), number / 25)
        made = parted(moved(mouth.on_line, puppet.before, shown.after, shut=shown.shut))
        assert made == pytest.approx(max(mouth.apart + parted(landmarks) - at_rest, 0), abs=1.5), lower
