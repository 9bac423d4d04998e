"""What a model, its adapter and its encoders need and this machine lacks: one list, before anything is loaded.

No tensor is read, and neither torch nor diffusers is imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien import weights
from mien.errors import InputError, saying
from mien.files import expand, read_json
from mien.weights import Entry, copies
from mien.weights.adapters import OTHERS, AdapterSpec, find_adapter
from mien.weights.bases import HUB_IDS, configs_of, here, lacks, single_file, width_of

# encoders of `mien.backbones.ENCODERS` and of `mien.encoders.compound` -> the models and the extra that they need
ENCODERS = {
    "clip": ("clip_vit_h", None),
    "arcface": ("arcface_w600k_r50", "onnx"),
    "auraface": ("auraface", "onnx"),
    "flame": ("blendshapes_to_flame", None),
}
NAMES = {"published": "its published adapters", **OTHERS}  # of `weights.adapters.by_name`
EXTRAS = {"onnx": "onnxruntime", "lora": "peft"}  # of the package -> what it installs
GB = 1e9


class NotHere(InputError):
    """What is missing, in lines: the first says for what, the last how to get it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Need:
    """Something that is missing: a model to fetch (``entry``; ``configs``: of it the small files alone), or an extra of
    the package."""

    entry: Entry | None = None
    extra: str | None = None
    configs: bool = False

    @property
    def size(self) -> int | None:
        """Bytes to fetch; None: not known."""
        if self.entry is None:
            return 0
        if self.configs:
            return 5_000_000
        sizes = [file.size for file in self.entry.files if not file.path.endswith((".json", ".txt"))]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def line(self) -> str:
        """One line of the list."""
        if self.entry is None:
            return f"  {EXTRAS[self.extra or ''] + ', a package':<24} {'':>8}  mien[{self.extra}]"
        terms = self.entry.licence if self.entry.commercial else f"NO commercial use: {self.entry.licence}"
        what = "its configurations and tokenizers" if self.configs else self.entry.purpose
        return f"  {self.entry.name:<24} {shown(self.size):>8}  {terms}; {what}"


def shown(size: int | None) -> str:
    """Bytes for a person."""
    if size is None:
        return "? GB"
    return f"{size / GB:.1f} GB" if size >= GB / 10 else f"{size / 1e6:.0f} MB"


def check(backbone: str = "mini", adapter: str | Path | None = None, bare: bool = False) -> None:
    """Whether all that a model needs is here. backbone, adapter: as of `mien.load`. bare: without an adapter.

    Raises:
        NotHere: something is missing. InputError: there is no such model or adapter, they do not fit each other, or the
            model has no adapter and needs one.
    """
    needs = list(of_base(backbone))
    absent = []
    if not bare:
        if adapter is not None and needs and str(adapter) not in NAMES and not Path(adapter).is_dir():
            absent = [f"  {adapter}: there is no such adapter folder"]
            adapter = None
        spec = adapter_of(backbone, adapter)
        if spec is not None:
            needs += of_adapter(spec, str(adapter) in NAMES)
        elif not absent and (backbone in HUB_IDS or expand(backbone).exists()):
            raise InputError(f'{backbone} has no adapter of its own: add adapter="published", or a folder')
    name = f"{backbone} with {NAMES[str(adapter)]}" if str(adapter) in NAMES else backbone
    refuse(needs, f"for {name}", absent)


def refuse(needs: Sequence[Need], for_what: str, absent: Sequence[str] = ()) -> None:
    """Raises `NotHere` if there are needs, or lines of what else is `absent`, which no command fetches."""
    if not needs and not absent:
        return
    sizes = [need.size for need in needs]
    total = sum(size for size in sizes if size is not None)
    amount = f"{'at least ' if None in sizes else ''}{shown(total)}" if total else "of unknown size,"
    count = len(needs) + len(absent)
    things = "1 thing is" if count == 1 else f"{count} things are"
    lines = [f"{things} missing {for_what}{f', {amount} to fetch' if needs else ''}:"]
    lines += [*(need.line() for need in needs), *absent]
    raise NotHere([*lines, f"Get all: {command(needs)}"] if needs else lines)


def command(needs: Sequence[Need]) -> str:
    """The command line that brings what is missing."""
    parts = [f'pip install "mien[{need.extra}]"' for need in needs if need.extra is not None]
    names = [need.entry.name for need in needs if need.entry is not None and not need.configs]
    for bundle, models in weights.bundles().items():
        if len(names) > 1 and models[0] in names and set(names) <= set(models):
            names = [bundle]
    if names:
        parts.append(f"mien models fetch {' '.join(names)}")
    parts += [
        f"mien models fetch {need.entry.name} --only-configs" for need in needs if need.entry and need.configs
    ]
    return " && ".join(parts)


def of_base(backbone: str) -> Iterator[Need]:
    """What is missing of a base model. Raises `InputError`: there is no such model, or its folder is not whole."""
    if backbone in HUB_IDS:
        if here(backbone) is None:
            yield Need(weights.entry(backbone))
        return
    folder = expand(backbone)
    if folder.is_dir():
        if (missing := lacks(folder)) is not None:
            raise InputError(f"{folder / missing}: is missing: a complete diffusers folder is needed")
    elif (checkpoint := single_file(backbone)) is not None:
        family, configs = configs_of(checkpoint)
        if configs is None:
            yield Need(weights.entry(family), configs=True)
    elif backbone.count("/") == 1 and copies.offline() and copies.snapshot(backbone) is None:
        raise InputError(
            f"{backbone} is not in the hub's cache, and HF_HUB_OFFLINE forbids fetching: unset it"
        )


def of_adapter(spec: AdapterSpec, of_registry: bool) -> Iterator[Need]:
    """What is missing of an adapter's files and encoders. ``of_registry``: its files are models of the registry."""
    if of_registry:
        for model in weights.entries():
            place = weights.place(model, model.files[0])
            ours = {place, place.parent} & {spec.identity, spec.expression}
            if not model.shipped and ours and not weights.sized(model):
                yield Need(model)
    for name in (*spec.identity_encoder.split("+"), spec.expression_encoder):
        entry, extra = ENCODERS.get(name, (None, None))
        if entry is not None and not weights.sized(model := weights.entry(entry)):
            yield Need(model)
        if extra is not None and importlib.util.find_spec(EXTRAS[extra]) is None:
            yield Need(extra=extra)


def adapter_of(backbone: str, adapter: str | Path | None) -> AdapterSpec | None:
    """The files and encoders of the adapter that is named, else of the model's own, checked against the model as far as
    both are here. Raises `InputError`: the adapter cannot be used."""
    named = backbone in HUB_IDS
    folder = None if named else single_file(backbone)
    if folder is None:
        place = expand(backbone)
        own = place if place.is_dir() else copies.snapshot(backbone)
        folder = here(backbone) if named else own
    width = None if folder is None else width_of(folder)
    if folder is None and named:
        width = 2048 if backbone.startswith("sdxl") else 768
    elif width is None and adapter in NAMES and backbone.count("/") == 1:
        width = _width_on_hub(backbone)
    return find_adapter(adapter, None if folder is None else folder / "adapter", width, backbone)


def _width_on_hub(repository: str) -> int | None:
    """The UNet's cross-attention width of a model of the hub, by its configuration alone."""
    from huggingface_hub import hf_hub_download

    # the hub's client raises its own, requests' and the system's kinds
    with saying(f"the model {repository} cannot be looked at: check name and network", Exception):
        config = read_json(Path(hf_hub_download(repository, "unet/config.json")))
    return config.get("cross_attention_dim")
