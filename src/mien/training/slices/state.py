"""What one slice hands to the next: the stage's export in float16, and the optimiser's second moments, factored.

A lease gives back a few files of limited size, so weights, averages and moments cannot all travel: those of 28 million
parameters are 450 MB. What travels is the model as it would be shipped, which is the *average* of the trained weights,
in float16 (57 MB), and of Adam's second moments the sums of rows and columns (Shazeer & Stern 2018, Eq. 4; 1 MB). The
next slice starts from there, with the first moment at zero. An uninterrupted run hands over in the same way, so cutting
a run changes nothing, to the last bit (on a CPU; a GPU adds in an order of its own).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from mien.files import write_text
from mien.types import InputError

PART_BYTES, PARTS = 15 * 2**20, 4  # what comes back: under 64 MiB, with state.json 5 files
ABOUT = "state.json"
MOMENTS = "moments.safetensors"
_STAMP = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal states are equal bytes


def factor(moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each second moment [r, ...] as sums of its rows and of its columns, float32; vectors as they are."""
    found = {}
    for name, value in moments.items():
        if value.ndim < 2:
            found[f"{name}:all"] = value.detach().float().cpu()
            continue
        matrix = value.detach().float().flatten(1)
        found |= {f"{name}:rows": matrix.sum(1).cpu(), f"{name}:columns": matrix.sum(0).cpu()}
    return found


