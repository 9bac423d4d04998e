"""The E-Adapter against stock diffusers' IP-Adapter, and its own promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.loaders import IPAdapterMixin

from mien.models.branch import attention_layers
from mien.models.e_adapter import EAdapter
from mien.types import Conditions, InputError
from tests import tiny

UNETS = {"sd15": tiny.sd15_unet, "sdxl": tiny.sdxl_unet}
KINDS = [("mlp", "linear"), ("mlp", "mlp"), ("linear", "mlp")]
T = torch.tensor([10, 500])


class StockPipeline(IPAdapterMixin):
    """As much of a diffusers pipeline as ``load_ip_adapter`` touches."""

    unet_name = "unet"

    def __init__(self, unet) -> None:
        self.unet = unet


def make(family: str, kinds: tuple[str, str] = ("mlp", "linear"), expression_tokens: int = 4):
    unet = UNETS[family]()
    torch.manual_seed(3)
    adapter = EAdapter.create(
        unet,
        24,
        20,
        expression_tokens=expression_tokens,
        identity_projection=kinds[0],
        expression_projection=kinds[1],
    ).eval()
    for parameter in adapter.parameters():  # nothing at its initial value, norms and biases too
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return unet, adapter


def inputs(family: str, b: int = 2) -> dict:
    generator = torch.Generator().manual_seed(5)
    width = UNETS[family]().config.cross_attention_dim

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "z": draw(b, 4, 8, 8),
        "text": draw(b, 7, width),
        "identity": draw(b, 24),
        "expression": draw(b, 20),
        "arguments": {"added_cond_kwargs": tiny.sdxl_added(b)} if family == "sdxl" else {},
    }


def ours(unet, adapter, x: dict, id_scale=1.0, expression_scale=1.0) -> torch.Tensor:
    conditions = adapter.project(x["identity"], x["expression"], x["text"])
    predict = adapter.predict_noise(unet, id_scale, expression_scale, **x["arguments"])
    return predict(x["z"], T, conditions)


def stock(unet, files: list[Path], embeds: list[torch.Tensor], scales: list, x: dict) -> torch.Tensor:
    pipe = StockPipeline(unet)
    pipe.load_ip_adapter(
        [str(file.parent) for file in files],
        subfolder=[""] * len(files),
        weight_name=[file.name for file in files],
        image_encoder_folder=None,
    )
    pipe.set_ip_adapter_scale(scales)
    added = dict(x["arguments"].get("added_cond_kwargs", {}), image_embeds=[e.unsqueeze(1) for e in embeds])
    return unet(x["z"], T, encoder_hidden_states=x["text"], added_cond_kwargs=added).sample


@torch.no_grad()
@pytest.mark.parametrize("family", UNETS)
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "-".join(kinds))
@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.7, 1.3)])
def test_saved_files_run_the_same_in_stock_diffusers(family, kinds, scales, tmp_path) -> None:
    unet, adapter = make(family, kinds, expression_tokens=3 if kinds[1] == "mlp" else 4)
    x = inputs(family)
    adapter.attach(unet)
    result = ours(unet, adapter, x, *scales)
    adapter.detach()
    assert (
        result - unet(x["z"], T, encoder_hidden_states=x["text"], **x["arguments"]).sample
    ).abs().max() > 1e-2
    files = adapter.save(tmp_path)
    expected = stock(unet, files, [x["identity"], x["expression"]], list(scales), x)
    assert (result - expected).abs().max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("family", UNETS)
def test_without_expression_it_is_diffusers_face_id_adapter(family, tmp_path) -> None:
    unet, adapter = make(family)
    x = inputs(family)
    adapter.attach(unet)
    result = ours(unet, adapter, x, 1.0, 0.0)
    only_identity = adapter.predict_noise(unet, **x["arguments"])(
        x["z"], T, adapter.project(x["identity"], text=x["text"])
    )
    adapter.detach()
    expected = stock(unet, adapter.save(tmp_path)[:1], [x["identity"]], [1.0], x)
    assert (result - expected).abs().max() <= 1e-5
    assert torch.equal(result, only_identity)


@torch.no_grad()
@pytest.mark.parametrize("family", UNETS)
def test_attach_and_detach_leave_the_base_as_it_was(family) -> None:
    unet, adapter = make(family)
    x = inputs(family)

    def plain() -> torch.Tensor:
        return unet(x["z"], T, encoder_hidden_states=x["text"], **x["arguments"]).sample

    before, keys, processors = plain(), list(unet.state_dict()), unet.attn_processors
    adapter.attach(unet)
    assert torch.equal(plain(), before)
    assert list(unet.state_dict()) == keys
    off = ours(unet, adapter, x, 0.0, 0.0)
    assert torch.allclose(off, before, atol=1e-6)
    adapter.detach()
    assert torch.equal(plain(), before)
    assert unet.attn_processors == processors


@torch.no_grad()
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_loading_restores_what_was_saved(suffix, tmp_path) -> None:
    unet, adapter = make("sd15")
    paths = adapter.save(tmp_path)
    if suffix == ".bin":
        for path, (_, branch) in zip(paths, adapter.branches(), strict=True):
            parts = {
                part: {
                    k.removeprefix(part + "."): v
                    for k, v in branch.state_dict().items()
                    if k.startswith(part)
                }
                for part in ("image_proj", "ip_adapter")
            }
            torch.save(parts, path.with_suffix(".bin"))
    again = EAdapter.load(unet, *(path.with_suffix(suffix) for path in paths))
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in adapter.state_dict().items())
    assert EAdapter.load(unet, paths[0], None).expression is None


@torch.no_grad()
def test_scale_per_sample_block_and_step() -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    adapter.attach(unet)
    full, none = ours(unet, adapter, x), ours(unet, adapter, x, 1.0, 0.0)
    mixed = ours(unet, adapter, x, 1.0, torch.tensor([1.0, 0.0]))
    assert torch.allclose(mixed[0], full[0], atol=1e-6) and torch.allclose(mixed[1], none[1], atol=1e-6)
    blocks = {"": 1.0, "up_blocks": 0.0}
    assert torch.allclose(ours(unet, adapter, x, 1.0, {"": 1.0}), full, atol=1e-6)
    partly = ours(unet, adapter, x, 1.0, blocks)
    assert not torch.allclose(partly, full, atol=1e-4) and not torch.allclose(partly, none, atol=1e-4)
    by_step = ours(unet, adapter, x, 1.0, lambda t: (t < 100).float())  # t = 10, 500
    assert torch.allclose(by_step, mixed, atol=1e-6)
    with pytest.raises(InputError, match="up_block.1"):
        ours(unet, adapter, x, 1.0, {"up_block.1": 1.0})


@torch.no_grad()
def test_block_scales_agree_with_diffusers(tmp_path) -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    adapter.attach(unet)
    result = ours(unet, adapter, x, {"mid_block": 0.5, "up_blocks.1": 1.5}, {"down_blocks.0": 0.8})
    adapter.detach()
    pipe = StockPipeline(unet)
    files = adapter.save(tmp_path)
    stock(unet, files, [x["identity"], x["expression"]], [1.0, 1.0], x)
    for name, processor in unet.attn_processors.items():
        if name.endswith("attn2.processor"):
            at = {"mid_block": (0.5, 0.0), "up_blocks": (1.5, 0.0), "down_blocks": (0.0, 0.8)}[
                name.split(".")[0]
            ]
            processor.scale = list(at)
    added = {"image_embeds": [x["identity"].unsqueeze(1), x["expression"].unsqueeze(1)]}
    expected = pipe.unet(x["z"], T, encoder_hidden_states=x["text"], added_cond_kwargs=added).sample
    assert (result - expected).abs().max() <= 1e-5


def calls(adapter: EAdapter) -> list[int]:
    """Counts how often the expression keys of the first layer are computed."""
    counted = [0]
    adapter.expression.layers[0].to_k_ip.register_forward_hook(
        lambda *_: counted.__setitem__(0, counted[0] + 1)
    )
    return counted


@torch.no_grad()
def test_keys_and_values_are_computed_once_a_generation_and_never_stale() -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    adapter.attach(unet)
    count = calls(adapter)
    predict = adapter.predict_noise(unet)
    conditions = adapter.project(x["identity"], x["expression"], x["text"])

    def fresh() -> torch.Tensor:
        adapter.forget()
        result = predict(x["z"], T, conditions)
        adapter.forget()
        return result

    first = predict(x["z"], T, conditions)
    assert torch.equal(predict(x["z"], T, conditions), first) and count[0] == 1

    other = Conditions(conditions.text, conditions.identity, conditions.expression + 0.5)  # other tokens
    assert not torch.allclose(predict(x["z"], T, other), first, atol=1e-4) and count[0] == 2
    assert torch.equal(predict(x["z"], T, conditions), first)

    conditions.expression[0] += 1.0  # the same tensor, written to in place
    changed = predict(x["z"], T, conditions)
    assert not torch.allclose(changed[0], first[0], atol=1e-4) and torch.equal(changed, fresh())

    predict(x["z"], T, conditions)
    adapter.expression.layers[0].to_k_ip.weight.mul_(1.5)  # the weights, as an optimiser's step does
    stepped = predict(x["z"], T, conditions)
    assert not torch.equal(stepped, changed) and torch.equal(stepped, fresh())

    predict(x["z"], T, conditions)
    state = {k: v * 0.9 for k, v in adapter.state_dict().items()}
    adapter.load_state_dict(state)
    assert torch.equal(predict(x["z"], T, conditions), fresh())

    predict(x["z"], T, conditions)
    adapter.double()
    adapter.float()
    assert torch.equal(predict(x["z"], T, conditions), fresh())


def test_inference_mode_gives_the_same_and_spoils_no_later_training() -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    adapter.attach(unet)
    with torch.no_grad():
        expected = ours(unet, adapter, x)
    conditions = adapter.project(x["identity"], x["expression"], x["text"])
    with torch.inference_mode():
        assert torch.equal(ours(unet, adapter, x), expected)
        adapter.predict_noise(unet)(x["z"], T, conditions)
    adapter.predict_noise(unet)(x["z"], T, conditions).square().mean().backward()
    assert adapter.expression.image_proj.norm.weight.grad is not None


@pytest.mark.parametrize("checkpointing", [False, True])
def test_base_stage_trains_exactly_its_parameters(checkpointing) -> None:
    unet, adapter = make("sd15")
    unet.requires_grad_(False)
    if checkpointing:
        unet.train()
        unet.enable_gradient_checkpointing()
    x = inputs("sd15")
    adapter.attach(unet)
    trained = {id(p) for p in adapter.trainable_parameters("base")}
    conditions = adapter.project(x["identity"], x["expression"], x["text"])
    loss = adapter.predict_noise(unet)(x["z"], T, conditions).square().mean()
    with (
        torch.no_grad()
    ):  # a second call with other conditions must not disturb what checkpointing recomputes
        adapter.predict_noise(unet, 1.0, 0.0)(x["z"], T, conditions)
    loss.backward()
    for name, parameter in adapter.named_parameters():
        expected = name.startswith(("expression.", "identity.image_proj."))
        assert (id(parameter) in trained) == expected == (parameter.grad is not None), name
        assert not expected or parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert len(adapter.trainable_parameters("all")) == len(list(adapter.parameters()))


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        unet, adapter = make("sd15")
        unet.train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        adapter.attach(unet)
        x = inputs("sd15")
        loss = ours(unet, adapter, x, 1.0, torch.tensor([1.0, 0.5])).square().mean()
        with torch.no_grad():
            ours(unet, adapter, x, 1.0, 0.0)
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in adapter.parameters()]))
    assert torch.allclose(*gradients, atol=1e-7)


def test_a_dropped_sample_sends_no_gradient_to_its_branch() -> None:
    unet, adapter = make("sd15")
    adapter.attach(unet)
    x = inputs("sd15")
    x["expression"].requires_grad_()
    ours(unet, adapter, x, 1.0, torch.tensor([1.0, 0.0])).square().sum().backward()
    assert x["expression"].grad[0].abs().sum() > 0 and x["expression"].grad[1].abs().sum() == 0


@torch.no_grad()
def test_dropping_is_a_zero_embedding() -> None:
    _, adapter = make("sd15")
    x = inputs("sd15")
    dropped = adapter.project(x["identity"], x["expression"], drop_identity=torch.tensor([False, True]))
    zeros = adapter.project(torch.zeros(2, 24))
    assert torch.equal(dropped.identity[1], zeros.identity[1])
    assert torch.equal(dropped.identity[0], adapter.project(x["identity"]).identity[0])


@torch.no_grad()
def test_several_pictures_of_one_person_are_more_tokens() -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    several = torch.stack([x["identity"], x["identity"].flip(0)], 1)  # [b, 2, w]
    tokens = adapter.project(several).identity
    assert tokens.shape == (2, 8, 32)
    assert torch.allclose(tokens[:, :4], adapter.project(x["identity"]).identity, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("family", UNETS)
def test_face_id_low_rank_layers_act_as_if_merged(family, tmp_path) -> None:
    """FaceID files also add low-rank weights to every attention layer, which diffusers merges as a LoRA."""
    from safetensors.torch import load_file, save_file

    unet, adapter = make(family)
    x = inputs(family)
    path = adapter.save(tmp_path)[0]
    weights = load_file(path)
    merged = UNETS[family]()
    for k, name in enumerate(unet.attn_processors):
        attn = merged.get_submodule(name.removesuffix(".processor"))
        linears = {"to_q": attn.to_q, "to_k": attn.to_k, "to_v": attn.to_v, "to_out": attn.to_out[0]}
        for part, linear in linears.items():
            down, up = torch.randn(3, linear.in_features) * 0.3, torch.randn(linear.out_features, 3) * 0.3
            weights[f"ip_adapter.{k}.{part}_lora.down.weight"] = down
            weights[f"ip_adapter.{k}.{part}_lora.up.weight"] = up
            linear.weight += up @ down
    save_file(weights, tmp_path / "face_id.safetensors")
    face_id = EAdapter.load(unet, tmp_path / "face_id.safetensors", None)
    assert {k: v.shape for k, v in face_id.identity.state_dict().items()} == {
        k: v.shape for k, v in weights.items()
    }
    before = unet(x["z"], T, encoder_hidden_states=x["text"], **x["arguments"]).sample
    face_id.attach(unet)
    conditions = face_id.project(x["identity"], text=x["text"])
    result = face_id.predict_noise(unet, **x["arguments"])(x["z"], T, conditions)
    face_id.detach()
    assert torch.equal(unet(x["z"], T, encoder_hidden_states=x["text"], **x["arguments"]).sample, before)
    expected = stock(merged, [path], [x["identity"]], [1.0], x)
    assert (result - expected).abs().max() <= 1e-5
    assert all(
        "lora" not in name
        for name, p in face_id.named_parameters()
        if p in set(face_id.trainable_parameters())
    )

    weights["ip_adapter.2.to_q_lora.up.weight"] = torch.zeros(5, 3)
    save_file(weights, tmp_path / "misfit.safetensors")
    with pytest.raises(InputError, match="ip_adapter.2.to_q_lora"):
        EAdapter.load(unet, tmp_path / "misfit.safetensors", None)


def test_one_set_of_tokens_serves_a_whole_batch() -> None:
    unet, adapter = make("sd15")
    x = inputs("sd15")
    adapter.attach(unet)
    x["expression"] = x["expression"][:1]
    one = ours(unet, adapter, x)
    x["expression"] = x["expression"].repeat(2, 1)
    assert torch.allclose(ours(unet, adapter, x), one, atol=1e-6)


def test_layers_are_counted_as_in_the_published_files() -> None:
    unet, adapter = make("sdxl")
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    assert [f"{name}.processor" for name in attention_layers(unet)] == names
    assert list(adapter.identity.ip_adapter) == [str(2 * i + 1) for i in range(len(names))]
    assert adapter.identity.image_proj.proj[0].weight.shape == (48, 24)
