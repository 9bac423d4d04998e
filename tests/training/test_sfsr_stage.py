"""DiffSFSR's stage on tiny models: its loss, what it trains, its switches, and that an export can be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from mien.backbones import load_backbone
from mien.diffusion.losses import noise_error
from mien.pipelines.reface import RefacePipeline
from mien.training.loop import LoopConfig, learning_rate_factor, make_rng, train
from mien.training.recipe import read_recipe
from mien.training.stages.sfsr import SfsrStage
from mien.types import Conditions, InputError
from tests import tiny
from tests.training.tiny_set import save_model, save_set


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sfsr")
    models = {family: save_model(root / family, family) for family in ("sd15", "sd15-inpainting")}
    return {**models, "set": save_set(root / "set", triples=False)}


def make(places: dict[str, Path], family: str = "sd15", **arguments: Any) -> SfsrStage:
    return SfsrStage(str(places[family]), manifest=str(places["set"]), **arguments)


def one_step(stage: SfsrStage, size: int = 3, step: int = 0) -> tuple[torch.Tensor, dict[str, float]]:
    rng = make_rng(0, 0, step)
    return stage.step(stage.batch(size, rng), rng)


@pytest.mark.parametrize("family", ["sd15", "sd15-inpainting"])
@pytest.mark.parametrize("framing", ["canonical", "ffhq"])
def test_everything_is_trained_and_learns(places: dict[str, Path], family: str, framing: str) -> None:
    stage = make(places, family, framing=framing, drop=(0.0, 0.0, 0.0))
    assert stage.unet.config.in_channels == 9
    modules = stage.modules()
    before = {(m, n): p.clone() for m, module in modules.items() for n, p in module.named_parameters()}
    optimizer = torch.optim.AdamW(list(stage.trainable()), 1e-3)
    losses = []
    for _ in range(6):
        loss, logs = one_step(stage)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(logs["loss"])
    assert losses[-1] < losses[0]
    still = {k for k, old in before.items() if torch.equal(dict(modules[k[0]].named_parameters())[k[1]], old)}
    assert not still


def test_the_loss_is_equation_7(places: dict[str, Path]) -> None:
    stage = make(places, drop=(0.0, 0.0, 0.0))
    _, logs = one_step(stage)
    assert logs["loss"] == pytest.approx(
        logs["noise"] + 0.003 * logs["identity"] + 0.01 * logs["expression"], rel=1e-5
    )
    assert logs["identity"] > 0 and logs["expression"] > 0
    # L_DM by hand, from the same draws
    rng = make_rng(0, 0, 0)
    batch = stage.batch(3, rng)
    torch.rand(3, generator=rng)
    none = torch.zeros(3, dtype=torch.bool)
    z, conditions = stage._conditions(batch, none, none)
    t = torch.randint(0, 1000, (3,), generator=rng)
    eps = torch.randn(z.shape, generator=rng)
    predict = stage.adapter.predict_noise(stage.unet)
    with torch.no_grad():
        predicted = predict(stage.schedule.add_noise(z, eps, t), t, conditions)
    assert logs["noise"] == pytest.approx(noise_error(predicted, eps).item(), rel=1e-5)


def test_a_perfect_estimate_has_no_identity_or_expression_loss(places: dict[str, Path]) -> None:
    stage = make(places)
    x = stage.batch(2, make_rng(0, 0, 0))["x"]
    identity, expression = stage._judge(x.clone(), x, None)
    assert identity.item() == pytest.approx(0, abs=1e-6) and expression.item() == pytest.approx(0, abs=1e-6)
    other, moved = stage._judge(x.transpose(2, 3), x, None)
    assert other.item() > 0.01 and moved.item() > 0.01


def test_the_switches_of_tables_3_and_4(places: dict[str, Path]) -> None:
    logs = {
        name: one_step(make(places, estimator=name))[1] for name in (None, "one-step", "improved-midpoint")
    }
    assert set(logs[None]) == {"noise", "loss"} and logs[None]["loss"] == logs[None]["noise"]
    assert logs["one-step"]["noise"] == pytest.approx(logs["improved-midpoint"]["noise"])
    assert logs["one-step"]["identity"] != logs["improved-midpoint"]["identity"]
    stage = make(places, background=False)
    batch = stage.batch(2, make_rng(0, 0, 0))
    none = torch.zeros(2, dtype=torch.bool)
    _, told = stage._conditions(batch, none, none)
    assert told.background is not None and told.mask is not None
    assert torch.allclose(told.background[0], told.background[1]) and told.mask.min() < 1
    assert "identity" in one_step(make(places, judged=1))[1]


def test_conditions_are_of_the_picture(places: dict[str, Path]) -> None:
    stage = make(places)
    batch = stage.batch(2, make_rng(0, 0, 0))
    other = {**batch, "x": torch.where(batch["face"] == 1, 0.5, batch["x"])}
    none = torch.zeros(2, dtype=torch.bool)
    (z, told), (z2, told2) = (stage._conditions(b, none, none) for b in (batch, other))
    assert isinstance(told, Conditions) and told.background is not None
    assert not torch.allclose(z, z2) and torch.equal(told.background, told2.background)  # the face is hidden
    _, dropped = stage._conditions(batch, ~none, none)
    assert dropped.identity is not None and torch.equal(dropped.identity[0], dropped.identity[1])
    assert dropped.expression is not None and not torch.equal(dropped.expression[0], dropped.expression[1])


def test_black_corners_of_aligned_pictures_count_little(places: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(places["set"], tmp_path / "set")
    for file in root.glob("*.png"):
        pixels = np.array(Image.open(file))
        pixels[: len(pixels) // 2] = 0
        Image.fromarray(pixels).save(file)
    whole, cut = (
        make({**places, "set": where}).batch(4, make_rng(0, 0, 0)) for where in (places["set"], root)
    )
    assert whole["valid"].min() == 1 and cut["valid"].shape == whole["valid"].shape
    dark = F.avg_pool2d((cut["x"].amax(1) < -0.9).float(), cut["x"].shape[-1] // cut["valid"].shape[-1])
    assert (cut["valid"] < 1).any() and (cut["valid"] + dark - 1).abs().mean() < 0.05


def test_compound_identity_exports_and_refaces(places: dict[str, Path], tmp_path: Path) -> None:
    """A short run through the loop; the folder it leaves is a model that refaces, with its own recognisers."""
    stage = make(places, recognisers=["recogniser", "embedded"])
    config = LoopConfig(steps=2, batch_size=2, warmup=0, validate_every=2, precision="no")
    train(stage, config, tmp_path / "run", {"stage": "sfsr"})
    assert "held_out_loss" in (tmp_path / "run" / "log.csv").read_text()
    folder = tmp_path / "run" / "export"
    settings = json.loads((folder / "adapter" / "adapter.json").read_text())
    assert settings["identity_encoder"] == "recogniser+embedded" and settings["steps"] == 2
    backbone = load_backbone(str(folder), "cpu")
    pipe = RefacePipeline(backbone, backbone.load_adapter())
    assert backbone.takes_background and pipe.encoder("identity").width == 128 + 224
    one, two = (torch.zeros(1, 352), torch.ones(1, 352))
    a, b = (pipe.generate(who, torch.zeros(1, 57), [""], [0], steps=2) for who in (one, two))
    assert not torch.equal(a, b)


def test_an_export_keeps_the_settings_of_its_start(places: dict[str, Path], tmp_path: Path) -> None:
    start = save_model(tmp_path / "start", "sd15")
    said = start / "adapter" / "adapter.json"
    kept = {
        "steps": 3,
        "guidance": 1.25,
        "reface_steps": 4,
        "reface_guidance": 1.75,
        "reface_identity": 1.2,
    }
    said.write_text(json.dumps({**json.loads(said.read_text()), "framing": "canonical", **kept}))
    stage = SfsrStage(str(start), manifest=str(places["set"]), framing="ffhq")
    stage.export(tmp_path / "export")
    spec = load_backbone(str(tmp_path / "export"), "cpu").adapter
    assert spec is not None and kept.items() <= spec.settings.items()
    assert spec.framing == "ffhq"  # of this training


def test_a_known_recogniser_keeps_its_projection(places: dict[str, Path]) -> None:
    """Beside it new ones say nothing yet, and can learn to."""
    stage = make(places, recognisers=["embedded", "recogniser"])
    assert stage.adapter.identity is not None
    old = load_backbone(str(places["sd15"]), "cpu", "float32").load_adapter().identity
    assert old is not None
    who = torch.randn(2, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = stage.adapter.identity.image_proj(torch.cat([who, torch.ones(2, 128)], dim=1))
        known = old.image_proj(who)
    count = known.shape[1]
    torch.testing.assert_close(tokens[:, :count], known)
    assert tokens.shape[1] == 2 * count and not tokens[:, count:].any()
    stage.trainable()
    loss, _ = one_step(stage)
    loss.backward()
    assert stage.adapter.identity.image_proj.of["recogniser"].norm.weight.grad.abs().max() > 0


@pytest.mark.parametrize("branches", [("identity", "expression"), ("identity",), ("expression",)])
def test_named_recognisers_lose_nothing_else_of_an_adapter(
    places: dict[str, Path], tmp_path: Path, branches: tuple[str, ...]
) -> None:
    """FaceID's low-rank additions, keys and values are those of the file; only the projection is another."""
    start = tmp_path / "start"
    shutil.copytree(places["sd15"], start)
    file = start / "adapter" / "identity.safetensors"
    weights, unet = load_file(file), tiny.sd15_unet()
    for k, name in enumerate(unet.attn_processors):
        attn = unet.get_submodule(name.removesuffix(".processor"))
        linears = {"to_q": attn.to_q, "to_k": attn.to_k, "to_v": attn.to_v, "to_out": attn.to_out[0]}
        for part, linear in linears.items():
            weights[f"ip_adapter.{k}.{part}_lora.down.weight"] = torch.randn(2, linear.in_features)
            weights[f"ip_adapter.{k}.{part}_lora.up.weight"] = torch.randn(linear.out_features, 2)
    save_file(weights, file)
    for branch in {"identity", "expression"} - set(branches):
        (start / "adapter" / f"{branch}.safetensors").unlink()
    stage = SfsrStage(str(start), manifest=str(places["set"]), recognisers=["embedded", "recogniser"])
    stage.export(tmp_path / "export")
    for branch in branches:
        old = load_file(start / "adapter" / f"{branch}.safetensors")
        new = load_file(tmp_path / "export" / "adapter" / f"{branch}.safetensors")
        kept = {name for name in old if branch == "expression" or name.startswith("ip_adapter.")}
        assert len(kept) > 4 and all(torch.equal(new[name], old[name]) for name in kept)


