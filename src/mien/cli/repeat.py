"""`mien generate --from PICTURE`: the same portrait again, from what its metadata say.

The metadata are a stranger's words: they are checked before anything is done with them, and they never choose
a folder, a hub id or a download; those come from the command line.
"""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from mien.backbones import SPECS
from mien.cli.consent import remind
from mien.cli.console import print_json, say
from mien.cli.generate import SCORED_BY, Wish, check_places, report, save_strip, steps_bar
from mien.cli.portraits import Portraits, describe
from mien.expressions.spec import Expression, parse
from mien.images import read_image
from mien.provenance import read_provenance, save_image
from mien.provenance.hashes import hash_pixels
from mien.types import InputError

Settings = dict[str, Any]
WORDS = {"backbone": "the model's weights", "adapter": "the adapter's weights", "face": "the face networks"}


def repeat(
    source: Path,
    identity: Path | None,
    expression: str | None,
    output: Path,
    strip: Path | None,
    backbone: str,
    adapter: str | None,
    device: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the portrait of `source` again and say whether it is the same, bit for bit.

    Raises:
        InputError: `source` does not say how it was made; a picture or the weights are others than then
            (unless `force`); or what is needed was not given.
    """
    began = time.perf_counter()
    old = read_settings(source)
    if identity is None:
        raise InputError(f"{source} does not hold the person's picture: give IDENTITY again, behind --from.")
    check_places([output, *([strip] if strip else [])])
    identity_image = read_image(identity)
    salt = old["inputs"]["salt"]
    if hash_pixels(identity_image, salt) != old["inputs"]["identity"] and not force:
        raise InputError(
            f"{source} was made from another identity picture than {identity}: give that one, or add --force."
        )
    wanted = _expression(source, old["inputs"]["expression"], expression, salt, force)
    wish = wish_of(old)
    name, place = _model(source, old, backbone, adapter), old["device"] if device == "auto" else device
    if old["device"] == "cpu" and place == "cpu":
        torch.set_num_threads(old["environment"]["threads"])  # the order of sums depends on it
    portraits = Portraits(replace(wish, num_images=1), name, place, old["dtype"], adapter)
    for part, sha in portraits.hashes.items():
        if old["models"].get(part) != sha and not force:
            raise InputError(
                f"{source} was made with other files of {WORDS[part]} than those here: install that version, or "
                "add --force to make it with these."
            )
    who, how = portraits.look(identity, "face", identity_image), portraits.express(wanted)
    remind(quiet)
    ready = time.perf_counter()
    # The last bits of a batch's matrix products depend on its size and on the place in it.
    size, slot = old["batch"]["size"], old["batch"]["slot"]
    with steps_bar(quiet) as progress:
        images = portraits.make([(who, how)] * size, [old["prompt"]] * size, [old["seed"]] * size, progress)
    image, seconds = images[slot], time.perf_counter() - ready
    scores = portraits.score(image, who, how)
    new = {**old, **portraits.settings, "num_images": old["num_images"]}
    new |= {**portraits.record(who, how, image, salt, slot, size), "scores": scores}
    same = new["pixels"] == old["pixels"]
    save_image(image, output, new)
    if strip:
        save_strip(
            strip, who, how, [image], {**portraits.settings, "prompt": old["prompt"], "seed": old["seed"]}
        )
    total = time.perf_counter() - began
    made = {"path": str(output), "seed": old["seed"], **scores}
    if as_json:
        told = {"images": [made], "strip": str(strip) if strip else None, "settings": new, "identical": same}
        print_json({**told, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
    else:
        report([made], strip, seconds, total)
        print(f"the same as {source}, bit for bit" if same else f"not the same bits as {source}")
    if not same:
        say(f"mien: {_why(old, new)}")


def read_settings(source: Path) -> Settings:
    """The settings of a portrait, all there and all of the right kind.

    Raises:
        InputError: they are not.
    """
    found = read_provenance(source)
    if found is None:
        raise InputError(
            f"{source} does not say how it was made: only pictures of `mien generate` whose metadata were not "
            "stripped can be made again."
        )
    settings = found["settings"]
    if settings.get("kind") != "portrait":
        raise InputError(f"{source} is no portrait of `mien generate`: give the picture that its -o wrote.")
    wrong = next((name for name, right in _CHECKS.items() if not right(settings.get(name))), None)
    if wrong is not None:
        raise InputError(
            f"{source} does not say its {wrong}, or not in a way that can be used: it was edited."
        )
    return settings


def wish_of(settings: Settings) -> Wish:
    """The part of the settings that `Portraits` takes."""
    return Wish(**{field.name: settings[field.name] for field in fields(Wish)})


def _number(value: Any, low: float = 0.0) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= low
    )


def _whole(value: Any, low: int = 0, high: int = 2**63 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _hex(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and all(c in "0123456789abcdef" for c in value)


def _batch(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _whole(value.get("size"), 1, 64)
        and _whole(value.get("slot"), 0, value["size"] - 1)
    )


def _inputs(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(_hex(value.get(name)) for name in ("salt", "identity"))
        and isinstance(value.get("expression"), list)
        and 0 < len(value["expression"]) <= 16
        and all(_part(part) for part in value["expression"])
    )


def _part(value: Any) -> bool:
    if not isinstance(value, dict) or not _number(value.get("weight")) or value["weight"] > 1:
        return False
    kinds = {"word": str, "picture": str, "blendshapes": dict}
    extra = value.keys() - {"weight"}
    return len(extra) <= 1 and all(name in kinds and isinstance(value[name], kinds[name]) for name in extra)


def _face(value: Any) -> bool:
    return value in ("largest", "left", "right") if isinstance(value, str) else _whole(value)


_CHECKS = {
    "prompt": lambda v: isinstance(v, str),
    "negative_prompt": lambda v: isinstance(v, str),
    "seed": _whole,
    "steps": lambda v: _whole(v, 1, 1000),
    "guidance": _number,
    "id_scale": _number,
    "expression_scale": _number,
    "num_images": lambda v: _whole(v, 1),
    "face": _face,
    "expression_face": _face,
    "backbone": lambda v: isinstance(v, str),
    "adapter": lambda v: v is None or isinstance(v, str),
    "device": lambda v: v in ("cpu", "cuda", "mps"),
    "dtype": lambda v: v in ("float32", "bfloat16", "float16"),
    "inputs": _inputs,
    "models": lambda v: isinstance(v, dict) and all(map(_hex, v.values())),
    "environment": lambda v: isinstance(v, dict) and _whole(v.get("threads"), 1, 1024),
    "batch": _batch,
    "pixels": _hex,
}


def _model(source: Path, old: Settings, backbone: str, adapter: str | None) -> str:
    """Which model to load: a name that is ours, else what the command line says; its hash is compared."""
    if old["adapter"] is not None and adapter is None:
        raise InputError(
            f"{source} was made with an adapter of its own, {old['adapter']!r}: add --adapter FOLDER."
        )
    if backbone != "mini":
        return backbone
    if old["backbone"] not in SPECS:
        raise InputError(
            f"{source} was made with the model {old['backbone']!r}: add --backbone with its place."
        )
    return str(old["backbone"])


def _expression(
    source: Path, recorded: list[dict[str, Any]], given: str | None, salt: str, force: bool
) -> Expression:
    """The expression of the record, its pictures taken from what was given and checked."""
    if given is not None:
        expression = parse(given)
        if describe(expression, salt) != recorded and not force:
            raise InputError(
                f"{source} was made with another expression than {given}: give the same one, or add --force."
            )
        return expression
    if any("picture" in part for part in recorded):
        raise InputError(
            f"{source} does not hold the expression's picture: give EXPRESSION again, behind IDENTITY."
        )
    parts = []
    for part in recorded:
        given_part = part.get("word", part.get("blendshapes", "neutral"))
        known = None if given_part == {} else parse(given_part).parts[0]
        if known is None or known.word != part.get("word"):
            raise InputError(f"{source} names an expression that is none of ours: it was edited.")
        parts.append(replace(known, weight=part["weight"]))
    return Expression(tuple(parts), "as recorded")


def _why(old: Settings, new: Settings) -> str:
    """Why a repetition is not the same, as far as can be told."""
    for name in ("device", "dtype", "scheduler"):
        if old.get(name) != new[name]:
            return f"then {name} was {old.get(name)}, here it is {new[name]}: the last bits differ."
    for name in ("inputs", "models"):
        if old[name] != new[name]:
            return f"the {name} are others than then."
    then, now = old["environment"], new["environment"]
    for name in ("torch", "processor", "threads"):
        if then.get(name) != now[name]:
            return f"then {name} was {then.get(name)}, here it is {now[name]}: the last bits differ."
    return "the portrait differs, although its settings, models and pictures are the same."
