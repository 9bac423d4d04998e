"""What the verbs that make pictures share: where they go, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def numbered(path: Path, count: int) -> list[Path]:
    """Where `count` portraits go: `path` itself for one, else name-1, name-2, …"""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def check_places(places: Sequence[Path]) -> None:
    """Before long work: whether these pictures could be written, and `InputError` if not."""
    from mien.files import check_writable
    from mien.provenance import check_format, check_surroundings

    check_surroundings()
    for place in places:
        check_format(place)
        check_writable(place)


@contextmanager
def steps_bar(quiet: bool) -> Iterator[Callable[[int, int, Any], None]]:
    """A progress bar of denoising steps, as a callback for the pipeline."""
    from tqdm import tqdm

    with tqdm(desc="steps", leave=False, disable=True if quiet else None) as bar:

        def progress(step: int, total: int, _: Any) -> None:
            bar.total = total
            bar.update(step - bar.n)

        yield progress


def load_pipeline(backbone: str, device: str, dtype: str, adapter: str | None = None) -> Any:
    """The portrait pipeline, without diffusers' own progress bars.

    Raises:
        InputError: there is no such backbone.
    """
    import diffusers.utils.logging

    import mien
    from mien.backbones import SPECS
    from mien.cli.console import choice

    if "/" not in backbone and not Path(backbone).is_dir():
        choice(backbone, SPECS, "backbone")
    diffusers.utils.logging.disable_progress_bar()
    return mien.load(backbone, device, dtype, adapter)
