"""What is trained in slices: a recipe's stage, loop and args, and under `slices` the data and parts that travel."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.files import write_text
from mien.training.loop import LoopConfig
from mien.training.recipe import stage_class
from mien.types import InputError

FEEDS = ("portraits", "pixels", "stage")
FILE = "recipe.json"


@dataclass
class SliceConfig:
    """Settings beside the stage's own.

    Attributes:
        start: folder that the stage once exported, from which the first slice goes on; "{start}" in args.
        keep_files: files of `start` that an export lacks and every state carries along.
        parts: name → file or folder that the stage reads and does not train; "{parts}/NAME" in args.
        leave: entries of an export that were not trained: they stay behind; a part of that name takes their place.
        feed: "portraits" or "pixels": batches made on the device (`feed`), the first with the encoders of the part
            "face"; "stage": the stage's own, from prepared sets.
        sets: prepared set → how often it is drawn, relative. For the feed "stage", which has its own weights, the
            numbers say nothing.
        limits: set → at most so many training pictures of it (chosen evenly), where not all are to travel.
        quality: of WebP, 1 to 100. columns: of the prepared tables, carried for training pictures too.
        held: set → how many pictures for validation; of a set that is trained on, held-out ones.
        jitter: changes of `feed.Jitter` from its defaults.
        dropout: of the trained modules' dropout layers.
        watch: the validation's number that says how good a state is, and whether "lower" or "higher" is `better`.
        keep: "best": a slice hands on its best state after the start by that number; "last": its last.
        validations: how many in a slice.
    """

    start: str
    sets: dict[str, float]
    keep_files: tuple[str, ...] = ()
    parts: dict[str, str] = field(default_factory=dict)
    leave: tuple[str, ...] = ()
    feed: str = "stage"
    limits: dict[str, int] = field(default_factory=dict)
    quality: int = 55
    columns: tuple[str, ...] = ()
    held: dict[str, int] = field(default_factory=dict)
    jitter: dict[str, float] = field(default_factory=dict)
    dropout: float = 0.0
    watch: str = "held_out_loss"
    better: str = "lower"
    keep: str = "best"
    validations: int = 5

    def __post_init__(self) -> None:
        for name, value, known in (
            ("feed", self.feed, FEEDS),
            ("better", self.better, ("lower", "higher")),
            ("keep", self.keep, ("best", "last")),
        ):
            if value not in known:
                raise InputError(f"slices.{name} is {value!r}: choose {' or '.join(known)}")
        if self.validations < 1:
            raise InputError(f"slices.validations is {self.validations}: a slice needs at least one")


@dataclass
class SliceRecipe:
    """A checked recipe. `loop.steps`, `save_every`, `validate_every` and `log_every` have no meaning here: a slice has
    a time, and validates and saves by `slices.validations`."""

    stage: str
    run: str
    loop: LoopConfig
    args: dict[str, Any]
    slices: SliceConfig

    def make_stage(self, start: Path, parts: Path) -> Any:
        """The stage, with its placeholders filled in."""
        return stage_class(self.stage)(**_filled(self.args, {"{start}": str(start), "{parts}": str(parts)}))


def read_yaml(path: str | Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """A recipe file with ``key=value`` overrides as a plain dictionary, checked (`check`).

    Raises:
        InputError: the file is missing or malformed, or a key is unknown.
    """
    from omegaconf import OmegaConf  # not needed where a slice runs
    from omegaconf.errors import OmegaConfBaseException

    path = Path(path)
    try:
        merged = OmegaConf.merge(
            {"run": path.stem}, OmegaConf.load(path), OmegaConf.from_dotlist(overrides or [])
        )
        given = OmegaConf.to_container(merged, throw_on_missing=True)
    except (OSError, OmegaConfBaseException) as error:
        raise InputError(f"The recipe {path} cannot be used: {str(error).splitlines()[0]}.") from error
    assert isinstance(given, dict)
    found = {str(key): value for key, value in given.items()}
    check(found, path)
    return found


def check(given: dict[str, Any], path: Path) -> SliceRecipe:
    """A recipe's dictionary as what it means.

    Raises:
        InputError: a key is missing, unknown, or has an impossible value.
    """
    try:
        if unknown := given.keys() - {"stage", "run", "loop", "args", "slices"}:
            raise TypeError(f"unknown key {min(unknown)!r}")
        loop, args = LoopConfig(**given.get("loop", {})), dict(given.get("args", {}))
        recipe = SliceRecipe(given["stage"], given["run"], loop, args, SliceConfig(**given["slices"]))
        inspect.signature(stage_class(recipe.stage)).bind(**args)
    except (KeyError, TypeError) as error:
        raise InputError(f"The recipe {path} cannot be used: {error}.") from error
    if loop.schedule not in ("constant", "hold-decay"):
        raise InputError(
            f"The recipe {path} asks for {loop.schedule!r}: a slice knows constant or hold-decay."
        )
    return recipe


def write(given: dict[str, Any], folder: Path) -> None:
    """Write what `read_yaml` gave for `load`."""
    write_text(folder / FILE, json.dumps(given, indent=1) + "\n")


def load(folder: Path) -> SliceRecipe:
    """The recipe of a folder that was prepared.

    Raises:
        InputError: the folder was not prepared.
    """
    path = folder / FILE
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no slices ({error}): make it by `python -m mien.training.slices prepare`."
        ) from error
    return check(given, path)


def _filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace(word, meaning)
        return value
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    return value
