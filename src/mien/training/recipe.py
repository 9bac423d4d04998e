"""Recipes: a YAML file says which stage, with which arguments, for how long. Unknown keys raise."""

from __future__ import annotations

import inspect
import math
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from mien.errors import WHY, InputError, choice, saying
from mien.training.loop import LoopConfig, Stage, train
from mien.training.plan import ADAPTER_STAGES, plan, work
from mien.training.recipes import find

# Name in a recipe → where its class is; imported when it is used.
STAGES: dict[str, str] = {
    "base": "mien.training.stages.base:BaseStage",
    "refined": "mien.training.stages.base:RefinedStage",
    "ica": "mien.training.stages.ica:IcaStage",
    "sfsr": "mien.training.stages.sfsr:SfsrStage",
}


def read_recipe(path: str | Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read a recipe and apply ``key=value`` overrides (dotted keys, as ``loop.steps=100``): a plain dictionary with the
    keys ``stage``, ``run`` (name of the run's folder), ``loop`` and ``args``. Raises `InputError`: the file is missing
    or malformed, or a key is unknown."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = find(path)
    try:
        config = OmegaConf.load(path)
        if not OmegaConf.is_dict(config):
            raise InputError(f"The recipe {path} is a list: write keys and values, as stage: base.")
        schema = OmegaConf.create(
            {"stage": "???", "run": path.stem, "loop": OmegaConf.structured(LoopConfig), "args": {}}
        )
        OmegaConf.set_struct(schema, True)
        OmegaConf.set_struct(schema.args, False)
        given = OmegaConf.merge(schema, config, OmegaConf.from_dotlist(overrides or []))
        own = getattr(stage_class(str(given.stage)), "LOOP", {})  # a paper's numbers
        merged = OmegaConf.merge(schema, {"loop": own}, config, OmegaConf.from_dotlist(overrides or []))
        recipe = OmegaConf.to_container(merged, throw_on_missing=True)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"The recipe {path} cannot be used: {_reason(error)}.") from error
    assert isinstance(recipe, dict)
    _check_arguments(path, recipe)
    return {str(key): value for key, value in recipe.items()}


def stage_class(name: str) -> type[Any]:
    """The class of a stage by its recipe name."""
    module, attribute = STAGES[choice(name, STAGES, "stage")].split(":")
    return getattr(import_module(module), attribute)


def _reason(error: Exception) -> str:
    """What is wrong, in a few words: the system's own, the place in the YAML, or OmegaConf's first line."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}, {getattr(error, 'problem', None)}"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def _check_arguments(path: Path, recipe: dict[Any, Any]) -> None:
    if not isinstance(recipe["args"], dict):
        raise InputError(f"{path}: args is {recipe['args']!r}: write keys and values below it.")
    kinds = stage_class(recipe["stage"]).__mro__[-2::-1]  # a stage takes what its bases take, too
    taken = [one for kind in kinds for one in inspect.signature(kind).parameters.values()]
    known = dict.fromkeys(one.name for one in taken if one.kind is not one.VAR_KEYWORD)
    for key in recipe["args"]:
        if key not in known:
            raise InputError(f"{path} gives {key!r}; the stage {recipe['stage']!r} takes {', '.join(known)}.")


def run(
    path: str | Path,
    overrides: list[str] | None = None,
    out: str | Path = "runs",
    dry_run: bool = False,
    minutes: float = math.inf,
) -> str:
    """Train what a recipe says and return where it lies; with `dry_run`, build the stage and describe it instead. After
    `minutes`, which include opening models and data, the run stops with a checkpoint; what is returned then says how
    far it came and how to go on."""
    until = time.monotonic() + 60 * minutes
    recipe = read_recipe(path, overrides)
    make = stage_class(recipe["stage"])
    config = LoopConfig(**recipe["loop"])
    folder = Path(out) / recipe["run"]
    if dry_run:
        stage, arguments = recipe["stage"], recipe["args"]
        if stage in ADAPTER_STAGES or (stage == "sfsr" and arguments.get("backbone") != "mini"):
            return plan(stage, arguments, config, folder)
        return describe(_make(path, make, recipe["args"]), config, folder)
    done = train(_make(path, make, recipe["args"]), config, folder, recipe, until)
    if done < config.steps:
        return f"stopped at step {done} of {config.steps}, {folder / 'last'}: the same command goes on from there"
    return str(folder / "export")


def _make(path: str | Path, make: type[Any], arguments: dict[str, Any]) -> Stage:
    with saying(f"The recipe {path} is not complete: args has {WHY}.", TypeError):
        inspect.signature(make).bind(**arguments)
    return make(**arguments)


def describe(stage: Stage, config: LoopConfig, folder: Path) -> str:
    """What would run: modules, parameters, steps and the memory that weights, gradients and AdamW's state take."""
    wanted = {id(p) for p in stage.trainable()}
    lines, total, trained = [], 0, 0
    for name, module in stage.modules().items():
        count = sum(p.numel() for p in module.parameters())
        part = sum(p.numel() for p in module.parameters() if id(p) in wanted)
        total, trained = total + count, trained + part
        lines.append(f"{name:20s} {count:>13,} parameters, {part:>13,} trained")
    memory = (4 * total + 4 * 4 * trained) / 2**30  # weights; gradient, two moments and the average
    lines.append(work(config, folder))
    lines.append(f"about {memory:.2f} GiB for weights, gradients, optimiser and average, plus activations")
    return "\n".join(lines)
