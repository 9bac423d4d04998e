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
from mien.weights.adapters import read_adapter_spec
from mien.weights.bases import HUB_IDS, find_folder, own_name

ADAPTER_STAGES = ("base", "refined", "ica")
GIB = 2**30
RECOGNISERS = {"dlib": 128}  # widths that are not ArcFace's
FACEID, IMAGE_PROMPT = 512, 1024  # widths of what the paper starts from


def plan(stage: str, arguments: dict[str, Any], config: LoopConfig, folder: Path) -> str:
    """Lines for a person: every network with its parameters and those trained, images, memory; and the `outlook`."""
    name = own_name(str(arguments.get("backbone")))
    parts = network_parts(name)
    unet: Any = parts["unet"]
    refacing, guessed = stage == "sfsr", ""
    if refacing:  # whose UNet is trained as a whole
        recognisers = {
            one: RECOGNISERS.get(one, FACEID) for one in arguments.get("recognisers") or ("arcface",)
        }
        with torch.device("meta"):
            widen_input(unet, unet.config.out_channels)
            adapter = create_adapter(unet, recognisers, IMAGE_PROMPT)
        unet.to("meta")
        judge = arguments.get("estimator", "improved-midpoint") is not None
        learning: dict[str, nn.Module] = {"unet": unet, "adapter": adapter}
    else:
        adapter, guessed = _adapter(unet, name, arguments.get("adapter"))
        adapter.trainable_parameters("base")
        for part in parts.values():
            part.requires_grad_(False)
        judge, learning = stage == "ica", {"adapter": adapter}
    adapter.attach(unet)
    lines, learned = [], 0
    for part_name, part in (learning if refacing else {**parts, "adapter": adapter}).items():
        own = sum(p.numel() for p in part.parameters() if p.requires_grad)
        lines.append(f"{part_name:20s} {_count(part):>13,} parameters, {own:>13,} trained")
        learned += own
    if guessed:
        lines.append(f"adapter: {guessed}")
    lines.append(work(config, folder))
    factor, checkpointing = pixels_per_cell(parts["vae"]), bool(arguments.get("checkpointing"))
    side = int((arguments.get("data") or {}).get("size") or unet.config.sample_size * factor)
    kept, flop = _kept(parts, adapter, side, checkpointing, judge)
    judged = min(int(arguments.get("judged") or config.batch_size), config.batch_size)
    activations = config.batch_size * kept["unet"] + judged * kept["decoder"]
    frozen = 2 if arguments.get("dtype", "float32") != "float32" else 4  # bytes of a number
    if frozen == 2 or config.precision == "bf16":
        activations /= 2
    weights = 4 * sum(_count(part) for part in learning.values())
    weights += frozen * sum(_count(part) for key, part in parts.items() if key not in learning)
    state = 16 * learned  # gradient, two moments and the average
    lines.append(
        f"about {(weights + state + activations) / GIB:.1f} GiB a process at {side} px: weights {weights / GIB:.2f}, "
        f"gradients, moments and average {state / GIB:.2f}, activations {activations / GIB:.2f}"
        f"{' (recomputed by blocks)' if checkpointing else ''}"
    )
    if refacing or name in PUBLISHED:
        cells = unet.config.out_channels * (side // factor) ** 2
        done = Work(flop["unet"], flop["decoder"], learned, refacing, cells)
        lines += outlook(stage, arguments, config, done)
    return "\n".join(lines)


def _count(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


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
    place = None if name in PUBLISHED else find_folder(name) / "adapter"
    if isinstance(start, str) and Path(start).is_dir():
        place = Path(start)
    elif start is None and place is not None and not place.is_dir():
        raise InputError(f"{name} has no adapter to start from: name a folder or files as adapter")
    if place is not None and place.is_dir():
        spec = read_adapter_spec(place)
        return EAdapter.load(unet, spec.identity, spec.expression), ""
    with torch.device("meta"):
        adapter = EAdapter.create(unet, FACEID, IMAGE_PROMPT)
    return adapter, "taken to be FaceID and image prompt, as in the paper, without FaceID's low-rank layers"


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
    cells = side // pixels_per_cell(vae)
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
