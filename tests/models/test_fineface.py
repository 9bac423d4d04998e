"""FineFace's processor: the arithmetic of its public code (``fineface/au_attention.py``), written out here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mien
from mien.expressions.faces import blendshapes
from mien.expressions.spec import parse
from mien.expressions.units import action_units
from mien.models.e_adapter import EAdapter
from mien.models.fineface import FILES, UNITS
from mien.types import Conditions, InputError
from tests import tiny

WIDTH = 32  # of the tiny UNet's cross-attention


class Oracle(nn.Module):
    """Text, then ip_scale * identity, then au_scale * units, each attended to on its own, before the output's map."""

    def __init__(self, attn, tokens, weights) -> None:
        super().__init__()
        self.tokens, self.weights = tokens, weights

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def split(x):
            return x.view(x.shape[0], -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)

        query = split(attn.to_q(hidden_states))
        sides = [(attn.to_k(text), attn.to_v(text), 1.0)]
        if encoder_hidden_states is not None:
            sides += [
                (F.linear(x, k), F.linear(x, v), s)
                for x, s, k, v in zip(*self.tokens, *self.weights, strict=True)
            ]
        total = 0.0
        for key, value, scale in sides:
            key, value = split(key), split(value)
            scores = (query @ key.transpose(-1, -2)) / query.shape[-1] ** 0.5
            total = total + scale * (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](total))


@pytest.fixture
def files(tmp_path):
    """Its two files, random, in the names and shapes of the published ones."""
    unet = tiny.sd15_unet()
    torch.manual_seed(8)
    torch.save(
        {"au_encoder.weight": torch.randn(WIDTH - 12, 12), "au_encoder.bias": torch.randn(WIDTH - 12)},
        tmp_path / FILES[0],
    )
    weights = {}
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            attn = unet.get_submodule(name.removesuffix(".processor"))
            for x in "kv":
                weights[f"{name}.au_to_{x}.weight"] = 0.3 * torch.randn_like(attn.to_k.weight)
    torch.save(weights, tmp_path / FILES[1])
    return tmp_path


@torch.no_grad()
def test_it_computes_what_its_public_code_does(files, tmp_path) -> None:
    unet = tiny.sd15_unet()
    faceid = EAdapter.create(unet, 512, None, identity_tokens=16)
    faceid.save(tmp_path / "faceid")
    adapter = EAdapter.load(unet, tmp_path / "faceid" / "identity.safetensors", files)
    units, who = torch.rand(2, 12) * 5, torch.randn(2, 512)
    z, t, text = torch.randn(2, 4, 8, 8), torch.tensor([700, 10]), torch.randn(2, 7, WIDTH)
    conditions = adapter.project(who, units, text)
    assert conditions.expression is not None and conditions.expression.shape == (2, 1, WIDTH)

    encoder = torch.load(files / FILES[0], weights_only=True)
    token = torch.cat([units, units @ encoder["au_encoder.weight"].T + encoder["au_encoder.bias"]], 1)[
        :, None
    ]
    raw = torch.load(files / FILES[1], weights_only=True)
    assert adapter.identity is not None
    processors = {}
    for k, name in enumerate(unet.attn_processors):
        own = adapter.identity.at(k)
        keys = [own.to_k_ip.weight, raw[f"{name}.au_to_k.weight"]] if own is not None else []
        values = [own.to_v_ip.weight, raw[f"{name}.au_to_v.weight"]] if own is not None else []
        processors[name] = Oracle(None, ([conditions.identity, token], [0.8, 1.3]), (keys, values))
    plain = dict(unet.attn_processors)
    unet.set_attn_processor(processors)
    expected = unet(z, t, encoder_hidden_states=text).sample
    unet.set_attn_processor(plain)
    adapter.attach(unet)
    result = adapter.predict_noise(unet, 0.8, 1.3)(z, t, conditions)
    assert (result - expected).abs().max() <= 1e-5
    without = adapter.predict_noise(unet, 0.8)(z, t, Conditions(text, conditions.identity))
    assert (result - without).abs().max() > 1e-3

    # saved as ours, it is the same again
    adapter.detach()
    adapter.save(tmp_path / "ours")
    again = EAdapter.load(
        unet, *(tmp_path / "ours" / f"{name}.safetensors" for name in ("identity", "expression"))
    )
    again.attach(unet)
    assert torch.equal(again.predict_noise(unet, 0.8, 1.3)(z, t, again.project(who, units, text)), result)


def test_words_are_told_as_action_units() -> None:
    joy, surprise = (
        dict(zip(UNITS, action_units(blendshapes(parse(word).parts[0])), strict=True))
        for word in ("joy", "surprise")
    )
    assert joy["12"] > 3 and joy["26"] < 1 and joy["4"] < 0.1
    assert surprise["1"] > 2 and surprise["26"] > 2 and surprise["12"] < 0.5
    rest = action_units(np.zeros(52))
    assert rest.max() == 0 and len(rest) == 12


def test_other_files_are_one_sentence(files) -> None:
    with pytest.raises(InputError, match="FineFace is for SD1.5"):
        EAdapter.load(tiny.sdxl_unet(), None, files)
    (files / FILES[0]).write_bytes(b"no")
    with pytest.raises(InputError, match=f"{FILES[0]}: is"):
        EAdapter.load(tiny.sd15_unet(), None, files)
    with pytest.raises(InputError, match="FineFace is for models of SD1.5"):
        mien.load("mini", adapter="fineface")
