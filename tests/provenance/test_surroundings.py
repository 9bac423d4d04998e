"""What is asked before long work, with and without the library that signs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from mien.provenance import check_surroundings, signing
from mien.types import InputError


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that look like a certificate and its key, and a library that nobody calls."""
    for variable, name in ((signing.CERT, "chain.pem"), (signing.KEY, "leaf.key")):
        (tmp_path / name).write_text("-----BEGIN")
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.delenv(signing.ALGORITHM, raising=False)
    monkeypatch.setitem(sys.modules, "c2pa", ModuleType("c2pa"))
    return tmp_path


def test_what_is_there_is_wanted(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signing.wanted() and check_surroundings()
    monkeypatch.delenv(signing.CERT)
    monkeypatch.delenv(signing.KEY)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert not signing.wanted() and check_surroundings()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (signing.CERT, "", "MIEN_C2PA_KEY is set alone"),
        (signing.CERT, "/nope", "/nope, named by MIEN_C2PA_CERT, cannot be read"),
        (signing.KEY, "/nope", "/nope, named by MIEN_C2PA_KEY, cannot be read"),
        (signing.KEY, pytest.__file__, "named by MIEN_C2PA_KEY, is not a PEM file"),
        (signing.ALGORITHM, "rot13", "choose es256"),
        ("MIEN_WATERMARK", "bogus", "MIEN_WATERMARK is bogus"),
    ],
)
def test_what_cannot_be_used_is_told_before_the_work(
    certified: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=words):
        check_surroundings()


def test_so_is_a_missing_library(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(InputError, match=r"mien\[c2pa\]"):
        check_surroundings()
