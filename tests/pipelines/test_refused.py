"""After a refused load pictures are bit for bit as before, and the next good one loads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from mien.models.e_adapter import EAdapter
from mien.types import InputError
from tests import tiny
from tests.pipelines.test_portrait import GREEN, RED, different
from tests.pipelines.test_portrait_ecosystem import largest, load

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("sd15"), "sd15"))


def lora(pipe: Any, text_width: int = 32, seed: int = 0) -> State:
    """A LoRA in kohya's layout: two layers of the UNet and the attention of a text encoder of this width."""
    generator = torch.Generator().manual_seed(seed)
    unet = [n for n, _ in pipe.backbone.unet.named_modules() if n.endswith(("attn1.to_q", "attn2.to_v"))][:2]
    text = [
        f"text_model.encoder.layers.{i}.self_attn.{p}_proj" for i in (0, 1) for p in ("q", "k", "v", "out")
    ]
    sides = {}
    for name in unet:
        layer = pipe.backbone.unet.get_submodule(name)
        linear = getattr(layer, "base_layer", layer)
        sides[f"lora_unet_{name.replace('.', '_')}"] = (linear.in_features, linear.out_features)
    sides |= {f"lora_te_{name.replace('.', '_')}": (text_width, text_width) for name in text}
    state = {}
    for key, (width, out) in sides.items():
        state[f"{key}.lora_down.weight"] = torch.randn(3, width, generator=generator)
        state[f"{key}.lora_up.weight"] = torch.randn(out, 3, generator=generator)
        state[f"{key}.alpha"] = torch.tensor(3.0)
    return state