def test_frozen_parts_in_bfloat16_and_activations_made_again(places: dict[str, Path], tmp_path: Path) -> None:
    """The gradient is near (bfloat16) or the same (checkpointing), and nothing frozen is exported rounded."""
    found = {}
    for name, arguments in {
        "plain": {},
        "half": {"dtype": "bfloat16"},
        "again": {"checkpointing": True},
    }.items():
        stage = make(places, drop=(0.0, 0.0, 0.0), **arguments)
        parameters = list(stage.trainable())
        assert {p.dtype for p in parameters} == {torch.float32}
        one_step(stage)[0].backward()
        found[name] = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        assert stage.unet.is_gradient_checkpointing == (name == "again")
        if name == "half":
            assert stage.backbone.vae.dtype == stage.backbone.prompts.encoders[0].dtype == torch.bfloat16
            stage.export(tmp_path / "export")
    torch.testing.assert_close(found["again"], found["plain"], rtol=1e-3, atol=1e-6)
    assert 0 < (found["half"] - found["plain"]).norm() < 0.3 * found["plain"].norm()
    for part in ("vae/diffusion_pytorch_model", "text_encoder/model"):
        new, old = (load_file(root / f"{part}.safetensors") for root in (tmp_path / "export", places["sd15"]))
        assert all(torch.equal(new[name], old[name]) for name in old)
    with pytest.raises(InputError, match="dtype 'half' is unknown"):
        make(places, dtype="half")


def test_bad_arguments_are_named(places: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="estimator 'two-step' is unknown"):
        make(places, estimator="two-step")
    with pytest.raises(InputError, match="framing 'round'"):
        make(places, framing="round")
    with pytest.raises(InputError, match="recogniser 'nobody' is unknown"):
        make(places, recognisers=["nobody"])


def test_the_recipe_says_what_the_paper_says() -> None:
    recipe = read_recipe("sd15_sfsr")
    loop, arguments = LoopConfig(**recipe["loop"]), recipe["args"]
    assert loop.batch_size * loop.accumulation == 64 and loop.steps == 200_000
    rates = [loop.lr * learning_rate_factor(loop, step) for step in (0, 99_999, 150_000, 199_999)]
    np.testing.assert_allclose(rates, [1e-5, 1e-5, 5e-6, 0], atol=1e-9)
    assert (arguments["identity_weight"], arguments["expression_weight"]) == (0.003, 0.01)
    assert arguments["estimator"] == "improved-midpoint" and len(arguments["recognisers"]) == 3
