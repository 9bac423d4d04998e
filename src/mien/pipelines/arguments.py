"""What may be given to a pipeline's call: each argument is looked at before anything is loaded or drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from mien.types import InputError

SEEDS = (-(2**63), 2**64 - 1)  # what torch.Generator.manual_seed takes


def shown(value: Any) -> str:
    """A value for a message: itself if that is short, else of what kind it is."""
    if isinstance(value, (str, bool, Real, type(None))) and len(repr(value)) < 80 and "\n" not in repr(value):
        return repr(value)
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"a {type(value).__name__}{shape}"


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number from `least`. Raises `InputError`: it is another kind, or less."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number, not {shown(value)}")
    if int(value) < least:
        raise InputError(f"{name} must be at least {least}, not {int(value)}")
    return int(value)


def number(name: str, value: Any) -> float:
    """A finite number. Raises `InputError`: it is another kind, infinite or NaN."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"{name} must be a finite number, not {shown(value)}")
    return float(value)


def check_seed(value: Any, images: int = 1) -> int:
    """A seed that `images` images can count on from. Raises `InputError`: it is not a whole number, or beyond what
    torch's generators take."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"seed must be a whole number, not {shown(value)}")
    if not SEEDS[0] <= int(value) <= SEEDS[1] - images + 1:
        raise InputError(f"seed must be less than 2**64, and at least -2**63, not {int(value)}")
    return int(value)


def check_text(name: str, value: Any) -> str:
    """A text. Raises `InputError`: it is something else."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text, not {shown(value)}")
    return value


def check_scale(name: str, scale: Any) -> None:
    """A number, numbers by block, or a function of t (``models.attention.Scale``), the same for every image. Raises
    `InputError`: it is something else."""
    if callable(scale):
        return
    if isinstance(scale, Mapping):
        for block, value in scale.items():
            check_scale(f"{name}[{shown(block)}]", value)
        return
    if isinstance(scale, Tensor) and scale.ndim:
        raise InputError(f"{name}: a scale is the same for every image: give a number, not a tensor")
    number(name, scale)


def one_of(names: tuple[str, str], ours: Any, theirs: Any) -> Any:
    """An argument that has two names, mien's and diffusers'; None: neither was given. Raises `InputError`: both were
    given."""
    if ours is not None and theirs is not None:
        raise InputError(f"{names[1]} is diffusers' name for {names[0]}: give one of them")
    return theirs if ours is None else ours


def as_generators(generator: Any, n: int) -> list[torch.Generator] | None:
    """One generator an image: the list of n that was given, or the one that draws for all in turn; None for None.
    Raises `InputError`: another kind, or another number of them."""
    if generator is None:
        return None
    given = list(generator) if isinstance(generator, (list, tuple)) else [generator] * n
    if len(given) != n or not all(isinstance(one, torch.Generator) for one in given):
        raise InputError(f"generator must be a torch.Generator, or a list of {n}, one for each image")
    return given
