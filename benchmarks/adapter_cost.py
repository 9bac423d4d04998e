"""What the E-Adapter's two branches cost at inference: against the UNet alone, and against diffusers' two adapters.

    python -m benchmarks.adapter_cost [--family sd15] [--cells 64] [--batch 1] [--rounds 5] [--device cpu]
        [--threads 1] [--repeats 40]

One evaluation of the published configuration's UNet with random weights: alone, with both branches of mien's adapter
(FaceID's and the image prompt's layout, 4 tokens each), and with the same weights in diffusers' own IP-Adapter
processors. As in sampling, the same conditions come back at every step.

All three share the UNet; they differ in its cross-attention layers, which are some percent of its time. So these are
also timed alone, each on its own input and in turn with the others', and the fastest of `--repeats` counts: that is
to be had on a machine that others use too, where whole evaluations differ by percents from one to the next. The first
ratio is of the fastest UNet with each one's cross-attention in its place. The second is of whole evaluations: a round
runs the three forward and then backward, and the table has the median and the quartiles of the rounds' ratios. On a
CPU processor time is counted, of `--threads` threads. FLOP are those of matrix products and convolutions, as torch
counts them (on a CPU without those inside fused attention).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import seconds
from mien.models.e_adapter import EAdapter
from mien.models.families import PUBLISHED
from mien.types import Conditions

IDENTITY, EXPRESSION, TEXT = 512, 1024, 77
BARS = {"mien ÷ UNet": 1.05, "mien ÷ diffusers": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=sorted(PUBLISHED), default="sd15")
    parser.add_argument("--cells", type=int, default=64, help="side of the latents")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for line in table(
        given.family, given.cells, given.batch, given.rounds, given.device, repeats=given.repeats
    ):
        print(line)


@torch.no_grad()
def table(
    family: str,
    cells: int,
    batch: int,
    rounds: int,
    device: str,
    settings: dict[str, Any] | None = None,
    repeats: int = 40,
) -> list[str]:
    """The lines of the table; ``settings``: of another UNet than the family's."""
    unet, calls = variants(family, cells, batch, device, settings)
    flops = {}
    for name, call in calls.items():
        call()  # what is kept between steps is there from the second on
        with FlopCounterMode(display=False) as counter:
            call()
        flops[name] = counter.get_total_flops()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in (*calls, *reversed(calls)):
            times[name].append(seconds(calls[name], device))
    attention = cross_attention(unet, calls, device, repeats)
    plain = min(times["UNet"])
    whole = {name: plain - attention["UNet"] + attention[name] for name in calls}
    lines = ["| one evaluation | time (s) | cross-attention (s) | GFLOP |", "|---|---|---|---|"]
    for name in calls:
        flop = flops[name] / 1e9
        lines.append(f"| {name} | {min(times[name]):.3f} | {attention[name]:.4f} | {flop:.2f} |")
    lines += [
        "",
        "| ratio | time | bar | whole evaluations | quartiles | FLOP |",
        "|---|---|---|---|---|---|",
    ]
    for name, bar in BARS.items():
        one, other = name.split(" ÷ ")
        above, below = (np.reshape(times[part], (rounds, 2)).sum(1) for part in (one, other))
        low, middle, high = np.quantile(above / below, (0.25, 0.5, 0.75))
        lines.append(
            f"| {name} | {whole[one] / whole[other]:.4f} | {bar:.2f} | {middle:.3f} | {low:.3f} to {high:.3f} | "
            f"{flops[one] / flops[other]:.4f} |"
        )
    return lines


def cross_attention(
    unet: Any, calls: dict[str, Callable[[], object]], device: str, repeats: int
) -> dict[str, float]:
    """Seconds of each one's cross-attention layers, the fastest of so many runs of each, on what the UNet gave them."""
    seen: dict[str, list[tuple[Any, Any, tuple[Any, ...], dict[str, Any]]]] = {name: [] for name in calls}
    layers = [unet.get_submodule(name.removesuffix(".processor")) for name in [*unet.attn_processors][1::2]]
    for name, call in calls.items():
        hooks = [
            layer.register_forward_pre_hook(
                lambda layer, given, named, into=seen[name]: into.append(
                    (layer, layer.processor, given, named)
                ),
                with_kwargs=True,
            )
            for layer in layers
        ]
        call()
        for hook in hooks:
            hook.remove()
    found: dict[str, list[list[float]]] = {name: [[] for _ in layers] for name in calls}
    for _ in range(repeats):
        for i in range(len(layers)):
            for name in calls:
                layer, processor, given, named = seen[name][i]
                layer.set_processor(processor)
                found[name][i].append(seconds(lambda: layer(*given, **named), device))  # noqa: B023
    return {name: sum(min(times) for times in layers) for name, layers in found.items()}


def variants(
    family: str, cells: int, batch: int, device: str, settings: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Callable[[], object]]]:
    """The UNet, and calls that evaluate the UNet once: alone, with mien's adapter, with diffusers'."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    config = settings or PUBLISHED[family]["unet"]
    unet = UNet2DConditionModel(**config).requires_grad_(False).eval().to(device)
    adapter = EAdapter.create(unet, IDENTITY, EXPRESSION).requires_grad_(False).eval().to(device)
    z = torch.randn(batch, unet.config.in_channels, cells, cells, device=device)
    t = torch.full((batch,), 500, device=device)
    text = torch.randn(batch, TEXT, unet.config.cross_attention_dim, device=device)
    embeds = [torch.randn(batch, width, device=device) for width in (IDENTITY, EXPRESSION)]
    added: dict[str, Any] = {}
    if unet.config.addition_embed_type == "text_time":
        pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
        added = {
            "text_embeds": torch.randn(batch, pooled, device=device),
            "time_ids": torch.randn(batch, 6, device=device),
        }
    states = [split(branch.state_dict()) for _, branch in adapter.branches()]
    plain = dict(unet.attn_processors)
    conditions: Conditions = adapter.project(*embeds, text)

    def alone() -> object:
        unet.set_attn_processor(dict(plain))
        return unet(z, t, encoder_hidden_states=text, added_cond_kwargs=added)

    adapter.attach(unet)
    ours = dict(unet.attn_processors)
    predict = adapter.predict_noise(unet, added_cond_kwargs=added)

    def with_mien() -> object:
        unet.set_attn_processor(dict(ours))
        return predict(z, t, conditions)

    unet.set_attn_processor(dict(plain))
    unet._load_ip_adapter_weights(states)
    theirs, projection = dict(unet.attn_processors), unet.encoder_hid_proj
    images = {**added, "image_embeds": [e[:, None] for e in embeds]}

    def with_diffusers() -> object:
        unet.set_attn_processor(dict(theirs))
        unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = projection, "ip_image_proj"
        try:
            return unet(z, t, encoder_hidden_states=text, added_cond_kwargs=images)
        finally:
            unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = None, None

    unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = None, None
    return unet, {"UNet": alone, "mien": with_mien, "diffusers": with_diffusers}


def split(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """A branch's ``state_dict`` as IP-Adapter's two dictionaries."""
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    return parts


if __name__ == "__main__":
    main()
