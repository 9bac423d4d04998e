"""The portrait pipeline among what its users bring along: schedulers, LoRAs, offloading, other controllers."""

from __future__ import annotations

import json
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from PIL import Image
from safetensors.torch import load_file, save_file

from mien.backbones import autoencoder_precision, load_backbone
from mien.models.controllers import CONTROLLERS, change_controller
from mien.models.e_adapter import EAdapter
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.schedulers import NEED_PACKAGES, scheduler_names
from mien.types import InputError
from tests import tiny
from tests.pipelines.test_portrait import BLUE, GREEN, RED, MeanColour, different, one_face


@pytest.fixture(scope="module")
def sd15(tmp_path_factory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("sd15"), "sd15"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("sdxl"), "sdxl"))


def load(folder: Path) -> PortraitPipeline:
    backbone = tiny.load(folder)
    return PortraitPipeline(
        backbone,
        backbone.load_controller(),
        analyze=lambda image: [one_face()],
        identity_encoder=MeanColour(12),
        expression_encoder=MeanColour(9),
    )


def largest(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


@pytest.mark.parametrize("name", sorted(set(scheduler_names().values()) - set(NEED_PACKAGES)))
def test_any_scheduler_by_name_and_the_same_seed_alone_or_in_a_batch(sd15, name) -> None:
    pipe = load(sd15)
    pipe.scheduler = name.removesuffix("Scheduler").lower()
    assert type(pipe.scheduler).__name__ == name
    (first,) = pipe(RED, GREEN, seed=1, steps=4)
    assert np.asarray(first).std() > 1
    assert different(pipe(RED, GREEN, seed=1, steps=4)[0], first) == 0
    together = pipe([BLUE, RED], GREEN, seed=[9, 1], steps=4)
    assert largest(together[1], first) <= 1


def test_names_that_users_know_are_among_the_schedulers(sd15) -> None:
    known = (
        "DDIM DDPM PNDM EulerDiscrete EulerAncestralDiscrete HeunDiscrete UniPCMultistep LCM TCD DPMSolverSDE"
    )
    assert {name.lower() for name in known.split()} <= set(scheduler_names())
    pipe = load(sd15)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.backbone.scheduler.config)
    by_object = pipe(RED, GREEN, seed=1)[0]
    pipe.scheduler = "DDIMScheduler"
    assert largest(pipe(RED, GREEN, seed=1)[0], by_object) == 0
    with pytest.raises(InputError, match="'dddim' is unknown .did you mean ddim.*: choose one of DDIM"):
        pipe.scheduler = "dddim"
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    with pytest.raises(InputError, match="FlowMatchEulerDiscreteScheduler is not a scheduler for this model"):
        pipe.scheduler = flow


def kohya(unet, rank: int = 3, alpha: float = 6.0) -> tuple[dict, dict]:
    """A LoRA in kohya's layout, on two layers of the UNet and one of the text encoder; and what it adds."""
    generator = torch.Generator().manual_seed(2)
    state, added = {}, {}
    layers = {
        f"lora_unet_{name.replace('.', '_')}": (name, unet.get_submodule(name))
        for name in (n for n, _ in unet.named_modules() if n.endswith(("attn1.to_q", "attn2.to_v")))
    }
    for key, (name, linear) in list(layers.items())[:3]:
        down = torch.randn(rank, linear.in_features, generator=generator)
        up = torch.randn(linear.out_features, rank, generator=generator)
        state |= {
            f"{key}.lora_down.weight": down,
            f"{key}.lora_up.weight": up,
            f"{key}.alpha": torch.tensor(alpha),
        }
        added[name] = alpha / rank * up @ down
    return state, added


