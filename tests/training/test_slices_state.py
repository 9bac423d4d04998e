"""What one slice hands to the next, and what another is expected to bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mien.training.slices import recipe, state
from mien.training.slices.expect import expect, points
from mien.training.slices.loads import divide, write_loads
from mien.training.slices.report import curve, forecast, table, write_page
from mien.types import InputError

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "slices").glob("*.yaml"))


def test_there_are_as_many_recipes_as_we_know_of() -> None:
    assert [path.stem for path in RECIPES] == ["mini_autoencoder", "mini_base", "mini_recogniser"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_whole(path: Path, tmp_path: Path) -> None:
    command = f"# python -m mien.training.slices prepare recipes/slices/{path.name}"
    assert path.read_text().splitlines()[0] == command
    given = recipe.read_yaml(path, ["loop.lr=0.5"])
    recipe.write(given, tmp_path)
    assert recipe.load(tmp_path).loop.lr == 0.5


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    for override, word in (
        ("slices.feeed=pixels", "feeed"),
        ("slices.feed=taste", "taste"),
        ("args.colour=1", "colour"),
        ("loop.schedule=cosine", "cosine"),
        ("stagee=1", "stagee"),
        ("slices.validations=0", "at least one"),
    ):
        with pytest.raises(InputError, match=word):
            recipe.read_yaml(RECIPES[0], [override])
    with pytest.raises(InputError, match="prepare"):
        recipe.load(tmp_path)


def test_factored_moments_keep_sums_and_are_exact_for_rank_one() -> None:
    rows, columns = torch.rand(6) + 0.1, torch.rand(20) + 0.1
    moments = {"a": torch.outer(rows, columns).view(6, 5, 2, 2), "b": torch.rand(3), "c": torch.rand(4, 7)}
    shapes = {name: value.shape for name, value in moments.items()}
    again = state.unfactor(state.factor(moments), shapes)
    torch.testing.assert_close(again["a"], moments["a"])
    assert torch.equal(again["b"], moments["b"])
    for axis in (0, 1):
        torch.testing.assert_close(again["c"].sum(axis), moments["c"].sum(axis))
    small = sum(value.numel() for value in state.factor({"c": torch.rand(300, 400)}).values())
    assert small == 700
    with pytest.raises(InputError, match="another model"):
        state.unfactor(state.factor(moments), shapes | {"d": torch.Size([2, 2])})


def test_the_optimizer_goes_on_with_its_second_moments() -> None:
    """A step after a hand-over is smaller than the first of a new Adam, which takes the whole rate."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    named = dict(layer.named_parameters())
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0)
    state.start_optimizer(
        optimizer, named, state.factor({n: torch.ones_like(p) for n, p in named.items()}), 500
    )
    before = layer.weight.detach().clone()
    layer.weight.grad, layer.bias.grad = torch.ones(2, 3), torch.ones(2)
    optimizer.step()
    # m = 0.1 g, v = 1: a tenth of the rate (the bias corrections are 1 by then, nearly: 1 - 0.999^501 = 0.394)
    expected = 0.1 * 0.1 / (1 - 0.9**501) / np.sqrt(1 / (1 - 0.999**501))
    torch.testing.assert_close(before - layer.weight, torch.full((2, 3), float(expected)))


def test_a_state_is_parts_of_limited_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "PART_BYTES", 1000)
    data = bytes(range(256)) * 12
    state.put(data, tmp_path / "a", {"history": []})
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert [name[:7] for name in names] == [*(f"part-{k:02d}" for k in range(4)), "state.j"]
    state.put(data[:1500], tmp_path / "a", {"history": []})  # smaller: nothing old stays
    assert len(list((tmp_path / "a").glob("part-*"))) == 2
    with pytest.raises(InputError, match="leave more behind"):
        state.put(data * 2, tmp_path / "b", {})
    with pytest.raises(InputError, match="no state"):
        state.unpack(tmp_path / "b", tmp_path / "c")


