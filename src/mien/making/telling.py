"""What the pipelines warn of, told to a person once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Tell = Callable[[str], object]


def silent(message: str) -> None:
    """`Tell` nobody."""


class Telling:
    """Warnings are told, each once: all, or those that hold one of the words `about`."""

    def __init__(self, tell: Tell, about: Sequence[str] = ("",)) -> None:
        self._tell, self._about = tell, about
        self._said: set[str] = set()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Listens while the block runs."""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield
        for message in (str(warning.message) for warning in heard):
            if message not in self._said and any(words in message for words in self._about):
                self._said.add(message)
                self._tell(message)