@torch.no_grad()
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_a_lora_acts_as_if_merged(family, layout, tmp_path, request) -> None:
    folder = request.getfixturevalue(family)
    pipe = load(folder)
    (before,) = pipe(RED, GREEN, seed=1)
    state, added = kohya(pipe.backbone.unet)
    if layout == "diffusers":
        state = {
            f"unet.{name}.{part}.weight": value
            for name, delta in added.items()
            for part, value in (("lora_A", torch.eye(delta.shape[1])), ("lora_B", delta))
        }
    save_file(state, tmp_path / "style.safetensors")
    pipe.load_lora(tmp_path / "style.safetensors", weight=0.5)
    (with_lora,) = pipe(RED, GREEN, seed=1)
    assert different(with_lora, before) > 1
    merged = load(folder)
    for name, delta in added.items():
        merged.backbone.unet.get_submodule(name).weight += 0.5 * delta
    assert largest(merged(RED, GREEN, seed=1)[0], with_lora) <= 1
    pipe.load_lora(tmp_path / "style.safetensors", weight=0.25)
    for name, delta in added.items():
        merged.backbone.unet.get_submodule(name).weight += 0.25 * delta
    assert largest(merged(RED, GREEN, seed=1)[0], pipe(RED, GREEN, seed=1)[0]) <= 1
    pipe.unload_loras()
    assert largest(pipe(RED, GREEN, seed=1)[0], before) == 0


def test_an_lcm_lora_with_its_scheduler(sd15, tmp_path) -> None:
    pipe = load(sd15)
    save_file(kohya(pipe.backbone.unet)[0], tmp_path / "lcm.safetensors")
    pipe.load_lora(tmp_path / "lcm.safetensors")
    pipe.scheduler = "lcm"
    alone = pipe(RED, GREEN, seed=3, steps=4, guidance=1.0)[0]
    together = pipe([BLUE, RED], GREEN, seed=[0, 3], steps=4, guidance=1.0)[1]
    assert np.asarray(alone).std() > 1 and largest(alone, together) <= 1


