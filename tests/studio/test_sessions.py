"""Whose pictures are whose, and when they go."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mien.studio.folders import own_folder
from mien.studio.sessions import LONGEST, MOST_GIVEN, File, Sessions
from mien.types import InputError


def test_a_session_sees_its_own_files_alone(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    one, two = sessions.get(None), sessions.get("made up")
    assert one is not two and two.key != "made up" and sessions.get(one.key) is one
    id, place = one.place("a.png")
    place.touch()
    one.add(File(id, place, "a.png"))
    assert one.file(id, "photo").path == place
    for wrong in (id, "../" + id, None, 3, ""):
        with pytest.raises(InputError, match="photo"):
            two.file(wrong, "photo")


def test_files_go_when_the_page_is_closed_but_not_when_it_is_loaded_again(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, grace=0.15)
    session = sessions.get(None)
    _, place = session.place("a.png")
    sessions.opened(session)
    sessions.closed(session)
    sessions.opened(session)
    time.sleep(0.3)
    assert place.parent.is_dir() and sessions.get(session.key) is session
    sessions.closed(session)
    time.sleep(0.4)
    assert not session.folder.exists() and sessions.get(session.key) is not session


def test_old_and_many_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(tmp_path)
    old, open_page = sessions.get(None), sessions.get(None)
    sessions.opened(open_page)
    sessions.sweep(age=-1)
    assert sessions.get(old.key) is not old and sessions.get(open_page.key) is open_page
    monkeypatch.setattr("mien.studio.sessions.MOST", 4)
    kept = [sessions.get(None).key for _ in range(9)]
    assert sessions.get(kept[-1]).key == kept[-1] and sessions.get(kept[0]).key != kept[0]
    assert sessions.get(open_page.key) is open_page


def test_results_and_uploads_are_bounded(tmp_path: Path) -> None:
    session = Sessions(tmp_path).get(None)

    def made(name: str) -> str:
        id, place = session.place(name)
        place.touch()
        session.add(File(id, place, name))
        return id

    session.photo = made("photo")
    for _ in range(LONGEST + 3):
        session.remember({"id": made("result")})
    for _ in range(MOST_GIVEN + 3):
        made("given")
    assert len(session.results) == LONGEST and session.photo in session.files
    assert len(session.files) == 1 + LONGEST + MOST_GIVEN == len(list(session.folder.iterdir()))


def test_the_folder_goes_and_so_does_a_killed_server_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "mien-studio-killed"
    left.mkdir()
    (left / "lock").touch()
    with own_folder() as folder, own_folder() as other:
        assert folder.is_dir() and other.is_dir() and folder.stat().st_mode & 0o077 == 0 and not left.exists()
    assert list(tmp_path.iterdir()) == []
