"""Many images, some in work at a time: the loop that all pipelines share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mien.types import InputError

if TYPE_CHECKING:
    from torch import Tensor

    Callback = Callable[[int, int, Tensor], None]
    """``callback(step, total, latents)``: after step 1 … total of the whole call; latents [b, c, h, w] of the
    batch in work, which ``pipe.backbone.decode`` turns into pixels for a preview."""


def in_batches(n: int, size: int, callback: Callback | None) -> Iterator[tuple[slice, Callback]]:
    """Slices of n images, each with a callback for its batch that counts the steps of the whole call. Raises
    `InputError`: `size` is below 1."""
    if size < 1:
        raise InputError("batch_size must be at least 1")
    count = -(-n // size)
    for k in range(count):

        def report(step: int, total: int, latents: Tensor, k: int = k) -> None:
            if callback is not None:
                callback(k * total + step, count * total, latents)

        yield slice(k * size, min(n, (k + 1) * size)), report