def test_bad_loras_are_one_sentence(sd15, sdxl, tmp_path) -> None:
    pipe = load(sd15)
    state, _ = kohya(load(sdxl).backbone.unet)
    save_file(state, tmp_path / "sdxl.safetensors")
    save_file({"nothing": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file(kohya(pipe.backbone.unet)[0], tmp_path / "half.safetensors")
    whole = (tmp_path / "half.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.bin")
    for name, match in (
        ("nowhere.safetensors", "no such LoRA"),
        ("pickle.bin", "can hold code"),
        ("half.safetensors", "not a complete safetensors file"),
        ("other.safetensors", "LoRA"),
        ("sdxl.safetensors", "LoRA"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            pipe.load_lora(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


@torch.no_grad()
def test_face_id_with_its_lora_is_what_diffusers_makes_of_the_file(sd15, tmp_path) -> None:
    """FaceID's file as published, low-rank layers and all, by diffusers' own loader (which needs peft)."""
    backbone = load_backbone(str(sd15), "cpu")
    weights = load_file(sd15 / "adapter" / "identity.safetensors")
    generator = torch.Generator().manual_seed(4)
    for k, name in enumerate(backbone.unet.attn_processors):
        attn = backbone.unet.get_submodule(name.removesuffix(".processor"))
        linears = {"to_q": attn.to_q, "to_k": attn.to_k, "to_v": attn.to_v, "to_out": attn.to_out[0]}
        for part, linear in linears.items():
            down = 0.3 * torch.randn(3, linear.in_features, generator=generator)
            up = 0.3 * torch.randn(linear.out_features, 3, generator=generator)
            weights[f"ip_adapter.{k}.{part}_lora.down.weight"] = down
            weights[f"ip_adapter.{k}.{part}_lora.up.weight"] = up
    save_file(weights, tmp_path / "face_id.safetensors")
    adapter = EAdapter.load(backbone.unet, tmp_path / "face_id.safetensors", None)
    (saved,) = adapter.save(tmp_path / "trained")
    pipe = PortraitPipeline(backbone, adapter, scheduler="ddim")
    embeds = torch.randn(1, 12, generator=generator)
    result = pipe.generate(embeds, None, ["a cat"], [5], None, 4, 1.0)

    stock = diffusers.StableDiffusionPipeline.from_pretrained(sd15, scheduler=pipe.scheduler)
    stock.set_progress_bar_config(disable=True)
    stock.load_ip_adapter(str(saved.parent), subfolder="", weight_name=saved.name, image_encoder_folder=None)
    expected = stock(
        "a cat",
        latents=torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5)),
        ip_adapter_image_embeds=[embeds[:, None]],
        num_inference_steps=4,
        guidance_scale=1.0,
        output_type="pt",
    ).images
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4


@torch.no_grad()
def test_a_model_distilled_under_guidance_is_told_its_strength(sd15, tmp_path) -> None:
    """An LCM UNet takes the guidance as an embedding, and no second evaluation: as diffusers calls it."""
    tiny.save_folder(tmp_path, "sd15")
    torch.manual_seed(6)
    config = dict(tiny.sd15_unet().config) | {"time_cond_proj_dim": 8}
    diffusers.UNet2DConditionModel.from_config(config).save_pretrained(tmp_path / "unet")
    tiny.add_adapter(tmp_path)
    pipe = load(tmp_path)
    pipe.scheduler = "ddim"
    pipe.adapter.detach()
    stock = pipe.backbone.as_diffusers()
    stock.scheduler = pipe.scheduler
    stock.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    expected = stock(
        "a cat", latents=noise, num_inference_steps=3, guidance_scale=4.0, output_type="pt"
    ).images
    pipe.adapter.attach(pipe.backbone.unet)
    result = pipe.generate(None, None, ["a cat"], [5], None, 3, 4.0)
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4
    assert (pipe.generate(None, None, ["a cat"], [5], None, 3, 2.0) - result).abs().max() > 1e-4


@pytest.mark.parametrize("how", ["model", "sequential"])
@pytest.mark.parametrize("family", ["sd15", "sdxl", "mini"])
def test_offloaded_parts_give_the_same_picture(how, family, tmp_path) -> None:
    """The CPU stands for the accelerator here: the same hooks, and "meta" weights in between."""
    pipe = load(tiny.add_adapter(tiny.save_folder(tmp_path, family)))
    (expected,) = pipe(RED, GREEN, seed=2)
    if how == "model":
        pipe.backbone.as_diffusers().enable_model_cpu_offload(device="cpu")
    else:  # not the text encoder, on which accelerate fails with the CPU in this role, in stock pipelines too
        for part in (pipe.backbone.unet, pipe.backbone.vae):
            cpu_offload(part, torch.device("cpu"), offload_buffers=True)
        assert {p.device.type for p in pipe.backbone.unet.parameters()} == {"meta"}
    for _ in range(2):
        assert largest(pipe(RED, GREEN, seed=2)[0], expected) == 0


def test_a_stock_pipeline_of_the_same_parts_changes_none(sd15) -> None:
    backbone = load_backbone(str(sd15), "cpu")
    # which stock pipelines take for outdated and change
    backbone.scheduler = diffusers.DDIMScheduler.from_config(backbone.scheduler.config, steps_offset=0)
    before = dict(backbone.scheduler.config)
    stock = backbone.as_diffusers()
    assert stock.unet is backbone.unet and stock is backbone.as_diffusers()
    assert dict(backbone.scheduler.config) == before and stock.scheduler.config.steps_offset == 1


def test_offloading_needs_a_device_to_save(sd15) -> None:
    with pytest.raises(InputError, match="leave it out"):
        load_backbone(str(sd15), "cpu", offload="model")
    with pytest.raises(InputError, match="'disk' is unknown: choose none, model, sequential"):
        load_backbone(str(sd15), "cpu", offload="disk")


@torch.no_grad()
def test_attention_in_slices_is_the_same_attention(sd15) -> None:
    pipe = load(sd15)
    (expected,) = pipe(RED, GREEN, seed=2)
    for size in ("auto", "max", 1):
        pipe.enable_attention_slicing(size)
        kinds = {
            type(p.base if hasattr(p, "base") else p).__name__
            for p in pipe.backbone.unet.attn_processors.values()
        }
        assert kinds == {"SlicedAttnProcessor"}
        assert largest(pipe(RED, GREEN, seed=2)[0], expected) <= 1
    with pytest.raises(InputError, match="slices of 99"):
        pipe.enable_attention_slicing(99)
    pipe.enable_attention_slicing(None)
    assert largest(pipe(RED, GREEN, seed=2)[0], expected) == 0


def test_the_autoencoder_in_slices_and_tiles(sd15, tmp_path) -> None:
    pipe = load(sd15)
    expected = pipe([RED, BLUE], GREEN, seed=2)
    pipe.enable_vae_slicing()
    pipe.enable_vae_tiling()
    assert pipe.backbone.vae.use_slicing and pipe.backbone.vae.use_tiling
    for image, before in zip(pipe([RED, BLUE], GREEN, seed=2), expected, strict=True):
        assert largest(image, before) <= 1
    mini = load(tiny.add_adapter(tiny.save_folder(tmp_path, "mini")))
    with pytest.raises(InputError, match="has no tiling"):
        mini.enable_vae_tiling()


def test_the_autoencoder_stays_out_of_float16_unless_it_was_repaired(tmp_path) -> None:
    half, brain, single = torch.float16, torch.bfloat16, torch.float32
    for upcast, precisions in ((None, (single, brain, single)), (False, (half, brain, single))):
        (tmp_path / "config.json").write_text(json.dumps({} if upcast is None else {"force_upcast": upcast}))
        assert tuple(autoencoder_precision(tmp_path, p) for p in (half, brain, single)) == precisions


def test_keys_and_values_are_made_once_a_generation(sd15) -> None:
    pipe = load(sd15)
    counts = {"identity": 0, "expression": 0}
    for branch in counts:
        for layer in getattr(pipe.adapter, branch).layers:
            layer.register_forward_hook(lambda *_, b=branch: counts.__setitem__(b, counts[b] + 1))
    layers = len(pipe.adapter.identity.layers)
    pipe(RED, GREEN, steps=5)
    assert counts == {"identity": layers, "expression": layers}
    pipe([RED, BLUE, GREEN], GREEN, steps=2, batch_size=2)
    assert counts == {"identity": 3 * layers, "expression": 3 * layers}


def test_scales_by_block_and_by_step(sd15) -> None:
    pipe = load(sd15)
    full, none = (pipe(RED, GREEN, seed=1, expression_scale=s)[0] for s in (1.0, 0.0))
    assert largest(pipe(RED, GREEN, seed=1, expression_scale={"": 1.0})[0], full) == 0
    assert largest(pipe(RED, GREEN, seed=1, expression_scale=lambda t: 0.0)[0], none) == 0
    for scale in ({"up_blocks": 1.0}, lambda t: float(t[0] > 500), lambda t: {"mid_block": 1.0}):
        image = pipe(RED, GREEN, seed=1, expression_scale=scale)[0]
        assert different(image, full) > 0 and different(image, none) > 0
    with pytest.raises(InputError, match="no layer .* 'nowhere'"):
        pipe(RED, GREEN, expression_scale={"nowhere": 1.0})


@pytest.mark.parametrize("name", CONTROLLERS)
def test_an_adapter_folder_says_its_controller(sd15, name, tmp_path) -> None:
    backbone = load_backbone(str(sd15), "cpu")
    torch.manual_seed(0)
    controller = change_controller(name, backbone.unet, EAdapter.create(backbone.unet, 12, 9))
    for parameter in controller.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    controller.save(tmp_path)
    backbone = load_backbone(str(sd15), "cpu", adapter=tmp_path)
    pipe = PortraitPipeline(
        backbone,
        backbone.load_controller(),
        analyze=lambda image: [one_face()],
        identity_encoder=MeanColour(12),
        expression_encoder=MeanColour(9),
    )
    assert pipe.adapter.controller == name
    images = [pipe(RED, who, seed=1, steps=3)[0] for who in (GREEN, BLUE, None)]
    assert different(images[0], images[1]) > 0 and different(images[0], images[2]) > 0
