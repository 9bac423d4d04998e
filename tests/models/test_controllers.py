"""The ablation's four controllers: one interface, and what each promises."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from mien.models.controllers import (
    CONTROLLERS,
    change_controller,
    load_controller,
)
from mien.models.e_adapter import EAdapter
from mien.types import InputError
from tests import tiny

UNETS = {"sd15": tiny.sd15_unet, "sdxl": tiny.sdxl_unet, "mini": tiny.mini_unet}
T = torch.tensor([10, 500])
CASES = [(name, family) for name in CONTROLLERS for family in UNETS]


def new(name: str, unet, identity_width: int | None, expression_width: int) -> EAdapter:
    return change_controller(name, unet, EAdapter.create(unet, identity_width, expression_width))


def make(name: str, family: str = "sd15"):
    unet = UNETS[family]().requires_grad_(False)
    torch.manual_seed(3)
    adapter = new(name, unet, 24, 20).eval()
    for parameter in adapter.parameters():  # nothing at its initial value: zero convolutions, norms, biases
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    adapter.attach(unet)
    return unet, adapter


def inputs(family: str = "sd15", b: int = 2) -> dict:
    generator = torch.Generator().manual_seed(5)
    unet = UNETS[family]()
    draws = {"z": (b, unet.config.out_channels, 8, 8), "text": (b, 7, unet.config.cross_attention_dim)}
    draws |= {"identity": (b, 24), "expression": (b, 20)}
    x = {name: torch.randn(*shape, generator=generator) for name, shape in draws.items()}
    return x | {"arguments": {"added_cond_kwargs": tiny.sdxl_added(b)} if family == "sdxl" else {}}


def run(unet, adapter, x: dict, id_scale=1.0, expression_scale=1.0, expression: bool = True) -> torch.Tensor:
    conditions = adapter.project(x["identity"], x["expression"] if expression else None, x["text"])
    return adapter.predict_noise(unet, id_scale, expression_scale, **x["arguments"])(x["z"], T, conditions)


@torch.no_grad()
@pytest.mark.parametrize(("name", "family"), CASES)
def test_scale_zero_is_the_base_and_detaching_leaves_it_bit_for_bit(name, family) -> None:
    unet, adapter = make(name, family)
    x = inputs(family)
    assert adapter.controller == name
    with_expression, without = run(unet, adapter, x), run(unet, adapter, x, expression=False)
    assert (with_expression - without).abs().max() > 1e-3
    assert torch.equal(run(unet, adapter, x, 1.0, 0.0), without)
    nothing = run(unet, adapter, x, 0.0, 0.0)
    by_sample = run(unet, adapter, x, 1.0, torch.tensor([1.0, 0.0]))
    assert torch.allclose(by_sample[0], with_expression[0], atol=1e-5)
    assert torch.allclose(by_sample[1], without[1], atol=1e-5)
    adapter.detach()
    given = x["z"] if family != "mini" else torch.cat([x["z"], torch.ones(2, 1, 8, 8), 0 * x["z"]], 1)
    base = UNETS[family]()
    plain = base(given, T, encoder_hidden_states=x["text"], **x["arguments"]).sample
    assert torch.allclose(nothing, plain, atol=1e-5)
    assert torch.equal(unet(given, T, encoder_hidden_states=x["text"], **x["arguments"]).sample, plain)
    assert all(torch.equal(v, unet.state_dict()[k]) for k, v in base.state_dict().items())


@pytest.mark.parametrize(
    ("name", "family", "checkpointing"),
    [(*case, False) for case in CASES] + [(name, "sd15", True) for name in CONTROLLERS],
)
def test_the_papers_parameters_are_trained_and_no_others(name, family, checkpointing) -> None:
    unet, adapter = make(name, family)
    if checkpointing:
        unet.train()
        unet.enable_gradient_checkpointing()
    chosen = {id(p) for p in adapter.trainable_parameters("base")}
    run(unet, adapter, inputs(family)).square().mean().backward()
    for parameter_name, parameter in adapter.named_parameters():
        trained = not parameter_name.removeprefix("parallel.").startswith("identity.ip_adapter")
        assert (id(parameter) in chosen) == trained == (parameter.grad is not None), parameter_name
        assert not trained or parameter.grad.abs().sum() > 0, parameter_name
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert len(adapter.trainable_parameters("all")) == len(list(adapter.parameters()))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_no_gradient_reaches_a_sample_without_control(name) -> None:
    unet, adapter = make(name)
    x = inputs()
    x["expression"].requires_grad_()
    run(unet, adapter, x, 1.0, torch.tensor([1.0, 0.0])).square().sum().backward()
    gradient = x["expression"].grad
    assert gradient.isfinite().all() and gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0


@torch.no_grad()
@pytest.mark.parametrize(("name", "family"), CASES)
def test_files_restore_the_controller_they_name(name, family, tmp_path) -> None:
    unet, adapter = make(name, family)
    x = inputs(family)
    expected = run(unet, adapter, x)
    adapter.detach()
    paths = adapter.save(tmp_path)
    assert [path.name for path in paths] == ["identity.safetensors", "expression.safetensors"]
    again = load_controller(unet, *paths).eval()
    assert again.controller == name and type(again) is type(adapter)
    again.attach(unet)
    assert torch.equal(run(unet, again, x), expected)
    again.detach()
    alone = load_controller(unet, None, paths[1])
    assert alone.identity is None and [branch for branch, _ in alone.branches()] == ["expression"]
    assert load_controller(unet, paths[0], None).expression is None


@torch.no_grad()
def test_self_attention_sees_the_tokens_beside_its_own() -> None:
    """Against softmax over [own, lambda times the expression's] written out."""
    unet, adapter = make("self_attention")
    x = inputs()
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    attn, weights = unet.get_submodule(name), adapter.expression.at(0)
    tokens = adapter.project(None, x["expression"]).expression
    seen = {}
    attn.register_forward_hook(
        lambda _, a, k, y: seen.update(h=a[0] if a else k["hidden_states"], y=y), with_kwargs=True
    )
    for scale in (1.0, 0.4, 2.5):
        run(unet, adapter, x, 1.0, scale)

        def heads(v: torch.Tensor) -> torch.Tensor:
            return v.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        h = seen["h"]
        query = heads(attn.to_q(h))
        key = torch.cat([heads(attn.to_k(h)), heads(weights.to_k_ip(tokens))], 2)
        value = torch.cat([heads(attn.to_v(h)), heads(weights.to_v_ip(tokens))], 2)
        weight = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).exp()
        weight[..., -4:] *= scale
        z = weight / weight.sum(-1, keepdim=True) @ value
        assert torch.allclose(attn.to_out[0](z.transpose(1, 2).flatten(2)), seen["y"], atol=1e-5)
    with pytest.raises(InputError, match="at least 0"):
        run(unet, adapter, x, 1.0, -1.0)


