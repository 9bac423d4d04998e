"""Training on one's own pictures: how they are drawn, of whom, and what the judgement reaches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from factory.stages.pretrain import IDENTITY
from factory.stages.reward import RewardStage, colour_loss
from factory.training.adversary import LatentDiscriminator, LatentFeatures, contest
from factory.training.energy import energy_distance
from factory.training.rollout import Settings, rollout
from mien.backbones import load_backbone
from mien.encoders.identity import colours
from mien.expressions.labels import labels
from mien.expressions.turning import predicted_pose
from mien.models.autoencoder import PatchAutoencoder
from mien.pipelines.inputs import Embedder
from mien.pipelines.portrait import PortraitPipeline
from mien.training.loop import make_rng
from mien.types import Conditions, InputError
from mien.weights import path as weights_path
from tests.factory.prepared_set import FACE, save_base, save_prepared, save_sets

PEOPLE = {"utkface-adults": 0.7, "lfw-gray": 0.3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reward")
    save_sets(root / "sets")
    for name in ("renders-holdout", "renders-train"):
        save_prepared(root / "sets", name, [f"head{i:08d}-0" for i in range(3)])
    return save_base(root / "base")


def make(base: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> RewardStage:
    monkeypatch.setenv("MIEN_CACHE", str(base.parent / "sets"))
    given = {
        "autoencoder": str(base / "vae"),
        "start": str(base),
        "encoders": str(FACE),
        "weights": PEOPLE,
        "sheet": False,
    }
    return RewardStage(given, PEOPLE, **arguments)


def test_the_energy_distance_by_loops() -> None:
    rng = np.random.default_rng(0)
    made, real = rng.normal(size=(2, 5, 7)), rng.normal(0.5, 2, size=(2, 4, 7))

    def mean(x: np.ndarray, y: np.ndarray, same: bool) -> float:
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if not (same and i == j)]
        return float(np.mean([np.sqrt(((x[i] - y[j]) ** 2).sum()) for i, j in pairs]))

    wanted = [
        (2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True)) / np.sqrt(7)
        for x, y in zip(made, real, strict=True)
    ]
    got = energy_distance(torch.from_numpy(made), torch.from_numpy(real))
    assert float(got) == pytest.approx(np.mean(wanted), rel=1e-9)


def test_the_energy_distance_is_0_for_one_distribution_and_above_for_a_narrower_one() -> None:
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(400, 2, 16, 8, generator=rng)
    assert abs(energy_distance(draws[:, 0], draws[:, 1])) < 0.005
    assert energy_distance(0.8 * draws[:, 0], draws[:, 1]) > 0.01
    made = (0.5 * draws[0, 0]).requires_grad_()  # the way out of it is apart from each other
    energy_distance(made, draws[:8, 1].flatten(0, 1)).backward()
    assert ((made.grad * (made - made.mean(0))).sum() < 0).item()


def test_colours_are_those_told_or_not_told() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 128, 128, generator=rng) * 2 - 1
    told = colours(x)
    told[1] = 0.0  # in a photograph
    assert colour_loss(x, told).item() == pytest.approx(0, abs=1e-9)
    assert colour_loss((x + 0.1), told).item() == pytest.approx(0.01, rel=1e-3)
    assert colour_loss(x[1:2], told[1:2]).item() == 0
    darker = (x - 0.1).requires_grad_()
    colour_loss(darker, told).backward()
    assert (darker.grad[[0, 2]].sum((1, 2, 3)) < 0).all() and not darker.grad[1].any()


def test_a_rollout_is_what_the_pipeline_draws(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(base, monkeypatch)
    asked = stage.ask(stage.people(1, make_rng(0, 0, 0)), make_rng(0, 0, 1))
    with torch.no_grad():
        z = stage.draw(asked, Settings(4, 1.5), torch.Generator().manual_seed(5))
    stage.export(tmp_path)
    for name in ("model_index.json", "adapter/adapter.json"):
        shutil.copy(base / name, tmp_path / name)
    backbone = load_backbone(str(tmp_path), device="cpu", dtype="float32")
    pipe = PortraitPipeline(backbone, backbone.load_controller())
    pixels = pipe.generate(
        asked.identity,
        asked.expression,
        [""],
        [5],
        steps=4,
        guidance=1.5,
        background=(asked.background, asked.mask),
    )
    torch.testing.assert_close(backbone.decode(z).clamp(-1, 1), pixels, atol=2e-4, rtol=0)


def test_gradients_flow_through_the_last_steps(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which calls of the network a rollout differentiates, and that what guidance subtracts is taken as it is."""
    scheduler = make(base, monkeypatch).base.scheduler
    weight = torch.tensor(0.1, requires_grad=True)
    seen: list[tuple[str, bool]] = []

    def predict(z: torch.Tensor, t: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        assert conditions.text is not None
        seen.append(("given" if conditions.text.any() else "nothing", torch.is_grad_enabled()))
        return weight * z

    given, nothing = (Conditions(text=torch.full((1, 1, 1), value)) for value in (1.0, 0.0))
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    z = rollout(
        predict, scheduler, Settings(3, 1.5), noise, given, nothing, 2, torch.Generator().manual_seed(1)
    )
    assert seen == [("given", k > 0) if even else ("nothing", False) for k in range(3) for even in (1, 0)]
    z.sum().backward()
    assert weight.grad is not None and weight.grad.isfinite() and weight.grad != 0


def test_mixtures_and_what_they_are_asked_to_do(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(base, monkeypatch, mixed=1.0, surrounded=0.0, wild=0.0, worded=0.0)
    people = stage.people(12, make_rng(0, 0, 0))
    asked = stage.ask(people, make_rng(0, 0, 1))
    who, made = people["identity"][:, :IDENTITY], asked.identity[:, :IDENTITY]
    for i in range(12):  # a combination of oneself and the one before, both in it, as long as a person's
        both = torch.stack([who[i], who[i - 1]])
        if torch.equal(both[0], both[1]):
            continue
        share = torch.linalg.lstsq(both.T, made[i][:, None]).solution[:, 0]
        assert (share > 0.1).all() and share.square().sum() == pytest.approx(1, abs=0.02)
        torch.testing.assert_close(share @ both, made[i], atol=1e-3, rtol=0)
    torch.testing.assert_close(asked.identity[:, IDENTITY:], people["identity"][:, IDENTITY:])
    torch.testing.assert_close(asked.expression, people["expression"].roll(2, 0))
    assert (asked.mask == 1).all()
    wild = (
        make(base, monkeypatch, wild=1.0, worded=0.0, surrounded=0.0)
        .ask(people, make_rng(0, 0, 1))
        .expression
    )
    assert all(any(torch.equal(row, one) for one in stage.strong) for row in wild)


def test_words_are_told_as_a_pipeline_tells_them(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is neutral and a word, by weights that the pipeline's own inputs make the same vector of."""
    stage = make(base, monkeypatch, worded=1.0, surrounded=0.0)
    told = stage.ask(stage.people(6, make_rng(0, 0, 0)), make_rng(0, 0, 1)).expression
    inputs = Embedder(stage.analyser, lambda _: [], "largest", "expression")
    whole = inputs(list(labels()))
    for row in told:
        direction, beyond = whole - inputs(["neutral"]), row - inputs(["neutral"])[0]
        strength = (direction @ beyond) / direction.square().sum(1)
        off = (strength[:, None] * direction - beyond).norm(dim=1)
        best = int(off.argmin())
        assert 0.5 <= strength[best] <= 1
        word = list(labels())[best]
        torch.testing.assert_close(inputs([f"{word}:{strength[best]:.6f}"])[0], row, atol=1e-3, rtol=0)


def test_in_a_photograph_it_is_somebody_else_at_its_pose(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(base, monkeypatch, mixed=0.0, surrounded=1.0, wild=0.0, worded=0.0)
    people = stage.people(6, make_rng(0, 0, 0))
    asked = stage.ask(people, make_rng(0, 0, 1))
    torch.testing.assert_close(asked.identity[:, :IDENTITY], people["identity"][:, :IDENTITY].roll(1, 0))
    assert not asked.identity[:, IDENTITY:].any()
    assert (asked.mask < 1).any() and (asked.mask > 0).any()
    told = people["expression"].roll(2, 0)
    pose = predicted_pose(asked.expression)  # nearer to the photograph's than the reference's is
    assert (pose - predicted_pose(people["expression"])).norm() < (
        predicted_pose(told) - predicted_pose(people["expression"])
    ).norm()


def test_the_sampler_s_settings_vary(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(base, monkeypatch, steps=(2, 4), guidance=(1.0, 2.0))
    steps, guidance = zip(*(stage.settings_of(make_rng(0, 0, k)) for k in range(60)), strict=True)
    assert set(steps) == {2, 3, 4}
    assert min(guidance) < 1.1 and max(guidance) > 1.9 and all(1 <= one <= 2 for one in guidance)


def test_a_step_trains_the_base_and_never_the_judges(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(base, monkeypatch, steps=(2, 3), judged=2)
    parameters = list(stage.trainable())
    rng = make_rng(0, 0, 0)
    batch = stage.batch(4, rng)
    assert len(batch["x"]) == 2 and len(batch["people.x"]) == 4
    loss, logs = stage.step(batch, rng)
    assert set(logs) == {"loss", "noise", "identity", "expression", "colour", "energy"}
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in stage.base.unet.parameters())
    assert sum(p.grad is not None for p in parameters) > 100
    judges = [
        *stage.recogniser.parameters(),
        *stage.analyser.analyser.parameters(),
        *stage.base.vae.parameters(),
    ]
    assert all(p.grad is None for p in judges)


def look(base: Path) -> LatentFeatures:
    return LatentFeatures(load_backbone(str(base), device="cpu", dtype="float32"))


@pytest.mark.parametrize("inpainting", [False, True])
def test_an_adversary_s_eyes_are_the_base_s_own(base: Path, inpainting: bool) -> None:
    """What the network gives follows from the last block's features, and each of them is about 1 in size."""
    eyes, rng = look(weights_path("mini") if inpainting else base), torch.Generator().manual_seed(1)
    unet = eyes.unet
    c, side = unet.config.out_channels, unet.config.sample_size
    z, eps = torch.randn(2, 32, c, side, side, generator=rng)
    t, own = torch.arange(32) * 15, torch.ones(32, 1, side, side)
    features = eyes(z, own, t, eps)
    assert [x.shape[1] for x in features] == eyes.channels
    assert all(0.5 < float(x.square().mean().sqrt()) < 2 for x in features)
    z_in = eyes.schedule.add_noise(z, eps, t)
    if inpainting:  # everything is to be made, and what is known is mid-grey
        vae = PatchAutoencoder.from_pretrained(weights_path("mini") / "vae")
        grey = vae.encode(torch.zeros(1, 3, 128, 128)).latents
        z_in = torch.cat([z_in, own, grey.expand_as(z)], 1)
    wanted = unet(z_in, t, eyes.text.expand(32, -1, -1)).sample
    got = unet.conv_out(unet.conv_act(unet.conv_norm_out(features[-1] * eyes.sizes[-1])))
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
    assert not any(parameter.requires_grad for parameter in eyes.parameters())


@pytest.mark.parametrize("with_eyes", [False, True])
def test_the_adversary_learns_what_is_timid_and_does_not_look_past_the_edge(
    base: Path, with_eyes: bool
) -> None:
    torch.manual_seed(0)
    eyes = look(base)
    c, side = eyes.unet.config.out_channels, eyes.unet.config.sample_size
    discriminator = LatentDiscriminator(c, eyes.channels if with_eyes else (), width=16)
    own = torch.ones(16, 1, side, side)
    own[:, :, :, :2] = 0
    t, eps = torch.zeros(16, dtype=torch.long), torch.randn(16, c, side, side)

    def given(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return z, own, *(eyes(z, own, t, eps) if with_eyes else ())

    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
    for _ in range(30):
        real = torch.randn_like(eps)
        with torch.no_grad():
            sides = given(real), given(0.5 * real.roll(1, 0))
        found = contest(discriminator, *sides)
        optimizer.zero_grad()
        found.adversary.backward()
        optimizer.step()
    z = torch.randn_like(eps)
    on_real, on_fake = discriminator(*given(z)), discriminator(*given(0.5 * z))
    cells = side**2 + sum(x[0, 0].numel() for x in given(z)[2:])
    assert on_real.shape == (16, cells) and on_real.mean() > 0 > on_fake.mean()
    fake = (0.5 * z).requires_grad_()
    contest(discriminator, given(z), given(fake)).generator.backward()
    assert fake.grad is not None and not fake.grad[..., :2].any()
    assert (fake.grad * fake).sum() < 0  # the way out of it is to be bolder
    past = torch.where(own == 0, 9.0, z)
    torch.testing.assert_close(discriminator(*given(past)), on_real)


def test_each_side_has_its_own_gradient_and_the_hinge_is_as_written() -> None:
    torch.manual_seed(0)
    discriminator = LatentDiscriminator(4, width=16)
    real, own = torch.randn(2, 4, 8, 8), torch.ones(2, 1, 8, 8)
    fake = (0.5 * real.roll(1, 0)).requires_grad_()
    parameters = list(discriminator.parameters())
    found = contest(discriminator, (real, own), (fake, own))
    assert all(
        g is None
        for g in torch.autograd.grad(found.generator, parameters, retain_graph=True, allow_unused=True)
    )
    assert torch.autograd.grad(found.adversary, [fake], retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(found.generator, fake, retain_graph=True)[0].abs().max() > 0
    kernels = [p for p in parameters if p.ndim == 4]
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(found.adversary, kernels, retain_graph=True))
    on_real, on_fake = discriminator(real, own), discriminator(fake, own)
    wanted = 0.5 * ((1 - on_real).clamp(min=0).mean() + (1 + on_fake).clamp(min=0).mean())
    torch.testing.assert_close(found.adversary, wanted)
    torch.testing.assert_close(found.generator, -on_fake.mean())


def test_the_adversary_s_pace_is_five_times_adam_s() -> None:
    """What it makes of a picture is a plain convolution's; an Adam step moves that convolution's weights by 5 rates."""
    torch.manual_seed(0)
    discriminator = LatentDiscriminator(4, width=16)
    first = discriminator.layers[0]
    z, own = torch.randn(2, 4, 8, 8), torch.ones(2, 1, 8, 8)
    kernel, shift = (parameter.detach().clone() * 5 for parameter in (first.weight, first.bias))
    assert kernel.std() == pytest.approx((3 * 45) ** -0.5, rel=0.1)  # as nn.Conv2d starts
    x = torch.cat([z, own], 1)
    torch.testing.assert_close(first(x), torch.nn.functional.conv2d(x, kernel, shift, padding=1))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    contest(discriminator, (z, own), (0.5 * z, own)).adversary.backward()
    optimizer.step()
    torch.testing.assert_close(
        (5 * first.weight - kernel).abs(), torch.full_like(kernel, 5e-3), rtol=1e-2, atol=0
    )


def test_a_step_with_an_adversary_trains_both_on_usual_expressions(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(base, monkeypatch, steps=(2, 2), judged=2, adversarial_weight=0.2, wild=0.3, worded=0.3)
    assert stage.discriminator is stage.modules()["discriminator"]
    assert {id(p) for p in stage.discriminator.parameters()} <= {id(p) for p in stage.trainable()}
    rng = make_rng(0, 0, 0)
    batch = stage.batch(8, rng)
    people = {key.removeprefix("people."): value for key, value in batch.items() if key[:7] == "people."}
    asked = stage.ask(people, make_rng(0, 0, 1))
    told = people["expression"].roll(2, 0)
    region = (asked.mask == 1).flatten(1).all(1)  # in a photograph the pose is another
    assert asked.usual.any() and not asked.usual.all()
    assert torch.equal((asked.expression == told).all(1)[region], asked.usual[region])
    loss, logs = stage.step(batch, rng)
    assert {"generator", "adversary"} <= set(logs)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in stage.discriminator.parameters())
    assert all(p.grad is not None for p in stage.base.unet.parameters())


def test_without_usual_expressions_there_is_no_contest(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(base, monkeypatch, steps=(2, 2), judged=2, adversarial_weight=0.2, wild=1.0, worded=1.0)
    parameters, rng = list(stage.trainable()), make_rng(0, 0, 0)
    loss, logs = stage.step(stage.batch(4, rng), rng)
    assert "adversary" not in logs
    loss.backward()
    assert any(p.grad is not None for p in parameters)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judged": 1}, "judged"),
        ({"depth": 9}, "depth"),
        ({"steps": (4, 3)}, "steps"),
        ({"guidance": (0.5, 1)}, "guidance"),
    ],
)
def test_settings_that_cannot_be(
    changes: dict[str, Any], said: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=said):
        make(base, monkeypatch, **changes)


def test_judges_are_needed() -> None:
    with pytest.raises(InputError, match="encoders"):
        RewardStage({"start": "somewhere"}, PEOPLE)
