"""What a run of the adapter's stages would take: parameters and memory, without weights, data or a GPU.

Networks are built on the meta device, from a folder's configurations or the published ones; one training step is
traced there, and the tensors that its backward pass would keep are added up. Attention is taken to be fused. What the
device's libraries set aside is not counted, nor, with checkpointing, the block that is being recomputed: expect more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mien.files import expand
from mien.models.e_adapter import EAdapter
from mien.models.families import PUBLISHED, of_folder, published
from mien.models.folder import recompute_activations
from mien.models.latents import pixels_per_cell, takes_background
from mien.models.sfsr import create_adapter, widen_input
from mien.training.loop import LoopConfig
from mien.training.outlook import Work, outlook
from mien.types import InputError
from mien.weights.adapters import AdapterSpec, read_adapter_spec
from mien.weights.bases import HUB_IDS, find_folder

ADAPTER_STAGES = ("base", "refined", "ica")
GIB = 2**30
RECOGNISERS = {"dlib": 128}  # widths that are not ArcFace's
FACEID, IMAGE_PROMPT = 512, 1024  # widths of what the paper starts from


def plan_adapter(stage: str, arguments: dict[str, Any], config: LoopConfig, folder: Path) -> str:
    """Lines for a person: every network with its parameters and those trained, images, memory."""
    name = str(arguments.get("backbone"))
    parts = network_parts(name)
    unet: Any = parts["unet"]
    adapter, guessed = _adapter(unet, name, arguments.get("adapter"))
    trained = {id(p) for p in adapter.trainable_parameters("base")}
    adapter.attach(unet)
    for part in parts.values():
        part.requires_grad_(False)
    lines = []
    for part_name, part in {**parts, "adapter": adapter}.items():
        learned = sum(p.numel() for p in part.parameters() if id(p) in trained)
        lines.append(f"{part_name:20s} {_count(part):>13,} parameters, {learned:>13,} trained")
    if guessed:
        lines.append(f"adapter: {guessed}")
    learned = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    frozen, own = sum(_count(part) for part in parts.values()), _count(adapter)
    side = (arguments.get("data") or {}).get("size")
    kept, done = _work(parts, adapter, arguments, config, stage == "ica", learned, side)
    weights = _bytes(arguments) * frozen + 4 * own
    again = " (recomputed by blocks)" if arguments.get("checkpointing") else ""
    lines += [work(config, folder), _memory(weights, learned, kept) + again]
    if name in PUBLISHED or _family(name) is not None:
        lines += outlook(stage, arguments, config, done)
    return "\n".join(lines)


def plan_sfsr(arguments: dict[str, Any], config: LoopConfig, folder: Path) -> str:
    """The same of a refacing model, whose UNet is trained as a whole."""
    name = str(arguments.get("backbone"))
    parts = network_parts(_family(name) or name)
    unet: Any = parts["unet"]
    recognisers = {one: RECOGNISERS.get(one, FACEID) for one in arguments.get("recognisers") or ("arcface",)}
    with torch.device("meta"):
        widen_input(unet, unet.config.out_channels)
        adapter = create_adapter(unet, recognisers, IMAGE_PROMPT)
    unet.to("meta")
    adapter.attach(unet)
    counts = {"unet": _count(unet), "adapter": _count(adapter)}
    lines = [f"{key:20s} {count:>13,} parameters, {count:>13,} trained" for key, count in counts.items()]
    learned = sum(counts.values())
    frozen = sum(_count(part) for key, part in parts.items() if key != "unet")
    judge = arguments.get("estimator", "improved-midpoint") is not None
    kept, done = _work(parts, adapter, arguments, config, judge, learned, all_of_it=True)
    lines += [work(config, folder), _memory(4 * learned + _bytes(arguments) * frozen, learned, kept)]
    return "\n".join([*lines, *outlook("sfsr", arguments, config, done)])


def _count(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def _bytes(arguments: dict[str, Any]) -> int:
    """Of a number of what stays frozen."""
    return 2 if arguments.get("dtype", "float32") != "float32" else 4


def _work(
    parts: dict[str, nn.Module],
    adapter: EAdapter,
    arguments: dict[str, Any],
    config: LoopConfig,
    judge: bool,
    learned: int,
    side: int | None = None,
    all_of_it: bool = False,
) -> tuple[tuple[int, float], Work]:
    """The pictures' side in px with the bytes of activations that a step keeps, and its work."""
    unet: Any = parts["unet"]
    factor = _factor(parts["vae"])
    side = int(side or unet.config.sample_size * factor)
    kept, flop = _kept(parts, adapter, side, bool(arguments.get("checkpointing")), judge)
    judged = min(int(arguments.get("judged") or config.batch_size), config.batch_size)
    activations = config.batch_size * kept["unet"] + judged * kept["decoder"]
    if _bytes(arguments) == 2 or config.precision == "bf16":
        activations /= 2
    cells = unet.config.out_channels * (side // factor) ** 2
    decoder = flop["decoder"] if judge else 0.0
    return (side, activations), Work(flop["unet"], decoder, learned, all_of_it, cells)


def _memory(weights: float, learned: int, kept: tuple[int, float]) -> str:
    (side, activations), state = kept, 16 * learned  # gradient, two moments and the average
    return (
        f"about {(weights + state + activations) / GIB:.1f} GiB a process at {side} px: weights {weights / GIB:.2f}, "
        f"gradients, moments and average {state / GIB:.2f}, activations {activations / GIB:.2f}"
    )


def _family(name: str) -> str | None:
    """The family whose published configurations stand for a name or a hub id."""
    return next((key for key, hub in HUB_IDS.items() if key in PUBLISHED and name in (key, hub)), None)


def work(config: LoopConfig, folder: Path) -> str:
    """One line: steps and images, and where they go."""
    part = config.batch_size * config.accumulation
    return f"{config.steps:,} steps x {part} = {config.steps * part:,} images a process, to {folder}"


def network_parts(name: str) -> dict[str, nn.Module]:
    """The networks of a backbone on the meta device. Raises `InputError`: the model's configurations are not on this
    machine."""
    if name in PUBLISHED:
        return published(name)
    if name == "mini" or expand(name).is_dir():
        return of_folder(find_folder(name))
    raise InputError(
        f"{name} is not on this machine: a plan needs a diffusers folder, or {', '.join(HUB_IDS)}"
    )


def _adapter(unet: Any, name: str, start: Any) -> tuple[EAdapter, str]:
    """The adapter that the run starts from, and what was assumed about it where it isn't there yet."""
    spec: AdapterSpec | None = None
    if isinstance(start, str) and Path(start).is_dir():
        spec = read_adapter_spec(Path(start))
    elif start is None and name not in PUBLISHED:
        own = find_folder(name) / "adapter"
        if not own.is_dir():
            raise InputError(f"{name} has no adapter to start from: name a folder or files as adapter")
        spec = read_adapter_spec(own)
    elif start is not None and name not in PUBLISHED and (find_folder(name) / "adapter").is_dir():
        spec = read_adapter_spec(find_folder(name) / "adapter")
    if spec is not None:
        return EAdapter.load(unet, spec.identity, spec.expression), ""
    with torch.device("meta"):
        adapter = EAdapter.create(unet, FACEID, IMAGE_PROMPT)
    return adapter, "taken to be FaceID and image prompt, as in the paper, without FaceID's low-rank layers"


def _factor(vae: Any) -> int:
    return pixels_per_cell(vae) if hasattr(vae.config, "block_out_channels") else 16


def _kept(
    parts: dict[str, nn.Module], adapter: EAdapter, side: int, checkpointing: bool, decode: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes that one sample's backward pass keeps, in float32, and FLOP of its pass forward: of the UNet with the
    adapter ("unet"), and of the "decoder"."""
    unet: Any = parts["unet"]
    vae: Any = parts["vae"]
    if checkpointing:
        recompute_activations(unet, vae)
    adapter = adapter.to("meta")
    cells = side // _factor(vae)
    config = unet.config
    added, background = {}, {}
    if takes_background(unet):
        background = {"background": torch.zeros(1, config.out_channels, cells, cells, device="meta")}
        background["mask"] = torch.zeros(1, 1, cells, cells, device="meta")
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {
            "text_embeds": torch.zeros(1, pooled, device="meta"),
            "time_ids": torch.zeros(1, 6, device="meta"),
        }
    embeds = {name: torch.zeros(1, branch.width, device="meta") for name, branch in adapter.branches()}
    text = torch.zeros(1, 77, config.cross_attention_dim, device="meta")
    z = torch.zeros(1, config.out_channels, cells, cells, device="meta")
    t = torch.zeros(1, dtype=torch.long, device="meta")
    found, flop = {"unet": 0.0, "decoder": 0.0}, {"unet": 0.0, "decoder": 0.0}
    with _counted([*parts.values(), adapter]) as counts:
        predict = adapter.predict_noise(unet, added_cond_kwargs=added)
        conditions = adapter.project(embeds.get("identity"), embeds.get("expression"), text)
        predict(z, t, replace(conditions, **background))
    found["unet"], flop["unet"] = counts()
    if decode:
        with _counted([vae]) as counts:
            vae.decode(z.clone().requires_grad_(True))
        found["decoder"], flop["decoder"] = counts()
    return found, flop


@contextmanager
def _counted(modules: list[nn.Module]) -> Iterator[Callable[[], tuple[float, int]]]:
    """Counts within the block: bytes of the storages that autograd keeps, parameters apart, and FLOP."""
    own = {p.untyped_storage()._cdata for module in modules for p in module.parameters()}
    kept: dict[int, Tensor] = {}  # held, so that no other storage gets its number

    def pack(tensor: Tensor) -> Tensor:
        if (key := tensor.untyped_storage()._cdata) not in own:
            kept[key] = tensor
        return tensor

    counter = FlopCounterMode(display=False)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), counter:
        yield lambda: (
            float(sum(tensor.untyped_storage().nbytes() for tensor in kept.values())),
            counter.get_total_flops(),
        )