@torch.no_grad()
def test_serial_asks_with_what_the_identity_made() -> None:
    unet, adapter = make("serial")
    x = inputs()
    attn = unet.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn2")
    conditions = adapter.project(x["identity"], x["expression"], x["text"])
    seen = {}
    attn.register_forward_hook(
        lambda _, a, k, y: seen.update(h=a[0] if a else k["hidden_states"], y=y), with_kwargs=True
    )
    run(unet, adapter, x, 0.7, 1.3)

    def attend(h: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, k, v = (u.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for u in (attn.to_q(h), key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    h, identity, expression = seen["h"], adapter.identity.at(1), adapter.expression.at(1)
    z = attend(h, attn.to_k(conditions.text), attn.to_v(conditions.text))
    z = z + 0.7 * attend(h, *identity(conditions.identity))
    z = z + 1.3 * attend(h + attn.to_out[0](z), *expression(conditions.expression))
    assert torch.allclose(attn.to_out[0](z), seen["y"], atol=1e-5)


@torch.no_grad()
def test_controlnet_is_diffusers_and_starts_without_effect() -> None:
    unet = tiny.sd15_unet()
    torch.manual_seed(0)
    adapter = new("controlnet", unet, 24, 20)
    x = inputs()
    adapter.attach(unet)
    assert torch.equal(run(unet, adapter, x), run(unet, adapter, x, expression=False))
    for parameter in adapter.expression.controlnet.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    conditions = adapter.project(x["identity"], x["expression"], x["text"])
    down, mid = adapter.expression.controlnet(
        x["z"], T, conditions.expression, torch.zeros(1, 32, 8, 8), conditioning_scale=0.6, return_dict=False
    )
    without = EAdapter.predict_noise(
        adapter, unet, down_block_additional_residuals=down, mid_block_additional_residual=mid
    )
    assert torch.allclose(run(unet, adapter, x, 1.0, 0.6), without(x["z"], T, conditions), atol=1e-5)
    middle = run(unet, adapter, x, 1.0, {"mid_block": 1.0})
    assert not torch.allclose(middle, run(unet, adapter, x), atol=1e-4)
    with pytest.raises(InputError, match="up_blocks"):
        run(unet, adapter, x, 1.0, {"up_blocks": 1.0})


@torch.no_grad()
def test_an_ablation_starts_all_four_from_one_adapter() -> None:
    unet = tiny.sd15_unet()
    adapter = EAdapter.create(unet, 24, 20)
    assert change_controller("parallel", unet, adapter) is adapter
    for name in CONTROLLERS[:-1]:
        other = change_controller(name, unet, adapter)
        assert other.controller == name and other.identity is adapter.identity
        pairs = zip(
            other.expression.image_proj.parameters(), adapter.expression.image_proj.parameters(), strict=True
        )
        assert all(torch.equal(a, b) and a is not b for a, b in pairs)
    serial = change_controller("serial", unet, adapter)
    assert torch.equal(
        serial.expression.layers[0].to_k_ip.weight, adapter.expression.layers[0].to_k_ip.weight
    )


def test_misuse_is_told(tmp_path) -> None:
    unet = tiny.sd15_unet()
    with pytest.raises(InputError, match="'cross' is unknown: choose self_attention, controlnet"):
        new("cross", unet, 24, 20)
    with pytest.raises(InputError, match="no expression branch"):
        change_controller("serial", unet, EAdapter.create(unet, 24, None))
    controlnet = new("controlnet", unet, 24, 20)
    with pytest.raises(InputError, match="not attached"):
        controlnet.predict_noise(unet)
    identity, path = controlnet.save(tmp_path)

    def refused(match: str, file=path, for_unet=unet) -> None:
        with pytest.raises(InputError, match=match) as caught:
            load_controller(for_unet, identity, file)
        assert "\n" not in str(caught.value)

    refused("width 32 does not fit a UNet of cross-attention width 64", for_unet=tiny.sdxl_unet())
    weights = load_file(path)
    weights.pop("controlnet.conv_in.weight")
    save_file(weights, path, {"controller": "controlnet"})
    refused("controlnet.conv_in.weight is missing")
    save_file(weights, path)
    refused("has the key controlnet")
    save_file(weights, path, {"controller": "telepathy"})
    refused("the controller 'telepathy' is unknown")
    own = new("self_attention", unet, 24, 20).save(tmp_path)[1]
    save_file(load_file(own), own)
    refused("of self-attention", own)
    with pytest.raises(InputError, match="'controlnet' is unknown: choose"):
        EAdapter.load(unet, None, new("controlnet", unet, None, 20).save(tmp_path)[0])
    other = EAdapter.create(unet, 24, 20).save(tmp_path)[1]
    save_file(load_file(other), other, {"controller": "telepathy"})
    refused("'telepathy'", other)
