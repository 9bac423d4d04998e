"""What is said of errors."""

from __future__ import annotations

from mien.errors import reason


def test_a_reason_keeps_names_as_they_are_and_is_one_line() -> None:
    assert (
        reason(ImportError("libEGL.so.1: cannot open /home/Me/X\nmore"))
        == "libEGL.so.1: cannot open /home/Me/X"
    )
    assert reason(FileNotFoundError(2, "No such file or directory", "A.png")) == "no such file or directory"
    assert reason(ValueError()) == "ValueError"
