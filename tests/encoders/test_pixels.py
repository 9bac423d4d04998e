"""The expression encoder that looks at pixels, and the branch that hears it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.backbones import load_backbone
from mien.encoders.expression import EmbeddedExpression
from mien.encoders.pixels import PARTS, WIDTHS, PixelExpression
from mien.models.branch import AdapterBranch
from mien.training.adapter import with_wider_projection
from mien.types import InputError
from mien.weights.adapters import read_adapter_spec


def test_every_part_is_seen_where_it_is() -> None:
    encoder = PixelExpression()
    crops = torch.zeros(1, 3, 128, 128)
    grey = encoder.embed(crops)
    assert grey.shape == (1, encoder.width) and sum(WIDTHS.values()) + 57 == encoder.width
    assert torch.equal(grey[:, -57:], EmbeddedExpression().embed(crops))
    places = {"eye_left": (38, 88), "eye_right": (38, 40), "mouth": (94, 64)}  # row, column
    assert set(places) == PARTS.keys() - {"whole"}
    for name, (row, column) in places.items():
        spot = crops.clone()
        spot[:, :, row - 3 : row + 3, column - 3 : column + 3] = 1
        changed = {
            part: bool((a - b).abs().max() > 0.05)
            for part, a, b in zip(
                WIDTHS,
                encoder.embed(spot)[:, :-57].split(list(WIDTHS.values()), 1),
                grey[:, :-57].split(list(WIDTHS.values()), 1),
                strict=True,
            )
        }
        assert {part for part, is_seen in changed.items() if is_seen} == {name, "whole"}


def test_the_teeth_are_seen_that_57_numbers_do_not_tell_of() -> None:
    """Half of the mouth bright or the other: the same blendshapes, another embedding; and it is differentiable."""
    crops = torch.zeros(2, 3, 128, 128)
    crops[0, :, 92:98, 50:64], crops[1, :, 92:98, 64:78] = 1, 1
    seen = PixelExpression().embed(crops.requires_grad_())[:, :-57]
    assert (seen[0] - seen[1]).norm() > 0.3 * seen[0].norm()
    assert torch.autograd.grad(seen.sum(), crops)[0].abs().sum() > 0


def test_a_wider_projection_starts_as_the_old_one_and_learns_what_is_new(tmp_path: Path) -> None:
    backbone = load_backbone("mini", "cpu")
    old = backbone.load_adapter()
    assert isinstance(old.expression, AdapterBranch)
    adapter = with_wider_projection(old, PixelExpression.width)
    branch = adapter.expression
    assert isinstance(branch, AdapterBranch) and branch.layers == old.expression.layers
    embeds = torch.randn(3, PixelExpression.width)
    torch.testing.assert_close(branch.tokens(embeds), old.expression.tokens(embeds[:, -57:]))
    branch.requires_grad_()
    goal = torch.randn(3, 4, branch.image_proj.dim)
    step = torch.optim.SGD(branch.image_proj.parameters(), 0.1)
    for _ in range(2):  # the first step makes the new hidden units heard, the second goes through them
        step.zero_grad()
        (branch.tokens(embeds) - goal).square().sum().backward()
        step.step()
    seen = embeds.clone()
    seen[:, 0] += 3
    assert (branch.tokens(seen) - branch.tokens(embeds)).abs().max() > 1e-3
    adapter.save(tmp_path)
    (tmp_path / "adapter.json").write_text('{"identity_encoder": "embedded", "expression_encoder": "pixels"}')
    again = load_backbone("mini", "cpu", adapter=tmp_path)
    assert again.encoder("expression").name == "pixels" and read_adapter_spec(tmp_path).steps == 20
    loaded = again.load_adapter().expression
    assert isinstance(loaded, AdapterBranch) and torch.equal(loaded.tokens(embeds), branch.tokens(embeds))
    with pytest.raises(InputError, match="cannot become one of 60"):
        with_wider_projection(old, 60)
    adapter.expression = None
    with pytest.raises(InputError, match="expression branch"):
        with_wider_projection(adapter, PixelExpression.width)
