"""The adapter's stages on tiny SD1.5, SD1.5-inpainting and SDXL: trainable set, learning, what stays frozen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien import backbones
from mien.diffusion.losses import noise_error
from mien.face.align import warp
from mien.pixels import to_pixels
from mien.training.examples import DataConfig
from mien.training.loop import LoopConfig, make_rng, train
from mien.training.stages.base import BaseStage, RefinedStage
from mien.training.stages.ica import IcaStage
from mien.types import InputError
from tests.training.tiny_set import save_model, save_set

FAMILIES = ("sd15", "sd15-inpainting", "sdxl")
STAGES = {"base": BaseStage, "refined": RefinedStage, "ica": IcaStage}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("stages")
    models = {family: save_model(root / family, family) for family in FAMILIES}
    return {**models, "set": save_set(root / "set")}


def make(places: dict[str, Path], stage: str = "base", family: str = "sd15", **arguments: Any) -> Any:
    data = {"root": str(places["set"]), **arguments.pop("data", {})}
    return STAGES[stage](backbone=str(places[family]), data=data, people=0, **arguments)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stage", STAGES)
def test_trains_what_the_paper_trains_and_nothing_else(
    places: dict[str, Path], stage: str, family: str
) -> None:
    """One optimiser step: the expression branch and the identity's projection move; all else is bit-for-bit."""
    made = make(places, stage, family)
    adapter, unet = made.adapter, made.backbone.unet
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    frozen = {name: value.clone() for name, value in unet.state_dict().items()}
    optimizer = torch.optim.Adam(list(made.trainable()), 1e-2, betas=(0.5, 0.999))
    for step in range(2):  # a second one, since a part may start where its gradient is zero
        rng = make_rng(0, 0, step)
        loss, logs = made.step(made.batch(3, rng), rng)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.isfinite(loss) and logs["loss"] == pytest.approx(loss.item())
    moved = {name for name, value in adapter.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("identity.ip_adapter")}
    assert all(torch.equal(value, frozen[name]) for name, value in unet.state_dict().items())


def test_several_sets_are_drawn_from_by_their_size(places: dict[str, Path], tmp_path: Path) -> None:
    large = save_set(tmp_path / "large", people=7)
    made = make(places, "refined", data={"root": [str(places["set"]), str(large)]})
    one, other = (examples.train for examples in made.examples.sets)
    assert len(other) == 3 * len(one)
    batch = made.batch(800, make_rng(0, 0, 0))
    of_large = made.examples.sets[1]._identity
    known = torch.stack(
        [of_large[row] for row in list(of_large._places)[4:12]]
    )  # of people that the other lacks
    told = (batch["identity"][:, None] == known).all(2).any(1).float().mean()
    assert told == pytest.approx(0.75 * 8 / 12, abs=0.05) and len(batch["x"]) == 800
    held = made.examples.held_out()
    assert held is not None and len(held["x"]) == 4


def test_a_branch_may_hear_pixels_instead(places: dict[str, Path], tmp_path: Path) -> None:
    made = make(places, "base", expression="pixels")
    before = [value.clone() for value in made.adapter.expression.image_proj.parameters()]
    torch.manual_seed(0)
    train(made, LoopConfig(steps=2, batch_size=2, precision="fp32", warmup=1), tmp_path, {})
    after = made.adapter.expression.image_proj.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    spec = json.loads((tmp_path / "export" / "adapter" / "adapter.json").read_text())
    assert spec["expression_encoder"] == "pixels"
    with pytest.raises(InputError, match="use pixels"):
        make(places, "base", expression="embedded")