def unfactor(factors: dict[str, Tensor], shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """The second moments again: of rank 1, with the same sums of rows and columns.

    Raises:
        InputError: they are of another model.
    """
    try:
        found = {}
        for name, shape in shapes.items():
            if len(shape) < 2:
                found[name] = factors[f"{name}:all"].view(shape)
                continue
            rows, columns = factors[f"{name}:rows"], factors[f"{name}:columns"]
            found[name] = torch.outer(rows, columns / rows.sum().clamp_min(1e-30)).view(shape)
        return found
    except (KeyError, RuntimeError) as error:
        raise InputError(f"The optimiser's moments are of another model ({error}): start afresh.") from error


def second_moments(optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """By the parameters' names; those that have had no step are left out."""
    return {
        name: optimizer.state[parameter]["exp_avg_sq"]
        for name, parameter in named.items()
        if optimizer.state.get(parameter)
    }


def start_optimizer(
    optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], factors: dict[str, Tensor], steps: int
) -> None:
    """Adam's state after `steps` steps: second moments of `factors`, the first at zero.

    It rises again within some ten steps, which is a warm-up of its own.
    """
    known = {key.rsplit(":", 1)[0] for key in factors}
    moments = unfactor(factors, {name: p.shape for name, p in named.items() if name in known})
    for name, value in moments.items():
        parameter = named[name]
        optimizer.state[parameter] = {
            "step": torch.tensor(float(steps), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": value.to(parameter),
        }


def write(
    out: Path,
    export: Callable[[Path], None],
    moments: dict[str, Tensor],
    about: dict[str, Any],
    start: Path,
    keep_files: Iterable[str] = (),
    leave: Iterable[str] = (),
) -> None:
    """Write a state into `out`: parts of `PART_BYTES` at most, then ``state.json``, which makes it whole.

    Args:
        export: writes the model into a folder. moments: of `second_moments`. about: goes into ``state.json``.
        start: folder of an earlier export, whose `keep_files` are taken along. leave: entries that are not.

    Raises:
        InputError: there are more than `PARTS` parts, a number does not fit float16, or `out` cannot be written to.
    """
    with tempfile.TemporaryDirectory(prefix="slice-") as name:
        folder = Path(name) / "export"
        export(folder)
        for entry in leave:
            _remove(folder / entry)
        for file in keep_files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(start / file, folder / file)
        (folder / MOMENTS).write_bytes(save(factor(moments)))
        put(_archive(folder), out, about)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put(data: bytes, out: Path, about: dict[str, Any]) -> None:
    """Write an archive's bytes as a state's files.

    Parts are named by what is in them, so until ``state.json`` is replaced those that it speaks of stay as they are.
    """
    count = math.ceil(len(data) / PART_BYTES)
    if count > PARTS:
        raise InputError(
            f"The state has {len(data) / 2**20:.0f} MiB, over {PARTS} parts of 15: leave more behind."
        )
    parts, files = {}, {}
    for k in range(count):
        part = data[k * PART_BYTES : (k + 1) * PART_BYTES]
        digest = hashlib.sha256(part).hexdigest()
        name = f"part-{k:02d}-{digest[:8]}.bin"
        parts[name], files[name] = part, digest
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            (out / f".{name}").write_bytes(part)
        for name in parts:
            (out / f".{name}").replace(out / name)
        write_about(out, {**about, "files": files})
        for old in out.glob("part-*.bin"):
            if old.name not in parts:
                old.unlink()
    except OSError as error:
        raise InputError(f"Cannot write the state into {out} ({error}): free some space.") from error


def write_about(out: Path, about: dict[str, Any]) -> None:
    """Write ``state.json`` of a state whose parts are there: what it says must fit them."""
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")


def _archive(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            archive.writestr(zipfile.ZipInfo(name, _STAMP), _content(path, name))
    return buffer.getvalue()


def _content(path: Path, name: str) -> bytes:
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "_name_or_path" in content:  # where it had been loaded from
            del content["_name_or_path"]
            return json.dumps(content, indent=1).encode()
    if path.suffix != ".safetensors" or name == MOMENTS:
        return path.read_bytes()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    halved = {}
    for key, value in load_file(path).items():
        halved[key] = value.half() if value.is_floating_point() else value
        if not halved[key].isfinite().all():
            raise InputError(f"{name}: {key} does not fit float16, or is not finite: lower loop.lr.")
    return save(halved, metadata)


def read_about(folder: Path) -> dict[str, Any]:
    """``state.json`` of a state.

    Raises:
        InputError: there is none.
    """
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no state of a slice ({error}): give the folder with {ABOUT}."
        ) from error


def read_whole(folder: Path) -> dict[str, Any]:
    """``state.json`` of a state, once its parts are what it says.

    Raises:
        InputError: a part is missing or damaged.
    """
    about = read_about(folder)
    _parts(folder, about)
    return about


def _parts(folder: Path, about: dict[str, Any]) -> bytes:
    parts = []
    try:
        for name, digest in sorted(about["files"].items()):
            parts.append((folder / Path(name).name).read_bytes())
            if hashlib.sha256(parts[-1]).hexdigest() != digest:
                raise InputError(
                    f"{folder / name} is damaged: fetch the state again, or take the one before."
                )
    except (OSError, KeyError, AttributeError) as error:
        raise InputError(f"The state {folder} is not whole ({error}): take the one before.") from error
    return b"".join(parts)


def copy(source: Path, target: Path, about: dict[str, Any]) -> None:
    """Copy a state's files; `about` is its ``state.json``."""
    put(_parts(source, about), target, {key: value for key, value in about.items() if key != "files"})


def unpack(folder: Path, target: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Write a state's export into `target`; returns ``state.json`` and the factored moments.

    Raises:
        InputError: a part is missing or damaged.
    """
    about = read_about(folder)
    try:
        with zipfile.ZipFile(io.BytesIO(_parts(folder, about))) as archive:
            archive.extractall(target)
        return about, load((target / MOMENTS).read_bytes())
    except (OSError, zipfile.BadZipFile, SafetensorError) as error:
        raise InputError(f"The state {folder} is not whole ({error}): take the one before.") from error


def pack_start(start: Path, out: Path, leave: Iterable[str], about: dict[str, Any]) -> None:
    """The state before the first slice: a folder that the stage once exported, without `leave`."""
    with tempfile.TemporaryDirectory(prefix="slice-") as name:
        folder = Path(name) / "export"
        try:
            shutil.copytree(start, folder)
        except OSError as error:
            raise InputError(f"The start {start} cannot be read: {error}.") from error
        for entry in leave:
            if not (folder / entry).exists():
                raise InputError(f"The start {start} has no {entry} to leave behind: see slices.leave.")
            _remove(folder / entry)
        (folder / MOMENTS).write_bytes(save({}))
        put(_archive(folder), out, about)