def test_killed_while_it_is_replaced_a_state_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "PART_BYTES", 1000)
    state.put(b"a" * 2500, tmp_path, {"history": ["before"]})
    before = state.read_whole(tmp_path)

    def killed(out: Path, about: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(state, "write_about", killed)
        state.put(b"b" * 2500, tmp_path, {"history": ["after"]})
    assert state.read_whole(tmp_path) == before
    state.put(b"b" * 2500, tmp_path, {"history": ["after"]})
    assert state.read_whole(tmp_path)["history"] == ["after"]
    assert len(list(tmp_path.glob("part-*"))) == 3


def test_numbers_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    def export(folder: Path) -> None:
        folder.mkdir()
        save_file({"weight": torch.tensor([1e6])}, folder / "model.safetensors")

    with pytest.raises(InputError, match="weight does not fit"):
        state.write(tmp_path / "out", export, {}, {}, tmp_path)
    assert not (tmp_path / "out").exists()


def entry(number: int, values: list[float], **changes: Any) -> dict[str, Any]:
    """A history's entry whose validations are 1,000 pictures apart."""
    every = 1000
    best = int(np.argmin(values))
    return {
        "slice": number,
        "device": "cpu",
        "plan": None,
        "steps": (len(values) - 1) * every // 10,
        "images": (len(values) - 1) * every,
        "batch": 10,
        "lr": 1e-4,
        "seconds": 60.0,
        "curve": [[k * every, {"loss": v}] for k, v in enumerate(values)],
        "kept_step": best * every // 10,
        "watch": "loss",
        "better": "lower",
        **changes,
    }


def law(images: np.ndarray) -> np.ndarray:
    return 0.1 + 0.2 * (1 + images / 2000) ** -0.5


def test_a_power_law_is_continued() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(9) * 1000
    history = [entry(1, list(law(x) + rng.normal(0, 2e-4, 9)))]
    said = expect(history)
    assert said is not None
    truth = law(np.array([16000]))[0]
    assert said.then[0] < truth < said.then[2]
    assert said.improves > 0.95 and said.then[2] - said.then[0] < 0.02
    assert "likely" in forecast(history)


def test_eighty_percent_are_about_eighty() -> None:
    """On curves of the law's own kind, the interval holds what came about as often as it says."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = np.arange(9) * 1000
        said = expect([entry(1, list(law(x) + rng.normal(0, 2e-3, 9)))], seed=seed)
        assert said is not None
        current = said.then[1] - said.change[1]
        truth = law(np.array([16000]))[0] - law(np.array([8000]))[0]
        held += said.change[0] <= truth <= said.change[2]
        assert np.isfinite(current)
    assert 39 <= held <= 60  # 80% of 60 is 48; the fit's flat priors make it wider rather than narrower


def test_a_rising_loss_expects_nothing() -> None:
    rng = np.random.default_rng(1)
    history = [entry(1, list(0.1 + 0.00001 * np.arange(9) * 1000 / 1000 * 5 + rng.normal(0, 1e-5, 9)))]
    said = expect(history)
    assert said is not None and said.improves < 0.1 and "unlikely" in forecast(history)
    assert expect([]) is None and expect([entry(1, [0.2, 0.1])]) is None
    assert "Too few" in forecast([])


def test_pictures_are_counted_along_the_way_that_was_kept() -> None:
    history = [entry(1, [0.3, 0.2, 0.25]), entry(2, [0.2, 0.15])]
    assert points(history)[:, 0].tolist() == [0, 1000, 2000, 1000, 2000]


def test_the_page_has_the_table_and_the_curve(tmp_path: Path) -> None:
    history = [entry(1, list(law(np.arange(6) * 1000))), entry(2, list(law(5000 + np.arange(4) * 1000)))]
    scored = tmp_path / "0002"
    scored.mkdir()
    rows = [{"what": "same person", "value": {"value": 0.815}, "spec": ".1%"}]
    (scored / "portrait_benchmark.json").write_text(json.dumps({"rows": rows}))
    lines = table(history, tmp_path).splitlines()
    assert "same person" in lines[0] and "81.5%" in lines[3] and "| – |" in lines[2]
    assert curve(history).count("<polyline") == 2 and curve(history).count("<circle") == 2
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- slices: x -->\nold\n<!-- end of slices: x -->\nafter\n")
    write_page(history, tmp_path, "x", page)
    write_page(history, tmp_path, "x", page)  # again: it replaces itself
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("81.5%") == 1 and (tmp_path / "page_x.svg").is_file()
    with pytest.raises(InputError, match="no lines"):
        write_page(history, tmp_path, "y", page)
    with pytest.raises(InputError, match="nothing to report"):
        write_page([], tmp_path, "x", page)


def test_loads_are_few_and_keep_their_size(tmp_path: Path) -> None:
    things = []
    for k, size in enumerate((50, 40, 30, 30, 20, 20, 10)):
        path = tmp_path / f"f{k}"
        path.write_bytes(bytes(size))
        things.append((path, path.name))
    loads = divide(things, 100)
    assert len(loads) == 2 and sorted(n for load in loads for _, n in load) == sorted(n for _, n in things)
    assert all(sum(path.stat().st_size for path, _ in load) <= 100 for load in loads)
    with pytest.raises(InputError, match="--limit"):
        divide(things, 45)
    with pytest.raises(InputError, match="prepare"):
        write_loads(tmp_path, tmp_path / "loads")
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="'sugar'"):
        write_loads(tmp_path, tmp_path / "loads", skip=["sugar"])
    ((place, _),) = write_loads(tmp_path, tmp_path / "loads", skip=["code"])
    assert [p.name for p in place.iterdir()] == ["recipe.json"]