def test_ica_has_the_terms_of_the_paper(places: dict[str, Path]) -> None:
    made = make(places, "ica", drop=(0.0, 0.0, 0.0))
    rng = make_rng(0, 0, 0)
    loss, logs = made.step(made.batch(4, rng), rng)
    assert logs["loss"] == pytest.approx(logs["diffusion"] + 0.08 * logs["id"] + 10 * logs["exp"], rel=1e-4)
    assert (made.w_id, made.w_exp, made.estimate.keywords) == (0.08, 10.0, {"r_tmax": 600})
    assert logs["id"] > 0 and logs["exp"] > 0


def test_ica_with_everything_dropped_is_plain_training(places: dict[str, Path]) -> None:
    made = make(places, "ica", drop=(0.0, 0.0, 1.0))
    rng = make_rng(0, 0, 0)
    _, logs = made.step(made.batch(2, rng), rng)
    assert set(logs) == {"loss"}


def test_no_gradient_reaches_the_branch_without_control(places: dict[str, Path]) -> None:
    """What is predicted without expression control is outside the graph."""
    made = make(places, "ica", drop=(0.0, 0.0, 0.0))
    calls: list[tuple[float, bool]] = []
    predict = made.predict

    def watched(noised: Any, expression_scale: float = 1.0) -> Tensor:
        eps = predict(noised, expression_scale)
        calls.append((expression_scale, eps.requires_grad))
        return eps

    made.predict = watched
    list(made.trainable())
    rng = make_rng(0, 0, 0)
    made.step(made.batch(2, rng), rng)
    assert calls == [(1.0, True), (0.0, False)]


def test_without_control_is_without_the_expression_branch(places: dict[str, Path]) -> None:
    made = make(places)
    rng = make_rng(0, 0, 0)
    noised = made.noised(made.batch(2, rng), rng)
    absent = replace(noised, conditions=replace(noised.conditions, expression=None))
    with torch.no_grad():
        torch.testing.assert_close(made.predict(noised, 0.0), made.predict(absent))
        assert not torch.allclose(made.predict(noised), made.predict(absent))


def test_the_source_may_be_who_is_asked_for(places: dict[str, Path]) -> None:
    """L_id against φ of the source's crop, one prediction instead of two."""
    made = make(places, "ica", drop=(0.0, 0.0, 0.0), person="source")
    decoded = []
    decode = made.backbone.vae.decode
    made.backbone.vae.decode = lambda z: (decoded.append(len(z)), decode(z))[1]
    batch = made.batch(3, make_rng(0, 0, 0))
    _, logs = made.step(batch, make_rng(0, 0, 1))
    assert decoded == [3]
    examples = made.examples
    source = examples.triples[int(examples.train[0])].sources[0]
    crop = warp(np.asarray(examples.manifest.picture(source)), examples._matrices[source])
    says = made.judge.identity(to_pixels(crop[None].copy()))[0]
    torch.testing.assert_close(examples._person[source], says, rtol=1e-2, atol=1e-2)
    other = {**batch, "person_target": -batch["person_target"]}
    _, opposite = made.step(other, make_rng(0, 0, 1))
    assert logs["id"] + opposite["id"] == pytest.approx(2.0, abs=1e-4)  # 1 - cos and 1 + cos


def test_a_few_samples_may_be_judged(places: dict[str, Path]) -> None:
    made = make(places, "ica", drop=(0.0, 0.0, 0.0), judged=1)
    sizes = []
    decode = made.backbone.vae.decode
    made.backbone.vae.decode = lambda z: (sizes.append(len(z)), decode(z))[1]
    rng = make_rng(0, 0, 0)
    made.step(made.batch(3, rng), rng)
    assert sizes == [1, 1]


@pytest.mark.parametrize("estimator", ["one-step", "midpoint", "improved-midpoint"])
def test_other_estimators_stand_in(places: dict[str, Path], estimator: str) -> None:
    made = make(places, "ica", drop=(0.0, 0.0, 0.0), estimator=estimator)
    parameters = list(made.trainable())
    rng = make_rng(0, 0, 0)
    loss, _ = made.step(made.batch(2, rng), rng)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parameters)