def changed(key: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    """A LoRA with the first of its entries that have `key` in their names changed."""

    def apply(state: State) -> State:
        name = next(name for name in state if key in name)
        return {**state, name: change(state[name]).contiguous()}

    return apply


def without(key: str) -> Callable[[State], State]:
    def apply(state: State) -> State:
        name = next(name for name in state if key in name)
        return {k: v for k, v in state.items() if k != name}

    return apply


def renamed(old: str, new: str) -> Callable[[State], State]:
    return lambda state: {name.replace(old, new): value for name, value in state.items()}


BROKEN: dict[str, tuple[Callable[[State], State], str]] = {
    "NaN in the UNet": (changed("unet", lambda v: v * float("nan")), "NaN"),
    "NaN in the text encoder": (changed("te_", lambda v: v * float("nan")), "NaN"),
    "infinite": (changed("up", lambda v: v / 0), "NaN or infinite"),
    "alpha is NaN": (changed("alpha", lambda v: v * float("nan")), "NaN"),
    "text encoder of another width": (changed("te_text_model_encoder_layers_1", lambda v: v[:, :5]), "do not fit"),
    "UNet of another width": (changed("unet", lambda v: v[:, :5]), "do not fit"),
    "ranks that differ": (changed("unet", lambda v: v[:2]), "do not fit"),
    "half a layer": (without("te_text_model_encoder_layers_1_self_attn_q_proj.lora_up"), "other half"),
    "half a layer of the UNet": (without("lora_down"), "other half"),
    "a layer that is not there": (renamed("layers_1", "layers_7"), "do not fit"),
    "a second text encoder": (renamed("te_text_model_encoder_layers_1", "te2_text_model_encoder_layers_1"), "fit"),
    "a block that is not there": (renamed("down_blocks_0", "down_blocks_9"), "do not fit"),
    "three dimensions": (changed("unet", lambda v: v[None]), "do not fit"),
    "no dimensions": (changed("te_", lambda v: v.sum()), "do not fit"),
    "LoHa": (renamed("lora_down", "hada_w1_a"), "LyCORIS file .LoHa"),
    "LoKr": (renamed("lora_up", "lokr_w1"), "LyCORIS file .LoKr"),
    "DoRA": (lambda state: {**state, "lora_unet_x.dora_scale": torch.ones(3, 1)}, "DoRA"),
    "nothing": (lambda state: {"nothing": torch.zeros(1)}, "no LoRA weights"),
    "empty": (lambda state: {}, "no LoRA weights"),
}  # fmt: skip


@pytest.mark.parametrize("loaded", [False, True], ids=["alone", "beside another"])
def test_a_refused_lora_leaves_no_trace(sd15: Path, tmp_path: Path, loaded: bool) -> None:
    """One pipeline is given every kind of broken file in turn, and after each the good one."""

    def draw(pipe: Any) -> Image.Image:
        return pipe(RED, GREEN, "a cat", seed=1, steps=1)[0]

    def start(pipe: Any) -> Image.Image:
        if loaded:
            pipe.load_lora(tmp_path / "other.safetensors", 0.5)
        return draw(pipe)

    pipe, fresh = load(sd15), load(sd15)
    plain, good = draw(pipe), lora(pipe)
    save_file(good, tmp_path / "good.safetensors")
    save_file(lora(pipe, seed=1), tmp_path / "other.safetensors")
    before = start(pipe)
    start(fresh)
    fresh.load_lora(tmp_path / "good.safetensors", 0.8)
    expected = draw(fresh)
    assert different(expected, before) > 0
    for how, (change, words) in BROKEN.items():
        save_file(change(good), tmp_path / "bad.safetensors")
        for _ in range(2):
            with pytest.raises(InputError, match=words) as caught:
                pipe.load_lora(tmp_path / "bad.safetensors")
            assert "bad.safetensors" in str(caught.value) and "\n" not in str(caught.value), how
        assert largest(draw(pipe), before) == 0, how
        assert [list(names) for names in pipe.backbone.as_diffusers().get_list_adapters().values()] == (
            [["lora_0"], ["lora_0"]] if loaded else []
        ), how
        pipe.load_lora(tmp_path / "good.safetensors", 0.8)
        assert largest(draw(pipe), expected) == 0, how
        pipe.unload_loras()
        assert largest(draw(pipe), plain) == 0, how
        assert largest(start(pipe), before) == 0, how


def test_files_that_are_no_whole_lora(sd15: Path, tmp_path: Path) -> None:
    pipe = load(sd15)
    (before,) = pipe(RED, GREEN, seed=1)
    data = save(lora(pipe))
    for name, content in (
        ("cut", data[: len(data) // 2]), ("header", data[:5]), ("empty", b""), ("text", b"a picture of a cat"),
        ("longer", data + b"x" * 7), ("size", b"\xff" * 8 + data[8:]),
    ):  # fmt: skip
        (tmp_path / f"{name}.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="not a complete safetensors file"):
            pipe.load_lora(tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="holds 6 .safetensors files"):
        pipe.load_lora(tmp_path)
    for weight in (float("nan"), "1", None, True):
        with pytest.raises(InputError, match="a LoRA's weight must be a number"):
            pipe.load_lora(tmp_path, weight)  # type: ignore[arg-type]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "pytorch_lora_weights.safetensors").write_bytes(data)
    assert largest(pipe(RED, GREEN, seed=1)[0], before) == 0
    pipe.load_lora(tmp_path / "folder")
    assert np.asarray(pipe(RED, GREEN, seed=1)[0]).std() > 0


def test_a_pipeline_that_is_refused_leaves_the_unet_alone(sd15: Path) -> None:
    from mien.backbones import load_backbone
    from mien.pipelines.portrait import PortraitPipeline

    backbone = load_backbone(str(sd15), "cpu")
    with pytest.raises(InputError, match="'dddim' is unknown"):
        PortraitPipeline(backbone, backbone.load_adapter(), scheduler="dddim")
    PortraitPipeline(backbone, backbone.load_adapter(), scheduler="ddim")


def nan(state: State) -> State:
    name = next(name for name in state if name.endswith("weight"))
    return {**state, name: state[name] * float("nan")}


def half(state: State) -> State:
    return dict(sorted(state.items())[: len(state) // 2])


def narrow(state: State) -> State:
    name = next(name for name in state if state[name].ndim > 1)
    return {**state, name: state[name][:, :-1].contiguous()}


@pytest.mark.parametrize(
    "file", ["text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"]
)
def test_models_that_are_not_whole_are_refused(
    sd15: Path, tmp_path: Path, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(sd15, tmp_path / "model")
    place = broken / f"{file}.safetensors"
    whole, data = load_file(place), place.read_bytes()
    capfd.readouterr()
    for change in (nan, half, narrow, None):
        if change is None:
            place.write_bytes(data[: len(data) // 2])
        else:
            save_file(change(whole), place, metadata={"format": "pt"})
        with pytest.raises(InputError, match=file.split("/")[0]) as caught:
            load(broken)
        assert "\n" not in str(caught.value)
    load(sd15)
    out = capfd.readouterr()
    assert "it/s" not in out.err and "%|" not in out.err  # no bars of other libraries


@pytest.mark.parametrize("branch", ["identity", "expression"])
def test_a_refused_adapter_leaves_the_unet_alone(sd15: Path, tmp_path: Path, branch: str) -> None:
    pipe = load(sd15)
    (before,) = pipe(RED, GREEN, seed=1)
    good = load_file(sd15 / "adapter" / f"{branch}.safetensors")
    proj = next(name for name in good if name.startswith("image_proj") and good[name].ndim > 1)
    key = next(name for name in good if "to_k_ip" in name)
    broken = {
        "NaN": {**good, key: good[key] * float("nan")},
        "lacks": {name: value for name, value in good.items() if name != key},
        "wrong shape": {**good, key: good[key][:, :-1].contiguous()},
        "image_proj": {**good, proj: good[proj][None].contiguous()},
        "whole numbers": {**good, key: good[key].int()},
        "no image_proj": {name: value for name, value in good.items() if "image_proj" in name},
    }
    places = {branch: tmp_path / f"{branch}.safetensors"}
    for words, state in broken.items():
        save_file(state, places[branch])
        with pytest.raises(InputError, match=words):
            EAdapter.load(pipe.backbone.unet, places.get("identity"), places.get("expression"))
        assert largest(pipe(RED, GREEN, seed=1)[0], before) == 0
    pipe.adapter.detach()
    save_file(good, places[branch])
    EAdapter.load(pipe.backbone.unet, places.get("identity"), places.get("expression")).attach(
        pipe.backbone.unet
    )
