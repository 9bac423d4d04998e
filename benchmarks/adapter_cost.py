"""What the E-Adapter costs: one UNet step with both branches, against the plain UNet and stock diffusers.

    python benchmarks/adapter_cost.py [--latent 64] [--rounds 7] [--device cpu]

SD1.5's configuration with random weights, batch 2 (guidance), float32 on a CPU, float16 on a GPU. All three are run
in turn in every round, in one process. The table gives the best of the rounds, since other work on the machine can
only add time, and the median of the rounds' ratios beside it. Making the keys and values, needed once a generation,
is part of ours. On a CPU processor time is counted. Aims: at most 1.05 of the plain UNet, at most 1.0 of diffusers with
two IP-Adapters.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import IPAdapterMixin

from mien.models.e_adapter import EAdapter
from table import Row, exact, publish, run
from timing import seconds


class StockPipeline(IPAdapterMixin):
    """As much of a diffusers pipeline as ``load_ip_adapter`` touches."""

    unet_name = "unet"

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.unet = unet


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latent", type=int, default=64, help="latent height and width")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    torch.manual_seed(0)
    with device:
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
    unet = unet.to(dtype).eval()
    adapter = EAdapter.create(unet, identity_width=512, expression_width=1024).to(device, dtype).eval()
    b, side = arguments.batch, arguments.latent
    z = torch.randn(b, 4, side, side, device=device, dtype=dtype)
    text = torch.randn(b, 77, 768, device=device, dtype=dtype)
    embeds = [torch.randn(b, width, device=device, dtype=dtype) for width in (512, 1024)]
    t = torch.full((b,), 500, device=device)

    own = unet.attn_processors
    pipe = StockPipeline(unet)
    with tempfile.TemporaryDirectory() as folder:
        names = [path.name for path in adapter.save(Path(folder))]
        pipe.load_ip_adapter([folder] * 2, subfolder=[""] * 2, weight_name=names, image_encoder_folder=None)
    theirs, projection = unet.attn_processors, unet.encoder_hid_proj
    adapter_of_unet = {"attached": False}

    def install(which: str) -> None:
        """Not timed: give the one UNet the processors of this contender."""
        if adapter_of_unet["attached"]:
            adapter.detach()
        stock = which == "diffusers"
        unet.set_attn_processor(dict(theirs if stock else own))
        unet.encoder_hid_proj = projection if stock else None
        unet.config.encoder_hid_dim_type = "ip_image_proj" if stock else None
        if which == "mien":
            adapter.attach(unet)
        adapter_of_unet["attached"] = which == "mien"

    conditions = adapter.project(*embeds, text)
    image_embeds = [e[:, None] for e in embeds]

    def run_plain() -> object:
        return unet(z, t, encoder_hidden_states=text)

    def run_mien() -> object:
        return adapter.predict_noise(unet)(z, t, conditions)

    def run_diffusers() -> object:
        return unet(z, t, encoder_hidden_states=text, added_cond_kwargs={"image_embeds": image_embeds})

    contenders = {"plain": run_plain, "mien": run_mien, "diffusers": run_diffusers}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(-1, arguments.rounds):  # round -1 warms up
        order = list(contenders)
        for name in order if round_ % 2 else reversed(order):
            install(name)
            elapsed = seconds(contenders[name], device)
            if round_ >= 0:
                times[name].append(elapsed)

    rows = []
    labels = {
        "plain": "plain UNet",
        "mien": "both branches of mien",
        "diffusers": "diffusers, two IP-Adapters",
    }
    for name, label in labels.items():
        rows.append(Row(f"{label}: ms", exact(1000 * min(times[name])), spec=".1f"))
    for other, aim in (("plain", 1.05), ("diffusers", 1.0)):
        median = statistics.median(x / y for x, y in zip(times["mien"], times[other], strict=True))
        best = exact(min(times["mien"]) / min(times[other]))
        rows.append(Row(f"mien ÷ {labels[other]}", best, aim, at_least=False, note=f"median {median:.3f}"))
    title = f"One UNet step, SD1.5's configuration, latents [{b}, 4, {side}, {side}], {dtype}, {device}"
    details = {"settings": {key: str(value) for key, value in vars(arguments).items()}, "seconds": times}
    publish(arguments.out, "adapter_cost", title, rows, details)


if __name__ == "__main__":
    run(main)