def test_dropped_conditions_are_zeros_and_the_empty_text(places: dict[str, Path]) -> None:
    made = make(places, drop=(0.0, 0.0, 1.0))
    rng = make_rng(0, 0, 0)
    batch = made.batch(2, rng)
    noised = made.noised(batch, rng)
    adapter, prompts = made.adapter, made.backbone.prompts
    zeros = adapter.project(torch.zeros(2, 224), torch.zeros(2, 57))
    assert torch.equal(noised.conditions.identity, zeros.identity)
    assert torch.equal(noised.conditions.expression, zeros.expression)
    torch.testing.assert_close(noised.conditions.text, prompts(["", ""]).tokens)
    kept = make(places, drop=(0.0, 0.0, 0.0)).noised(batch, make_rng(0, 0, 0))
    torch.testing.assert_close(kept.conditions.text, prompts(["a portrait"] * 2).tokens)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_checkpointing_changes_no_gradient(places: dict[str, Path], family: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        made = make(places, "ica", family, checkpointing=checkpointing, drop=(0.0, 0.0, 0.0))
        parameters = list(made.trainable())
        rng = make_rng(0, 0, 0)
        loss, _ = made.step(made.batch(2, rng), rng)
        loss.backward()
        gradients.append([p.grad for p in parameters])
        assert made.backbone.unet.is_gradient_checkpointing == checkpointing
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, rtol=1e-3, atol=1e-6)


def test_latents_made_before_give_the_same_step(places: dict[str, Path], tmp_path: Path) -> None:
    """With one fixed crop, pixels and cached latents (float16) agree, and the second start makes nothing anew."""
    root = save_set(tmp_path / "set")
    data = {"root": str(root), "size": 16}
    made = BaseStage(str(places["sd15"]), {**data, "latents": True}, people=0)
    rng = make_rng(0, 0, 0)
    batch = made.batch(4, rng)
    assert batch["z"].shape == (4, 4, 8, 8) and "x" not in batch
    files = sorted((root / "kept").iterdir())
    stamps = [path.stat().st_mtime_ns for path in files]
    again = BaseStage(str(places["sd15"]), {**data, "latents": True}, people=0)
    assert torch.equal(again.batch(4, make_rng(0, 0, 0))["z"], batch["z"])
    assert [path.stat().st_mtime_ns for path in files] == stamps
    examples = made.examples
    triple = examples.triples[int(examples.train[0])]
    z = examples._latent(triple.target, examples.manifest.picture(triple.target))
    torch.testing.assert_close(examples._latents[triple.target], z, rtol=2e-3, atol=2e-3)


def test_whole_pictures_keep_the_face_and_say_where_they_were_cut(places: dict[str, Path]) -> None:
    made = make(places, "base", "sdxl", data={"size": 64, "scaling": [1.0, 1.5]})
    rng = make_rng(3, 0, 0)
    batch = made.batch(16, rng)
    examples = made.examples
    assert batch["x"].shape == (16, 3, 64, 64)
    assert batch["time_ids"][:, :2].unique(dim=0).tolist() == [[288.0, 256.0]]
    assert len(batch["time_ids"][:, 2].unique()) > 3  # crops differ, and the model is told
    assert (batch["time_ids"][:, 4:] == 64).all()
    for i in range(
        16
    ):  # the matrix leads from the crop's pixels to the canonical crop: the eyes come to their places
        inverse = torch.linalg.inv(torch.cat([batch["face_matrix"][i], torch.tensor([[0.0, 0, 1]])]).double())
        corners = inverse @ torch.tensor(
            [[32.0, 96], [38, 38], [1, 1]], dtype=torch.float64
        )  # of the eyes' line
        assert ((corners[:2] > -8) & (corners[:2] < 72)).all()
    added = made.noised(batch, rng).added["added_cond_kwargs"]
    assert torch.equal(added["time_ids"], batch["time_ids"])
    assert examples.scaling == (1.0, 1.5)


