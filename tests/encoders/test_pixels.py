"""The expression encoder that looks at pixels, and the branch that hears it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.backbones import load_backbone, read_adapter_spec
from mien.encoders.pixels import PARTS, WIDTHS, PixelExpression
from mien.models.compound import CompoundProjection
from mien.training.adapter import with_new_projection
from mien.types import InputError


def test_every_part_is_seen_where_it_is() -> None:
    encoder = PixelExpression()
    crops = torch.zeros(1, 3, 128, 128)
    grey = encoder.embed(crops)
    assert grey.shape == (1, encoder.width) and sum(WIDTHS.values()) == encoder.width
    places = {"eye_left": (38, 88), "eye_right": (38, 40), "mouth": (94, 64)}  # row, column
    assert set(places) == PARTS.keys() - {"whole"}
    for name, (row, column) in places.items():
        spot = crops.clone()
        spot[:, :, row - 3 : row + 3, column - 3 : column + 3] = 1
        changed = {
            part: bool((a - b).abs().max() > 0.05)
            for part, a, b in zip(
                WIDTHS,
                encoder.embed(spot).split(list(WIDTHS.values()), 1),
                grey.split(list(WIDTHS.values()), 1),
                strict=True,
            )
        }
        assert {part for part, is_seen in changed.items() if is_seen} == {name, "whole"}


def test_the_teeth_are_seen_that_57_numbers_do_not_tell_of() -> None:
    """Half of the mouth bright or the other: the same blendshapes, another embedding; and it is differentiable."""
    crops = torch.zeros(2, 3, 128, 128)
    crops[0, :, 92:98, 50:64], crops[1, :, 92:98, 64:78] = 1, 1
    seen = PixelExpression().embed(crops.requires_grad_())
    assert (seen[0] - seen[1]).norm() > 0.3 * seen[0].norm()
    assert torch.autograd.grad(seen.sum(), crops)[0].abs().sum() > 0


def test_a_new_projection_is_saved_loaded_and_heard(tmp_path: Path) -> None:
    backbone = load_backbone("mini", "cpu")
    old = backbone.load_adapter()
    assert old.expression is not None
    adapter = with_new_projection(old, PixelExpression.parts)
    assert adapter.expression is not None and adapter.expression.layers == old.expression.layers
    assert adapter.expression.width == PixelExpression.width
    adapter.save(tmp_path)
    (tmp_path / "adapter.json").write_text('{"identity_encoder": "embedded", "expression_encoder": "pixels"}')
    again = load_backbone("mini", "cpu", adapter=tmp_path)
    assert again.encoder("expression").name == "pixels" and read_adapter_spec(tmp_path).steps == 20
    loaded = again.load_adapter().expression
    assert loaded is not None and isinstance(loaded.image_proj, CompoundProjection)
    embeds = torch.randn(2, PixelExpression.width)
    assert torch.equal(loaded.tokens(embeds), adapter.expression.tokens(embeds))
    assert loaded.tokens(embeds).shape[1] == 4 * len(PARTS)
    adapter.expression = None
    with pytest.raises(InputError, match="expression branch"):
        with_new_projection(adapter, PixelExpression.parts)
