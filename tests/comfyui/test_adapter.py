"""An E-Adapter in ComfyUI's models predicts the noise that it predicts in ours: the patches are called as ComfyUI calls
them, on tiny models in the real layouts."""

from __future__ import annotations

import copy
import re
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import mien
from mien.face.analyze import analyze
from mien.pipelines.lead import lead_by_photo
from mien.preflight import NotHere
from mien.types import InputError
from tests import published, tiny
from tests.comfyui.test_nodes import ROOT, load, nodes  # noqa: F401
from tests.single_file import of_unet


class Model:
    """ComfyUI's MODEL as far as nodes see it, around one of diffusers' UNets; ``noise`` is a step of its sampler's."""

    def __init__(self, unet: Any) -> None:
        self.unet, self.model_options, self.added = unet, {"transformer_options": {}}, {}
        self.names = {of_unet(unet, n).removeprefix("model."): n for n, _ in unet.named_parameters()}

    def clone(self) -> Model:
        other = copy.copy(self)
        other.model_options, other.added = copy.deepcopy(self.model_options), dict(self.added)
        return other

    def model_state_dict(self, prefix: str) -> dict[str, torch.Tensor]:
        state = self.unet.state_dict()
        return {name: state[own] for name, own in self.names.items() if name.startswith(prefix)}

    def set_model_attn2_replace(self, patch: Any, kind: str, number: int, transformer: int) -> None:
        replaced = self.model_options["transformer_options"].setdefault("patches_replace", {})
        replaced.setdefault("attn2", {})[kind, number, transformer] = patch

    def add_patches(self, patches: dict[str, Any], strength: float) -> None:
        assert strength == 1 and patches.keys() <= self.names.keys() and not self.added
        self.added = patches

    def noise(
        self, z: torch.Tensor, t: torch.Tensor, text: torch.Tensor, sides: list[int], **more: Any
    ) -> Any:
        unet = copy.deepcopy(self.unet)
        state = unet.state_dict()
        for name, (_, (difference,)) in self.added.items():
            state[self.names[name]] += difference
        replaced = self.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})

        def processor(name: str) -> Any:
            theirs = of_unet(unet, f"{name.removesuffix('.processor')}.to_q.weight")
            kind, number, transformer = re.findall(r"\.(\w+?)_blocks?\.(\d+).*blocks\.(\d+)\.", theirs)[0]
            place = (kind, 0 if kind == "middle" else int(number), int(transformer))

            def call(attn: Any, x: Any, context: Any = None, mask: Any = None, temb: Any = None) -> Any:
                q, k, v = (
                    attn.to_q(x),
                    *(w(x if context is None else context) for w in (attn.to_k, attn.to_v)),
                )
                if context is not None and place in replaced:
                    told = {"n_heads": attn.heads, "cond_or_uncond": sides, "block": place[:2]}
                    return attn.to_out[0](replaced[place](q, k, v, told))
                parts = (w.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for w in (q, k, v))
                return attn.to_out[0](F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))

            return lambda attn, hidden_states, encoder_hidden_states=None, **_: call(
                attn, hidden_states, encoder_hidden_states
            )

        unet.set_attn_processor({name: processor(name) for name in unet.attn_processors})
        return unet(z, t, encoder_hidden_states=text, **more).sample


def load_lora(lora: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, Any]:
    """As `comfy.lora` has it: weights by a layer's name and its key -> patches by key; nothing is left over."""
    assert {f"{name}.lora_{side}.weight" for name in names for side in ("up", "down")} == set(lora)
    return {
        key: ("diff", (lora[f"{name}.lora_up.weight"] @ lora[f"{name}.lora_down.weight"],))
        for name, key in names.items()
    }


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@torch.no_grad()
def test_it_is_the_same_noise(family: str, nodes: Any, tmp_path, monkeypatch) -> None:  # noqa: F811
    """Published files by name, FaceID's low-rank layers too; pictures of a batch are different people."""
    published.fetch_all(tmp_path / "models", family, monkeypatch)
    for name in ("comfy", "comfy.lora"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["comfy"], "lora", sys.modules["comfy.lora"], raising=False)
    monkeypatch.setattr(sys.modules["comfy.lora"], "load_lora", load_lora, raising=False)
    pipe = mien.load(family, "cpu", adapter="published")
    unet = copy.deepcopy(pipe.backbone.unet)
    me, other = load("identity"), load("expression")
    people = torch.cat(
        [me, torch.nn.functional.interpolate(other.movedim(3, 1), me.shape[1:3]).movedim(1, 3)]
    )

    model = Model(unet)
    (adapter,) = nodes["MienLoadAdapter"]().load(model, "published")
    changed, photo = nodes["MienApplyAdapter"]().apply(model, adapter, people, "surprise", 0.7, 0.9)
    assert photo.shape[0] == 2 and photo.shape[1] % 8 == 0 and not model.added and changed.added

    pictures = [Image.fromarray((one * 255).round().to(torch.uint8).numpy()) for one in people]
    embeds = pipe.embed(pictures, lead_by_photo(analyze, pictures, ["surprise"] * 2), 2)
    own = pipe.backbone.load_adapter()
    z, t = torch.randn(4, 4, 8, 8), torch.tensor([500])
    text = torch.randn(4, 7, unet.config.cross_attention_dim)
    more = {} if family == "sd15" else {"added_cond_kwargs": tiny.sdxl_added(4)}
    both = [torch.cat([e, torch.zeros_like(e)]) for e in (embeds["identity"], embeds["expression"])]
    if not own.is_attached_to(pipe.backbone.unet):
        own.attach(pipe.backbone.unet)
    expected = own.predict_noise(pipe.backbone.unet, 0.7, 0.9, **more)(z, t, own.project(*both, text))
    got = changed.noise(z, t, text, [0, 1], **more)
    assert (
        (got - expected).abs().max()
        <= 1e-4
        < (expected - model.noise(z, t, text, [0, 1], **more)).abs().max()
    )

    swapped = changed.noise(z, t, text, [1, 0], **more)  # unconditioned first, as ComfyUI may have it
    assert not torch.allclose(swapped, got, atol=1e-3)
    before = changed.clone()
    before.added = {}
    after = nodes["MienApplyAdapter"]().apply(before, adapter, me, "joy", 0.0, 0.0)[0]
    assert torch.allclose(after.noise(z, t, text, [0, 1], **more), got, atol=1e-5)  # on what was there


def test_what_is_missing_or_does_not_fit_is_said(nodes: Any, tmp_path, monkeypatch) -> None:  # noqa: F811
    published.unsealed(tmp_path / "models", monkeypatch)
    small, loader = Model(tiny.sd15_unet()), nodes["MienLoadAdapter"]()
    with pytest.raises(InputError, match="no published adapters"):
        loader.load(small, "published")
    folder = tiny.add_adapter(tiny.save_folder(tmp_path / "sdxl", "sdxl")) / "adapter"
    with pytest.raises(NotHere, match="2 things are missing"):
        loader.load(small, str(folder))
    (folder / "adapter.json").write_text('{"identity_encoder": "embedded", "expression_encoder": "embedded"}')
    with pytest.raises(InputError, match=r"identity\.safetensors: is not made for this model"):
        loader.load(small, str(folder))
