"""What is said once about other people's faces."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mien.making.telling import Tell

NOTICE = (
    "Other people's faces need their consent. What is made here says so: metadata and an invisible watermark "
    "mark it as generated (`mien inspect` shows them)."
)


def remind(tell: Tell) -> None:
    """Tell `NOTICE` the first time that a picture is made on this account."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    # An account that cannot be written to, or has no home (RuntimeError), is told every time.
    with suppress(OSError, RuntimeError):
        mark = Path(state).expanduser() / "mien" / "consent"
        if mark.exists():
            return
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    tell(NOTICE)
