"""Compound identity: embeddings stay apart by name, and each becomes tokens by an MLP of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.encoders.compound import RECOGNISERS, CompoundIdentity, DlibIdentity, compound
from mien.encoders.standardise import standardise
from mien.models.compound import CompoundProjection, compound_projection_from_state
from mien.models.projection import LinearProjection
from mien.types import Face, InputError

WIDTHS = {"arcface": 12, "dlib": 8, "third-one": 5}


class Fixed:
    """A recogniser that sees the picture's mean."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width

    def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
        return torch.full((self.width,), float(np.asarray(image).mean()))


def face() -> Face:
    rows, columns = np.mgrid[0:22, 0:22]
    points = np.stack([columns.ravel(), rows.ravel(), np.zeros(484)], 1)[:478] * 4.0
    return Face(np.array([0, 0, 88, 88.0]), points, np.zeros(52), np.zeros(3), 1.0)


def embeddings(batch: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(batch, width) for name, width in WIDTHS.items()}


def by_hand(projection: CompoundProjection, embeds: dict[str, torch.Tensor]) -> torch.Tensor:
    """Linear, GELU, linear, LayerNorm for each recogniser, from the weights' names alone."""
    state, rows = projection.state_dict(), []
    for name in WIDTHS:
        p = {k.removeprefix(f"of.{name}."): v for k, v in state.items() if k.startswith(f"of.{name}.")}
        h = embeds[name] @ p["proj.0.weight"].T + p["proj.0.bias"]
        h = h * 0.5 * (1 + torch.erf(h / 2**0.5))
        y = (h @ p["proj.2.weight"].T + p["proj.2.bias"]).reshape(len(h), -1, projection.dim)
        y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        rows.append(y * p["norm.weight"] + p["norm.bias"])
    return torch.cat(rows, 1)


def test_tokens_of_each_recogniser_side_by_side() -> None:
    projection = CompoundProjection(WIDTHS, dim=16, tokens=2)
    tokens = projection(embeddings())
    assert tokens.shape == (2, 6, 16) and projection.tokens == 6
    torch.testing.assert_close(tokens, by_hand(projection, embeddings()), atol=1e-5, rtol=1e-5)


def test_a_recogniser_moves_its_own_tokens_only() -> None:
    projection = CompoundProjection(WIDTHS, dim=16, tokens=2)
    changed = {**embeddings(), "dlib": torch.randn(2, 8)}
    moved = (projection(changed) - projection(embeddings())).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [False, False, True, True, False, False]
    silent = projection({name: torch.zeros(3, width) for name, width in WIDTHS.items()})
    assert silent.shape == (3, 6, 16) and torch.equal(silent[0], silent[2])


def test_wrong_embeddings_are_named() -> None:
    projection = CompoundProjection(WIDTHS, dim=16)
    for embeds, message in (
        ({k: v for k, v in embeddings().items() if k != "dlib"}, "'dlib' is missing"),
        ({**embeddings(), "zeta": torch.zeros(2, 3)}, "'zeta' is not expected"),
        ({**embeddings(), "dlib": torch.zeros(2, 9)}, r"dlib: embeddings are \[b, 8\]"),
    ):
        with pytest.raises(InputError, match=message):
            projection(embeds)
    for widths in ({}, {"a.b": 3}):
        with pytest.raises(InputError):
            CompoundProjection(widths, dim=16)


def test_weights_come_back_without_a_config() -> None:
    projection = CompoundProjection(WIDTHS, dim=16, tokens=3, mult=4)
    state = dict(sorted(projection.state_dict().items()))  # safetensors keeps no order
    again = compound_projection_from_state(state, "file")
    assert again.config == projection.config
    torch.testing.assert_close(again(embeddings()), projection(embeddings()))
    del state["of.dlib.proj.2.bias"]
    with pytest.raises(InputError, match="dlib"):
        compound_projection_from_state(state, "file")
    linear = {f"of.a.{key}": value for key, value in LinearProjection(8, 16).state_dict().items()}
    for wrong in ({"proj.weight": torch.zeros(1)}, {}, linear):
        with pytest.raises(InputError, match="file"):
            compound_projection_from_state(wrong, "file")
    uneven = CompoundProjection({"a": 4}, 16, tokens=2).state_dict()
    uneven.update(CompoundProjection({"b": 4}, 16, tokens=3).state_dict())
    with pytest.raises(InputError, match="differ"):
        compound_projection_from_state(uneven, "file")


def test_embeddings_stay_apart(picture: Image.Image) -> None:
    who = compound([Fixed("one", 3), Fixed("two", 5)])
    assert who.name == "one+two" and who.widths == {"one": 3, "two": 5}
    seen = who(picture, face())
    assert {name: tuple(vector.shape) for name, vector in seen.items()} == {"one": (3,), "two": (5,)}
    batch = {name: torch.stack([vector, vector]) for name, vector in seen.items()}
    assert CompoundProjection(who.widths, dim=8)(batch).shape == (2, 8, 8)
    for encoders in ([], [Fixed("one", 3), Fixed("one", 4)], ["nobody"]):
        with pytest.raises(InputError):
            compound(encoders)


def test_the_shipped_recogniser_and_dlibs_numbers(picture: Image.Image) -> None:
    class Raw:
        def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
            return torch.linspace(-0.2, 0.2, 128)

    dlib = DlibIdentity(Raw())  # type: ignore[arg-type]
    who = compound(["recogniser", dlib])
    assert isinstance(who, CompoundIdentity) and set(RECOGNISERS) > {"embedded", "arcface", "dlib"}
    seen = who(picture, face())
    torch.testing.assert_close(seen["dlib"], standardise(torch.linspace(-0.2, 0.2, 128), "identity"))
    whole = compound(["embedded"])(picture, face())["embedded"]
    torch.testing.assert_close(seen["recogniser"], whole[:128])  # the rest of "embedded" is colour
