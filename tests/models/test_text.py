"""Prompts to ids: what is cut, and threads that share a tokenizer."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from factory.training.mini import all_captions, create_tokenizer
from mien.models.text import tokenize


def test_threads_share_a_tokenizer() -> None:
    """Its padding is a state that a call without padding changes: mixed up, ids come in other lengths."""
    tokenizer = create_tokenizer(all_captions())
    prompts = ["photo of a woman", "3d render", "black and white photo of an old man", ""]
    wanted = [tokenize(tokenizer, [prompt]) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: tokenize(tokenizer, [prompts[i % 4]]), range(600)))
    assert all(torch.equal(one, wanted[i % 4]) for i, one in enumerate(found))


def test_what_is_cut_is_quoted() -> None:
    tokenizer = create_tokenizer(all_captions())
    with pytest.warns(UserWarning, match="no effect.*blue"):
        ids = tokenize(tokenizer, ["photo " * 30 + "blue"])
    assert ids.shape == (1, tokenizer.model_max_length)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(tokenize(tokenizer, ["photo " * 30 + "blue"], tell=False), ids)