def test_references_of_idi_show_somebody_else(places: dict[str, Path]) -> None:
    refined, base = make(places, "refined").examples, make(places).examples
    people = refined.manifest.values("identity")
    assert all(people[t.reference] != people[t.target] for t in refined.triples)
    assert all(people[s] == people[t.target] for t in refined.triples for s in t.sources)
    assert all(t.reference == t.target and t.target not in t.sources for t in base.triples)
    assert {people[base.triples[i].target] for i in base.held} == {"2"}  # the person held out


class Colours:
    """An expression encoder that looks at pictures, [57], as CLIP does; small enough to be made here."""

    name, width = "colours", 57

    def __init__(self, device: Any) -> None:
        pass

    def __call__(self, image: Any, face: Any) -> Tensor:
        return torch.from_numpy(np.resize(np.asarray(image).mean((0, 1)) / 255, 57)).float()


def test_an_image_encoder_is_never_shown_the_target(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of people with three pictures S, R and T are three, S the farthest; of people with two, R is T."""
    monkeypatch.setitem(backbones.ENCODERS, ("expression", "colours"), f"{__name__}:Colours")
    settings = {"identity_encoder": "embedded", "expression_encoder": "colours"}
    adapter = shutil.copytree(places["sd15"] / "adapter", tmp_path / "adapter")
    (adapter / "adapter.json").write_text(json.dumps(settings))
    root = save_set(tmp_path / "set", people=3, triples=False, pictures=4)
    made = make({**places, "set": root}, adapter=str(adapter)).examples
    people, shapes = made.manifest.values("identity"), made.manifest.array("blendshapes")
    assert len(made.triples) == 12
    for triple in made.triples:
        (source,) = triple.sources
        assert len({source, triple.reference, triple.target}) == 3
        assert len({people[row] for row in (source, triple.reference, triple.target)}) == 1
        off = {
            row: np.abs(shapes[row] - shapes[triple.target]).mean()
            for row in range(len(people))
            if people[row] == people[triple.target] and row != triple.target
        }
        assert off[source] == max(off.values()) > off[triple.reference] == min(off.values())
    two = make(places, adapter=str(adapter)).examples
    assert all(t.reference == t.target and t.target not in t.sources for t in two.triples)


def test_ica_takes_same_identity_triples_where_there_are_no_others(
    places: dict[str, Path], tmp_path: Path
) -> None:
    plain = save_set(tmp_path / "plain", triples=False)
    same, idi = (make({**places, "set": root}, "ica").examples for root in (plain, places["set"]))
    people = idi.manifest.values("identity")
    assert all(people[t.reference] == people[t.target] for t in same.triples)
    assert all(people[t.reference] != people[t.target] for t in idi.triples)


def test_a_run_from_end_to_end(places: dict[str, Path], tmp_path: Path) -> None:
    """Loop, validation with a sheet, export; what is exported loads and differs from the start."""
    stage = RefinedStage(str(places["sd15"]), {"root": str(places["set"])}, people=1)
    config = LoopConfig(steps=2, batch_size=2, lr=1e-3, precision="no", log_every=1, validate_every=2)
    train(stage, config, tmp_path / "run", {})
    assert (tmp_path / "run" / "sheets" / "0000002.png").is_file()
    adapter = tmp_path / "run" / "export" / "adapter"
    settings = json.loads((adapter / "adapter.json").read_text())
    assert settings["identity_encoder"] == "embedded" and settings["steps"] == 2
    started = make(places, adapter=str(adapter)).adapter
    was = make(places).adapter
    assert not torch.equal(
        started.expression.image_proj.proj[0].weight, was.expression.image_proj.proj[0].weight
    )


def test_weight_of_cells_is_used(places: dict[str, Path]) -> None:
    made = make(places)
    rng = make_rng(0, 0, 0)
    batch = made.batch(2, rng)
    valid = torch.rand(2, *(8,) * 2) + 0.1
    side = made.noised(batch, make_rng(0, 0, 1)).z.shape[-1]
    valid = torch.nn.functional.interpolate(valid[:, None], (side, side))[:, 0]
    noised = made.noised({**batch, "valid": valid}, make_rng(0, 0, 1))
    loss, _ = made.step({**batch, "valid": valid}, make_rng(0, 0, 1))
    error = (made.predict(noised) - noised.eps).square().mean(1).numpy()
    each = [np.average(e, weights=v) for e, v in zip(error, valid.numpy(), strict=True)]
    assert loss.item() == pytest.approx(np.mean(each), rel=1e-5)
    assert not torch.isclose(loss, noise_error(made.predict(noised), noised.eps))


def test_captions_alone_can_be_left_out(places: dict[str, Path]) -> None:
    made, told = make(places, untold=1.0, drop=(0.0, 0.0, 0.0)), make(places, drop=(0.0, 0.0, 0.0))
    batch = made.batch(2, make_rng(0, 0, 0))
    noised, usual = (m.noised(batch, make_rng(0, 0, 1)).conditions for m in (made, told))
    torch.testing.assert_close(noised.text, made.backbone.prompts(["", ""]).tokens)
    assert torch.equal(noised.identity, usual.identity) and torch.equal(noised.expression, usual.expression)


@pytest.mark.parametrize("framing", ["canonical", "whole"])
def test_surroundings_can_count_less(places: dict[str, Path], framing: str) -> None:
    """Of a latent cell, what lies in the face's region counts 1, what lies outside as much as was asked."""
    data = {"framing": framing, "surroundings": 0.25, "size": 128}
    examples = make(places, data=data).examples
    valid = examples(2, make_rng(0, 0, 0))["valid"]
    assert valid.shape == (2, 64, 64) and valid.min() == 0.25 and valid.max() == 1.0
    assert (valid[:, 0] < 0.5).all()  # the corners and the hair are no face
    if framing == "canonical":
        assert (valid[:, 32, 32] == 1.0).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "data.root"),
        ({"surroundings": 2.0}, "surroundings"),
        ({"roof": "x"}, "roof"),
        ({"root": "nowhere"}, "does not exist"),
        ({"framing": "tight"}, "framing"),
        ({"scaling": [2.0, 1.0]}, "scaling"),
        ({"scaling": [1.0, 2.0], "latents": True}, "latents"),
    ],
)
def test_bad_data_is_one_sentence(places: dict[str, Path], data: dict[str, Any], words: str) -> None:
    if {"framing", "scaling", "surroundings"} & set(data):
        data = {"root": str(places["set"]), **data}
    with pytest.raises(InputError, match=words):
        BaseStage(str(places["sd15"]), data)


def test_stages_refuse_what_does_not_suit_them(places: dict[str, Path], tmp_path: Path) -> None:
    plain = save_set(tmp_path / "plain", triples=False)
    with pytest.raises(InputError, match="mien data idi"):
        RefinedStage(str(places["sd15"]), {"root": str(plain)})
    with pytest.raises(InputError, match="estimator"):
        make(places, "ica", estimator="two-step")
    with pytest.raises(InputError, match="person"):
        make(places, "ica", person="father")
    with pytest.raises(InputError, match="judged"):
        make(places, "ica", judged=0)
    with pytest.raises(InputError, match="probabilities"):
        make(places, drop=(0.9, 0.9, 0.0))
    with pytest.raises(InputError, match="three"):
        make(places, drop=[0.1])
    with pytest.raises(InputError, match="untold"):
        make(places, untold=-0.1)
    with pytest.raises(InputError, match="weight_limit"):
        make(places, weight_limit=0.0)
    with pytest.raises(InputError, match="embeds"):
        make(places, adapter={"embeds": "x"})
    assert DataConfig.read({"root": "x"}).framing == "whole"
